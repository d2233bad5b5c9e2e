"""Give back what an epoch used: measured by `python -m tests.bench soak` (decision 001)."""

from __future__ import annotations

import ctypes
import gc

from detector.stream import internals

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8  # malloc.h
_ARENAS = 2
_KEPT = 64 << 20
_MOST_OF_HEAP = 32 << 20
"""Bytes of a piece of memory beyond which glibc asks the system for it; it takes no more than this."""


def bound_arenas() -> None:
    """Let glibc have two heaps, not one for almost every thread: call it before there are threads.

    Windows are handed from thread to thread, so what is free in sixteen heaps is in pieces that no other thread can
    use: 10 MB in 8,000 windows, and more with each epoch.
    """
    if _mallopt is not None:
        _mallopt(_M_ARENA_MAX, _ARENAS)


def keep_freed() -> None:
    """Let glibc keep up to 64 MB of what a window used for the next one: call it in processes that read windows.

    Else it returns them to the system and asks for them again, which fills each page with zeros: an eighth of the time.
    """
    if _mallopt is not None:
        _mallopt(_M_MMAP_THRESHOLD, _MOST_OF_HEAP)
        _mallopt(_M_TRIM_THRESHOLD, _KEPT)


def settle() -> None:
    """Take what exists now as here to stay: later collections do not look at it, which makes them take 3 ms, not 100.

    Call it once, after start.
    """
    gc.collect()
    gc.freeze()


def give_back() -> None:
    """Collect what an epoch leaves in caches and in cycles, and return free memory to the system.

    Nothing of it happens by itself for long: there are about 3,600 objects an epoch, and glibc keeps freed memory.
    """
    internals.forget()
    gc.collect()
    if _trim is not None:
        _trim(0)


_libc = ctypes.CDLL(None)
# Of glibc; other C libraries have neither.
_trim = getattr(_libc, "malloc_trim", None)
_mallopt = getattr(_libc, "mallopt", None)
