"""How kernels are compiled, and the arrays that they take."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int32]
Longs = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint64]


def compiled(function: Any) -> Any:
    """The kernel in machine code, which is kept on disk where there is a place for it.

    Without numba's runtime: else each array that stands in a loop is counted there, which took half of the time. So a
    kernel cannot make arrays; it is given what it writes to.
    """
    try:
        return numba.njit(cache=True, nogil=True, _nrt=False)(function)
    except RuntimeError:  # no folder to cache in: NUMBA_CACHE_DIR, beside this file, or below HOME
        return numba.njit(nogil=True, _nrt=False)(function)


def inlined(function: Any) -> Any:
    """The same as a part of what calls it: each array that is handed over takes seven words."""
    return numba.njit(inline="always")(function)
