"""Numba kernels from the fields of lines to slots: what `detector.parsing.mapping` makes of texts, where it is simple.

Where a kernel does not know what a converter makes of a text, it looks into a memo of what the plain one has made, and
says what is missing there.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from detector.parsing.direct.field_kernels import CONSTANT, NO, UNKNOWN, YES, convert
from detector.parsing.direct.names import hashed
from detector.parsing.direct.request_kernels import put
from detector.parsing.direct.utf8_kernels import BEYOND_ASCII, UNFIT, text_state
from detector.parsing.jit import Bytes, Ints, Longs, compiled

KIND, SKIP, CONDITIONS, CONDITIONS_END, SOURCES, SOURCES_END, TARGETS, TEMPLATE = range(8)
"""Columns of a way. SKIP: the way that comes after this one has given a value. TEMPLATE: whether sources are parts."""
FIELD, SLOT, ANY, TEXTS, TEXTS_END = range(5)
"""Columns of a condition: a field, and the slot that counts where that is not there (-1: none); whether any value
will do; the texts of which it must be one."""
UNICODE = 2
"""Flag of a slot, as in `slots`."""


@compiled
def states(  # noqa: PLR0917 -- kernels take arrays and numbers, not objects
    data: Bytes, begin: Longs, end: Longs, most: int, body_end: Longs, out: Bytes
) -> None:
    """Which records are lines that can be read here, and where they end without line ends.

    What begins like JSON, with a byte order mark or a space, what is empty, longer than `most` or no UTF-8 is UNFIT.
    """
    for row in range(begin.shape[0]):
        at, last = begin[row], end[row]
        out[row] = UNFIT
        body_end[row] = at
        if last - at > most or last == at:
            continue
        first = data[np.uint64(at)]
        if first <= 32 or first >= 127 or first in (91, 123):  # [ and {
            continue
        out[row] = text_state(data, at, last)
        while last > at and data[np.uint64(last - 1)] in (10, 13):
            last -= 1
        body_end[row] = last


@compiled
def _holds(  # noqa: PLR0917
    data: Bytes,
    row: int,
    base: int,
    conditions: Ints,
    first: int,
    last: int,
    texts: Bytes,
    text_end: Ints,
    field_starts: Ints,
    field_sizes: Ints,
    starts: Ints,
    sizes: Ints,
) -> bool:
    """Whether all of some conditions hold."""
    for number in range(first, last):
        condition = conditions[number]
        at, size = np.int64(0), np.int64(-1)
        if condition[FIELD] >= 0:
            at, size = np.int64(field_starts[row, condition[FIELD]]), np.int64(field_sizes[row, condition[FIELD]])
        if size < 0 and condition[SLOT] >= 0:
            at, size = np.int64(starts[base + condition[SLOT]]), np.int64(sizes[base + condition[SLOT]])
        if size < 0:
            return False
        if condition[ANY]:
            continue
        found = False
        for text in range(condition[TEXTS], condition[TEXTS_END]):
            begin = np.int64(text_end[text])
            if np.int64(text_end[text + 1]) - begin != size:
                continue
            found = True
            for place in range(size):
                if data[np.uint64(at + place)] != texts[np.uint64(begin + place)]:
                    found = False
                    break
            if found:
                break
        if not found:
            return False
    return True


@compiled
def masks(  # noqa: PLR0917
    data: Bytes,
    rows: Longs,
    row_end: Ints,
    conditions: Ints,
    texts: Bytes,
    text_end: Ints,
    field_starts: Ints,
    field_sizes: Ints,
    bases: Longs,
    starts: Ints,
    sizes: Ints,
    out: Longs,
) -> None:
    """Which of up to 63 sets of conditions hold, as bits. row_end: where those of each set end."""
    for index in range(rows.shape[0]):
        row = rows[index]
        bits = np.int64(0)
        first = 0
        for number in range(row_end.shape[0]):
            last = row_end[number]
            if _holds(
                data, row, bases[row], conditions, first, last, texts, text_end, field_starts, field_sizes, starts,
                sizes,
            ):  # fmt: skip
                bits |= np.int64(1) << number
            first = last
        out[index] = bits


@compiled
def copied(  # noqa: PLR0917
    rows: Longs,
    copies: Ints,
    state: Bytes,
    field_starts: Ints,
    field_sizes: Ints,
    bases: Longs,
    starts: Ints,
    sizes: Ints,
    flags: Bytes,
) -> None:
    """Fields as slots. copies: (n, 3) a field, its slot, and the slot that counts where it is not there (-1: none)."""
    for row in rows:
        base = bases[row]
        flag = UNICODE if state[row] == BEYOND_ASCII else 0
        for copy in range(copies.shape[0]):
            field, slot, other = copies[copy, 0], copies[copy, 1], copies[copy, 2]
            if field >= 0 and field_sizes[row, field] >= 0:
                put(base, slot, field_starts[row, field], field_sizes[row, field], flag, starts, sizes, flags)
            elif other >= 0:
                put(base, slot, starts[base + other], sizes[base + other], flags[base + other], starts, sizes, flags)


@compiled
def _remembered(  # noqa: PLR0917
    data: Bytes, way: int, at: int, size: int, places: Ints, keys: Ints, key_texts: Bytes
) -> Any:
    """The number of what the converter of a way has made of a text, -1 where that is not known."""
    mask = np.uint64(places.shape[0] - 1)
    place = (hashed(data, at, at + size) + np.uint64(way) * np.uint64(0x9E3779B97F4A7C15)) & mask
    while places[place]:
        number = np.int64(places[place]) - 1
        if keys[number, 0] == way and keys[number, 2] == size:
            first = np.int64(keys[number, 1])
            same = True
            for each in range(size):
                if data[np.uint64(at + each)] != key_texts[np.uint64(first + each)]:
                    same = False
                    break
            if same:
                return number
        place = (place + np.uint64(1)) & mask
    return np.int64(-1)


@compiled
def derive(  # noqa: PLR0917, C901, PLR0912, PLR0915 -- one loop over the ways of a line, with tables for all
    data: Bytes,
    to: int,
    rows: Longs,
    state: Bytes,
    field_starts: Ints,
    field_sizes: Ints,
    ways: Ints,
    conditions: Ints,
    sources: Ints,
    targets: Ints,
    texts: Bytes,
    text_end: Ints,
    places: Ints,
    keys: Ints,
    key_texts: Bytes,
    result_end: Ints,
    results: Ints,
    made: int,
    bases: Longs,
    starts: Ints,
    sizes: Ints,
    flags: Bytes,
    pending: Bytes,
    misses: Longs,
    scratch: Longs,
) -> Any:
    """Fill in the slots of some rows by the ways of a table of fields; returns where the arena ends, and misses.

    Arrays:
        data: the lines, and behind them from `to` on an arena.
        field_starts, field_sizes: (all rows, fields) texts of fields; a negative size: it is not there.
        ways, conditions: see KIND and FIELD. A way gives the value of the first of its sources that has one.
        sources: fields (-1: one that no line has), of a template fields and texts: number of a text plus one, negative.
        targets: slots, -1 where nobody asks.
        places, keys, key_texts, result_end, results: the memo. keys: (n, 3) way, and start and size of a text in
            `key_texts`. results: (m, 5) slot, start and size from `made` on, flag, whether it only fills a gap.
        pending: (rows,) out, whether something was missing. misses: (n, 3) out, way, start and size of a text.
        scratch: for 8 numbers.
    """
    missed = 0
    for index in range(rows.shape[0]):
        row = rows[index]
        base = bases[row]
        flag = UNICODE if state[row] == BEYOND_ASCII else 0
        pending[index] = 0
        way = 0
        while way < ways.shape[0]:
            it = ways[way]
            if it[CONDITIONS] < it[CONDITIONS_END] and not _holds(
                data, row, base, conditions, it[CONDITIONS], it[CONDITIONS_END], texts, text_end, field_starts,
                field_sizes, starts, sizes,
            ):  # fmt: skip
                way += 1
                continue
            kind = it[KIND]
            done = NO
            first, last = it[SOURCES], it[SOURCES_END]
            if kind == CONSTANT:
                text = sources[first]
                put(
                    base,
                    targets[it[TARGETS]],
                    made + text_end[text],
                    text_end[text + 1] - text_end[text],
                    UNICODE,
                    starts,
                    sizes,
                    flags,
                )
                way = it[SKIP]
                continue
            target = targets[it[TARGETS] : it[TARGETS] + 15]
            source = first
            while source < last and done == NO:
                field = sources[source]
                source += 1
                at: Any = np.int64(0)
                size: Any = np.int64(-1)
                if it[TEMPLATE]:
                    at, size = to, np.int64(0)
                    source = last
                    for part in range(first, last):
                        here = np.int64(sources[part])
                        if here >= 0:
                            begin, length = np.int64(field_starts[row, here]), np.int64(field_sizes[row, here])
                            if length <= 0:
                                size = np.int64(-1)
                                break
                            for place in range(length):
                                data[np.uint64(at + size + place)] = data[np.uint64(begin + place)]
                        else:
                            begin = np.int64(text_end[-here - 1])
                            length = np.int64(text_end[-here]) - begin
                            for place in range(length):
                                data[np.uint64(at + size + place)] = texts[np.uint64(begin + place)]
                        size += length
                    if size >= 0:
                        to += size
                elif field >= 0:
                    at, size = np.int64(field_starts[row, field]), np.int64(field_sizes[row, field])
                if size < 0:
                    continue
                done, to = convert(data, to, kind, at, at + size, base, target, flag, scratch, starts, sizes, flags)
                if done != UNKNOWN:
                    continue
                number = _remembered(data, way, at, size, places, keys, key_texts)
                if number < 0:
                    pending[index] = 1
                    if missed < misses.shape[0]:
                        misses[missed, 0], misses[missed, 1], misses[missed, 2] = way, at, size
                        missed += 1
                    break
                done = NO
                for result in range(result_end[number], result_end[number + 1]):
                    done = YES
                    slot = results[result, 0]
                    if slot >= 0 and not (results[result, 4] and sizes[base + slot] >= 0):
                        put(
                            base, slot, made + results[result, 1], results[result, 2], results[result, 3], starts,
                            sizes, flags,
                        )  # fmt: skip
            if done == UNKNOWN:
                break
            way = it[SKIP] if done == YES else way + 1
    return to, missed
