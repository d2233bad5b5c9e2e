"""What the tests of the parsers share."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from detector.config import Limits
from detector.events import Event, LogSource
from detector.parsing.registry import Parsed, Parsers, ParserSource, compile_parsers, read_sources
from detector.window import RECORDS

REFERENCE_MS = 1_717_200_000_000
"""2024-06-01T00:00:00Z, the timestamp of the records."""

BUILTIN: Parsers = compile_parsers(read_sources(), limits=Limits())


def batch(values: Sequence[bytes | None], timestamp_ms: int = REFERENCE_MS) -> pa.RecordBatch:
    """The records of a topic with these values."""
    rows = [
        {"span": 0, "offset": row, "timestamp": timestamp_ms, "key": None, "value": value, "headers": None}
        for row, value in enumerate(values)
    ]
    return pa.RecordBatch.from_pylist(rows, schema=RECORDS)


def parse(
    *values: bytes | None,
    form: str = "auto",
    logsource: LogSource | None = None,
    limits: Limits | None = None,
    timestamp_ms: int = REFERENCE_MS,
    parsers: Parsers = BUILTIN,
) -> Parsed:
    """Records parsed by the built-in parsers."""
    return parsers.parse(batch(values, timestamp_ms), format=form, logsource=logsource, limits=limits or Limits())


def event(value: bytes, **arguments: object) -> Event:
    """The only event of a record."""
    (found,) = parse(value, **arguments).events  # type: ignore[arg-type]
    return found


def parsers_of(*texts: str) -> Parsers:
    """Parsers of definitions; the first is `1.yml`."""
    sources = (ParserSource(f"{number}.yml", text) for number, text in enumerate(texts, 1))
    return Parsers(sources, Limits())


def sources(found: Event) -> set[tuple[str | None, str | None, str | None]]:
    """The log sources of an event."""
    names = (binding.logsource for binding in found.bindings)
    return {(name.category, name.product, name.service) for name in names}
