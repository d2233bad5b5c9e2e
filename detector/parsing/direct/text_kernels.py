"""Numba kernels that compare texts and hash them, eight bytes at a time."""

from __future__ import annotations

from typing import Any

import numpy as np

from detector.parsing.jit import Bytes, compiled
from detector.parsing.simd import word

_MIX = np.uint64(0x9E3779B97F4A7C15)


@compiled
def same_bytes(data: Bytes, at: int, other: Bytes, start: int, size: int) -> Any:
    """Whether two texts of the same size are equal, eight bytes at a time."""
    while size >= 8:
        if word(data, at) != word(other, start):
            return False
        at += 8
        start += 8
        size -= 8
    if size == 0:
        return True
    return (word(data, at) ^ word(other, start)) << np.uint64(64 - 8 * size) == 0


@compiled
def text_hash(data: Bytes, at: int, size: int) -> Any:
    """Of a text, eight bytes at a time: 31 bits."""
    found = np.uint64(size) * _MIX
    while size > 0:
        part = word(data, at)
        if size < 8:
            part = part << np.uint64(64 - 8 * size)
        found = (found ^ part) * _MIX
        found ^= found >> np.uint64(29)
        at += 8
        size -= 8
    return np.int64(found >> np.uint64(33))
