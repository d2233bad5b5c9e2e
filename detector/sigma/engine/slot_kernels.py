"""Numba kernels from slots to the engine's columns: each text folded, and each distinct one of a column kept once."""

from __future__ import annotations

from typing import Any

import numpy as np

from detector.parsing.direct.slots import ESCAPED, NULL_SIZE, UNICODE
from detector.parsing.direct.text_kernels import same_bytes, text_hash
from detector.parsing.jit import Bytes, Ints, Longs, compiled, inlined
from detector.parsing.simd import BLOCK, copy_block, fold_block, lowest, special
from detector.sigma.engine.kernels import HAS_VALUE, IS_NULL, IS_PRESENT

BETWEEN = 0xFF
"""Stands between texts that are joined: no text in UTF-8 has such a byte."""


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


@inlined
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
    used_end: Longs,
    used: Ints,
    fields: int,
    bases: Longs,
    sizes: Ints,
) -> tuple[int, int, int]:
    """How many texts some rows have in all columns, and in the one that has most; and bytes in all that they use, each
    text with one behind it.
    """
    cells, most, total = 0, 0, 0
    for column in range(columns.shape[0]):
        field = columns[column, 0]
        before = cells
        for row in range(records.shape[0]):
            base = bases[records[row]]
            place = views[row] * fields + field
            for index in range(slot_end[place], slot_end[place + 1]):
                if sizes[base + view_slots[index]] >= 0:
                    cells += 1
        most = max(most, cells - before)
    for row in range(records.shape[0]):
        base = bases[records[row]]
        for index in range(used_end[views[row]], used_end[views[row] + 1]):
            total += max(sizes[base + used[index]], 0) + 1
    return cells, most, total


@compiled
def unfold_all(  # noqa: PLR0917
    records: Ints,
    views: Ints,
    used_end: Longs,
    used: Ints,
    data: Bytes,
    bases: Longs,
    starts: Ints,
    sizes: Ints,
    flags: Bytes,
    fold: Ints,
    text_begin: Ints,
    text_end: Ints,
    out: Bytes,
    to: int,
) -> Any:
    """Write the texts of all slots that some rows use, as rules compare them; returns the place behind the last one.

    Arrays:
        used_end, used: the slots that a view uses are `used` up to `used_end[view + 1]`.
        text_begin, text_end: (slots,) out, where the text of a slot is in `out`.
    """
    for row in range(records.shape[0]):
        base = bases[records[row]]
        for index in range(used_end[views[row]], used_end[views[row] + 1]):
            slot = base + used[index]
            size = np.int64(sizes[slot])
            if size >= 0:
                text_begin[slot] = to
                to = unfold(data, np.int64(starts[slot]), size, flags[slot], fold, out, to)
                text_end[slot] = to
    return to


@compiled
def presence_of(  # noqa: PLR0917
    records: Ints,
    views: Ints,
    bits: Bytes,
    slot_end: Longs,
    view_slots: Ints,
    bases: Longs,
    sizes: Ints,
    presence: Bytes,
) -> None:
    """Fill in the presence of fields.

    Arrays:
        records, views: (rows,) of each row.
        bits: (views, fields) of presence whatever the record holds.
        slot_end, view_slots: the slots of a view's field are `view_slots` up to `slot_end[view * fields + field + 1]`.
        presence: (fields, rows) out.
    """
    fields = bits.shape[1]
    for row in range(records.shape[0]):
        view = views[row]
        base = bases[records[row]]
        for field in range(fields):
            found = bits[view, field]
            for index in range(slot_end[view * fields + field], slot_end[view * fields + field + 1]):
                size = sizes[base + view_slots[index]]
                if size >= 0:
                    found |= IS_PRESENT | HAS_VALUE
                elif size == NULL_SIZE:
                    found |= IS_PRESENT | IS_NULL
            presence[field, row] = found


@compiled
def gather(  # noqa: PLR0917
    records: Ints,
    views: Ints,
    field: int,
    fields: int,
    distinct: bool,
    slot_end: Longs,
    view_slots: Ints,
    bases: Longs,
    sizes: Ints,
    text_begin: Ints,
    text_end: Ints,
    data: Bytes,
    table: Ints,
    cells: Ints,
    ends: Longs,
    begin: Longs,
    end: Longs,
    cell: int,
    value: int,
) -> tuple[int, int]:
    """Fill in one column, which is described in `kernels`; returns the numbers of cells and values behind it.

    Arrays:
        distinct: whether equal texts are to be one value.
        data, text_begin, text_end: of `unfold_all`.
        table: scratch, -1 before the first column; its length is a power of two, and more than twice that of a column.
        cells, ends, begin, end: out; `ends` is that of this column.
    """
    mask = table.shape[0] - 1
    first = value
    for row in range(records.shape[0]):
        ends[row] = cell
        base = bases[records[row]]
        place = views[row] * fields + field
        for index in range(slot_end[place], slot_end[place + 1]):
            slot = base + view_slots[index]
            if sizes[slot] < 0:
                continue
            start, stop = np.int64(text_begin[slot]), np.int64(text_end[slot])
            known: Any = value
            if distinct:
                where = text_hash(data, start, stop - start) & mask
                while True:
                    known = np.int64(table[where])
                    if known < first:
                        known = value
                        table[where] = value
                        break
                    same = end[known] - begin[known] == stop - start
                    if same and same_bytes(data, begin[known], data, start, stop - start):
                        break
                    where = (where + 1) & mask
            if known == value:
                begin[value], end[value] = start, stop
                value += 1
            cells[cell] = known
            cell += 1
    ends[records.shape[0]] = cell
    return cell, value


@compiled
def join(  # noqa: PLR0917
    records: Ints,
    views: Ints,
    field: int,
    fields: int,
    slot_end: Longs,
    view_slots: Ints,
    bases: Longs,
    sizes: Ints,
    text_begin: Ints,
    text_end: Ints,
    data: Bytes,
    to: int,
    cells: Ints,
    ends: Longs,
    begin: Longs,
    end: Longs,
    cell: int,
    value: int,
) -> tuple[int, int, int]:
    """Fill in one column with one value for each row, which is all its texts, each with a byte behind it.

    The arguments are those of `gather`; data: out, too, from `to` on. Returns where that ends, then what `gather` does.
    """
    for row in range(records.shape[0]):
        ends[row] = cell
        begin[value] = to
        base = bases[records[row]]
        place = views[row] * fields + field
        for index in range(slot_end[place], slot_end[place + 1]):
            slot = base + view_slots[index]
            if sizes[slot] < 0:
                continue
            at, stop = np.int64(text_begin[slot]), np.int64(text_end[slot])
            size: Any = stop - at
            for offset in range(0, size, BLOCK):
                copy_block(data, at + offset, data, to + offset)
            to += size
            data[np.uint64(to)] = BETWEEN
            to += 1
        end[value] = to
        cells[cell] = value
        value += 1
        cell += 1
    ends[records.shape[0]] = cell
    return to, cell, value
