"""The kernel that runs a program over the lines of a batch: a backtracking matcher that gives up early.

It tries what an expression allows in the order of preference, so the first way to the end of the line is the match that
RE2 takes (leftmost, first alternative first). Where one byte decides, nothing else is tried.

Lines must be valid UTF-8. Line r is `data[starts[r]:ends[r]]`.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int32]
Longs = npt.NDArray[np.int64]

LITERAL, ONE, RUN, LAZY, SAVE, SPLIT, ENDED, ACCEPT = range(8)
"""Kinds of operations; `lowering` says what their columns hold."""
BACK, FORWARD, OTHER = range(3)
"""Kinds of what is left to try: a run that gives back, a lazy one that goes on, another alternative."""

NO_MATCH, GAVE_UP = -1, -2
UNSET = -1
_DEPTH = 64
"""Choices that are kept; a line that needs more is left to RE2."""
_WORK, _WORK_PER_BYTE = 512, 16
"""Operations and bytes looked at, beyond which a line is left to RE2."""


def compiled(function: Any) -> Any:
    """The kernel in machine code, which is kept on disk where there is a place for it."""
    try:
        return numba.njit(cache=True, nogil=True)(function)
    except RuntimeError:  # no folder to cache in: NUMBA_CACHE_DIR, beside this file, or below HOME
        return numba.njit(nogil=True)(function)


@compiled
def tokenize(  # noqa: PLR0917, C901, PLR0912, PLR0915 -- one loop; calls in it would cost more than it does
    data: Bytes,
    starts: Longs,
    ends: Longs,
    operations: Ints,
    entry: int,
    sets: Bytes,
    literals: Bytes,
    spans: Ints,
    status: Ints,
) -> None:
    """Match each line.

    Arrays:
        operations: (n, 7), see `lowering`. sets: (m, 257) members. literals: texts, one on another.
        spans: out, (rows, groups, 2) start and end of each group from the start of its line; UNSET for a group that
            took no part. Undefined where the line does not match.
        status: out, (rows,) the number of the expression that matches, NO_MATCH or GAVE_UP.
    """
    stack = np.empty((_DEPTH, 5), np.int64)  # kind, operation, position, limit, trail
    trail = np.empty((4 * _DEPTH, 2), np.int64)  # what a group's bound was before: index, value
    for row in range(starts.shape[0]):
        begin, end = starts[row], ends[row]
        bounds = spans[row].reshape(-1)
        bounds[:] = UNSET
        depth = trailed = 0
        work = 0
        most = _WORK + _WORK_PER_BYTE * (end - begin)
        at = begin
        pc = entry
        result = NO_MATCH
        while True:
            kind = operations[pc, 0]
            work += 1
            good = False
            if kind == RUN:
                members = sets[operations[pc, 1]]
                least, limit, flags = operations[pc, 2], operations[pc, 3], operations[pc, 4]
                start = at
                low = at
                if limit < 0 and least < 2:
                    while at < end and members[data[at]]:
                        at += 1
                    good = at - start >= least
                    if good and least == 1:
                        low = start + 1
                        while low < at and data[low] & 0xC0 == 0x80:
                            low += 1
                else:
                    count = 0
                    while at < end and count != limit and members[data[at]]:
                        at += 1
                        while at < end and data[at] & 0xC0 == 0x80:
                            at += 1
                        count += 1
                        if count == least:
                            low = at
                    good = count >= least
                work += at - start
                if good and flags and at > low:
                    if depth == _DEPTH:
                        result = GAVE_UP
                        break
                    stack[depth, 0] = BACK
                    stack[depth, 1] = operations[pc, 5]
                    stack[depth, 2] = at
                    stack[depth, 3] = low
                    stack[depth, 4] = trailed
                    depth += 1
            elif kind == SAVE:
                place = operations[pc, 1]
                if depth:
                    if trailed == trail.shape[0]:
                        result = GAVE_UP
                        break
                    trail[trailed, 0] = place
                    trail[trailed, 1] = bounds[place]
                    trailed += 1
                bounds[place] = at - begin
                good = True
            elif kind == LITERAL:
                first, size = operations[pc, 1], operations[pc, 2]
                if end - at >= size:
                    good = True
                    for each in range(size):
                        if data[at + each] != literals[first + each]:
                            good = False
                            break
                    at += size
            elif kind == SPLIT:
                following = 256 if at == end else np.int64(data[at])
                second = sets[operations[pc, 3], following] != 0
                if sets[operations[pc, 1], following]:
                    good = True
                    if second:
                        if depth == _DEPTH:
                            result = GAVE_UP
                            break
                        stack[depth, 0] = OTHER
                        stack[depth, 1] = operations[pc, 2]
                        stack[depth, 2] = at
                        stack[depth, 4] = trailed
                        depth += 1
                elif second:
                    pc = operations[pc, 2]
                    continue
            elif kind == ONE:
                if at < end and sets[operations[pc, 1], data[at]]:
                    good = True
                    at += 1
                    while at < end and data[at] & 0xC0 == 0x80:
                        at += 1
            elif kind == LAZY:
                # Nothing at first; the way on is what is left to try.
                if depth == _DEPTH:
                    result = GAVE_UP
                    break
                stack[depth, 0] = FORWARD
                stack[depth, 1] = pc
                stack[depth, 2] = at
                stack[depth, 4] = trailed
                depth += 1
                good = True
            elif kind == ENDED:
                good = at == end
            elif at == end:
                result = operations[pc, 1]
                break
            if good:
                pc = operations[pc, 5]
                continue
            # Back to the last choice.
            while depth:
                top = depth - 1
                while trailed > stack[top, 4]:
                    trailed -= 1
                    bounds[trail[trailed, 0]] = trail[trailed, 1]
                what = stack[top, 0]
                at = stack[top, 2]
                if what == OTHER:
                    pc = stack[top, 1]
                    depth = top
                    good = True
                elif what == BACK:
                    low = stack[top, 3]
                    pc = stack[top, 1]
                    viable = sets[operations[pc, 6]]
                    before = at
                    while at > low and not good:
                        at -= 1
                        while data[at] & 0xC0 == 0x80:
                            at -= 1
                        good = viable[data[at]] != 0
                    work += before - at
                    stack[top, 2] = at
                    if at <= low:
                        depth = top
                else:
                    lazy = stack[top, 1]
                    pc = operations[lazy, 5]
                    members = sets[operations[lazy, 1]]
                    viable = sets[operations[lazy, 2]]
                    before = at
                    while at < end and members[data[at]] and not good:
                        at += 1
                        while at < end and data[at] & 0xC0 == 0x80:
                            at += 1
                        following = 256 if at == end else np.int64(data[at])
                        good = viable[following] != 0
                    work += at - before
                    stack[top, 2] = at
                    if not good:
                        depth = top
                if good:
                    break
            if not good:
                break
            if work > most:
                result = GAVE_UP
                break
        status[row] = result
