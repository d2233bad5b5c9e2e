"""Numba kernels for addresses: `detector.parsing.addresses` for plain IPv4 and IPv6, without port, zone or brackets."""

from __future__ import annotations

from typing import Any

import numpy as np

from detector.parsing.jit import Bytes, Longs, compiled

_GROUPS = 8
_LONGEST = 39


@compiled
def is_ipv4(data: Bytes, at: int, end: int) -> bool:
    """Whether a text is an IPv4 address as it is written canonically."""
    if end - at > 15:
        return False
    parts, number, digits = 1, np.int64(0), 0
    for place in range(at, end):
        byte = np.int64(data[np.uint64(place)])
        if byte == 46:
            if digits == 0:
                return False
            parts += 1
            number, digits = np.int64(0), 0
        elif 48 <= byte <= 57:
            if digits and number == 0:
                return False
            number = number * 10 + byte - 48
            digits += 1
            if number > 255:
                return False
        else:
            return False
    return parts == 4 and digits > 0


@compiled
def _groups(data: Bytes, at: int, end: int, groups: Longs) -> bool:  # noqa: C901, PLR0912 -- one pass over it
    """Whether a text is an IPv6 address of hexadecimal groups; these go to `groups`."""
    count, gap, digits = 0, -1, 0
    value = np.int64(0)
    place = at
    while place < end:
        byte = np.int64(data[np.uint64(place)])
        if byte == 58:
            twice = place + 1 < end and data[np.uint64(place + 1)] == 58
            if digits == 0 and not (place == at and twice):
                return False
            if digits:
                if count == _GROUPS:
                    return False
                groups[count] = value
                count += 1
                value, digits = np.int64(0), 0
            if twice:
                if gap >= 0:
                    return False
                gap = count
                place += 1
            elif place + 1 == end:
                return False
        else:
            lower = byte | 32
            if 48 <= byte <= 57:
                value = value * 16 + byte - 48
            elif 97 <= lower <= 102:
                value = value * 16 + lower - 87
            else:
                return False
            digits += 1
            if digits > 4:
                return False
        place += 1
    if digits:
        if count == _GROUPS:
            return False
        groups[count] = value
        count += 1
    if gap < 0:
        return count == _GROUPS
    if count == _GROUPS:
        return False
    missing = _GROUPS - count
    for index in range(count - 1, gap - 1, -1):
        groups[index + missing] = groups[index]
    groups[gap : gap + missing] = 0
    return True


@compiled
def ipv6(data: Bytes, at: int, end: int, groups: Longs, to: int) -> Any:
    """Write an IPv6 address canonically (RFC 5952); returns where that ends, -1 for what is none, or a mapped IPv4.

    groups: scratch, of 8.
    """
    if end - at > _LONGEST or not _groups(data, at, end, groups):
        return -1
    if groups[5] == 0xFFFF and groups[:5].sum() == 0:
        return -1
    longest, first, run = 1, -1, 0
    for index in range(_GROUPS):
        run = run + 1 if groups[index] == 0 else 0
        if run > longest:
            longest, first = run, index - run + 1
    index = 0
    while index < _GROUPS:
        if index == first:
            data[np.uint64(to)] = 58
            data[np.uint64(to + 1)] = 58
            to += 2
            index += longest
            continue
        if index and data[np.uint64(to - 1)] != 58:
            data[np.uint64(to)] = 58
            to += 1
        group = groups[index]
        started = False
        for shift in (12, 8, 4, 0):
            digit = (group >> shift) & 15
            if digit or started or shift == 0:
                data[np.uint64(to)] = digit + (48 if digit < 10 else 87)
                to += 1
                started = True
        index += 1
    return to
