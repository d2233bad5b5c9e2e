"""`detector report`: what a lake of events comes to, or two of them compared."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from detector.cli.options import ConfigFile, load_for_people

if TYPE_CHECKING:
    from detector.reports.run import Report


def report(
    *,
    sources: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="LAKE-OR-SOURCE...",
            help="Folder that `detector backfill --events` wrote, also as LAKE@DAY..DAY; or what `detector backfill` "
            "reads, which then runs first.",
        ),
    ] = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the report.")] = Path("log_analytics_results"),
    alerts: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder that `detector backfill --out` wrote, for threats.")
    ] = None,
    compare: Annotated[
        tuple[str, str] | None,
        typer.Option(metavar="A B", help="Two lakes, or periods of one (LAKE@DAY..DAY): what is new, gone or changed."),
    ] = None,
    slos: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="YAML of service level objectives; else 99.9 % for each service."),
    ] = None,
    controls: Annotated[
        Path | None, typer.Option(metavar="FILE", help="YAML of compliance controls; else the built-in ones.")
    ] = None,
    mask: Annotated[
        bool, typer.Option("--mask-personal-data", help="Pseudonyms for users and addresses in all results.")
    ] = False,
    pages: Annotated[bool, typer.Option(help="Pages and pictures, or only tables and the summary.")] = True,
    single_file: Annotated[
        bool, typer.Option("--single-file", help="Put scripts and styles into each page (5 MB), to send it to someone.")
    ] = False,
    config: ConfigFile = None,
) -> None:
    """Report on old logs: security, applications, operations, commerce, compliance, as pages, tables and a summary."""
    from detector.errors import ConfigError
    from detector.reports.run import Options, run_comparison, run_sources

    if bool(sources) == bool(compare):
        raise ConfigError("name a lake or sources to report on, or two lakes after --compare")
    settings, options = load_for_people(config), Options(slos, controls, mask, pages, single_file)
    if compare:
        found: Report = run_comparison(settings, compare, out, options)
    else:
        found = run_sources(settings, sources or [], out, alerts, options)
    typer.echo(found.text)
    if pages and not compare:
        typer.echo(f"Pages: {out / 'index.html'}")
    for question, count in found.dropped.items():
        typer.echo(f"detector: {question}: {count:,} rows with the smallest counts are left out", err=True)
