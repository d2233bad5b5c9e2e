"""The kernel that runs a program over the lines of a batch: a backtracking matcher that gives up early.

It tries what an expression allows in the order of preference, so the first way to the end of the line is the match that
RE2 takes (leftmost, first alternative first). Where one byte decides, nothing else is tried.

Lines must be valid UTF-8. Line r is `data[starts[r]:ends[r]]`, and behind the last one there are `BLOCK` bytes more.
Indexes are unsigned where they are many: numba then need not ask whether they count from the end.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from detector.parsing.jit import Bytes, Ints, Longs, Words, compiled
from detector.parsing.simd import BLOCK, lowest, stops_in

LITERAL, FIXED, ONE, RUN, LAZY, SAVE, SPLIT, ENDED, ACCEPT = range(9)
"""Kinds of operations; `lowering` says what their columns hold."""
COLUMNS = 8
"""Of an operation."""
SET_BITS = 9
"""Of the size of a set: a byte, or 256 for the end of the line."""
BACK, FORWARD, OTHER = range(3)
"""Kinds of what is left to try: a run that gives back, a lazy one that goes on, another alternative."""

EVERYTHING = 0
"""The number of the set of every byte."""
NO_MATCH, GAVE_UP = -1, -2
UNSET = -1
_CHOICE = 5
"""What is kept of a choice: kind, operation, place in the data, the least such place, length of the trail."""
_DEPTH = 128
"""Choices that are kept, and bounds as they were before; a line that needs more is left to RE2."""
_FULL = _DEPTH - 1
STACK, TRAIL = _DEPTH * _CHOICE, 2 * _DEPTH
"""Numbers of choices, and of what groups' bounds were before: index, value."""
_WORK, _WORK_PER_BYTE = 512, 16
"""Operations and bytes looked at, beyond which a line is left to RE2."""


@compiled
def _column(code: Ints, pc: int, column: int) -> Any:
    return np.int64(code[np.uint64(pc + column)])


@compiled
def _has(sets: Bytes, number: int, byte: int) -> Any:
    return sets[np.uint64((number << SET_BITS) + byte)] != 0


@compiled
def _byte(data: Bytes, at: int) -> Any:
    return np.int64(data[np.uint64(at)])


@compiled
def _next_character(data: Bytes, at: int, end: int) -> Any:
    """The place behind the character that begins there."""
    at += 1
    while at < end and _byte(data, at) & 0xC0 == 0x80:
        at += 1
    return at


@compiled
def _run_end(data: Bytes, at: int, end: int, sets: Bytes, members: int, stops: int) -> Any:  # noqa: PLR0917
    """Where the run of a set's bytes that begins there ends."""
    if members == EVERYTHING:
        return end
    if stops:
        while at < end:
            bits = stops_in(data, at, stops)
            if bits:
                return min(at + lowest(bits), end)
            at += BLOCK
        return end
    while at < end and _has(sets, members, _byte(data, at)):
        at += 1
    return at


@compiled
def _same(data: Bytes, at: int, end: int, literals: Bytes, first: int, size: int) -> bool:  # noqa: PLR0917
    """Whether a text stands there."""
    if end - at < size:
        return False
    for each in range(size):  # noqa: SIM110 -- numba knows no all()
        if data[np.uint64(at + each)] != literals[np.uint64(first + each)]:
            return False
    return True


@compiled
def _fits(data: Bytes, at: int, end: int, code: Ints, first: int, size: int, sets: Bytes) -> bool:  # noqa: PLR0917
    """Whether each byte is a member of its set."""
    if end - at < size:
        return False
    for each in range(size):  # noqa: SIM110 -- numba knows no all()
        if not _has(sets, np.int64(code[np.uint64(first + each)]), _byte(data, at + each)):
            return False
    return True


@compiled
def _push(stack: Longs, depth: int, kind: int, pc: int, at: int, limit: int, trailed: int) -> Any:  # noqa: PLR0917
    place = np.uint64(depth * _CHOICE)
    stack[place] = kind
    stack[place + np.uint64(1)] = pc
    stack[place + np.uint64(2)] = at
    stack[place + np.uint64(3)] = limit
    stack[place + np.uint64(4)] = trailed
    return depth + 1


@compiled
def tokenize(  # noqa: PLR0917, PLR0912, PLR0915, C901 -- one loop, whose parts share all its variables
    data: Bytes,
    starts: Longs,
    ends: Longs,
    code: Ints,
    entry: int,
    sets: Bytes,
    stops: Words,
    literals: Bytes,
    bounds: Ints,
    width: int,
    status: Ints,
    stack: Longs,
    trail: Longs,
) -> None:
    """Match each line.

    Arrays:
        code: operations on end, see `lowering`, and behind them the numbers of sets for FIXED; the first operation is
            that at `entry`.
        sets: on end, whether each byte is a member. stops: (operations,) for a run, what ends it, see `simd`; or 0.
        literals: texts, one on another.
        bounds: out, (rows * width,) start and end of each group from the start of its line; UNSET for a group that
            took no part. Undefined where the line does not match.
        status: out, (rows,) the number of the expression that matches, NO_MATCH or GAVE_UP.
        stack, trail: scratch of STACK and TRAIL numbers.
    """
    for row in range(starts.shape[0]):
        begin, end = starts[row], ends[row]
        base = row * width
        for place in range(base, base + width):
            bounds[place] = UNSET
        depth = trailed = 0
        work = 0
        most = _WORK + _WORK_PER_BYTE * (end - begin)
        at = begin
        pc = np.int64(entry)
        result = NO_MATCH
        while True:
            kind = _column(code, pc, 0)
            work += 1
            good = False
            if kind == RUN:
                members, least, limit = _column(code, pc, 1), _column(code, pc, 2), _column(code, pc, 3)
                start = at
                low = at
                if limit < 0 and least < 2:
                    at = _run_end(data, at, end, sets, members, stops[np.uint64(pc // COLUMNS)])
                    good = at - start >= least
                    if good and least == 1:
                        low = _next_character(data, start, at)
                else:
                    count = 0
                    while at < end and count != limit and _has(sets, members, _byte(data, at)):
                        at = _next_character(data, at, end)
                        count += 1
                        if count == least:
                            low = at
                    good = count >= least
                work += at - start
                if good and at > low and _column(code, pc, 4):
                    depth = _push(stack, min(depth, _FULL), BACK, _column(code, pc, 5), at, low, trailed)
            elif kind == SAVE:
                place = base + _column(code, pc, 1)
                if depth:
                    trailed = min(trailed, _FULL)
                    trail[np.uint64(2 * trailed)] = place
                    trail[np.uint64(2 * trailed + 1)] = bounds[np.uint64(place)]
                    trailed += 1
                bounds[np.uint64(place)] = at - begin
                good = True
            elif kind == LITERAL:
                size = _column(code, pc, 2)
                good = _same(data, at, end, literals, _column(code, pc, 1), size)
                at += size
            elif kind == SPLIT:
                following = 256 if at == end else _byte(data, at)
                second = _has(sets, _column(code, pc, 3), following)
                if _has(sets, _column(code, pc, 1), following):
                    good = True
                    if second:
                        depth = _push(stack, min(depth, _FULL), OTHER, _column(code, pc, 2), at, at, trailed)
                elif second:
                    pc = _column(code, pc, 2)
                    continue
            elif kind == ONE:
                if at < end and _has(sets, _column(code, pc, 1), _byte(data, at)):
                    good = True
                    at = _next_character(data, at, end)
            elif kind == LAZY:  # nothing at first; the way on is what is left to try
                depth = _push(stack, min(depth, _FULL), FORWARD, pc, at, at, trailed)
                good = True
            elif kind == FIXED:
                size = _column(code, pc, 2)
                good = _fits(data, at, end, code, _column(code, pc, 1), size, sets)
                at += size
            elif kind == ENDED:
                good = at == end
            elif at == end:
                result = _column(code, pc, 1)
                break
            if good:
                pc = _column(code, pc, 5)
                continue
            if depth >= _FULL or trailed >= _FULL or work > most:
                result = GAVE_UP
                break
            while depth and not good:  # back to the last choice
                top = np.uint64((depth - 1) * _CHOICE)
                while trailed > stack[top + np.uint64(4)]:
                    trailed -= 1
                    bounds[trail[2 * trailed]] = trail[2 * trailed + 1]
                what = stack[top]
                pc = stack[top + np.uint64(1)]
                before = stack[top + np.uint64(2)]
                at = before
                if what == OTHER:
                    depth -= 1
                    good = True
                    break
                if what == BACK:
                    low = stack[top + np.uint64(3)]
                    viable = _column(code, pc, 6)
                    while at > low and not good:
                        at -= 1
                        while _byte(data, at) & 0xC0 == 0x80:
                            at -= 1
                        good = _has(sets, viable, _byte(data, at))
                    work += before - at
                    if at <= low:
                        depth -= 1
                else:
                    members, viable = _column(code, pc, 1), _column(code, pc, 2)
                    pc = _column(code, pc, 5)
                    while at < end and not good and _has(sets, members, _byte(data, at)):
                        at = _next_character(data, at, end)
                        good = _has(sets, viable, 256 if at == end else _byte(data, at))
                    work += at - before
                    if not good:
                        depth -= 1
                stack[top + np.uint64(2)] = at
            if not good:
                break
        status[row] = result
