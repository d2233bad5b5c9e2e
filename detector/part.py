"""The records of one topic in a window: what of them a message about one quotes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from detector.alerts.dead_letters import dead_letter, decode_headers
from detector.config import InputTopic
from detector.events import Event
from detector.parsing.registry import Failure
from detector.window import Message, Window


class Part:
    """Some records of one topic of a window; `rows` are their rows in the window."""

    __slots__ = ("_columns", "_window", "records", "rows", "topic")

    def __init__(self, window: Window, topic: InputTopic, rows: np.ndarray) -> None:
        self._window = window
        self.topic = topic
        self.rows = rows
        whole = len(rows) == window.records.num_rows
        self.records: pa.RecordBatch = window.records if whole else window.records.take(pa.array(rows))
        self._columns = tuple(self.records.column(name).to_numpy() for name in ("offset", "timestamp", "span"))

    @property
    def value_bytes(self) -> int:
        """Bytes of the values."""
        return int(pc.sum(pc.binary_length(self.records.column("value"))).as_py() or 0)

    @property
    def values(self) -> Iterator[bytes | None]:
        """The values, one by one."""
        return (value.as_py() for value in self.records.column("value"))

    def slice(self, start: int, end: int | None) -> Part:
        """A part of the part."""
        return Part(self._window, self.topic, self.rows[start:end])

    def coordinates(self, row: int) -> tuple[int, int, int]:
        """Offset, timestamp in milliseconds, partition."""
        offsets, timestamps, spans = self._columns
        return int(offsets[row]), int(timestamps[row]), self._window.spans[int(spans[row])].partition

    def times_us(self, events: Sequence[Event]) -> list[int]:
        """When events happened, in UTC microseconds: by themselves, else by their records."""
        stamps = self._columns[1]
        return [int(stamps[each.record]) * 1_000 if each.time_us is None else each.time_us for each in events]

    @property
    def newest_us(self) -> int:
        """The latest time of a record, UTC microseconds."""
        return int(self._columns[1].max()) * 1_000

    def last_by_span(self, rows: np.ndarray) -> np.ndarray:
        """Of some rows the last one of each span, in order."""
        latest_first = np.sort(rows)[::-1]
        _, places = np.unique(self._columns[2][latest_first], return_index=True)
        return np.sort(latest_first[places])

    def dead_letter(self, failure: Failure) -> Message:
        """The copy of a record that says what is wrong with it."""
        row = failure.record
        offset, timestamp_ms, partition = self.coordinates(row)
        return dead_letter(
            failure.reason,
            failure.detail,
            topic=self.topic.name,
            partition=partition,
            offset=offset,
            timestamp_ms=timestamp_ms,
            key=self.records.column("key")[row].as_py(),
            value=self.records.column("value")[row].as_py(),
            headers=decode_headers(self.records.column("headers")[row].as_py()),
            ordinal=failure.ordinal,
            position=failure.position,
        )


def rows_by_topic(window: Window) -> list[tuple[str, np.ndarray]]:
    """The topics of a window's records, each with the rows of its own."""
    spans = window.records.column("span").to_numpy()
    names = np.array([span.topic for span in window.spans])
    if not len(spans):
        return []
    if len(set(names)) == 1:
        return [(str(names[0]), np.arange(len(spans)))]
    return [(str(name), np.flatnonzero(names[spans] == name)) for name in dict.fromkeys(names[np.unique(spans)])]
