"""Numba kernels from the text of a field to its ECS names: `detector.parsing.values`, where it is simple.

They need not know everything, but what they do must be what the plain converters do.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from detector.parsing.direct.address_kernels import ipv6, is_ipv4
from detector.parsing.direct.request_kernels import put, request, url
from detector.parsing.jit import Bytes, Ints, Longs, compiled

COPY, TEXT, INT, FLOAT, IP, ADDRESS, URL, REQUEST, ACCOUNT, FILE_NAME, CONSTANT, OTHER = range(12)
"""Kinds of ways. COPY: the text as it stands. TEXT: likewise, if it is not empty. OTHER: only the converter knows."""
YES, NO, UNKNOWN = range(3)
_MAX_DIGITS = 18
_MAX_EXACT, _MAX_ZEROS = 15, 3
"""Of a decimal number: characters with its point, and zeros behind that."""


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
def _account(data: Bytes, at: int, end: int) -> Any:
    """Where the name behind the last backslash begins; -1 where there is none."""
    name = end
    while name > at and data[np.uint64(name - 1)] != 92:
        name -= 1
    if name == end or (end - name == 1 and data[np.uint64(name)] == 45):
        return -1
    return name


@compiled
def _file_name(data: Bytes, at: int, end: int) -> Any:
    """Where the name behind the last backslash, else behind the last slash, begins; -1 where there is none."""
    divides = 47
    for place in range(at, end):
        if data[np.uint64(place)] == 92:
            divides = 92
            break
    name = end
    while name > at and data[np.uint64(name - 1)] != divides:
        name -= 1
    if name == end or (end - name == 1 and data[np.uint64(name)] == 45):
        return -1
    return name


@compiled
def _has(data: Bytes, at: int, end: int, byte: int) -> bool:
    for place in range(at, end):  # noqa: SIM110 -- numba knows no any()
        if data[np.uint64(place)] == byte:
            return True
    return False


@compiled
def _is_integer(data: Bytes, at: int, end: int) -> Any:
    """Whether a text may be an integer."""
    if at < end and data[np.uint64(at)] == 45:
        at += 1
    return _is_digits(data, at, end)


@compiled
def convert(  # noqa: PLR0917, C901, PLR0912, PLR0911 -- one case for each kind
    data: Bytes,
    to: int,
    kind: int,
    at: int,
    end: int,
    base: int,
    target: Ints,
    flag: int,
    scratch: Longs,
    starts: Ints,
    sizes: Ints,
    flags: Bytes,
) -> Any:
    """Fill in what a text stands for: YES, NO (it is none of that type) or UNKNOWN; and where the arena ends."""
    if kind == COPY:
        put(base, target[0], at, end - at, flag, starts, sizes, flags)
        return YES, to
    if kind == TEXT:
        if at == end:
            return NO, to
        put(base, target[0], at, end - at, flag, starts, sizes, flags)
        return YES, to
    if kind == INT:
        if not _is_integer(data, at, end):
            return NO, to
        if end - at > _MAX_DIGITS or data[np.uint64(at)] == 45:
            return UNKNOWN, to
        while end - at > 1 and data[np.uint64(at)] == 48:
            at += 1
        put(base, target[0], at, end - at, 0, starts, sizes, flags)
        return YES, to
    if kind == FLOAT:
        number, size = decimal(data, at, end)
        if size == 0:
            return UNKNOWN, to
        put(base, target[0], number, size, 0, starts, sizes, flags)
        return YES, to
    if kind in (IP, ADDRESS):
        if at == end:
            return NO, to
        first = 0
        if kind == ADDRESS:
            put(base, target[0], at, end - at, flag, starts, sizes, flags)
            if max(target[1], target[2], target[3]) < 0:
                return YES, to
            first = 1
        if is_ipv4(data, at, end):
            put(base, target[first], at, end - at, 0, starts, sizes, flags)
            return YES, to
        written = ipv6(data, at, end, scratch, to)
        if written >= 0:
            put(base, target[first], to, written - to, 0, starts, sizes, flags)
            return YES, written
        if kind == IP and not _has(data, at, end, 58):
            return NO, to
        return UNKNOWN, to
    if kind in (URL, REQUEST):
        if at == end:
            return NO, to
        if kind == REQUEST:
            done = request(data, at, end, to, base, target, flag, starts, sizes, flags)
        else:
            done = url(data, at, end, to, base, target, flag, starts, sizes, flags)
        if done >= 0:
            return YES, done
        for slot in target:
            if slot >= 0:
                sizes[base + slot] = -1
        return UNKNOWN, to
    if kind in (ACCOUNT, FILE_NAME):
        name = _account(data, at, end) if kind == ACCOUNT else _file_name(data, at, end)
        if name < 0:
            return NO, to
        put(base, target[0], name, end - name, flag, starts, sizes, flags)
        if kind == ACCOUNT and name - at > 1:
            put(base, target[1], at, name - at - 1, flag, starts, sizes, flags)
        return YES, to
    return UNKNOWN, to
