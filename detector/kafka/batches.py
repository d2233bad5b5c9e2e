"""One record batch of the wire (magic 2) to columns, and the columns of many to one Arrow record batch.

The layout is that of https://kafka.apache.org/documentation/#recordbatch.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from crc32c import crc32c

from detector.kafka.codecs import CodecError, decompress
from detector.kafka.kernels import FAST, FIELDS, HEADERS, KEY, VALUE, Kernels
from detector.window import RECORDS

_HEADER = struct.Struct(">qiibIhiqqqhii")
_CHECKED_FROM = 21  # the checksum covers everything from the attributes on
_CODEC = 0x07
_APPEND_TIME = 0x08
_TRANSACTIONAL = 0x10
_CONTROL = 0x20
_SMALLEST_RECORD = 7  # seven fields of at least one byte

HEADER_BYTES = _HEADER.size


class Header(NamedTuple):
    """The header of a record batch, in the order of the wire; timestamps in ms."""

    base_offset: int
    length: int
    leader_epoch: int
    magic: int
    checksum: int
    attributes: int
    last_delta: int
    base_timestamp: int
    max_timestamp: int
    producer_id: int
    producer_epoch: int
    base_sequence: int
    records: int

    @classmethod
    def read(cls, batch: memoryview) -> Header:
        """The header of a batch of at least `HEADER_BYTES`."""
        return cls._make(_HEADER.unpack_from(batch))

    @property
    def next_offset(self) -> int:
        """The offset behind the batch; compaction does not change it."""
        return self.base_offset + self.last_delta + 1

    @property
    def control(self) -> bool:
        """Whether it holds a transaction's end marker instead of records."""
        return bool(self.attributes & _CONTROL)

    @property
    def transactional(self) -> bool:
        """Whether its records belong to a transaction."""
        return bool(self.attributes & _TRANSACTIONAL)


class BatchError(Exception):
    """A batch is corrupt; the message says in what way."""


class RecordError(Exception):
    """A record of a sound batch is malformed; the message says which one."""


@dataclass(slots=True)
class Columns:
    """Decoded records.

    data: the uncompressed batch. offsets, timestamps: (n,). fields: (n, FIELDS), as `kernels.decode` leaves it.
    """

    data: npt.NDArray[np.uint8]
    offsets: npt.NDArray[np.int64]
    timestamps: npt.NDArray[np.int64]
    fields: npt.NDArray[np.int32]


@dataclass(slots=True)
class Piece:
    """Decoded records of one batch, possibly none.

    next_offset: the fetch position behind them.
    consumed: their number by the batch's header.
    sizes: as `kernels.measure` gives it.
    """

    next_offset: int
    consumed: int
    columns: Columns
    sizes: tuple[int, int, int, int, int, int]

    @property
    def rows(self) -> int:
        """Number of records."""
        return len(self.columns.offsets)

    @property
    def size(self) -> int:
        """Bytes of keys, values and headers."""
        return self.sizes[KEY] + self.sizes[VALUE] + self.sizes[HEADERS]


@dataclass(frozen=True, slots=True)
class Damage:
    """Records at offsets `[start, end)` that cannot be decoded."""

    start: int
    end: int
    records: int
    raw: bytes
    reason: str


_END_SLACK = 1 << 20
"""The broker notes the end of the partition before it reads, so records appended in between lie behind it."""


def check(header: Header, batch: memoryview, end_offset: int) -> None:
    """Compare a batch with its checksum, and its header with itself and with the end of the partition.

    Raises:
        BatchError: they do not agree.
    """
    if header.magic != 2:
        raise BatchError(f"unknown format (magic {header.magic})")
    if crc32c(batch[_CHECKED_FROM:]) != header.checksum:
        raise BatchError("the checksum does not agree with the data")
    if (
        not 0 <= header.base_offset <= header.next_offset <= end_offset + _END_SLACK
        or not 0 <= header.records <= header.last_delta + 1
    ):
        raise BatchError(
            f"a header with base offset {header.base_offset}, last offset delta {header.last_delta} "
            f"and {header.records} records, where the partition ends at {end_offset}"
        )


def decode(header: Header, batch: memoryview, position: int, kernels: Kernels) -> Piece:
    """The records from offset `position` on of a batch that passed `check`.

    Raises:
        BatchError: it cannot be decompressed.
        RecordError: a record is malformed; none is handed over.
    """
    columns = _prepare(header, batch)
    done, end = _decode(header, columns, kernels)
    if done < header.records:
        raise RecordError(f"record {done + 1} of {header.records} in the batch is malformed")
    if end < len(columns.data):
        raise RecordError(f"{len(columns.data) - end} bytes follow the last record of the batch")
    skip = int(np.searchsorted(columns.offsets, position)) if position > header.base_offset else 0
    # The count of the header, not of what was decoded: the balance of records is checked against it.
    return _piece(columns, (skip, header.records), header.next_offset, header.records - skip, kernels)


def salvage(header: Header, batch: memoryview, position: int, kernels: Kernels) -> Iterator[Piece | Damage]:
    """As `decode`, but malformed records become damages between the pieces.

    A record whose length makes no sense takes all that follow it along.

    Raises:
        BatchError: it cannot be decompressed.
    """
    columns = _prepare(header, batch)
    size = len(columns.data)
    row = at = 0
    offset = header.base_offset  # the least that the next record can have
    while row < header.records:
        done, at = _decode(header, columns, kernels, row=row, at=at, previous=offset - header.base_offset - 1)
        if done:
            offset = int(columns.offsets[row + done - 1]) + 1
            skip = int(np.searchsorted(columns.offsets[row : row + done], position))
            row += done
            end = header.next_offset if row == header.records else offset
            if skip < done:
                yield _piece(columns, (row - done + skip, row), end, done - skip, kernels)
        if row < header.records:
            length, begin = kernels.length(columns.data, at, size)
            sound = 0 < length <= size - begin
            begin, stop = (begin, begin + length) if sound else (at, size)
            lost = 1 if sound else header.records - row
            reason = f"record {row + 1} of {header.records} in the batch is malformed"
            row += lost
            end = header.next_offset if row == header.records else offset + 1
            if end > position:
                yield Damage(max(offset, position), end, lost, columns.data[begin:stop].tobytes(), reason)
            at, offset = stop, end
    if at < size:
        reason = f"{size - at} bytes follow the last record of the batch"
        yield Damage(header.next_offset, header.next_offset, 0, columns.data[at:].tobytes(), reason)


def piece_of(columns: Columns, next_offset: int) -> Piece:
    """A piece of records that something else decoded."""
    rows = len(columns.offsets)
    return _piece(columns, (0, rows), next_offset, rows, FAST)


def to_arrow(parts: Sequence[tuple[int, Sequence[Piece]]], kernels: Kernels) -> pa.RecordBatch:
    """One record batch of the schema `RECORDS`.

    Args:
        parts: index of a span, and the pieces that belong to it.
        kernels: those that decoded the pieces.
    """
    spans = [index for index, pieces in parts for piece in pieces if piece.rows]
    pieces = [piece for _, group in parts for piece in group if piece.rows]
    if not pieces:
        return _EMPTY
    rows = [piece.rows for piece in pieces]
    return pa.RecordBatch.from_arrays(
        [
            _numbers(pa.int32(), np.repeat(np.array(spans, np.int32), rows)),
            _numbers(pa.int64(), np.concatenate([piece.columns.offsets for piece in pieces])),
            _numbers(pa.int64(), np.concatenate([piece.columns.timestamps for piece in pieces])),
            *(_bytes(pieces, column, sum(rows), kernels) for column in (KEY, VALUE, HEADERS)),
        ],
        schema=RECORDS,
    )


_EMPTY = pa.RecordBatch.from_pylist([], schema=RECORDS)


def _prepare(header: Header, batch: memoryview) -> Columns:
    """The uncompressed batch, and room for its records."""
    count = header.records
    try:
        plain = decompress(header.attributes & _CODEC, batch[HEADER_BYTES:]) if count else b""
    except CodecError as error:
        raise BatchError(str(error)) from error
    data = np.frombuffer(plain, np.uint8)
    if count * _SMALLEST_RECORD > len(data):  # or a false count could ask for any amount of memory
        raise BatchError(f"{count} records in {len(data)} bytes")
    return Columns(data, np.empty(count, np.int64), np.empty(count, np.int64), np.empty((count, FIELDS), np.int32))


def _decode(
    header: Header, columns: Columns, kernels: Kernels, *, row: int = 0, at: int = 0, previous: int = -1
) -> tuple[int, int]:
    """Decode from `row` on, which begins at byte `at`; see `kernels.decode`."""
    done = kernels.decode(
        columns.data,
        at,
        len(columns.data),
        header.base_offset,
        header.last_delta,
        header.base_timestamp,
        previous,
        columns.offsets[row:],
        columns.timestamps[row:],
        columns.fields[row:],
    )
    if header.attributes & _APPEND_TIME:
        columns.timestamps[row:] = header.max_timestamp
    return done


def _piece(columns: Columns, rows: tuple[int, int], next_offset: int, consumed: int, kernels: Kernels) -> Piece:
    first, last = rows
    if first or last < len(columns.offsets):
        columns = Columns(
            columns.data, columns.offsets[first:last], columns.timestamps[first:last], columns.fields[first:last]
        )
    return Piece(next_offset, consumed, columns, kernels.measure(columns.fields))


def _numbers(kind: pa.DataType, values: npt.NDArray[np.generic]) -> pa.Array:
    return pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(values)], 0)


def _bytes(pieces: Sequence[Piece], column: int, rows: int, kernels: Kernels) -> pa.Array:
    """A column of keys, values or headers."""
    present = sum(piece.sizes[column + 1] for piece in pieces)
    if not present:
        return pa.nulls(rows, pa.binary())
    out = np.empty(sum(piece.sizes[column] for piece in pieces), np.uint8)
    offsets = np.zeros(rows + 1, np.int32)
    valid = np.zeros((rows + 7) // 8 if present < rows else 0, np.uint8)
    row = position = 0
    for piece in pieces:
        columns = piece.columns
        position = kernels.gather(columns.data, columns.fields, column, out, offsets[1:], valid, row, position)
        row += piece.rows
    validity = pa.py_buffer(valid) if len(valid) else None
    return pa.Array.from_buffers(
        pa.binary(), rows, [validity, pa.py_buffer(offsets), pa.py_buffer(out)], rows - present
    )
