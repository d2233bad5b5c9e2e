"""Numba kernels from slots to the engine's columns: each text folded, and each distinct one of a column kept once."""

from __future__ import annotations

from typing import Any

import numpy as np

from detector.parsing.direct.kernels import same_bytes, text_hash
from detector.parsing.direct.simd import BLOCK, copy_block, fold_block, lowest, special
from detector.parsing.direct.slots import ESCAPED, NULL_SIZE, UNICODE
from detector.sigma.engine.kernels import HAS_VALUE, IS_NULL, IS_PRESENT, Bytes, Ints, Longs, compiled


@compiled
def _hex(byte: int) -> Any:
    return np.int64(byte) - 48 if byte < 58 else (np.int64(byte) | 32) - 87


@compiled
def _code(data: Bytes, at: int) -> Any:
    """The number of four hexadecimal digits."""
    return (_hex(data[at]) << 12) | (_hex(data[at + 1]) << 8) | (_hex(data[at + 2]) << 4) | _hex(data[at + 3])


@compiled
def _escaped(byte: int) -> Any:
    """The character that a backslash and this one are; not of `u`."""
    if byte == 110:
        return 10
    if byte == 116:
        return 9
    if byte == 114:
        return 13
    if byte == 98:
        return 8
    if byte == 102:
        return 12
    return np.int64(byte)


@compiled
def _put(code: int, out: Bytes, to: int) -> Any:
    """Write a character in UTF-8; returns the place behind it."""
    if code < 0x80:
        out[to] = code
        return to + 1
    if code < 0x800:
        out[to], out[to + 1] = 0xC0 | (code >> 6), 0x80 | (code & 63)
        return to + 2
    if code < 0x10000:
        out[to], out[to + 1], out[to + 2] = 0xE0 | (code >> 12), 0x80 | ((code >> 6) & 63), 0x80 | (code & 63)
        return to + 3
    out[to], out[to + 1] = 0xF0 | (code >> 18), 0x80 | ((code >> 12) & 63)
    out[to + 2], out[to + 3] = 0x80 | ((code >> 6) & 63), 0x80 | (code & 63)
    return to + 4


@compiled
def _characters(  # noqa: PLR0917
    data: Bytes, at: int, end: int, escapes: bool, fold: Ints, out: Bytes, to: int
) -> Any:
    """Copy a text character by character; `fold` is empty where it is not to be folded."""
    while at < end:
        first = np.int64(data[at])
        if first == 92 and escapes:
            code = _escaped(data[at + 1])
            at += 2
            if code == 117:
                code = _code(data, at)
                at += 4
                if 0xD800 <= code < 0xDC00:
                    code = 0x10000 + ((code - 0xD800) << 10) + _code(data, at + 2) - 0xDC00
                    at += 6
        elif first < 0x80:
            code = first
            at += 1
        elif first < 0xE0:
            code = ((first & 31) << 6) | (np.int64(data[at + 1]) & 63)
            at += 2
        elif first < 0xF0:
            code = ((first & 15) << 12) | ((np.int64(data[at + 1]) & 63) << 6) | (np.int64(data[at + 2]) & 63)
            at += 3
        else:
            code = ((first & 7) << 18) | ((np.int64(data[at + 1]) & 63) << 12)
            code |= ((np.int64(data[at + 2]) & 63) << 6) | (np.int64(data[at + 3]) & 63)
            at += 4
        if code < fold.shape[0]:
            code = np.int64(fold[code])
        to = _put(code, out, to)
    return to


@compiled
def unfold(  # noqa: PLR0917
    data: Bytes, start: int, size: int, flags: int, fold: Ints, out: Bytes, to: int
) -> Any:
    """Write the text of a slot as rules compare it; returns the place behind it.

    fold: code point to code point; empty: the text stays as it stands.
    out: room for one and a half times the size, and a block.
    """
    end = start + size
    if flags & UNICODE:
        return _characters(data, start, end, flags & ESCAPED != 0, fold, out, to)
    folding = fold.shape[0] > 0
    at = start
    while at < end:
        if folding:
            fold_block(data, at, out, to)
        else:
            copy_block(data, at, out, to)
        step = BLOCK
        if flags & ESCAPED:
            bits = special(data, at)
            if bits != 0:
                step = lowest(bits)
        if at + step >= end:
            return to + end - at
        at += step
        to += step
        if step < BLOCK:
            code = _escaped(data[at + 1])
            at += 2
            if code == 117:
                code = _code(data, at)
                at += 4
            if folding:
                code = np.int64(fold[code])
            out[to] = code
            to += 1
    return to


@compiled
def measure(  # noqa: PLR0917 -- kernels take arrays and numbers, not objects
    records: Ints,
    views: Ints,
    columns: Ints,
    slot_end: Longs,
    view_slots: Ints,
    fields: int,
    bases: Longs,
    sizes: Ints,
) -> tuple[int, int, int]:
    """How many texts some rows have in all columns, and in the one that has most; and how many bytes."""
    cells, most, total = 0, 0, 0
    for column in range(columns.shape[0]):
        field = columns[column, 0]
        before = cells
        for row in range(records.shape[0]):
            base = bases[records[row]]
            place = views[row] * fields + field
            for index in range(slot_end[place], slot_end[place + 1]):
                size = sizes[base + view_slots[index]]
                if size >= 0:
                    cells += 1
                    total += size
        most = max(most, cells - before)
    return cells, most, total


@compiled
def gather(  # noqa: PLR0917
    records: Ints,
    views: Ints,
    columns: Ints,
    bits: Bytes,
    slot_end: Longs,
    view_slots: Ints,
    data: Bytes,
    bases: Longs,
    starts: Ints,
    sizes: Ints,
    flags: Bytes,
    fold: Ints,
    table: Ints,
    presence: Bytes,
    cells: Ints,
    ends: Longs,
    out: Bytes,
    start: Longs,
    first: Longs,
) -> Any:
    """Fill the columns, which are described in `kernels`; returns the number of distinct values.

    Arrays:
        records, views: (rows,) of each row.
        columns: (columns, 2) the field, and whether its texts stay as they stand.
        bits: (views, fields) of presence whatever the record holds.
        slot_end, view_slots: the slots of a view's field are `view_slots` up to `slot_end[view * fields + field + 1]`.
        data, bases, starts, sizes, flags: of `Slots`.
        fold: code point to code point.
        table: scratch, -1; its length is a power of two and more than the number of cells of any column.
    """
    fields = bits.shape[1]
    unchanged = fold[:0]
    for field in range(fields):
        for row in range(records.shape[0]):
            view = views[row]
            base = bases[records[row]]
            found = bits[view, field]
            for index in range(slot_end[view * fields + field], slot_end[view * fields + field + 1]):
                size = sizes[base + view_slots[index]]
                if size >= 0:
                    found |= IS_PRESENT | HAS_VALUE
                elif size == NULL_SIZE:
                    found |= IS_PRESENT | IS_NULL
            presence[field, row] = found
    mask = table.shape[0] - 1
    cell, value, to = 0, 0, 0
    for column in range(columns.shape[0]):
        field = columns[column, 0]
        first[column] = value
        folding = unchanged if columns[column, 1] else fold
        for row in range(records.shape[0]):
            ends[column, row] = cell
            base = bases[records[row]]
            place = views[row] * fields + field
            for index in range(slot_end[place], slot_end[place + 1]):
                slot = base + view_slots[index]
                size = sizes[slot]
                if size < 0:
                    continue
                behind = unfold(data, starts[slot], size, flags[slot], folding, out, to)
                size = behind - to
                where = text_hash(out, to, size) & mask
                while True:
                    known = table[where]
                    if known < first[column]:
                        table[where] = value
                        cells[cell] = value
                        start[value] = to
                        value += 1
                        to = behind
                        break
                    if start[known + 1] - start[known] == size and same_bytes(out, to, out, start[known], size):
                        cells[cell] = known
                        break
                    where = (where + 1) & mask
                start[value] = to
                cell += 1
        ends[column, records.shape[0]] = cell
    first[columns.shape[0]] = value
    start[value] = to
    return value
