"""Numba kernels from the groups of lines to slots: what `detector.parsing.values` makes of texts, where it is simple.

A row for which a step is not simple is `odd` in it; the plain converter is asked then. So these kernels need not know
everything, but what they do must be what the converters do.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from detector.parsing.direct.address_kernels import ipv6, is_ipv4
from detector.parsing.direct.request_kernels import put, request, url
from detector.parsing.direct.utf8_kernels import BEYOND_ASCII, UNFIT, text_state
from detector.parsing.jit import Bytes, Ints, Longs, compiled
from detector.parsing.tokenizer.kernels import UNSET

COPY, INT, FLOAT, ADDRESS, URL, REQUEST, OTHER = range(7)
"""Kinds of steps. COPY: the text as it stands. OTHER: only the converter knows."""
UNUSED = -2
"""Of a group that is in no slot and in no step."""
UNICODE = 2
"""Flag of a slot, as in `slots`."""
_MAX_DIGITS = 18
_MAX_EXACT, _MAX_ZEROS = 15, 3
"""Of a decimal number: characters with its point, and zeros behind that."""


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
def _equals(  # noqa: PLR0917
    data: Bytes, at: int, size: int, texts: Bytes, first: int, last: int
) -> bool:
    if last - first != size:
        return False
    for place in range(size):  # noqa: SIM110 -- numba knows no all()
        if data[np.uint64(at + place)] != texts[np.uint64(first + place)]:
            return False
    return True


@compiled
def _is_digits(data: Bytes, at: int, end: int) -> bool:
    for place in range(at, end):
        byte = data[np.uint64(place)]
        if byte < 48 or byte > 57:
            return False
    return at < end


@compiled
def decimal(data: Bytes, at: int, end: int) -> Any:
    """Where the shortest text of a decimal number stands in it, and its size; 0 where it is not to be had so.

    Of up to 15 digits and at least 0.0001, beyond which Python writes exponents.
    """
    if at >= end or end - at > _MAX_EXACT:
        return at, 0
    point = end
    for place in range(at, end):
        byte = data[np.uint64(place)]
        if byte == 46 and point == end:
            point = place
        elif byte < 48 or byte > 57:
            return at, 0
    if point == at or point == end - 1:
        return at, 0
    while point - at > 1 and data[np.uint64(at)] == 48:
        at += 1
    if point < end:
        while data[np.uint64(end - 1)] == 48:
            end -= 1
        if end - 1 == point:
            end = point
    if point < end and data[np.uint64(at)] == 48 and at + 1 == point:
        zeros = 0
        while data[np.uint64(point + 1 + zeros)] == 48:
            zeros += 1
        if zeros > _MAX_ZEROS:
            return at, 0
    return at, end - at


@compiled
def derive(  # noqa: PLR0917, C901, PLR0912, PLR0915 -- one case for each kind of step
    data: Bytes,
    to: int,
    records: Longs,
    begin: Longs,
    state: Bytes,
    bounds: Ints,
    raw: Ints,
    steps: Ints,
    targets: Ints,
    absent: Bytes,
    absent_end: Ints,
    bases: Longs,
    starts: Ints,
    sizes: Ints,
    flags: Bytes,
    odd: Bytes,
    there: Bytes,
    scratch: Longs,
) -> Any:
    """Fill in the slots of some records, whose sizes are all ABSENT before; returns where the arena ends then.

    Arrays:
        data: the lines, and behind them from `to` on an arena with room for twice their bytes.
        records: (rows,) the record of each row. begin, state: of each record.
        bounds: (rows, groups, 2) from the tokenizer.
        raw: (groups,) the slot of the text as it stands, -1 where nobody asks, UNUSED where nobody asks at all.
        steps: (steps, 2) kind and group. targets: (steps, n) slots that it fills in, -1 where nobody asks.
        absent, absent_end: texts that stand for no value.
        odd: (rows, steps) out.
        there: (groups,) scratch. scratch: for 8 numbers.
    """
    groups = raw.shape[0]
    for row in range(records.shape[0]):
        record = records[row]
        line, base = begin[record], bases[record]
        flag = UNICODE if state[record] == BEYOND_ASCII else 0
        for group in range(groups):
            if raw[group] == UNUSED:
                continue
            start, end = bounds[row, group, 0], bounds[row, group, 1]
            here = start != UNSET
            first = 0
            for last in absent_end:
                if here and _equals(data, line + start, end - start, absent, first, last):
                    here = False
                first = last
            there[group] = 1 if here else 0
            if here:
                put(base, raw[group], line + start, end - start, flag, starts, sizes, flags)
        for step in range(steps.shape[0]):
            odd[row, step] = 0
            kind, group = steps[step, 0], steps[step, 1]
            if there[group] == 0:
                continue
            at, end = line + bounds[row, group, 0], line + bounds[row, group, 1]
            target = targets[step]
            if kind == COPY:
                put(base, target[0], at, end - at, flag, starts, sizes, flags)
            elif kind == INT:
                if _is_digits(data, at, end) and end - at <= _MAX_DIGITS:
                    while end - at > 1 and data[np.uint64(at)] == 48:
                        at += 1
                    put(base, target[0], at, end - at, 0, starts, sizes, flags)
                else:
                    odd[row, step] = 1
            elif kind == FLOAT:
                number, size = decimal(data, at, end)
                if size:
                    put(base, target[0], number, size, 0, starts, sizes, flags)
                else:
                    odd[row, step] = 1
            elif kind == ADDRESS:
                if at < end:
                    put(base, target[0], at, end - at, flag, starts, sizes, flags)
                    if max(target[1], target[2], target[3]) < 0:
                        continue
                    if is_ipv4(data, at, end):
                        put(base, target[1], at, end - at, 0, starts, sizes, flags)
                        continue
                    written = ipv6(data, at, end, scratch, to)
                    if written < 0:
                        odd[row, step] = 1
                    else:
                        put(base, target[1], to, written - to, 0, starts, sizes, flags)
                        to = written
            elif kind in (URL, REQUEST):
                if at < end:
                    if kind == REQUEST:
                        done = request(data, at, end, to, base, target, flag, starts, sizes, flags)
                    else:
                        done = url(data, at, end, to, base, target, flag, starts, sizes, flags)
                    if done < 0:
                        odd[row, step] = 1
                    else:
                        to = done
            else:
                odd[row, step] = 1
    return to
