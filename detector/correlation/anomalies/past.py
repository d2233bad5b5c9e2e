"""The past of a group: what it did in the timespans before, robust against the attack itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from detector.correlation.buckets import Place

HOUR_US = 3_600_000_000
WEEK_HOURS = 168
RECENT = 288
"""Timespans that are remembered: a day of those of five minutes."""
WEEKS = 4
"""Weeks that are remembered of each hour of the week."""
SEASONAL = 3
"""Weeks after which an hour of the week, and days after which an hour of the day, is expected to be as before."""
DEVIATION = 1.4826
"""What makes the median of absolute deviations the standard deviation, of normal values."""
_NOWHERE: Place = ("", 0, 0)


@dataclass(slots=True)
class Past:
    """recent: values of the last timespans; residuals: how far each was from what was expected.

    weeks: by hour of the week, the medians of its last hours; hour, values: the current hour and what it had.
    flagged: timespans one after another that were flagged; they are in neither recent nor residuals.
    idle: timespans without events. place: of the last event.
    """

    recent: list[float] = field(default_factory=list)
    residuals: list[float] = field(default_factory=list)
    weeks: dict[int, list[float]] = field(default_factory=dict)
    hour: int = -1
    values: list[float] = field(default_factory=list)
    flagged: int = 0
    idle: int = 0
    place: Place = _NOWHERE

    def expected(self, start_us: int) -> tuple[float, bool]:
        """What is expected of a timespan, and whether by the hour: of the week, else of the day, else lately."""
        hour = start_us // HOUR_US % WEEK_HOURS
        same = self.weeks.get(hour, ())
        if len(same) < SEASONAL:
            days = (self.weeks.get((hour + 24 * day) % WEEK_HOURS, ()) for day in range(7))
            same = [each for day in days for each in day]
        if len(same) >= SEASONAL:
            return median(same), True
        return (median(self.recent) if self.recent else 0.0), False

    @property
    def spread(self) -> float:
        """How far values are from what is expected of them, as a standard deviation."""
        return DEVIATION * median(self.residuals) if self.residuals else 0.0

    def learn(self, start_us: int, value: float, expected: float, timespan_us: int) -> None:
        """Take a value that was not flagged."""
        self.flagged = 0
        if self.recent:
            self.residuals.append(abs(value - expected))
        self.recent.append(value)
        remembered = max(48, min(RECENT, 24 * HOUR_US // timespan_us))
        if len(self.recent) > remembered:
            del self.recent[0], self.residuals[0]
        self._learn_hour(start_us, value)

    def _learn_hour(self, start_us: int, value: float) -> None:
        hour = start_us // HOUR_US
        if hour != self.hour:
            if self.values:
                of_week = self.weeks.setdefault(self.hour % WEEK_HOURS, [])
                of_week.append(median(self.values))
                if len(of_week) > WEEKS:
                    del of_week[0]
            self.hour, self.values = hour, []
        self.values.append(value)

    def flag(self, start_us: int, value: float, new_normal: int) -> bool:
        """A value was flagged. Gives whether it is the first one in a row.

        It counts for its hour alone: else the rush of each morning would never be learned, and the median of several
        days bears an attack on one of them.

        new_normal: so many in a row are how things are from now on: the past is forgotten.
        """
        self.flagged += 1
        if self.flagged > new_normal:
            self.recent, self.residuals, self.weeks, self.values, self.hour = [], [], {}, [], -1
            self.flagged = 0
            return False
        self._learn_hour(start_us, value)
        return self.flagged == 1

    def dump(self) -> Any:
        """As JSON has it."""
        weeks = list(self.weeks.items())
        return [self.recent, self.residuals, weeks, self.hour, self.values, self.flagged, self.idle, self.place]

    @classmethod
    def loaded(cls, dumped: Any) -> Past:
        """One that was dumped."""
        recent, residuals, weeks, hour, values, flagged, idle, place = dumped
        return cls(recent, residuals, dict(weeks), hour, values, flagged, idle, tuple(place))


def median(values: Sequence[float]) -> float:
    """The median; of an even number of values the mean of the middle two."""
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2
