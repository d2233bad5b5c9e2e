"""A few of the events behind a number, so that a page can show them: never more than a bounded number of each kind."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from detector.analytics.questions import Question

NAME = "samples"
FIELDS = {
    "log_source": "event.format",
    "source_ip": "source.ip",
    "event_type": "event.action",
    "method": "http.request.method",
    "url": "url.path",
    "status_code": "http.response.status_code",
    "error_code": "error.code",
    "user_identity": "user.name",
    "file": "log.file.path",
    "offset": "log.offset",
}
"""What is shown of an event besides its time, and the columns of the lake where it is."""
KINDS = {
    "status": ("http.response.status_code", "web"),
    "type": ("event.format", None),
    "error source": ("source.ip", "failed"),
    "error": ("event.format", "failed"),
}
"""By what events are looked up: the column of the value, and which events."""
PER_VALUE = 5
_PER_BLOCK = 2
_VALUES = 100


def few(events: pa.Table) -> pa.Table:
    """Of some events (with what is derived), at most two for each of the most frequent values of each kind.

    They get the columns `kind` and `value`.
    """
    parts = [_of_kind(events, kind) for kind in KINDS] if events.num_rows else []
    return pa.concat_tables(parts) if parts else _labelled(events, "", pa.nulls(0, pa.string()))


def table(samples: pa.Table) -> pa.Table:
    """At most five events for each of the 100 values of each kind that have most samples, by kind, value and time."""
    ordered = samples.sort_by([(key, "ascending") for key in ("kind", "value", "first", "log.file.path", "log.offset")])
    kinds, values = ordered["kind"].to_pylist(), ordered["value"].to_pylist()
    seen: dict[tuple[str, str], int] = {}
    rows = []
    for row, key in enumerate(zip(kinds, values, strict=True)):
        seen[key] = seen.get(key, 0) + 1
        if seen[key] <= PER_VALUE:
            rows.append(row)
    kept = ordered.take(pa.array(rows, pa.int64()))
    columns = {"kind": "kind", "value": "value", "time": "first", **FIELDS}
    return kept.select(list(columns.values())).rename_columns(list(columns))


def _of_kind(events: pa.Table, kind: str) -> pa.Table:
    column, where = KINDS[kind]
    chosen = events.filter(events[where]) if where else events
    values = chosen[column].cast(pa.string()).combine_chunks().dictionary_encode()
    rows = np.array(sorted(_rows(values)), np.int64)
    return _labelled(chosen.take(pa.array(rows)), kind, values.cast(pa.string()).take(pa.array(rows)))


def _rows(values: pa.DictionaryArray) -> Iterator[int]:
    """The first places of each of the most frequent values."""
    codes = pc.fill_null(values.indices, -1).to_numpy(zero_copy_only=False)
    places = np.arange(len(codes))
    counts = np.bincount(codes[codes >= 0], minlength=len(values.dictionary))
    frequent = np.zeros(len(counts) + 1, bool)  # one more place for what has no value, -1
    frequent[np.argsort(-counts, kind="stable")[:_VALUES]] = True
    left = frequent[codes]
    for _ in range(_PER_BLOCK):
        _, first = np.unique(codes[left], return_index=True)
        found = places[left][first]
        yield from found.tolist()
        left[found] = False


def _labelled(events: pa.Table, kind: str, values: pa.Array) -> pa.Table:
    return events.append_column("kind", pa.repeat(pa.scalar(kind), events.num_rows)).append_column(
        "value", pa.chunked_array([values])
    )


QUESTION = Question(("kind", "value", *FIELDS.values()), chosen=few)
