"""The numba kernel that reads times in columns: `detector.parsing.timestamps` for texts that say all there is to say.

What it cannot read, and a second that is a leap second, is left to `TimeParser`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from detector.parsing.jit import Bytes, Ints, Longs, compiled

(
    LITERAL, SPACE, YEAR4, YEAR2, MONTH, MONTH_NAME, DAY, PADDED_DAY, HOUR, MINUTE, SECOND, FRACTION, ZONE, RFC3339,
) = range(14)  # fmt: skip
"""Steps of a form; RFC3339 is one by itself."""
UNREAD = np.iinfo(np.int64).min
"""Where a text is left to `TimeParser`."""

_STEPS = {
    "Y": YEAR4, "y": YEAR2, "m": MONTH, "b": MONTH_NAME, "d": DAY, "e": PADDED_DAY, "H": HOUR, "M": MINUTE,
    "S": SECOND, "f": FRACTION, "z": ZONE,
}  # fmt: skip
_MONTHS = np.frombuffer(b"janfebmaraprmayjunjulaugsepoctnovdec", np.uint8).copy()
_DAY_US = 86_400_000_000
_FIRST_US, _LAST_US = -62_135_596_800_000_000, 253_402_300_799_999_999
"""Of the years 1 to 9999."""
_YEAR, _MONTH, _DAY, _HOUR, _MINUTE, _SECOND, _MICRO, _OFFSET = range(8)
PARTS = 8
"""Numbers that a time is read into."""
_MONTH_DAYS = np.array([31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])


def steps_of(formats: Iterable[str]) -> tuple[Ints, Ints] | None:
    """The steps of some forms (not `epoch`), (n, 2) of kind and byte, and where each ends; None: one is not known."""
    steps: list[tuple[int, int]] = []
    ends: list[int] = []
    for form in formats:
        if not form.isascii():
            return None
        if form == "rfc3339":
            steps.append((RFC3339, 0))
        else:
            at = 0
            while at < len(form):
                if form[at] == "%":
                    if form[at + 1] not in _STEPS:
                        return None
                    steps.append((_STEPS[form[at + 1]], 0))
                    at += 2
                else:
                    steps.append((SPACE if form[at] == " " else LITERAL, ord(form[at])))
                    at += 1
        ends.append(len(steps))
    return np.array(steps, np.int32).reshape(-1, 2), np.array(ends, np.int32)


@compiled
def _number(data: Bytes, at: int, end: int, least: int, most: int) -> Any:
    """A number of so many digits, and the place behind it; -1 where there is none."""
    value, start = np.int64(0), at
    while at < end and at - start < most:
        digit = np.int64(data[np.uint64(at)]) - 48
        if digit < 0 or digit > 9:
            break
        value = value * 10 + digit
        at += 1
    return (value, at) if at - start >= least else (0, -1)


@compiled
def _fraction(data: Bytes, at: int, end: int) -> Any:
    """Microseconds of the digits behind a point, and the place behind these; -1 where there are none."""
    value, digits, start = np.int64(0), 0, at
    while at < end:
        digit = np.int64(data[np.uint64(at)]) - 48
        if digit < 0 or digit > 9:
            break
        if digits < 6:
            value = value * 10 + digit
            digits += 1
        at += 1
    for _ in range(6 - digits):
        value *= 10
    return (value, at) if at > start else (0, -1)


@compiled
def _zone(data: Bytes, at: int, end: int) -> Any:
    """Seconds east of UTC, and the place behind the zone; -1 where there is none."""
    if at >= end:
        return 0, -1
    first = data[np.uint64(at)]
    if first in (90, 122):
        return 0, at + 1
    if end - at >= 3:
        second, third = data[np.uint64(at + 1)], data[np.uint64(at + 2)]
        if (first == 85 and second == 84 and third == 67) or (first == 71 and second == 77 and third == 84):
            return 0, at + 3
    if first not in (43, 45):
        return 0, -1
    hours, place = _number(data, at + 1, end, 2, 2)
    if place < 0:
        return 0, -1
    colon = place < end and data[np.uint64(place)] == 58
    minutes, behind = _number(data, place + 1 if colon else place, end, 2, 2)
    if behind < 0:
        minutes, behind = 0, place
    if hours > 23 or minutes > 59:
        return 0, -1
    seconds = hours * 3_600 + minutes * 60
    return (-seconds if first == 45 else seconds), behind


@compiled
def _month(data: Bytes, at: int, end: int) -> Any:
    """The month of three letters, 0 if it is none."""
    if end - at < 3:
        return 0
    for month in range(12):
        if (
            data[np.uint64(at)] | 32 == _MONTHS[3 * month]
            and data[np.uint64(at + 1)] | 32 == _MONTHS[3 * month + 1]
            and data[np.uint64(at + 2)] | 32 == _MONTHS[3 * month + 2]
        ):
            return month + 1
    return 0


@compiled
def _rfc3339(data: Bytes, at: int, end: int, found: Longs) -> Any:
    if end - at < 19:
        return False
    for field, first, size, behind in (
        (_YEAR, 0, 4, 45), (_MONTH, 5, 2, 45), (_DAY, 8, 2, 84), (_HOUR, 11, 2, 58), (_MINUTE, 14, 2, 58),
        (_SECOND, 17, 2, 0),
    ):  # fmt: skip
        value, place = _number(data, at + first, end, size, size)
        if place < 0:
            return False
        found[field] = value
        if behind:
            byte = data[np.uint64(place)]
            if byte != behind and not (behind == 84 and byte in (116, 32)):
                return False
    place = at + 19
    if place < end and data[np.uint64(place)] in (44, 46):
        micro, place = _fraction(data, place + 1, end)
        if place < 0:
            return False
        found[_MICRO] = micro
    if place < end:
        if data[np.uint64(place)] == 32:
            place += 1
        offset, place = _zone(data, place, end)
        if place != end:
            return False
        found[_OFFSET] = offset
    return bool(found[_YEAR] > 0)


@compiled
def _read(  # noqa: PLR0917, PLR0912, C901 -- a case for each step
    data: Bytes, at: int, end: int, steps: Ints, first: int, last: int, found: Longs
) -> Any:
    """Whether a text is of a form; `found`: its fields."""
    found[:] = 0
    for step in range(first, last):
        kind = steps[step, 0]
        if kind == RFC3339:
            return _rfc3339(data, at, end, found)
        if kind == LITERAL:
            if at >= end or data[np.uint64(at)] != steps[step, 1]:
                return False
            at += 1
        elif kind == SPACE:
            start = at
            while at < end and data[np.uint64(at)] == 32:
                at += 1
            if at == start:
                return False
        elif kind == MONTH_NAME:
            found[_MONTH] = _month(data, at, end)
            if found[_MONTH] == 0:
                return False
            at += 3
        elif kind == ZONE:
            found[_OFFSET], at = _zone(data, at, end)
        elif kind == FRACTION:
            found[_MICRO], at = _fraction(data, at, end)
        elif kind == YEAR4:
            found[_YEAR], at = _number(data, at, end, 4, 4)
            if found[_YEAR] == 0:
                return False
        elif kind == YEAR2:
            year, at = _number(data, at, end, 2, 2)
            found[_YEAR] = year + (1900 if year >= 69 else 2000)
        elif kind == MONTH:
            found[_MONTH], at = _number(data, at, end, 1, 2)
        elif kind in (DAY, PADDED_DAY, HOUR):
            if kind != DAY and at < end and data[np.uint64(at)] == 32:
                at += 1
            found[_HOUR if kind == HOUR else _DAY], at = _number(data, at, end, 1, 2)
        else:
            found[_MINUTE if kind == MINUTE else _SECOND], at = _number(data, at, end, 2, 2)
        if at < 0:
            return False
    return at == end


@compiled
def days(year: int, month: int, day: int) -> Any:
    """Days since 1970 of a date (Howard Hinnant, chrono-Compatible Low-Level Date Algorithms, days_from_civil)."""
    year -= month <= 2
    era = year // 400
    of_era = year - era * 400
    of_year = (153 * (month + (-3 if month > 2 else 9)) + 2) // 5 + day - 1
    return era * 146_097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719_468


@compiled
def _instant(found: Longs, year: int) -> Any:
    month, day = found[_MONTH], found[_DAY]
    if not 1 <= month <= 12 or day < 1 or found[_HOUR] > 23 or found[_MINUTE] > 59 or found[_SECOND] > 59:
        return UNREAD
    leap = month == 2 and year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    if day > _MONTH_DAYS[month - 1] + leap:
        return UNREAD
    seconds = found[_HOUR] * 3_600 + found[_MINUTE] * 60 + found[_SECOND] - found[_OFFSET]
    us = days(year, month, day) * _DAY_US + seconds * 1_000_000 + found[_MICRO]
    return us if _FIRST_US <= us <= _LAST_US else UNREAD


@compiled
def _again(data: Bytes, at: int, size: int, before: int, size_before: int, found: Longs) -> bool:  # noqa: PLR0917
    """Whether a text is that of the row before, and names its year."""
    if size != size_before or found[_YEAR] == 0:
        return False
    for place in range(size):  # noqa: SIM110 -- numba knows no all()
        if data[np.uint64(at + place)] != data[np.uint64(before + place)]:
            return False
    return True


@compiled
def _unix(data: Bytes, at: int, end: int) -> Any:
    """As `timestamps.epoch`; a text with more than 19 digits is left."""
    whole, place = _number(data, at, end, 1, 19)
    if place < 0:
        return UNREAD
    digits = place - at
    micro = np.int64(0)
    if place < end:
        if data[np.uint64(place)] != 46:
            return UNREAD
        micro, place = _fraction(data, place + 1, end)
        if place < 0:
            return UNREAD
        if place < end:
            if data[np.uint64(place)] != 58:
                return UNREAD
            _, place = _fraction(data, place + 1, end)
            if place != end:
                return UNREAD
    if digits <= 11:
        us = whole * 1_000_000 + micro
    elif digits <= 14:
        us = whole * 1_000
    elif digits <= 17:
        us = whole
    else:
        us = whole // 1_000
    return us if _FIRST_US <= us <= _LAST_US else UNREAD


@compiled
def times(  # noqa: PLR0917
    data: Bytes,
    starts: Ints,
    sizes: Ints,
    steps: Ints,
    step_end: Ints,
    epochs: int,
    reference_us: Longs,
    years: Ints,
    out: Longs,
    found: Longs,
) -> None:
    """Microseconds since 1970 in UTC of texts.

    Arrays:
        starts, sizes: (rows,) of the texts; a negative size: there is none, and none in `out`.
        steps, step_end: from `steps_of`. epochs: whether a text of no form may be a Unix time.
        reference_us, years: (rows,) the record's timestamp and its year, which a text without one is near to.
        out: (rows,) out; UNREAD for what is left to `TimeParser`.
        found: scratch of PARTS zeros.
    """
    before = -1
    for row in range(starts.shape[0]):
        out[row] = UNREAD
        if sizes[row] < 0:
            continue
        at = np.int64(starts[row])
        if before >= 0 and _again(data, at, sizes[row], np.int64(starts[before]), sizes[before], found):
            out[row] = out[before]
            continue
        before = row
        first = 0
        read = False
        for last in step_end:
            if _read(data, at, at + sizes[row], steps, first, last, found):
                read = True
                if found[_YEAR]:
                    out[row] = _instant(found, found[_YEAR])
                else:
                    for year in range(years[row] - 1, years[row] + 2):
                        near = _instant(found, year)
                        if near != UNREAD and (
                            out[row] == UNREAD or abs(near - reference_us[row]) < abs(out[row] - reference_us[row])
                        ):
                            out[row] = near
                break
            first = last
        if epochs and not read:
            out[row] = _unix(data, at, at + sizes[row])
            before = -1
