"""Numba kernels that read one value of a JSON text: what it is, where it ends, and whether it is well-formed.

What RFC 8259 does not allow, and what is rare and hard (numbers with exponents or more than 18 digits), is refused.

Indexes stay inside: a record ends before `end`, behind which the buffer goes on for a block (`simd.padded`), and each
step that could lead beyond is followed by a comparison with `end`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from detector.parsing.direct.slots import ESCAPED, NULL_SIZE, ODD, UNICODE
from detector.parsing.jit import Bytes, Ints, compiled, inlined
from detector.parsing.simd import BLOCK, lowest, special, word

STRING, INTEGER, NUMBER, BOOL, NULL, OBJECT, ARRAY, END = range(8)
"""Kinds of values; END closes a container. An INTEGER is a number that is written as its text compares, also 1.5."""

_TRUE, _FALS, _NULL = (np.uint64(int.from_bytes(name, "little")) for name in (b"true", b"fals", b"null"))

_MAX_DIGITS = 18
_MAX_EXACT = 15
"""Digits up to which a decimal number is its own shortest form."""


@compiled
def _hex(data: Bytes, at: int) -> Any:
    """The number that four hexadecimal digits are, -1 if they are none."""
    code: Any = 0
    for place in range(at, at + 4):
        byte = np.int64(data[np.uint64(place)])
        if 48 <= byte <= 57:
            digit = byte - 48
        elif 97 <= (byte | 32) <= 102:
            digit = (byte | 32) - 87
        else:
            return -1
        code = code * 16 + digit
    return code


@compiled
def _utf8(data: Bytes, at: int) -> Any:
    """Bytes of the UTF-8 sequence of a character that is not ASCII, 0 if it is malformed (RFC 3629)."""
    first = np.int64(data[np.uint64(at)])
    second = np.int64(data[np.uint64(at + 1)])
    if first < 0xC2 or first > 0xF4 or second & 0xC0 != 0x80:
        return 0
    if first < 0xE0:
        return 2
    if np.int64(data[np.uint64(at + 2)]) & 0xC0 != 0x80:
        return 0
    if first < 0xF0:
        return 0 if (first == 0xE0 and second < 0xA0) or (first == 0xED and second >= 0xA0) else 3
    if np.int64(data[np.uint64(at + 3)]) & 0xC0 != 0x80:
        return 0
    return 0 if (first == 0xF0 and second < 0x90) or (first == 0xF4 and second >= 0x90) else 4


@compiled
def _escape(data: Bytes, at: int, end: int) -> tuple[int, int]:
    """Where the escape that begins at `at` ends, -1 if it is malformed or half a pair of surrogates; and its flags."""
    byte = data[np.uint64(at + 1)]
    if byte in (92, 34, 98, 102, 110, 114, 116):
        return at + 2, ESCAPED
    if byte == 47:
        return at + 2, ESCAPED | ODD
    if byte != 117:
        return -1, 0
    code = _hex(data, at + 2)
    at += 6
    if code < 0xD800 or code > 0xDFFF:
        return at if code >= 0 else -1, ESCAPED | ODD | UNICODE if code >= 128 else ESCAPED | ODD
    low = _hex(data, at + 2)
    pair = at + 6 <= end and data[np.uint64(at)] == 92 and data[np.uint64(at + 1)] == 117
    if code > 0xDBFF or not pair or low < 0xDC00 or low > 0xDFFF:
        return -1, 0
    return at + 6, ESCAPED | ODD | UNICODE


@compiled
def string(data: Bytes, at: int, end: int) -> tuple[int, int]:
    """Where the string that begins at `at` (behind its quote) is closed, -1 if it is malformed; and its flags."""
    flags = 0
    base = at
    bits = special(data, base)
    while True:
        while bits == 0:
            base += BLOCK
            if base >= end:
                return -1, 0
            bits = special(data, base)
        at = base + lowest(bits)
        byte = data[np.uint64(at)]
        if at >= end or byte < 32:
            return -1, 0
        if byte == 34:
            return at, flags
        if byte == 92:
            at, found = _escape(data, at, end)
            flags |= found
        else:
            flags |= UNICODE
            size = _utf8(data, at)
            at = at + size if size else -1
        if at < 0 or at >= end:
            return -1, 0
        if at - base >= BLOCK:
            base = at
            bits = special(data, base)
        else:
            bits &= np.uint64(0xFFFFFFFFFFFFFFFF) << np.uint64(at - base)


@inlined
def _number(data: Bytes, at: int, end: int) -> tuple[int, int]:
    """Where a number ends, -1 if it is malformed or one of those that are rare and hard; and its kind."""
    negative = data[np.uint64(at)] == 45
    if negative:
        at += 1
    begin = at
    while 48 <= data[np.uint64(at)] <= 57:
        at += 1
        if at >= end:
            return -1, 0
    digits = at - begin
    zero = data[np.uint64(begin)] == 48
    if digits == 0 or digits > _MAX_DIGITS or (zero and digits > 1):
        return -1, 0
    kind = NUMBER if zero and negative else INTEGER
    if data[np.uint64(at)] == 46:
        at += 1
        fraction = at
        while 48 <= data[np.uint64(at)] <= 57:
            at += 1
            if at >= end:
                return -1, 0
        if at == fraction:
            return -1, 0
        short = digits + at - fraction <= _MAX_EXACT and data[np.uint64(at - 1)] != 48
        kind = INTEGER if short and (not zero or data[np.uint64(fraction)] != 48) else NUMBER
    if data[np.uint64(at)] | 32 == 101:
        return -1, 0
    return at, kind


@inlined
def space(data: Bytes, at: int) -> Any:
    """The first place that holds no white space; the buffer ends with zeros."""
    while data[np.uint64(at)] in (32, 10, 13, 9):
        at += 1
    return at


@inlined
def value(  # noqa: PLR0917
    data: Bytes, at: int, end: int, slot: int, starts: Ints, sizes: Ints, flags: Bytes
) -> tuple[int, int]:
    """Where a value that is no container ends, -1 if it is malformed; and its kind. Fills its slot."""
    where = np.uint64(slot)
    starts[where] = at
    flags[where] = 0
    first_four = word(data, at) & np.uint64(0xFFFFFFFF)
    if data[np.uint64(at)] == 34:
        starts[where] = at + 1
        behind, found = string(data, at + 1, end)
        sizes[where] = behind - at - 1
        flags[where] = found
        return behind + 1 if behind >= 0 else -1, STRING
    if first_four == _TRUE:
        sizes[where] = 4
        return at + 4, BOOL
    if first_four == _FALS and data[np.uint64(at + 4)] == 101:
        sizes[where] = 5
        return at + 5, BOOL
    if first_four == _NULL:
        sizes[where] = NULL_SIZE
        return at + 4, NULL
    behind, kind = _number(data, at, end)
    sizes[where] = behind - at
    return behind, kind
