"""What travels between the reader, the pipeline and the driver.

A window is a micro-batch: some tens of milliseconds of one reader's partitions. Both it and its result are one row
of an Arrow table, because Ray Data moves tables: a block of one row leaves its task at once.
"""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

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
    end_offset: the partition's high watermark (last stable offset when read_committed) when it was read.
    """

    topic: str
    partition: int
    start: int
    end: int
    consumed: int
    end_offset: int


@dataclass(frozen=True, slots=True)
class Window:
    """The records that one reader read since its last window, possibly none."""

    spans: tuple[Span, ...]
    records: pa.RecordBatch  # of RECORDS


@dataclass(frozen=True, slots=True)
class Message:
    """A message for an output topic.

    topic: "alerts" or "dead_letters": a role, which the driver maps to the configured topic.
    timestamp_ms: of the record that caused it, for the latency metric; None where there is no sense in one.
    """

    topic: str
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]
    timestamp_ms: int | None = None
