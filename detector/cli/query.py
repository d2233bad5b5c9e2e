"""`detector query`: SQL over a lake."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer


def query(
    *,
    sql: Annotated[str, typer.Argument(metavar="SQL", help="A SELECT over `events` (and `alerts`, with --alerts).")],
    lake: Annotated[Path, typer.Option(metavar="DIR", help="Folder that `detector backfill --events` wrote.")] = Path(
        "lake"
    ),
    alerts: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder that `detector backfill --out` wrote.")
    ] = None,
    output_format: Annotated[
        Literal["table", "csv", "json"], typer.Option("--format", metavar="FORMAT", help="table, csv or json (lines).")
    ] = "table",
    limit: Annotated[int, typer.Option(min=1, help="Rows that are printed.")] = 1_000,
) -> None:
    """Ask a lake with SQL, through DuckDB: nothing but the lake can be read, nothing written."""
    from detector.reports.query import ask
    from detector.reports.rows import print_rows

    rows, more = ask(lake, sql, alerts=alerts, limit=limit)
    print_rows(rows, output_format, sys.stdout)
    if more:
        typer.echo(f"detector: only the first {limit:,} rows are shown (--limit)", err=True)
