"""How kernels are compiled; what they do is tested with what they are part of."""

from __future__ import annotations

import numba
import numpy as np

from detector.parsing.jit import Longs, compiled, inlined


@inlined
def _last(values: Longs, row: int) -> int:
    part = values[: row + 1]
    return int(part[row])


def _total(values: Longs) -> int:
    total = 0
    for row in range(values.shape[0]):
        if row % 2:
            total += _last(values, row)
    return total


class TestCompiled:
    """Kernels over arrays."""

    def test_no_counting(self) -> None:
        """Arrays that stand in a loop are not counted, which would cost more than what is done with them."""
        kernel = numba.jit(**compiled(_total).targetoptions)(_total)  # not from the cache, which keeps no code to read

        assert kernel(np.arange(10)) == 25

        (code,) = kernel.inspect_llvm().values()
        assert "NRT_incref" not in code
        assert "NRT_decref" not in code
