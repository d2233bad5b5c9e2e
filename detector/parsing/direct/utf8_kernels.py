"""The kernel that tells ASCII, other valid UTF-8 and what is none apart."""

from __future__ import annotations

from typing import Any

import numpy as np

from detector.parsing.jit import Bytes, compiled

FIT, BEYOND_ASCII, UNFIT = range(3)
"""States of a text: ASCII, other valid UTF-8, and what is none."""


@compiled
def _utf8(data: Bytes, at: int, end: int) -> Any:
    """Bytes of the character beyond ASCII that begins there, 0 if it is malformed (RFC 3629)."""
    first = data[np.uint64(at)]
    size = 2 if first < 0xE0 else 3 if first < 0xF0 else 4
    if first < 0xC2 or first > 0xF4 or at + size > end:
        return 0
    for place in range(at + 1, at + size):
        if data[np.uint64(place)] & 0xC0 != 0x80:
            return 0
    second = data[np.uint64(at + 1)]
    if (first == 0xE0 and second < 0xA0) or (first == 0xED and second >= 0xA0):
        return 0
    if (first == 0xF0 and second < 0x90) or (first == 0xF4 and second >= 0x90):
        return 0
    return size


@compiled
def text_state(data: Bytes, at: int, end: int) -> Any:
    """FIT for ASCII, BEYOND_ASCII for other valid UTF-8, UNFIT for what is none."""
    seen = np.uint8(0)
    for place in range(at, end):
        seen |= data[np.uint64(place)]
    if seen < 0x80:
        return FIT
    while at < end:
        if data[np.uint64(at)] < 0x80:
            at += 1
        else:
            size = _utf8(data, at, end)
            if size == 0:
                return UNFIT
            at += size
    return BEYOND_ASCII
