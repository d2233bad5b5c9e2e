"""What travels between the reader, the pipeline and the driver.

A window is a micro-batch: some tens of milliseconds of one reader's partitions. Both it and its result are one row
of an Arrow table, because Ray Data moves tables: a block of one row leaves its task at once.
"""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pyarrow as pa

from detector.correlation.inputs import Entry

RECORDS = pa.schema(
    [
        pa.field("span", pa.int32(), nullable=False),  # index into the window's spans
        pa.field("offset", pa.int64(), nullable=False),
        pa.field("timestamp", pa.int64(), nullable=False),  # ms; the batch's maximum where the topic appends log time
        pa.field("key", pa.binary()),
        pa.field("value", pa.binary()),  # null: a tombstone
        pa.field("headers", pa.binary()),  # as on the wire (count and all), null where there are none
    ]
)
"""The records of a window, in the order in which they were read; per span in offset order."""


@dataclass(frozen=True, slots=True)
class Span:
    """The part of one partition that a window covers.

    start, end: fetch positions `[start, end)`; control batches and compaction leave gaps between records.
    consumed: records in it by the count in the batch headers, less those before `start` and those of aborted
        transactions. The balance `consumed = evaluated + rejected` is checked against this count.
    end_offset: the partition's high watermark (last stable offset when read_committed) when it was read; -1 before the
        broker's first answer.
    """

    topic: str
    partition: int
    start: int
    end: int
    consumed: int
    end_offset: int


@dataclass(frozen=True, slots=True)
class Broken:
    """Part of a partition that cannot be decoded; only a reader that isolates hands it over, else it raises.

    start, end: offsets `[start, end)`.
    records: how many records it holds, as far as can be told; they are part of `Span.consumed`.
    raw: the batch as it was stored, or the record without its length.
    reason: what is wrong with it, for a person.
    """

    topic: str
    partition: int
    start: int
    end: int
    records: int
    raw: bytes
    reason: str


@dataclass(frozen=True, slots=True)
class Window:
    """The records that one reader read since its last window, possibly none."""

    spans: tuple[Span, ...]
    records: pa.RecordBatch  # of RECORDS
    broken: tuple[Broken, ...] = ()


@dataclass(frozen=True, slots=True)
class Message:
    """A message for an output topic.

    topic: "alerts", "dead_letters", "signals", "state" or "incidents": a role, which delivery maps to the configured
        topic.
    timestamp_ms: of the record that caused it, for the latency metric; None where there is no sense in one.
    partition: where it must go; None: by its key.
    """

    topic: str
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]
    timestamp_ms: int | None = None
    partition: int | None = None


@dataclass(frozen=True, slots=True)
class SpanResult:
    """What became of a span: `span.consumed = evaluated + rejected`, in records, unless something was lost.

    entries: what its events are to correlations. newest_us: the latest time of an event, if it had any and there are
        correlations.
    """

    span: Span
    evaluated: int
    rejected: int
    entries: tuple[Entry, ...] = ()
    newest_us: int | None = None


@dataclass(slots=True)
class Counts:
    """What the driver adds to the metrics once the window is delivered."""

    bytes: dict[str, int] = field(default_factory=dict)  # by topic
    events: dict[str, int] = field(default_factory=dict)  # by parser
    unparsed: dict[str, int] = field(default_factory=dict)  # by topic
    matches: dict[str, int] = field(default_factory=dict)  # by rule key
    errors: dict[str, int] = field(default_factory=dict)  # by stage
    suppressed: dict[str, int] = field(default_factory=dict)  # by reason

    def add(self, other: Counts) -> None:
        """Count what another counted, too."""
        for name in self.__slots__:
            mine, more = getattr(self, name), getattr(other, name)
            mine.update({label: mine.get(label, 0) + value for label, value in more.items()})


@dataclass(frozen=True, slots=True)
class WindowResult:
    """All that leaves the task of a window. Not the events: it is small.

    seconds: time spent in each phase, by its name.
    read_at: Unix time at which the window's task was done with it.
    """

    spans: tuple[SpanResult, ...] = ()
    messages: tuple[Message, ...] = ()
    counts: Counts = field(default_factory=Counts)
    seconds: dict[str, float] = field(default_factory=dict)
    read_at: float = 0.0


def merge(results: Sequence[WindowResult]) -> WindowResult:
    """One result for several of one partition, each of which begins where the one before it ends."""
    spans = [part for result in results for part in result.spans]
    span = replace(spans[-1].span, start=spans[0].span.start, consumed=sum(part.span.consumed for part in spans))
    counts = Counts()
    for result in results:
        counts.add(result.counts)
    merged = SpanResult(
        span,
        evaluated=sum(part.evaluated for part in spans),
        rejected=sum(part.rejected for part in spans),
        entries=tuple(entry for part in spans for entry in part.entries),
        newest_us=max((part.newest_us for part in spans if part.newest_us is not None), default=None),
    )
    return WindowResult(
        spans=(merged,),
        messages=tuple(message for result in results for message in result.messages),
        counts=counts,
    )


_ROW_RECORDS = pa.list_(pa.struct(list(RECORDS)))


def to_row(window: Window, **columns: object) -> pa.Table:
    """The window as one row, without a copy of its records; `columns` are put beside it."""
    batch = window.records
    struct = pa.StructArray.from_arrays(batch.columns, fields=list(RECORDS))
    lists = pa.ListArray.from_arrays(pa.array([0, batch.num_rows], pa.int32()), struct, type=_ROW_RECORDS)
    rest = pickle.dumps((window.spans, window.broken))
    data = {"rest": pa.array([rest], pa.binary()), "records": lists}
    return pa.table(data | {name: pa.array([value]) for name, value in columns.items()})


def from_row(row: pa.Table) -> Window:
    """The window of a table of one row, without a copy of its records."""
    lists = row["records"].chunk(0)
    start, end = lists.offsets[0].as_py(), lists.offsets[1].as_py()
    struct = lists.values.slice(start, end - start)
    records = pa.RecordBatch.from_arrays(struct.flatten(), schema=RECORDS)
    spans, broken = pickle.loads(row["rest"][0].as_py())  # noqa: S301 -- our own process wrote it
    return Window(spans, records, broken)
