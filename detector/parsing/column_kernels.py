"""Numba kernels from slots to the buffers of Arrow columns."""

from __future__ import annotations

import numpy as np

from detector.parsing.jit import Bytes, Ints, Longs, compiled
from detector.parsing.simd import BLOCK, copy_block


@compiled
def copy_texts(data: Bytes, starts: Ints, sizes: Ints, offsets: Ints, out: Bytes) -> None:
    """Put texts on end; `out` goes on for a block behind them. A negative size: there is none."""
    for row in range(starts.shape[0]):
        at, to = np.int64(starts[row]), np.int64(offsets[row])
        end = at + sizes[row]
        while at < end:
            copy_block(data, at, out, to)
            at += BLOCK
            to += BLOCK


@compiled
def integers(data: Bytes, starts: Ints, sizes: Ints, out: Longs) -> None:
    """Texts of at most 18 digits, or a minus and digits, as numbers. A negative size: there is none."""
    for row in range(starts.shape[0]):
        value, sign = np.int64(0), 1
        for place in range(starts[row], starts[row] + sizes[row]):
            byte = np.int64(data[np.uint64(place)])
            if byte == 45:
                sign = -1
            else:
                value = value * 10 + byte - 48
        out[row] = sign * value
