"""From the bytes of a file to records, with nothing lost or bent: invalid UTF-8, NUL, CR, empty lines stay as they are.

A chunk is what is evaluated and written at once: about a block of one file, however the file is stored. Where chunks
begin depends on the file and the block size only, so that an interrupted run goes on with the same ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa

from detector.backfill.files import File, UnreadableFileError, array_start, readable
from detector.backfill.kernels import BROKEN, OUTSIDE, REACH_BYTES, SINGLE, START, UNDATED, references, split
from detector.backfill.plan import Piece
from detector.window import RECORDS

LONGEST_RECORD_BYTES = 64 << 20
"""What a line or element is beyond this is not kept; far less than this reaches a rule (`limits.max_line_bytes`)."""

_READ_BYTES = 1 << 20
_STEP_BYTES = 64 << 10  # of a stream that breaks off, the step in which it does is lost
_NEWLINE = 10


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some records of a file in their order; `records` (of window.RECORDS) have their place in the file as offset.

    start: names it within its file: its first byte (decompressed), or row group.
    stored: bytes of the file as stored that were read for it, about.
    whole: false where the file could not be read further, so that what follows in it is missing.
    """

    start: int
    stored: int
    records: pa.RecordBatch
    whole: bool = True


def chunks(piece: Piece, block_bytes: int, reference_ms: int | None) -> Iterator[Chunk]:
    """The chunks of a piece of lines or of a JSON array.

    reference_ms: the time of lines that no dated line precedes, Unix milliseconds; None: the file's.

    Raises:
        UnreadableFileError: the file cannot be read further; all chunks before that were given.
    """
    file = piece.file
    times = _Times(file.changed_ms if reference_ms is None else reference_ms)
    if piece.shape.container == "array":
        yield from _elements(piece, block_bytes, times)
    elif piece.end < 0:
        yield from _stream(piece, block_bytes, times)
    else:
        with readable(file):
            data, start = _part(file, piece.start, piece.end, times)
        # Named after the piece, so that it is known for done before it is read.
        yield replace(_lines(data, start, times, stored=piece.end - piece.start), start=piece.start)


def batch(offsets: np.ndarray[Any, Any], times: np.ndarray[Any, Any], values: pa.Array) -> pa.RecordBatch:
    """Records of these places in a file, times (Unix milliseconds) and values."""
    count = len(values)
    nothing = pa.nulls(count, pa.binary())
    columns = [pa.array(np.zeros(count, np.int32)), pa.array(offsets), pa.array(times), nothing, values, nothing]
    return pa.RecordBatch.from_arrays(columns, schema=RECORDS)


@dataclass(slots=True)
class _Times:
    """The reference times of a file's lines, in their order."""

    fallback_ms: int
    state: np.ndarray[Any, Any] = field(default_factory=lambda: np.array([UNDATED, 0], np.int64))

    def of(
        self, data: np.ndarray[Any, Any], starts: np.ndarray[Any, Any], ends: np.ndarray[Any, Any], position: int
    ) -> np.ndarray[Any, Any]:
        out = np.empty(len(starts), np.int64)
        references(data, starts, ends, position, self.fallback_ms, self.state, out)
        return out


def _lines(data: np.ndarray[Any, Any], position: int, times: _Times, *, stored: int) -> Chunk:
    """The lines of bytes that begin with one, at `position` of the file."""
    newlines = np.flatnonzero(data == _NEWLINE)
    ended = len(data) == 0 or data[-1] == _NEWLINE
    starts = np.concatenate((np.zeros(1, np.int64), newlines + 1))
    if ended:
        starts = starts[:-1]
    ends = newlines if ended else np.append(newlines, len(data))
    bounds = np.zeros(len(starts) + 1, np.int32)
    np.cumsum(ends - starts, out=bounds[1:])
    texts = data[data != _NEWLINE]
    values = pa.Array.from_buffers(pa.binary(), len(starts), [None, pa.py_buffer(bounds), pa.py_buffer(texts)])
    records = batch(starts + position, times.of(data, starts, ends, position), values)
    return Chunk(position, stored, records)


def _part(file: File, start: int, end: int, times: _Times) -> tuple[np.ndarray[Any, Any], int]:
    """The lines that begin in `[start, end)` of a file, and where the first does; `times` learns from those before."""
    before = max(0, start - REACH_BYTES - 1)
    with file.system.open_input_file(file.path) as stream:
        data = np.frombuffer(stream.read_at(end - before, before), np.uint8)
        if len(data) < end - before:
            raise UnreadableFileError(f"it has become shorter: {before + len(data):,} bytes are left")
        tail = b"" if data[-1] == _NEWLINE else _rest_of_line(stream, end)
    starts = np.flatnonzero(data == _NEWLINE) + 1
    if not before:
        starts = np.concatenate((np.zeros(1, np.int64), starts))
    past = starts[(starts < start - before) & (starts < len(data))]
    if len(past):
        times.of(data, past, np.append(past[1:] - 1, start - before), before)
    ours = starts[(starts >= start - before) & (starts < len(data))]
    if not len(ours):
        return data[:0], end  # the middle of one line
    lines = data[ours[0] :]
    if tail:
        last = int(ours[-1] - ours[0])
        lines = np.concatenate((lines, np.frombuffer(tail, np.uint8)))[: last + LONGEST_RECORD_BYTES]
    return lines, before + int(ours[0])


def _rest_of_line(stream: Any, at: int) -> bytes:
    """What follows at `at` up to the line's end, with it; no more than a record may have."""
    rest = bytearray()
    while len(rest) < LONGEST_RECORD_BYTES and (part := stream.read_at(_READ_BYTES, at + len(rest))):
        newline = part.find(b"\n")
        rest += part[: newline + 1] if newline >= 0 else part
        if newline >= 0:
            break
    return bytes(rest)


class _Parts:
    """A stream in parts of `_READ_BYTES`, whatever its source gives at a time; the last may be shorter.

    failure: why it ends early, once it does. stored: bytes as stored read since last asked.
    """

    def __init__(self, piece: Piece) -> None:
        self._piece = piece
        self._raw: Any = None
        self._at = self._told = 0
        self.failure: UnreadableFileError | None = None

    def __iter__(self) -> Iterator[bytes]:
        file, part = self._piece.file, bytearray()
        try:
            with readable(file), self._open() as stream:
                while more := stream.read(min(_STEP_BYTES, _READ_BYTES - len(part))):
                    part += more
                    if len(part) == _READ_BYTES:
                        yield bytes(part)
                        part.clear()
        except UnreadableFileError as error:
            self.failure = error
        if part:
            yield bytes(part)

    def _open(self) -> Any:
        file = self._piece.file
        whole = file.size >= 0  # else a server gives it as a stream only
        system = file.system
        self._raw = (
            system.open_input_file(file.path) if whole else system.open_input_stream(file.path, compression=None)
        )
        compression = self._piece.shape.compression
        return pa.CompressedInputStream(self._raw, compression) if compression else self._raw

    @property
    def stored(self) -> int:
        if not self._raw.closed and self._raw.seekable():
            self._at = self._raw.tell()
        read, self._told = self._at - self._told, self._at
        return int(read)


def _stream(piece: Piece, block_bytes: int, times: _Times) -> Iterator[Chunk]:
    """Lines that can only be read from the beginning: a chunk ends at the last line's end within a block."""
    parts = _Parts(piece)
    position = line = 0  # of the first byte in `data`, in the file; of the last line in `data`
    data = bytearray()
    skipping = False  # in a line of which enough was read
    for part in parts:
        if skipping:
            newline = part.find(b"\n")
            position += newline + 1 if newline >= 0 else len(part)
            skipping = newline < 0
            data += part[newline + 1 :] if newline >= 0 else b""
        else:
            data += part
        line = max(line, data.rfind(b"\n") + 1)
        while len(data) >= block_bytes and line:
            end = data.rfind(b"\n", 0, block_bytes) + 1 or data.find(b"\n") + 1
            yield _lines(np.frombuffer(bytes(data[:end]), np.uint8), position, times, stored=parts.stored)
            del data[:end]
            position, line = position + end, line - end
        if len(data) - line > LONGEST_RECORD_BYTES:
            end = line + LONGEST_RECORD_BYTES
            yield _lines(np.frombuffer(bytes(data[:end]), np.uint8), position, times, stored=parts.stored)
            position, line, skipping = position + len(data), 0, True
            data.clear()
    if parts.failure:
        del data[line:]  # a line of which the end is not known
    if data:
        chunk = _lines(np.frombuffer(bytes(data), np.uint8), position, times, stored=parts.stored)
        yield replace(chunk, whole=parts.failure is None)
    if parts.failure:
        raise parts.failure


def _elements(piece: Piece, block_bytes: int, times: _Times) -> Iterator[Chunk]:
    """The elements of a JSON array, each as it is written; a chunk ends with the one that fills a block."""
    parts = _Parts(piece)
    state = np.array([0, 0, 0, -1, 0, -1, 0], np.int64)
    room = np.empty((2, _READ_BYTES), np.int64)  # more than a part can end
    held = _Held()
    position = 0
    rest = b""
    started = False
    for part in parts:
        begin = len(rest)
        if not started:
            begin = array_start(part) or 0
            state[SINGLE] = b"{" in part[:begin]
            started = True
        data = np.frombuffer(rest + part, np.uint8)
        count = split(data, begin, state, *room)
        if state[BROKEN] >= 0:
            parts.failure = parts.failure or UnreadableFileError(
                f"what follows the array at byte {position + state[BROKEN]:,} is no other array"
            )
        starts, ends = room[0, :count], room[1, :count]
        held.add(data, starts, ends, position, times)
        keep = int(state[START]) if state[START] >= 0 else len(data)
        state[START] = 0 if state[START] >= 0 else -1
        state[BROKEN] = -1
        rest = data[keep:].tobytes()
        position += keep
        if len(rest) > LONGEST_RECORD_BYTES:
            raise UnreadableFileError(f"the element at byte {position:,} is longer than {LONGEST_RECORD_BYTES:,} bytes")
        if held.size >= block_bytes:
            yield held.chunk(parts.stored)
        if parts.failure:
            break
    if parts.failure is None and not state[OUTSIDE]:
        parts.failure = UnreadableFileError("it ends within the array")
    if held.size:
        yield replace(held.chunk(parts.stored), whole=parts.failure is None)
    if parts.failure:
        raise parts.failure


class _Held:
    """Elements that wait until they are a block."""

    def __init__(self) -> None:
        self._parts: list[pa.RecordBatch] = []
        self.size = 0

    def add(
        self,
        data: np.ndarray[Any, Any],
        starts: np.ndarray[Any, Any],
        ends: np.ndarray[Any, Any],
        position: int,
        times: _Times,
    ) -> None:
        if len(starts):
            values = pa.array([data[start:end].tobytes() for start, end in zip(starts, ends, strict=True)], pa.binary())
            self._parts.append(batch(starts + position, times.of(data, starts, ends, position), values))
            self.size += int((ends - starts).sum())

    def chunk(self, stored: int) -> Chunk:
        records = pa.concat_batches(self._parts)
        self._parts, self.size = [], 0
        return Chunk(records.column("offset")[0].as_py(), stored, records)
