"""`detector parse`: what the lines of a file become."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer

from detector.cli.options import ConfigFile, reference_ms, zone_name

_BATCH = 1_000


def parse(  # noqa: PLR0917 -- typer makes options of them
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="Lines to parse; each is taken for a record.", exists=True)
    ],
    form: Annotated[str, typer.Option("--format", help="Name of a parser, or auto.")] = "auto",
    reference: Annotated[
        str | None, typer.Option("--reference-time", help="Timestamp of the records, RFC 3339; the file's by default.")
    ] = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Also why each record is recognized as what it is, as `why`.")
    ] = False,
    time_zone: Annotated[str, typer.Option("--time-zone", help="Zone of times that name none.")] = "UTC",
    config: ConfigFile = None,
) -> None:
    """Print the events of a file's lines as JSON, one a line, and what is wrong with them."""
    import orjson
    import pyarrow as pa

    from detector.alerts.text import harmless_json
    from detector.config_sources import load_config
    from detector.parsing.explanation import explain as why
    from detector.parsing.registry import compile_parsers, read_sources
    from detector.window import RECORDS

    zone = zone_name(time_zone)
    settings = load_config(config)
    parsers = compile_parsers(read_sources(settings.rules.parser_paths), limits=settings.limits)
    for error in parsers.errors:
        typer.echo(f"detector: {error}", err=True)
    timestamp_ms = int(file.stat().st_mtime * 1_000) if reference is None else reference_ms(reference)
    for start, lines in _batches(file):
        numbers = range(start, start + len(lines))
        columns = {"span": 0, "timestamp": timestamp_ms, "key": None, "headers": None}
        rows = [{**columns, "offset": number, "value": line} for number, line in zip(numbers, lines, strict=True)]
        records = pa.RecordBatch.from_pylist(rows, schema=RECORDS)
        parsed = parsers.parse(records, format=form, logsource=None, limits=settings.limits, time_zone=zone)
        for event in parsed.events:
            shown: dict[str, object] = {
                "line": start + event.record,
                "ordinal": event.ordinal,
                "format": event.format,
                "flags": event.flags,
                "logsources": [binding.logsource for binding in event.bindings],
                "fields": event.ecs,
                "raw": event.raw,
            }
            if explain and not event.ordinal:
                shown["why"] = why(parsers.recognizer, lines[event.record], settings.limits)
            typer.echo(harmless_json(orjson.dumps(shown)))
        for failure in parsed.failures:
            place = "" if failure.position is None else f" at byte {failure.position}"
            typer.echo(f"line {start + failure.record}: {failure.reason.value}{place}: {failure.detail}", err=True)


def _batches(file: Path) -> Iterator[tuple[int, list[bytes]]]:
    """Line number (from 1) of the first line of a batch, and its lines."""
    start = 1
    with file.open("rb") as stream:
        while lines := list(islice(stream, _BATCH)):
            yield start, lines
            start += len(lines)
