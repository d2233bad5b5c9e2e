"""The numba kernel for the pairs of a record of Linux's audit system: `detector.parsing.audit`, in columns."""

from __future__ import annotations

from typing import Any

import numpy as np

from detector.parsing.direct.names import lookup
from detector.parsing.direct.unpack_kernels import hex_digit, is_among, keep
from detector.parsing.direct.utf8_kernels import BEYOND_ASCII, UNFIT, text_state
from detector.parsing.jit import Bytes, Ints, Longs, compiled

_MOST = 4_096


@compiled
def audit(  # noqa: PLR0917
    data: Bytes,
    to: int,
    rows: Longs,
    kind: int,
    source: int,
    part: int,
    of_arguments: int,
    places: Ints,
    ends: Ints,
    texts: Bytes,
    values: Ints,
    encoded: Bytes,
    absent: Bytes,
    absent_end: Ints,
    starts: Ints,
    sizes: Ints,
    seen: Ints,
    state: Bytes,
    slow: Bytes,
) -> Any:
    """`audit.audit_pairs` of a field of some rows; returns where the arena ends.

    kind: the field with the record's type, or -1. of_arguments: whether somebody asks for what only an EXECVE has.
    encoded: (fields,) which may be in hexadecimal. state: (all rows,) set to BEYOND_ASCII where such a text is.
    """
    for row in rows:
        if sizes[row, source] < 0:
            continue
        if of_arguments and kind >= 0 and sizes[row, kind] == 6 and data[np.uint64(starts[row, kind])] == 69:
            slow[row] = 1
            continue
        first = np.int64(starts[row, source])
        to = _audit(
            data, to, row, first, first + sizes[row, source], part, places, ends, texts, values, encoded,
            absent, absent_end, starts, sizes, seen, state, slow,
        )  # fmt: skip
    return to


@compiled
def _audit(  # noqa: PLR0917, C901, PLR0912, PLR0915
    data: Bytes,
    to: int,
    row: int,
    at: Any,
    end: Any,
    part: int,
    places: Ints,
    ends: Ints,
    texts: Bytes,
    values: Ints,
    encoded: Bytes,
    absent: Bytes,
    absent_end: Ints,
    starts: Ints,
    sizes: Ints,
    seen: Ints,
    state: Bytes,
    slow: Bytes,
) -> Any:
    key = at
    count = 0
    outer: Any = np.int64(-1)  # where a text in single quotes ends, whose pairs are read
    limit = end
    while True:
        while at < limit and data[np.uint64(at)] != 61:
            if data[np.uint64(at)] in (32, 29):
                key = at + 1
            at += 1
        if at >= limit:
            if outer < 0:
                return to
            at = outer + 1
            key, outer, limit = at, np.int64(-1), end
            continue
        count += 1
        if count >= _MOST:
            slow[row] = 1
            return to
        equals = at
        value = equals + 1
        quote = data[np.uint64(value)] if value < limit else np.uint8(0)
        closing: Any = np.int64(-1)
        if quote in (34, 39):
            for place in range(value + 1, limit):
                if data[np.uint64(place)] == quote:
                    closing = place
                    break
        plain = closing < 0
        if plain:
            last = value
            while last < limit and data[np.uint64(last)] not in (32, 29):
                last += 1
            at = last
        else:
            value += 1
            last = closing
            at = closing + 1
            if quote == 39:
                nested = False
                for place in range(value, last):
                    if data[np.uint64(place)] == 61:
                        nested = True
                        break
                if nested:
                    if outer >= 0:
                        slow[row] = 1
                        return to
                    outer, limit = closing, closing
                    at = key = value
                    continue
        field = lookup(data, key, equals, places, ends, texts, values) if key < equals else np.int64(-1)
        key = at
        if field < 0:
            continue
        if plain and encoded[field] and (last - value) % 2 == 0:
            good = True
            for place in range(value, last):
                if hex_digit(data[np.uint64(place)]) < 0:
                    good = False
                    break
            if good:
                begun = to
                for place in range(value, last, 2):
                    byte = hex_digit(data[np.uint64(place)]) * 16 + hex_digit(data[np.uint64(place + 1)])
                    data[np.uint64(to)] = byte
                    to += 1
                while to > begun and data[np.uint64(to - 1)] == 0:
                    to -= 1
                for place in range(begun, to):
                    if data[np.uint64(place)] == 0:
                        data[np.uint64(place)] = 32
                value, last = begun, to
                found = text_state(data, value, last)
                if found == UNFIT:
                    slow[row] = 1
                elif found == BEYOND_ASCII:
                    state[row] = BEYOND_ASCII
        else:
            for place in range(value, last):
                if data[np.uint64(place)] == 29:  # is a space in a value
                    slow[row] = 1
        if not is_among(data, value, last - value, absent, absent_end):
            keep(data, row, field, part, value, last - value, absent, absent_end[:0], starts, sizes, seen)
