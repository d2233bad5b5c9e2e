"""Numba kernels that compare texts and hash them, eight bytes at a time."""

from __future__ import annotations

from typing import Any

import numpy as np

from detector.parsing.jit import Bytes, Ints, compiled
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


@compiled
def distinct(  # noqa: PLR0917 -- kernels take arrays and numbers, not objects
    data: Bytes, starts: Ints, sizes: Ints, table: Ints, firsts: Ints, numbers: Ints
) -> Any:
    """Number texts, equal ones alike; returns how many different ones there are.

    Arrays:
        starts, sizes: (texts,) of each.
        table: scratch, all -1; its length is a power of two, and more than twice theirs.
        firsts: (texts,) out, the first text of each number. numbers: (texts,) out.
    """
    mask = table.shape[0] - 1
    count = 0
    for text in range(starts.shape[0]):
        start, size = np.int64(starts[text]), np.int64(sizes[text])
        where = text_hash(data, start, size) & mask
        while True:
            known: Any = np.int64(table[where])
            if known < 0:
                known = count
                table[where] = count
                firsts[count] = text
                count += 1
                break
            first = np.int64(firsts[known])
            if np.int64(sizes[first]) == size and same_bytes(data, np.int64(starts[first]), data, start, size):
                break
            where = (where + 1) & mask
        numbers[text] = known
    return count
