"""`detector backfill`: the service's pipeline over files."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from detector.cli.options import ConfigFile, load_for_people, reference_ms

FormName = Literal["jsonl", "parquet"]


def backfill(
    *,
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE...",
            help="Files, folders, patterns or URIs (s3://, gs://, http://), each also as PATH=FORMAT; else the format "
            "is recognized.",
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for alerts and dead letters.")] = Path("backfill"),
    events: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Also write the parsed events: Parquet by day and source.")
    ] = None,
    output_format: Annotated[
        FormName, typer.Option(metavar="FORMAT", help="Of alerts and dead letters: jsonl or parquet.")
    ] = "jsonl",
    reference: Annotated[
        str | None,
        typer.Option("--reference-time", help="Time of lines that no dated line precedes, RFC 3339; the file's else."),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out that was interrupted.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as one JSON object.")] = False,
    config: ConfigFile = None,
) -> None:
    """Find what happened in old logs: files through the same rules and parsers as the service's."""
    from detector.backfill.progress import Progress, describe, report
    from detector.backfill.run import Request, run
    from detector.errors import UnreadableError
    from detector.stream import memory

    settings = load_for_people(config)
    memory.bound_arenas()
    request = Request(
        tuple(sources), out, events, output_format, reference_ms(reference) if reference else None, resume
    )
    with Progress(sys.stderr) as progress:
        summary = run(settings, request, progress.show)
    if as_json:
        print(report(summary))
    else:
        print(describe(summary, request))
    if summary.unreadable:
        raise UnreadableError("\n".join(f"{each.name}: {each.reason}" for each in summary.unreadable))
