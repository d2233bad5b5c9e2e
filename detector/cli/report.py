"""`detector report`: what a lake of events comes to."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from detector.cli.options import ConfigFile, load_for_people


def report(
    *,
    lake: Annotated[Path, typer.Argument(metavar="LAKE", help="Folder that `detector backfill --events` wrote.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the report.")] = Path("log_analytics_results"),
    alerts: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder that `detector backfill --out` wrote, for threats.")
    ] = None,
    pages: Annotated[bool, typer.Option(help="Pages and pictures, or only tables and the summary.")] = True,
    single_file: Annotated[
        bool, typer.Option("--single-file", help="Put scripts and styles into each page (5 MB), to send it to someone.")
    ] = False,
    config: ConfigFile = None,
) -> None:
    """Report on old logs: traffic, errors, log-ins, cloud calls, threats, as pages, tables and a summary."""
    from detector.reports.run import run

    found = run(load_for_people(config), lake, out, alerts, pages=pages, single_file=single_file)
    typer.echo(found.text)
    if pages:
        typer.echo(f"Pages: {out / 'index.html'}")
    for question, count in found.dropped.items():
        typer.echo(f"detector: {question}: {count:,} rows with the smallest counts are left out", err=True)
