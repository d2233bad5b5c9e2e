"""Record batches as a broker would answer with, made with kafka-python's own builder; and what they decode to."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import lz4.frame
import pyarrow as pa
import zstandard
from crc32c import crc32c
from kafka import TopicPartition
from kafka.record.default_records import DefaultRecordBatchBuilder
from kafka.record.util import decode_varint

from detector.kafka.answer import Answer
from detector.kafka.batches import Piece, to_arrow
from detector.kafka.failures import BrokenError
from detector.kafka.kernels import CHECKED, FAST
from detector.window import RECORDS, Broken

TP = TopicPartition("logs", 3)
Row = tuple[int, int, bytes | None, bytes | None, list[tuple[str, bytes | None]]]

HEADER = struct.Struct(">qiibIhiqqqhii")
TRANSACTIONAL, CONTROL, APPEND_TIME = 0x10, 0x20, 0x08
ABORT, COMMIT = 0, 1

CODECS: dict[int, Callable[[bytes], bytes]] = {
    0: bytes,
    1: gzip.compress,
    2: lambda data: bytes(pa.Codec("snappy").compress(data, asbytes=True)),
    3: lambda data: lz4.frame.compress(data, store_size=False, block_linked=False),
    4: zstandard.ZstdCompressor().compress,
}


@dataclass(frozen=True)
class Record:
    """delta: offset delta, and `time` milliseconds since the first of its batch."""

    delta: int
    time: int = 0
    key: bytes | None = None
    value: bytes | None = None
    headers: tuple[tuple[str, bytes | None], ...] = ()


def batch(
    records: Sequence[Record],
    *,
    base_offset: int = 0,
    first_time: int = 1_700_000_000_000,
    codec: int = 0,
    attributes: int = 0,
    producer: int = -1,
    last_delta: int | None = None,
    max_time: int | None = None,
) -> bytes:
    """A batch with a valid checksum, of at least one record."""
    builder = DefaultRecordBatchBuilder(2, 0, False, producer, 0, 0, 1 << 30)
    for record in records:
        builder.append(record.delta, first_time + record.time, record.key, record.value, list(record.headers))
    plain = bytes(builder.build())
    fields = list(HEADER.unpack_from(plain))
    fields[0] = base_offset
    fields[2] = 7
    fields[5] |= codec | attributes
    if last_delta is not None:
        fields[6] = last_delta
    if max_time is not None:
        fields[8] = max_time
    return seal(fields, CODECS[codec](plain[HEADER.size :]))


def seal(fields: Sequence[int], body: bytes) -> bytes:
    """A batch of header fields (in the order of the wire) and body, with length and checksum put right."""
    fields = list(fields)
    fields[1] = HEADER.size - 12 + len(body)
    fields[4] = 0
    raw = bytearray(HEADER.pack(*fields) + body)
    struct.pack_into(">I", raw, 17, crc32c(bytes(raw[21:])))
    return bytes(raw)


def marker(base_offset: int, producer: int, kind: int) -> bytes:
    """The end marker of a transaction."""
    record = Record(0, key=struct.pack(">hh", 0, kind), value=struct.pack(">hi", 0, 0))
    return batch([record], base_offset=base_offset, attributes=TRANSACTIONAL | CONTROL, producer=producer)


def next_offset(raw: bytes) -> int:
    """The offset behind a batch."""
    fields = HEADER.unpack_from(raw)
    return int(fields[0] + fields[6] + 1)


THREE = (Record(0, value=b"one"), Record(1, 5, b"k", b"two", (("h", b"x"),)), Record(2, value=b"three"))


def damaged(change: Callable[[list[int], bytearray], None], *, codec: int = 0) -> bytes:
    """Three records at offset 100 with a change to the header's fields or the body, and a valid checksum again."""
    good = batch(THREE, base_offset=100, codec=codec)
    fields, body = list(HEADER.unpack_from(good)), bytearray(good[HEADER.size :])
    change(fields, body)
    return seal(fields, bytes(body))


def set_field(index: int, value: int) -> Callable[[list[int], bytearray], None]:
    def change(fields: list[int], _body: bytearray) -> None:
        fields[index] = value

    return change


def ours(
    data: bytes, start: int = 0, *, end: int = 1 << 40, aborted: Any = (), isolate: bool = False
) -> tuple[list[Row], int, list[Broken]]:
    """Rows, final position, and what is broken."""
    answer = Answer(TP, data, start, end_offset=end, aborted=aborted, isolate=isolate)
    items = list(answer)
    pieces = [item for item in items if isinstance(item, Piece)]
    table = to_arrow([(0, pieces)], CHECKED if isolate else FAST)
    table.validate(full=True)
    assert table.schema == RECORDS
    assert sum(piece.consumed for piece in pieces) == table.num_rows
    rows = [
        (row["offset"], row["timestamp"], row["key"], row["value"], decoded(row["headers"]))
        for row in table.to_pylist()
    ]
    return rows, answer.position, [item.broken for item in items if isinstance(item, BrokenError)]


def decoded(raw: bytes | None) -> list[tuple[str, bytes | None]]:
    """Headers, by kafka-python's varints."""
    if raw is None:
        return []
    headers: list[tuple[str, bytes | None]] = []
    count, at = decode_varint(raw)
    for _ in range(count):
        size, at = decode_varint(raw, at)
        name = raw[at : at + size].decode()
        at += size
        size, at = decode_varint(raw, at)
        headers.append((name, None if size < 0 else raw[at : at + size]))
        at += max(size, 0)
    assert at == len(raw)
    return headers


def plain(body: bytes) -> list[tuple[Any, ...]]:
    """What the kernels should make of three records at offset 100: one field after the other.

    Raises:
        ValueError: it is malformed.
    """
    rows: list[tuple[Any, ...]] = []
    at = 0

    def number(end: int) -> int:
        nonlocal at
        value, shift = 0, 0
        while True:
            if at >= end or shift >= 70:
                raise ValueError
            byte = body[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        value &= (1 << 64) - 1
        return (value >> 1) ^ -(value & 1)

    def chunk(end: int, *, nullable: bool = True) -> bytes | None:
        nonlocal at
        size = number(end)
        if size > end - at or (size < 0 and not nullable):
            raise ValueError
        part = body[at : at + size] if size >= 0 else None
        at += max(size, 0)
        return part

    for _ in range(3):
        length = number(len(body))
        end = at + length
        if not at < end <= len(body):
            raise ValueError
        at += 1
        time, delta, key, value = number(end), number(end), chunk(end), chunk(end)
        begin = at
        count = number(end)
        if count < 0 or not (rows[-1][0] - 100 if rows else -1) < delta <= 2:
            raise ValueError
        for _ in range(count):
            chunk(end, nullable=False)
            chunk(end)
        if at != end:
            raise ValueError
        rows.append((100 + delta, 1_700_000_000_000 + time, key, value, body[begin:end] if count else None))
    if at != len(body):
        raise ValueError
    return rows
