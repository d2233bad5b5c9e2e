"""Numba kernels of the back-fill: which line names a date, and where the elements of an array are."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]

REACH_BYTES = 64 << 10
"""A dated line tells the time of lines that begin at most this far after it: so blocks need not know their past."""

UNDATED = -(1 << 62)
_LOOK_BYTES = 256
_DAYS_TO_1970 = 719_468
_MONTHS = np.frombuffer(b"janfebmaraprmayjunjulaugsepoctnovdec", np.uint8).reshape(12, 3).copy()

# State of `split`, between two parts of a file.
DEPTH, QUOTED, ESCAPED, START, OUTSIDE, BROKEN, SINGLE = range(7)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def references(  # noqa: PLR0917 -- numba takes keywords, but slower
    data: Bytes,
    starts: Ints,
    ends: Ints,
    position: int,
    fallback: int,
    state: Ints,
    out: Ints,
) -> None:
    """Write into `out`, for each line, the date of the last dated line before it, in Unix milliseconds.

    data: bytes; starts, ends: of each line in them; position: of data[0] in the file. fallback: where no dated line
    begins within REACH_BYTES before a line. state: date and position of the last dated line, kept from call to call;
    begins as (UNDATED, 0).
    """
    for line in range(len(starts)):
        at = position + starts[line]
        out[line] = state[0] if state[0] != UNDATED and at - state[1] <= REACH_BYTES else fallback
        date = _date(data, starts[line], min(ends[line], starts[line] + _LOOK_BYTES))
        if date != UNDATED:
            state[0] = date
            state[1] = at


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _date(data: Bytes, start: int, end: int) -> Any:
    """The first date with a year and a time of day in data[start:end], in Unix milliseconds, its zone left out.

    `2024-05-17T10:05:03` (also with slashes, a space), `17/May/2024:10:05:03`, `May 17 10:05:03[.123456] 2024`.
    """
    for at in range(start, end - 18):
        first = data[at]
        if first - 48 > 9 and data[at + 3] != 32:
            continue
        if (data[at + 4] == 45 and data[at + 7] == 45) or (data[at + 4] == 47 and data[at + 7] == 47):
            if data[at + 10] == 84 or data[at + 10] == 116 or data[at + 10] == 32:
                found = _instant(
                    _number(data, at, 4), _number(data, at + 5, 2), _number(data, at + 8, 2), data, at + 11
                )
                if found != UNDATED:
                    return found
        elif data[at + 2] == 47 and data[at + 6] == 47 and at + 20 <= end:
            if data[at + 11] == 58:
                month = _month(data, at + 3)
                found = _instant(_number(data, at + 7, 4), month, _number(data, at, 2), data, at + 12)
                if found != UNDATED:
                    return found
        elif data[at + 3] == 32 and data[at + 6] == 32 and data[at + 9] == 58:
            month = _month(data, at)
            year = at + 15
            if month > 0 and year < end and data[year] == 46:
                year += 1
                while year < end and 48 <= data[year] <= 57:
                    year += 1
            if month > 0 and year + 5 <= end and data[year] == 32:
                day = _number(data, at + 4, 2) if data[at + 4] != 32 else _number(data, at + 5, 1)
                found = _instant(_number(data, year + 1, 4), month, day, data, at + 7)
                if found != UNDATED:
                    return found
    return UNDATED


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _number(data: Bytes, at: int, digits: int) -> Any:
    number = 0
    for place in range(at, at + digits):
        if data[place] < 48 or data[place] > 57:
            return -1
        number = number * 10 + (data[place] - 48)
    return number


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _month(data: Bytes, at: int) -> Any:
    for month in range(12):
        if (
            data[at] | 32 == _MONTHS[month, 0]
            and data[at + 1] | 32 == _MONTHS[month, 1]
            and data[at + 2] | 32 == _MONTHS[month, 2]
        ):
            return month + 1
    return -1


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _instant(year: int, month: int, day: int, data: Bytes, at: int) -> Any:
    """Of a date and the `10:05:03` at data[at]; days by Howard Hinnant's `days_from_civil`."""
    hour, minute, second = _number(data, at, 2), _number(data, at + 3, 2), _number(data, at + 6, 2)
    if data[at + 2] != 58 or data[at + 5] != 58 or hour < 0 or minute < 0 or second < 0:
        return UNDATED
    if year < 1970 or month < 1 or month > 12 or day < 1 or day > 31 or hour > 23 or minute > 59 or second > 60:
        return UNDATED
    shifted = year - 1 if month <= 2 else year
    era = shifted // 400
    of_era = shifted - era * 400
    of_year = (153 * (month - 3 if month > 2 else month + 9) + 2) // 5 + day - 1
    days = era * 146_097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - _DAYS_TO_1970
    return (((days * 24 + hour) * 60 + minute) * 60 + second) * 1_000


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def split(  # noqa: C901, PLR0912 -- a state machine
    data: Bytes,
    begin: int,
    state: Ints,
    starts: Ints,
    ends: Ints,
) -> int:
    """Find the elements of a JSON array that end in data[begin:]; how many were written to `starts` and `ends`.

    These must hold an element for every two bytes.
    state, kept from part to part of a file: DEPTH within the element, QUOTED, ESCAPED, START of the element under way
        in `data` (-1: none), OUTSIDE the array, BROKEN (place of what does not belong outside of it, -1: none),
        SINGLE: what follows the array is not looked at.
    """
    count = 0
    for at in range(begin, len(data)):
        byte = data[at]
        if state[QUOTED]:
            if state[ESCAPED]:
                state[ESCAPED] = 0
            elif byte == 92:
                state[ESCAPED] = 1
            elif byte == 34:
                state[QUOTED] = 0
            continue
        if byte in (32, 9, 10, 13):
            continue
        if state[OUTSIDE]:
            if state[SINGLE]:
                return count
            if byte == 91:
                state[OUTSIDE] = 0
            elif state[BROKEN] < 0:
                state[BROKEN] = at
            continue
        if state[DEPTH] == 0 and (byte in (44, 93)):
            if state[START] >= 0:
                end = at
                while data[end - 1] == 32 or 9 <= data[end - 1] <= 13:
                    end -= 1
                starts[count] = state[START]
                ends[count] = end
                count += 1
                state[START] = -1
            state[OUTSIDE] = byte == 93
            continue
        if state[START] < 0:
            state[START] = at
        if byte == 34:
            state[QUOTED] = 1
        elif byte in (123, 91):
            state[DEPTH] += 1
        elif byte in (125, 93):
            state[DEPTH] = max(0, state[DEPTH] - 1)
    return count
