"""What a broker answered for one partition: whole record batches, one after the other.

This does what kafka-python's `Fetcher.PartitionRecords` does, a batch at a time instead of a record at a time, and
takes nothing of the data for granted. The rules for transactions are those of Kafka's `CompletedFetch.java`.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from kafka import TopicPartition
from kafka.record import MemoryRecords

from detector.kafka import batches
from detector.kafka.batches import HEADER_BYTES, BatchError, Columns, Damage, Header, Piece, RecordError
from detector.kafka.failures import BrokenError, CorruptBatch, MalformedRecord
from detector.kafka.kernels import CHECKED, FAST, FIELDS, KEY, VALUE
from detector.window import Broken

Item = Piece | BrokenError
"""Decoded records, or what is wrong with the next ones."""

_FRAME = struct.Struct(">qi")  # base offset and length, which all formats begin with
_MAGIC_AT = 16
_SMALLEST_BATCH = MemoryRecords.MIN_SLICE
_MARKER = struct.Struct(">hh")
_ABORT = 0


class Answer:
    """Iterates over the items of an answer; `position` is the fetch position behind the last one.

    A batch that is malformed or corrupt comes as an error that is not raised; what follows it is best fetched anew.
    """

    def __init__(
        self,
        tp: TopicPartition,
        records: bytes,
        start: int,
        *,
        end_offset: int,
        aborted: Iterable[tuple[int, int]] = (),
        isolate: bool = False,
    ) -> None:
        """Decode nothing yet.

        Args:
            tp: the partition.
            records: record batches, the last of which may be cut off.
            start: the offset that was asked for; the first batch may begin before it.
            end_offset: the partition's high watermark; no batch can go beyond it.
            aborted: producer id and first offset of each aborted transaction that touches the answer.
            isolate: hand over malformed records one by one, with bounds-checked kernels.
        """
        self._tp = tp
        self.position = start
        self._start = start
        self._end_offset = end_offset
        self.epoch = -1
        self._view = memoryview(records)
        self._aborted = deque(sorted((offset, producer) for producer, offset in aborted))
        self._aborting: set[int] = set()
        self._isolate = isolate
        self._items = self._unpack()

    def __iter__(self) -> Iterator[Item]:
        return self._items

    def __len__(self) -> int:
        return len(self._view)

    def last(self) -> tuple[int, int] | None:
        """Position behind the last whole batch and its leader epoch, by the headers; None where they make no sense."""
        view, at, begin = self._view, 0, -1
        while len(view) - at >= _SMALLEST_BATCH:
            size = _FRAME.size + _FRAME.unpack_from(view, at)[1]
            if size < _SMALLEST_BATCH:
                return None
            if size > len(view) - at:
                break
            begin = at
            at += size
        if begin < 0:
            return None
        end, epoch = _FRAME.unpack_from(view, begin)[0] + 1, -1
        if view[begin + _MAGIC_AT] >= 2:
            if at - begin < HEADER_BYTES:
                return None
            header = Header.read(view[begin:at])
            end, epoch = header.next_offset, header.leader_epoch
        return (end, epoch) if self._start < end <= self._end_offset else None

    def _unpack(self) -> Iterator[Item]:
        view, at = self._view, 0
        while len(view) - at >= _FRAME.size:
            base_offset, length = _FRAME.unpack_from(view, at)
            size = _FRAME.size + length
            if size < _SMALLEST_BATCH:
                yield self._corrupt(base_offset, base_offset, 0, view[at:], f"a batch of {size} bytes")
                return
            if size > len(view) - at:
                return  # cut off by the broker; it comes whole with a later answer
            batch = view[at : at + size]
            at += size
            yield from self._batch(batch) if batch[_MAGIC_AT] >= 2 else self._legacy(base_offset + 1, batch)

    def _batch(self, batch: memoryview) -> Iterator[Item]:
        if len(batch) < HEADER_BYTES:
            yield self._corrupt(-1, -1, 0, batch, f"a batch of {len(batch)} bytes")
            return
        header = Header.read(batch)
        try:
            batches.check(header, batch, self._end_offset)
            if header.next_offset <= self.position:
                return  # read before
            self.epoch = header.leader_epoch
            if not self._hidden(header, batch):
                yield from self._decode(header, batch)
        except BatchError as error:
            yield self._corrupt(header.base_offset, header.next_offset, header.records, batch, str(error))
        else:
            self.position = header.next_offset

    def _hidden(self, header: Header, batch: memoryview) -> bool:
        """Whether the batch holds no records for a reader: an end marker, or part of an aborted transaction."""
        producer = header.producer_id
        if producer >= 0:
            while self._aborted and self._aborted[0][0] < header.next_offset:
                self._aborting.add(self._aborted.popleft()[1])
            if header.control and _marker(header, batch) == _ABORT:
                self._aborting.discard(producer)
        return header.control or (header.transactional and producer in self._aborting)

    def _decode(self, header: Header, batch: memoryview) -> Iterator[Item]:
        if self._isolate:
            yield from self._salvage(header, batch)
            return
        try:
            piece = batches.decode(header, batch, self.position, FAST)
        except RecordError as error:
            start = max(self.position, header.base_offset)
            lost = min(header.records, header.next_offset - start)
            yield self._malformed(Damage(start, header.next_offset, lost, bytes(batch), str(error)))
        else:
            self.position = piece.next_offset
            if piece.rows:
                yield piece

    def _salvage(self, header: Header, batch: memoryview) -> Iterator[Item]:
        try:
            for part in batches.salvage(header, batch, self.position, CHECKED):
                if isinstance(part, Damage):
                    yield self._malformed(part)
                else:
                    self.position = part.next_offset
                    yield part
        except IndexError as error:  # the bounds checks
            raise BatchError("its records lead outside of it") from error

    def _legacy(self, next_offset: int, batch: memoryview) -> Iterator[Item]:
        """Formats 0 and 1, which brokers no longer write, by kafka-python's own decoder."""
        try:
            legacy = MemoryRecords(batch).next_batch()
            sound = legacy.validate_crc()
            records = [record for record in legacy if record.offset >= self.position] if sound else []
            sound = sound and all(record.validate_crc() for record in records)
        except Exception as error:  # noqa: BLE001 -- whatever it stumbles over; it was not written for hostile data
            yield self._corrupt(next_offset - 1, next_offset, 0, batch, f"{type(error).__name__}: {error}")
            return
        if not sound:
            yield self._corrupt(next_offset - 1, next_offset, 0, batch, "the checksum does not agree with the data")
        elif records:
            self.position = records[-1].offset + 1
            yield batches.piece_of(_columns(records), self.position)

    def _malformed(self, damage: Damage) -> MalformedRecord:
        self.position = damage.end
        return MalformedRecord(self._broken(damage))

    def _corrupt(self, base_offset: int, end: int, records: int, raw: memoryview, reason: str) -> CorruptBatch:
        """A batch that cannot be read; whether it ends where it says can be judged by the partition's end only."""
        start = max(self.position, base_offset) if base_offset <= end else self.position
        if not start < end <= self._end_offset:
            start, end = self.position, self.position + 1
        self.position = end
        lost = min(records, end - start) if records > 0 else end - start
        return CorruptBatch(self._broken(Damage(start, end, lost, bytes(raw), reason)))

    def _broken(self, damage: Damage) -> Broken:
        return Broken(
            self._tp.topic, self._tp.partition, damage.start, damage.end, damage.records, damage.raw, damage.reason
        )


def _marker(header: Header, batch: memoryview) -> int:
    """The type of an end marker: 0 abort, 1 commit."""
    try:
        columns = batches.decode(header, batch, 0, FAST).columns
        place, length = columns.fields[0, KEY : KEY + 2]
        _version, kind = _MARKER.unpack(columns.data[place : place + length].tobytes()[: _MARKER.size])
    except (RecordError, IndexError, struct.error) as error:
        raise BatchError(f"an unreadable end marker ({error})") from error
    return int(kind)


def _columns(records: list[Any]) -> Columns:
    """Columns of kafka-python's records of format 0 or 1."""
    data = bytearray()
    fields = np.full((len(records), FIELDS), -1, np.int32)
    for row, record in enumerate(records):
        for column, value in ((KEY, record.key), (VALUE, record.value)):
            if value is not None:
                fields[row, column : column + 2] = len(data), len(value)
                data += value
    return Columns(
        np.frombuffer(bytes(data), np.uint8),
        np.array([record.offset for record in records], np.int64),
        np.array([-1 if record.timestamp is None else record.timestamp for record in records], np.int64),
        fields,
    )
