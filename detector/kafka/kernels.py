"""Numba kernels that turn the records of a batch (magic 2) into columns.

The format is described in Kafka's `DefaultRecord.java` and at https://kafka.apache.org/documentation/#recordformat.
A producer may write anything into a batch, so the kernels trust no length: each is compared with what is left of the
record, and each loop moves forward. On top of that there is a second compilation of each with bounds checks by numba,
which raises IndexError where the first would crash the process, for data that is already suspect.
"""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType
from typing import Any, NamedTuple

import numba
import numpy as np
import numpy.typing as npt
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

KEY, VALUE, HEADERS = 0, 2, 4
"""Columns of `fields`: position in the data; one further lies the length, -1 where it is null."""

FIELDS = 6
"""Width of `fields`."""


@numba.njit(inline="always")  # type: ignore[untyped-decorator]
def _varint(data: npt.NDArray[np.uint8], position: int, end: int) -> tuple[Any, Any]:
    """A zigzag varint of at most 10 bytes: value and next position, which is beyond `end` if it is cut off or longer.

    From a position beyond `end` nothing is read and the answer is beyond `end` again, so that a caller may read
    several and look once.
    """
    value = np.uint64(0)
    shift = np.uint64(0)
    while position < end and shift < np.uint64(70):
        byte = data[position]
        position += 1
        value |= np.uint64(byte & np.uint8(0x7F)) << shift
        if byte < np.uint8(0x80):
            return np.int64(value >> np.uint64(1)) ^ -np.int64(value & np.uint64(1)), position
        shift += np.uint64(7)
    return np.int64(0), end + 1


@numba.njit(inline="always")  # type: ignore[untyped-decorator]
def _skip(position: int, length: int, end: int) -> Any:
    """The position after `length` bytes (a negative length stands for null), beyond `end` if they do not fit."""
    if length <= 0:
        return position
    if length > end - position:
        return end + 1
    return position + length


@intrinsic  # type: ignore[untyped-decorator]
def _copy(_context: Any, out: Any, _to: Any, data: Any, _source: Any, _length: Any) -> Any:
    """`out[to:to + length] = data[source:source + length]` as one unchecked memcpy; numba's loop is 20 times slower."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        target, to, origin, source, length = arguments
        target = context.make_array(signature.args[0])(context, builder, target).data
        origin = context.make_array(signature.args[2])(context, builder, origin).data
        cgutils.raw_memcpy(builder, builder.gep(target, [to]), builder.gep(origin, [source]), length, 1)
        return context.get_dummy_value()

    return types.void(out, types.int64, data, types.int64, types.int64), generate


def _length(data: npt.NDArray[np.uint8], position: int, end: int) -> tuple[int, int]:
    """The length that a record at `position` has by its own account, and where it begins behind that."""
    length, position = _varint(data, position, end)
    return length, position


def _decode(  # noqa: PLR0917 -- kernels take arrays and numbers, not objects
    data: npt.NDArray[np.uint8],
    start: int,
    end: int,
    base_offset: int,
    last_delta: int,
    base_timestamp: int,
    previous: int,
    offsets: npt.NDArray[np.int64],
    timestamps: npt.NDArray[np.int64],
    fields: npt.NDArray[np.int32],
) -> tuple[int, int]:
    """Decode `len(offsets)` records in `data[start:end]`.

    Args:
        data: the uncompressed records, under 2 GiB.
        start: where the first one begins.
        end: where the last one must end.
        base_offset: the batch's base offset.
        last_delta: the batch's last offset delta; none of its records may be beyond it.
        base_timestamp: the batch's base timestamp, ms.
        previous: offset delta of the record before the first one, or -1: offsets must rise.
        offsets: out, (n,).
        timestamps: out, (n,), ms.
        fields: out, (n, FIELDS): where in `data` key, value and headers are.

    Returns:
        The number of records decoded, and the position where the first malformed one begins (`end`, if all is well).
        All of them and a position before `end`: something follows them that is no record.
    """
    position = start
    for row in range(offsets.shape[0]):
        begin = position
        length, position = _varint(data, position, end)
        stop = _skip(position, length, end)
        if stop > end or length <= 0:
            return row, begin
        position += 1  # attributes, of which none is defined
        timestamp, position = _varint(data, position, stop)
        delta, position = _varint(data, position, stop)
        key_length, position = _varint(data, position, stop)
        key = position
        position = _skip(position, key_length, stop)
        value_length, position = _varint(data, position, stop)
        value = position
        position = _skip(position, value_length, stop)
        headers = position
        count, position = _varint(data, position, stop)
        if position > stop or count < 0 or delta <= previous or delta > last_delta:
            return row, begin
        if count > 0:
            for _ in range(count):
                if position >= stop:
                    return row, begin
                size, position = _varint(data, position, stop)
                if size < 0:
                    return row, begin
                position = _skip(position, size, stop)
                size, position = _varint(data, position, stop)
                position = _skip(position, size, stop)
        if position != stop:
            return row, begin
        previous = delta
        offsets[row] = base_offset + delta
        timestamps[row] = base_timestamp + timestamp
        fields[row, 0] = key
        fields[row, 1] = max(key_length, -1)
        fields[row, 2] = value
        fields[row, 3] = max(value_length, -1)
        fields[row, 4] = headers
        fields[row, 5] = stop - headers if count > 0 else -1
    return offsets.shape[0], position


def _measure(fields: npt.NDArray[np.int32]) -> tuple[int, int, int, int, int, int]:
    """Bytes in total and number of values that are not null, each for key, value and headers."""
    key = value = headers = keys = values = headed = 0
    for row in range(fields.shape[0]):
        if fields[row, 1] >= 0:
            keys += 1
            key += fields[row, 1]
        if fields[row, 3] >= 0:
            values += 1
            value += fields[row, 3]
        if fields[row, 5] >= 0:
            headed += 1
            headers += fields[row, 5]
    return key, keys, value, values, headers, headed


def _gather(  # noqa: PLR0917
    data: npt.NDArray[np.uint8],
    fields: npt.NDArray[np.int32],
    column: int,
    out: npt.NDArray[np.uint8],
    ends: npt.NDArray[np.int32],
    valid: npt.NDArray[np.uint8],
    row: int,
    position: int,
) -> int:
    """Copy one column of a batch to Arrow buffers that batches share.

    Args:
        data: the batch's uncompressed records.
        fields: as `decode` left it.
        column: KEY, VALUE or HEADERS.
        out: out, the bytes of the column.
        ends: out, the end of each value in `out`: an Arrow offsets buffer without its leading zero.
        valid: out, the validity bitmap (all zeros before), or empty if there is no null.
        row: row of the batch's first record.
        position: where in `out` its bytes begin.

    Returns:
        Where in `out` they end.
    """
    for index in range(fields.shape[0]):
        length = fields[index, column + 1]
        if length > 0:
            source = fields[index, column]
            if source < 0 or source + length > data.shape[0] or position + length > out.shape[0]:
                raise IndexError  # never so, unless `fields` is not from `decode`: better than a crash
            _copy(out, position, data, source, length)
            position += length
        ends[row + index] = position
        if valid.shape[0] > 0 and length >= 0:
            place = row + index
            valid[place >> 3] |= np.uint8(1 << (place & 7))
    return position


class Kernels(NamedTuple):
    """One compilation of the kernels: `_decode`, `_measure`, `_gather` and `_length`."""

    decode: Callable[..., tuple[int, int]]
    measure: Callable[..., tuple[int, int, int, int, int, int]]
    gather: Callable[..., int]
    length: Callable[..., tuple[int, int]]


def _compile(function: Any, *, checked: bool) -> Any:
    # A copy under a name of its own, because numba's cache on disk tells functions apart by name and line only.
    copy = FunctionType(function.__code__, function.__globals__, function.__name__)
    copy.__qualname__ = f"{function.__name__}_{'checked' if checked else 'fast'}"
    options = {"boundscheck": checked, "nogil": True}
    try:
        return numba.njit(cache=True, **options)(copy)
    except RuntimeError:  # no folder to cache in: NUMBA_CACHE_DIR, beside this file, or below HOME
        return numba.njit(**options)(copy)


_KERNELS = (_decode, _measure, _gather, _length)

FAST = Kernels(*(_compile(function, checked=False) for function in _KERNELS))
"""For all data."""

CHECKED = Kernels(*(_compile(function, checked=True) for function in _KERNELS))
"""Numba's bounds checks besides our own, for data that has killed a process before."""
