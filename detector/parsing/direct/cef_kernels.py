"""Numba kernels for the fields of CEF and LEEF: `unpacking.cef_pairs` and `leef_pairs`, in columns."""

from __future__ import annotations

from typing import Any

import numpy as np

from detector.parsing.direct.names import lookup
from detector.parsing.direct.unpack_kernels import MOST, hex_digit, keep
from detector.parsing.jit import Bytes, Ints, Longs, compiled

_BLANK = np.zeros(256, np.uint8)
_BLANK[list(b" \t\r\n")] = 1
_STRIPPED = np.zeros(256, np.uint8)
_STRIPPED[[*range(9, 14), *range(28, 33)]] = 1
_KEY = np.zeros(256, np.uint8)
_KEY[list(b"_.-[]:abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")] = 1


@compiled
def cef(  # noqa: PLR0917
    data: Bytes,
    to: int,
    rows: Longs,
    source: int,
    part: int,
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
    """`unpacking.cef_pairs` of a field of some rows; returns where the arena ends."""
    for row in rows:
        if sizes[row, source] >= 0:
            to = _cef(
                data, to, row, starts[row, source], sizes[row, source], part, places, ends, texts, values, absent,
                absent_end, starts, sizes, seen, slow,
            )  # fmt: skip
    return to


@compiled
def _cef(  # noqa: PLR0917, C901, PLR0912
    data: Bytes,
    to: int,
    row: int,
    start: int,
    size: int,
    part: int,
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
    first = np.int64(start)
    end = first + size
    at = first
    word = first  # behind the last byte that ends a key
    key: Any = np.int64(-1)
    key_end: Any = np.int64(-1)
    count = 0
    while True:
        while at < end and data[np.uint64(at)] != 61:
            byte = data[np.uint64(at)]
            if byte == 92 or _BLANK[byte]:
                word = at + 1
            at += 1
        is_key = at < end and word < at and (word == first or _BLANK[data[np.uint64(word - 1)]] == 1)
        if is_key:
            for place in range(word, at):
                byte = data[np.uint64(place)]
                if byte >= 128:
                    slow[row] = 1
                if not _KEY[byte]:
                    is_key = False
                    break
        if (is_key or at >= end) and key >= 0:
            value: Any = key_end + 1
            last: Any = end if at >= end else max(np.int64(word - 1), np.int64(key_end + 1))
            while last > value and data[np.uint64(last - 1)] == 32:
                last -= 1
            label = key_end - key >= 5 and data[np.uint64(key_end - 5)] == 76 and data[np.uint64(key_end - 4)] == 97
            if (
                label
                and data[np.uint64(key_end - 3)] == 98
                and data[np.uint64(key_end - 2)] == 101
                and data[np.uint64(key_end - 1)] == 108
                and lookup(data, value, last, places, ends, texts, values) >= 0
            ):
                slow[row] = 1  # a name that somebody asks for
            field = lookup(data, key, key_end, places, ends, texts, values)
            if field >= 0 or label:
                escaped = False
                for place in range(value, last):
                    if data[np.uint64(place)] == 92:
                        escaped = True
                        break
                if escaped:
                    if label:
                        slow[row] = 1
                    begun: Any = to
                    to = _unescaped(data, value, last, to)
                    value, last = begun, to
            if field >= 0:
                keep(data, row, field, part, value, last - value, absent, absent_end, starts, sizes, seen)
        if at >= end:
            return to
        if is_key:
            key, key_end = word, at
            count += 1
            if count >= MOST:
                slow[row] = 1
                return to
        at += 1
        word = at


@compiled
def _unescaped(data: Bytes, at: int, end: int, to: int) -> Any:
    while at < end:
        byte = data[np.uint64(at)]
        if byte == 92 and at + 1 < end and data[np.uint64(at + 1)] in (92, 61, 124, 110, 114):
            at += 1
            byte = data[np.uint64(at)]
            if byte == 110:
                byte = np.uint8(10)
            elif byte == 114:
                byte = np.uint8(13)
        data[np.uint64(to)] = byte
        to += 1
        at += 1
    return to


@compiled
def _delimiter(data: Bytes, at: int, size: int) -> Any:
    """The byte that divides LEEF's attributes, -1 for what is not one byte of ASCII."""
    if size <= 0:
        return 9
    if size == 1:
        return np.int64(data[np.uint64(at)]) if data[np.uint64(at)] < 128 else -1
    end = at + size
    if data[np.uint64(at)] == 48:
        at += 1
    if at < end and data[np.uint64(at)] | 32 == 120:
        at += 1
    value = np.int64(0)
    if at == end or end - at > 4:
        return -1
    for place in range(at, end):
        digit = hex_digit(data[np.uint64(place)])
        if digit < 0:
            return -1
        value = value * 16 + digit
    return value if 0 < value < 128 else -1


@compiled
def leef(  # noqa: PLR0917, C901
    data: Bytes,
    to: int,
    rows: Longs,
    source: int,
    delimiter: int,
    part: int,
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
    """`unpacking.leef_pairs` of a field of some rows; `delimiter`: the field that names it, or -1."""
    for row in rows:
        if sizes[row, source] < 0:
            continue
        at = np.int64(starts[row, source])
        end = at + sizes[row, source]
        divides: Any = np.int64(9)
        if delimiter >= 0:
            divides = np.int64(_delimiter(data, starts[row, delimiter], sizes[row, delimiter]))
        if divides < 0:
            slow[row] = 1
            continue
        if divides == 9:
            tab = False
            for place in range(at, end):
                if data[np.uint64(place)] == 9:
                    tab = True
                    break
            if not tab:
                to = _cef(
                    data, to, row, starts[row, source], sizes[row, source], part, places, ends, texts, values, absent,
                    absent_end, starts, sizes, seen, slow,
                )  # fmt: skip
                continue
        count = 0
        while at <= end:
            last = at
            equals = np.int64(-1)
            while last < end and data[np.uint64(last)] != divides:
                if data[np.uint64(last)] == 61 and equals < 0:
                    equals = last
                last += 1
            count += 1
            if count > MOST:
                slow[row] = 1
                break
            if equals >= 0:
                key, key_end, value, value_end = at, equals, equals + 1, last
                key, key_end = _stripped(data, key, key_end)
                value, value_end = _stripped(data, value, value_end)
                field = lookup(data, key, key_end, places, ends, texts, values)
                if field >= 0:
                    if value < value_end and (data[np.uint64(value)] | data[np.uint64(value_end - 1)]) >= 128:
                        slow[row] = 1  # a space beyond ASCII, maybe
                    keep(data, row, field, part, value, value_end - value, absent, absent_end, starts, sizes, seen)
                elif key < key_end and (data[np.uint64(key)] | data[np.uint64(key_end - 1)]) >= 128:
                    slow[row] = 1
            at = last + 1
    return to


@compiled
def _stripped(data: Bytes, at: int, end: int) -> Any:
    while at < end and _STRIPPED[data[np.uint64(at)]]:
        at += 1
    while end > at and _STRIPPED[data[np.uint64(end - 1)]]:
        end -= 1
    return at, end
