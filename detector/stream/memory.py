"""Give back what an epoch used: measured by `python -m tests.bench soak` (decision 001)."""

from __future__ import annotations

import ctypes
import gc


def settle() -> None:
    """Take what exists now as here to stay: later collections do not look at it, which makes them take 3 ms, not 100.

    Call it once, after start.
    """
    gc.collect()
    gc.freeze()


def give_back() -> None:
    """Collect what an epoch leaves in cycles, about 3,600 objects, and return free memory to the system.

    Neither happens by itself for long: few objects are made between epochs, and glibc keeps freed memory.
    """
    gc.collect()
    if _trim is not None:
        _trim(0)


_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
"""Of glibc; other C libraries have none."""
