"""Times as logs write them, to microseconds since 1970 in UTC. Nothing here looks at a clock.

What a text leaves out comes from the record's own timestamp, so that a replay gives the same answer: a missing year is
the one that puts the time nearest to it. A missing zone is the one that is configured: of a local time that comes twice
when clocks are set back the earlier is meant; one that is left out when they are set forward is as much later.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

MAX_AHEAD_US = 24 * 3_600_000_000
"""A time further after its record's is implausible."""
MAX_BEHIND_US = int(10 * 365.25 * 24 * 3_600_000_000)
"""A time further before its record's is implausible."""

_CACHE_ENTRIES = 8_192
_EPOCH_DAY = date(1970, 1, 1).toordinal()
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 -- only added to; the text gets its Z in `rfc3339`
_MONTH_NAMES = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAYS = frozenset(("mon", "tue", "wed", "thu", "fri", "sat", "sun"))
_MONTHS = {name: index for index, name in enumerate(_MONTH_NAMES, 1)}


class Instant(NamedTuple):
    """A point in time: microseconds since 1970 in UTC, the same as RFC 3339 text, and whether it was written `:60`."""

    us: int
    text: str
    leap: bool


class _Moment(NamedTuple):
    """What a text says: calendar fields, year 0 where it names none; the offset from UTC in seconds, None likewise."""

    year: int
    month: int
    day: int
    hour: int
    minute: int
    second: int
    micro: int
    offset: int | None


class TimeParser:
    """Reads the times of one field, in whichever of its formats they are.

    A format is `rfc3339` (also with a space for the `T`, a comma for the point, no zone), `epoch` (seconds to
    nanoseconds by the number of digits) or in strptime's notation: `%Y %y %m %b %d %e %H %I %p %M %S %f %z %a`, other
    characters for themselves, a space for one or more.

    Raises ValueError for a format that it does not know.
    """

    __slots__ = ("_candidates", "_epoch", "_exact", "_readers", "_zone")

    def __init__(self, formats: Iterable[str], zone: ZoneInfo | None = None) -> None:
        """zone: of texts that name none; None: UTC."""
        formats = tuple(formats)
        self._zone = zone
        self._epoch = "epoch" in formats
        self._readers = tuple(_reader(form) for form in formats if form != "epoch")
        self._exact: dict[str, Instant | None] = {}
        self._candidates: dict[tuple[str, int], tuple[Instant, ...]] = {}

    def parse(self, value: object, reference_us: int | None) -> tuple[Instant | None, str | None]:
        """The instant of a value, else the flag that says what is wrong: bad_time, no_reference_time.

        reference_us: the record's timestamp; None where it has none.
        """
        if not isinstance(value, str):
            return self._number(value)
        if value in self._exact:
            instant = self._exact[value]
            return instant, None if instant else "bad_time"
        if reference_us is not None:
            year = (_EPOCH + timedelta(microseconds=reference_us)).year
            near = self._candidates.get((value, year))
            if near:
                return min(near, key=lambda instant: abs(instant.us - reference_us)), None
        return self._read(value, reference_us)

    def _number(self, value: object) -> tuple[Instant | None, str | None]:
        if not self._epoch or isinstance(value, bool) or not isinstance(value, int | float):
            return None, "bad_time"
        instant = epoch(str(value) if isinstance(value, int) else format(value, ".6f"))
        return instant, None if instant else "bad_time"

    def _read(self, value: str, reference_us: int | None) -> tuple[Instant | None, str | None]:
        moment = next((moment for read in self._readers if (moment := read(value))), None)
        if moment and not moment.year:
            if reference_us is None:
                return None, "no_reference_time"
            year = (_EPOCH + timedelta(microseconds=reference_us)).year
            years = (moment._replace(year=year + shift) for shift in (-1, 0, 1))
            near = tuple(filter(None, (_instant(each, self._zone) for each in years)))
            if not near:  # only 29 February has years without it, and four in a row at the turn of most centuries
                return None, "bad_time"
            if len(self._candidates) >= _CACHE_ENTRIES:
                self._candidates.clear()
            self._candidates[value, year] = near
            return min(near, key=lambda instant: abs(instant.us - reference_us)), None
        instant = _instant(moment, self._zone) if moment else epoch(value) if self._epoch else None
        if len(self._exact) >= _CACHE_ENTRIES:
            self._exact.clear()
        self._exact[value] = instant
        return instant, None if instant else "bad_time"


def plausible(us: int, reference_us: int | None) -> bool:
    """Whether an event's time can belong to a record of that time; without one, every time can."""
    return reference_us is None or reference_us - MAX_BEHIND_US <= us <= reference_us + MAX_AHEAD_US


def epoch(text: str) -> Instant | None:
    """The instant of a Unix time: up to 11 digits are seconds (also with a fraction), 14 ms, 17 µs, 20 ns.

    Behind a fraction, the number that Linux's audit system gives an event may stand: `1715940303.250:1234`.
    """
    whole, point, fraction = text.partition(".")
    fraction, colon, serial = fraction.partition(":")
    if colon and not _digits(serial):
        return None
    if not _digits(whole) or len(whole) > 20 or (point and not _digits(fraction)):
        return None
    for digits, factor in ((11, 1_000_000), (14, 1_000), (17, 1), (20, 0)):
        if len(whole) <= digits:
            us = int(whole) * factor if factor else int(whole) // 1_000
            if factor == 1_000_000 and fraction:
                us += int(fraction[:6].ljust(6, "0"))
            return _from_us(us, leap=False)
    return None


def rfc3339(us: int) -> str:
    """RFC 3339 text in UTC, with microseconds where there are any."""
    return (_EPOCH + timedelta(microseconds=us)).isoformat() + "Z"


def _from_us(us: int, *, leap: bool) -> Instant | None:
    try:
        return Instant(us, rfc3339(us), leap)
    except OverflowError:  # beyond the year 9999
        return None


def _instant(moment: _Moment, zone: ZoneInfo | None) -> Instant | None:
    year, month, day, hour, minute, second, micro, offset = moment
    if hour > 23 or minute > 59 or second > 60:
        return None
    try:
        days = date(year, month, day).toordinal() - _EPOCH_DAY
    except ValueError:
        return None
    if offset is None:
        offset = 0 if zone is None else _offset(zone, datetime(year, month, day, hour, minute))  # noqa: DTZ001 -- local
    seconds = days * 86_400 + hour * 3_600 + minute * 60 + second - offset
    return _from_us(seconds * 1_000_000 + micro, leap=second == 60)


@lru_cache(maxsize=8_192)
def _offset(zone: ZoneInfo, local: datetime) -> int:
    """Seconds east of UTC at a local time: of one that comes twice, or not at all, those before the change."""
    offset = zone.utcoffset(local)
    return 0 if offset is None else int(offset.total_seconds())


_Reader = Callable[[str], _Moment | None]


def _digits(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _reader(form: str) -> _Reader:
    if form == "rfc3339":
        return _read_rfc3339
    steps: list[tuple[str, str]] = []  # (directive or "", literal)
    at = 0
    while at < len(form):
        if form[at] == "%":
            if form[at + 1 : at + 2] not in _DIRECTIVES:
                raise ValueError(f"time format {form!r}: %{form[at + 1 : at + 2]} is not known")
            steps.append((form[at + 1], ""))
            at += 2
        else:
            steps.append(("", form[at]))
            at += 1

    def read(text: str) -> _Moment | None:
        found: dict[str, int] = dict.fromkeys("YmdHMSfap", 0)
        position = 0
        for directive, literal in steps:
            if directive:
                name, take = _DIRECTIVES[directive]
                taken = take(text, position)
                if taken is None:
                    return None
                found[name], position = taken
            elif literal == " ":
                start = position
                while text[position : position + 1] == " ":
                    position += 1
                if position == start:
                    return None
            elif text[position : position + 1] != literal:
                return None
            else:
                position += 1
        return _moment(found) if position == len(text) else None

    return read


def _moment(found: dict[str, int]) -> _Moment:
    if found["p"]:  # 12 at night is 0, at noon 12
        found["H"] = found["H"] % 12 + found["p"] - 1
    year, month, day, hour, minute, second, micro = (found[name] for name in "YmdHMSf")
    return _Moment(year, month, day, hour, minute, second, micro, found.get("z"))


def _read_rfc3339(text: str) -> _Moment | None:
    head, tail = text[:19], text[19:]
    if (
        len(head) < 19
        or head[4] != "-"
        or head[7] != "-"
        or head[10] not in "Tt "
        or head[13] != ":"
        or head[16] != ":"
    ):
        return None
    numbers = (head[0:4], head[5:7], head[8:10], head[11:13], head[14:16], head[17:19])
    if not _digits("".join(numbers)):
        return None
    year, month, day, hour, minute, second = map(int, numbers)
    micro = position = 0
    offset: int | None = None
    if tail[:1] in (".", ","):
        taken = _fraction(tail, 1)
        if taken is None:
            return None
        micro, position = taken
    if tail[position:]:
        zone = _zone(tail, position + (tail[position] == " "))
        if zone is None or zone[1] != len(tail):
            return None
        offset = zone[0]
    return _Moment(year, month, day, hour, minute, second, micro, offset) if year else None


_Take = Callable[[str, int], tuple[int, int] | None]
"""From a text and a position: the number that stands there, and the position after it."""


def _number(least: int, most: int) -> _Take:
    def take(text: str, position: int) -> tuple[int, int] | None:
        end = position
        while end - position < most and text[end : end + 1].isdigit() and text[end].isascii():
            end += 1
        return (int(text[position:end]), end) if end - position >= least else None

    return take


def _padded(text: str, position: int) -> tuple[int, int] | None:
    return _number(1, 2)(text, position + (text[position : position + 1] == " "))


def _year2(text: str, position: int) -> tuple[int, int] | None:
    taken = _number(2, 2)(text, position)
    return taken and (taken[0] + (1900 if taken[0] >= 69 else 2000), taken[1])  # as POSIX's strptime


def _year4(text: str, position: int) -> tuple[int, int] | None:
    taken = _number(4, 4)(text, position)
    return taken if taken and taken[0] else None


def _month(text: str, position: int) -> tuple[int, int] | None:
    month = _MONTHS.get(text[position : position + 3].lower())
    return (month, position + 3) if month else None


def _weekday(text: str, position: int) -> tuple[int, int] | None:
    return (0, position + 3) if text[position : position + 3].lower() in _WEEKDAYS else None


def _half_day(text: str, position: int) -> tuple[int, int] | None:
    """1 before noon, 13 after it."""
    half = {"AM": 1, "PM": 13}.get(text[position : position + 2].upper())
    return (half, position + 2) if half else None


def _fraction(text: str, position: int) -> tuple[int, int] | None:
    end = position
    while text[end : end + 1].isdigit() and text[end].isascii():
        end += 1
    return (int(text[position:end][:6].ljust(6, "0")), end) if end > position else None


def _zone(text: str, position: int) -> tuple[int, int] | None:
    """Seconds east of UTC: Z, UTC, GMT, ±hh, ±hhmm or ±hh:mm."""
    for name in ("UTC", "GMT", "Z", "z"):
        if text.startswith(name, position):
            return 0, position + len(name)
    if text[position : position + 1] not in ("+", "-"):
        return None
    hours = _number(2, 2)(text, position + 1)
    if hours is None:
        return None
    end = hours[1]
    minutes = _number(2, 2)(text, end + (text[end : end + 1] == ":")) or (0, end)
    if hours[0] > 23 or minutes[0] > 59:
        return None
    seconds = hours[0] * 3_600 + minutes[0] * 60
    return -seconds if text[position] == "-" else seconds, minutes[1]


_DIRECTIVES: dict[str, tuple[str, _Take]] = {
    "Y": ("Y", _year4),
    "y": ("Y", _year2),
    "m": ("m", _number(1, 2)),
    "b": ("m", _month),
    "a": ("a", _weekday),
    "d": ("d", _number(1, 2)),
    "e": ("d", _padded),
    "H": ("H", _padded),
    "I": ("H", _padded),
    "p": ("p", _half_day),
    "M": ("M", _number(2, 2)),
    "S": ("S", _number(2, 2)),
    "f": ("f", _fraction),
    "z": ("z", _zone),
}
