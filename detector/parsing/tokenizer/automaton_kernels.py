"""The kernel that runs an automaton over lines, as far as its steps are known."""

from __future__ import annotations

from typing import Any

import numpy as np

from detector.parsing.jit import Bytes, Ints, Longs, Words, compiled
from detector.parsing.simd import BLOCK, lowest, stops_in

UNKNOWN = -1
"""A step that is not known."""
SETTLED = np.uint64((1 << 64) - 1)
"""In place of `stops`: nothing that follows changes the answer."""


@compiled
def run(  # noqa: PLR0917 -- kernels take arrays and numbers, not objects
    data: Bytes,
    starts: Longs,
    ends: Longs,
    begin_at: int,
    classes: Bytes,
    table: Ints,
    width: int,
    stops: Words,
    final: Ints,
    out: Ints,
    missing: Longs,
) -> Any:
    """Run the lines from the one at `begin_at` on.

    Arrays:
        classes: (256,) of bytes. table: (states * width,) the state that a class leads to, or UNKNOWN.
        stops: (states,) the bytes at which a state is left, see `simd`; 0 where they are many; or SETTLED.
        final: (states,) the answer at the end of a line.
        out: (rows,) out, the answers.
        missing: (2,) out, the state and the class of the step that is not known.

    Returns:
        The row that needs that step, or that of all rows.
    """
    for row in range(begin_at, starts.shape[0]):
        state = np.int64(0)
        at, end = starts[row], ends[row]
        while at < end:
            stop = stops[np.uint64(state)]
            if stop:
                if stop == SETTLED:
                    break
                bits = stops_in(data, at, stop)
                if not bits:
                    at += BLOCK
                    continue
                at += lowest(bits)
                if at >= end:
                    break
            kind = np.int64(classes[data[np.uint64(at)]])
            following = np.int64(table[np.uint64(state * width + kind)])
            if following == UNKNOWN:
                missing[0], missing[1] = state, kind
                return row
            state = following
            at += 1
        out[row] = final[np.uint64(state)]
    return starts.shape[0]
