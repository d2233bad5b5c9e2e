"""What tests of reports share."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa

from detector.analytics.alerts import SCHEMA
from detector.analytics.questions import TIME
from detector.analytics.tables import tables
from detector.analytics.totals import _AREAS, Totals, pack, partials, unpack

START = datetime(2026, 11, 24, 8, tzinfo=UTC)
KINDS = {name: kind for area in _AREAS for name, kind in area.columns.items()}

Row = dict[str, Any]


def at(minutes: float) -> datetime:
    """So many minutes after the start."""
    return START + timedelta(minutes=minutes)


def events(rows: list[Row]) -> pa.Table:
    """Events as a lake has them."""
    names = list(dict.fromkeys(["@timestamp", "event.format", *(name for row in rows for name in row)]))
    own = {"@timestamp": TIME, "event.format": pa.string()}
    kinds = {name: KINDS.get(name, own.get(name, pa.string())) for name in names}
    default = {"@timestamp": START, "event.format": "x", "log.file.path": "/a", "log.offset": 0, "event.flags": []}
    rows = [default | row for row in rows]
    return pa.table({name: pa.array([row.get(name) for row in rows], kind) for name, kind in kinds.items()})


def totals_of(rows: list[Row], size: int = 1_000) -> Totals:
    """The totals of events that come in batches of a size."""
    found = Totals()
    for start in range(0, len(rows), size):
        for name, part in unpack(pack(partials(events(rows[start : start + size])))):
            found.add(name, part)
    return found


def report(rows: list[Row], size: int = 1_000, **options: Any) -> dict[str, list[Row]]:
    """The rows of all tables of a report on events."""
    found = tables(totals_of(rows, size), SCHEMA.empty_table(), **options)
    return {name: table.to_pylist() for name, table in found.items()}
