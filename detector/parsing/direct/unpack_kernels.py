"""Numba kernels from a part of a line to the fields within it: `detector.parsing.unpacking`, in columns.

Only fields that somebody asks for are kept, as places of their texts. A line for which a kernel does not know the
answer is `slow`: it takes the way over events. What has escapes is written to the arena without them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from detector.parsing.direct.names import lookup
from detector.parsing.jit import Bytes, Ints, Longs, compiled
from detector.parsing.tokenizer.kernels import UNSET

ABSENT = -1
"""Size of a field that is not there."""
_TAKEN = 1 << 30
"""In `seen`: of a group of the line, which keeps its name."""
MOST = 1_024
"""Fields that a part may have; `unpacking.MAX_PAIRS`."""


@compiled
def groups(  # noqa: PLR0917 -- kernels take arrays and numbers, not objects
    data: Bytes,
    rows: Longs,
    begin: Longs,
    bounds: Ints,
    fields: Ints,
    absent: Bytes,
    absent_end: Ints,
    starts: Ints,
    sizes: Ints,
    seen: Ints,
) -> None:
    """Take the groups of lines as fields.

    Arrays:
        rows: of the fields' table. begin: (rows,) where each line starts.
        bounds: from the tokenizer.
        fields: (groups,) the field of each, -1 where nobody asks.
        absent, absent_end: texts that stand for no value.
        starts, sizes, seen: (all rows, fields) out.
    """
    for index in range(rows.shape[0]):
        row = rows[index]
        line = begin[index]
        for group in range(fields.shape[0]):
            field = fields[group]
            start = np.int64(bounds[index, group, 0])
            if field < 0 or start == UNSET:
                continue
            at, size = line + start, np.int64(bounds[index, group, 1]) - start
            if absent_end.shape[0] and is_among(data, at, size, absent, absent_end):
                continue
            starts[row, field] = at
            sizes[row, field] = size
            seen[row, field] = _TAKEN


@compiled
def hex_digit(byte: int) -> Any:
    if 48 <= byte <= 57:
        return np.int64(byte) - 48
    lower = np.int64(byte) | 32
    return lower - 87 if 97 <= lower <= 102 else -1


@compiled
def is_among(data: Bytes, at: int, size: int, texts: Bytes, ends: Ints) -> bool:
    """Whether a text is one of some."""
    first = 0
    for last in ends:
        if last - first == size:
            same = True
            for place in range(size):
                if data[np.uint64(at + place)] != texts[np.uint64(first + place)]:
                    same = False
                    break
            if same:
                return True
        first = last
    return False


@compiled
def keep(  # noqa: PLR0917
    data: Bytes,
    row: int,
    field: int,
    part: int,
    at: int,
    size: int,
    absent: Bytes,
    absent_end: Ints,
    starts: Ints,
    sizes: Ints,
    seen: Ints,
) -> None:
    """Take a field; the first of its name in a part counts, and a part in place of those before it."""
    if seen[row, field] in (_TAKEN, part):
        return
    seen[row, field] = part
    if absent_end.shape[0] and is_among(data, at, size, absent, absent_end):
        return
    starts[row, field] = at
    sizes[row, field] = size


@compiled
def _unquoted(data: Bytes, at: int, end: int, quote: int, to: int) -> Any:
    r"""Copy up to the closing quote, `\"` and `\\` resolved; where it stands, and where the copy ends."""
    while at < end and data[np.uint64(at)] != quote:
        if data[np.uint64(at)] == 92 and at + 1 < end and data[np.uint64(at + 1)] in (quote, 92):
            at += 1
        data[np.uint64(to)] = data[np.uint64(at)]
        to += 1
        at += 1
    return at, to


@compiled
def pairs(  # noqa: PLR0917, C901, PLR0912 -- one pass, as `unpacking.pairs`
    data: Bytes,
    to: int,
    rows: Longs,
    source: int,
    part: int,
    stops: Bytes,
    places: Ints,
    ends: Ints,
    texts: Bytes,
    values: Ints,
    absent: Bytes,
    absent_end: Ints,
    starts: Ints,
    sizes: Ints,
    seen: Ints,
    slow: Bytes,
) -> Any:
    """`unpacking.pairs` of a field of some rows; returns where the arena ends.

    Arrays:
        stops: (256,) whether a byte divides pairs. places, ends, texts, values: of the keys, see `names`.
    """
    for row in rows:
        if sizes[row, source] < 0:
            continue
        first = np.int64(starts[row, source])
        end = first + sizes[row, source]
        at: Any = first
        count = 0
        key = first  # where the word begins that is read
        while True:
            while at < end and data[np.uint64(at)] != 61:
                if stops[data[np.uint64(at)]]:
                    key = at + 1
                at += 1
            if at >= end:
                break
            count += 1
            if count >= MOST:
                slow[row] = 1
                break
            equals: Any = at
            quote = data[np.uint64(equals + 1)] if equals + 1 < end else np.uint8(0)
            value: Any = equals + 1
            copied = False
            if quote in (34, 39):
                value += 1
                at = value
                escaped = False
                while at < end and data[np.uint64(at)] != quote:
                    escaped |= data[np.uint64(at)] == 92
                    at += 1
                last = at
                if escaped and at < end:
                    at, copied_end = _unquoted(data, value, end, np.int64(quote), to)
                    value, last, copied = to, copied_end, True
                at = min(at + 1, end)
            else:
                at = value
                while at < end and not stops[data[np.uint64(at)]]:
                    at += 1
                last = at
            if equals > key:
                key_end = equals
                while key < key_end and data[np.uint64(key)] in (34, 39):
                    key += 1
                while key < key_end and data[np.uint64(key_end - 1)] in (34, 39):
                    key_end -= 1
                field = lookup(data, key, key_end, places, ends, texts, values)
                if field >= 0:
                    keep(data, row, field, part, value, last - value, absent, absent_end, starts, sizes, seen)
                    if copied:
                        to = last
            key = at
    return to


@compiled
def columns(  # noqa: PLR0917
    data: Bytes,
    rows: Longs,
    source: int,
    part: int,
    separator: int,
    fields: Ints,
    absent: Bytes,
    absent_end: Ints,
    starts: Ints,
    sizes: Ints,
    seen: Ints,
    slow: Bytes,
) -> None:
    """`unpacking.columns` of a field of some rows, as fields; -1: of a column that nobody asks for."""
    for row in rows:
        at: Any = np.int64(0)
        end: Any = np.int64(0)
        if sizes[row, source] >= 0:
            at = np.int64(starts[row, source])
            end = at + np.int64(sizes[row, source])
        for column in range(fields.shape[0]):
            value = at
            if separator == 44 and at < end and data[np.uint64(at)] == 34:
                value += 1
                at = value
                while at < end and data[np.uint64(at)] != 34:
                    at += 1
                last = at
                at = min(at + 1, end)
                if at < end and data[np.uint64(at)] != 44:  # a quote in it, or something behind it
                    slow[row] = 1
                    break
            else:
                while at < end and data[np.uint64(at)] != separator:
                    at += 1
                last = at
            field = fields[column]
            if field >= 0:
                keep(data, row, field, part, value, last - value, absent, absent_end, starts, sizes, seen)
            if at >= end:
                break
            at += 1
