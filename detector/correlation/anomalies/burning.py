"""slo: a service uses up its error budget too fast, by two windows at a time (`detector/correlation/slo.py`)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from detector.correlation.anomalies.ordered import InOrder, Taken
from detector.correlation.buckets import Finding, Hit, Place
from detector.correlation.rule import Correlation
from detector.correlation.slo import BURN_WINDOWS, HOUR_US, MINUTE_US, BurnWindow, Objective

COARSE_US = 30 * MINUTE_US
"""Windows of more than six hours are made of half hours."""
FINE_US = 6 * HOUR_US

_NOTHING: tuple[int, int, Place] = (0, 0, ("", 0, 0))

Bucket = list[int]
"""When it begins, all events, bad ones."""


@dataclass(slots=True)
class Service:
    """minutes: of the last six hours; halves: half hours of the last three days; told_us: of each window, the last."""

    minutes: list[Bucket] = field(default_factory=list)
    halves: list[Bucket] = field(default_factory=list)
    told_us: dict[str, int] = field(default_factory=dict)


class Slo(InOrder[Service]):
    """Judged at the end of each minute that had events; each window is told of once in its length."""

    def __init__(self, correlation: Correlation, objective: Objective) -> None:
        super().__init__(correlation)
        self._objective = objective
        self._minute = -1
        self._now: dict[str, tuple[int, int, Place]] = {}  # all events, bad ones, the last one's place

    def take(self, events: Sequence[Taken], found: list[Hit]) -> None:
        """See `InOrder`."""
        self.passed(events[0][0], found)
        self._minute = events[0][0] // MINUTE_US
        counts, now = self._objective.counts, self._now
        for _, place, rule, group, value in events:
            total, bad, _ = now.get(group, _NOTHING)
            more, more_bad = counts(rule, value)
            now[group] = (total + more, bad + more_bad, place)

    def passed(self, time_us: int, found: list[Hit]) -> None:
        """See `InOrder`."""
        if not self._now or time_us // MINUTE_US <= self._minute:
            return
        now, self._now = self._now, {}
        start_us = self._minute * MINUTE_US
        for group, (total, bad, place) in now.items():
            service = self.groups.get(group)
            if service is None:
                service = self.groups[group] = Service()
            _put(service.minutes, start_us, total, bad, FINE_US)
            half_us = start_us // COARSE_US * COARSE_US
            _put(service.halves, half_us, total, bad, BURN_WINDOWS[-1].long_us)
            for window in BURN_WINDOWS:
                self._judge(group, service, window, start_us + MINUTE_US, place, found)

    def _judge(  # noqa: PLR0917 -- a window of a group
        self, group: str, service: Service, window: BurnWindow, end_us: int, place: Place, found: list[Hit]
    ) -> None:
        told_us = service.told_us.get(window.name)
        if told_us is not None and end_us - told_us < window.long_us:
            return
        limit = window.rate(self.timespan_us)
        short = self._objective.burn(*_within(service, end_us, window.short_us))
        if short < limit:
            return
        total, bad = _within(service, end_us, window.long_us)
        burn = self._objective.burn(total, bad)
        if burn < limit or total < self._objective.minimum:
            return
        service.told_us[window.name] = end_us
        text = f"{bad} of {total} events within {window.name} were bad, {burn:.3g} times as many as the objective of "
        text += f"{self._objective.objective:.6g} % allows; {limit:.3g} times is too much"
        finding = Finding(self._objective.budget, bad / total, min(1.0, 1 / burn), text)
        found.append(Hit(group, end_us - MINUTE_US, end_us - 1, burn, place, end_us, window.name, finding))

    def learned(self, group: Service) -> bool:
        """See `InOrder`."""
        return sum(each[1] for each in group.halves) >= self._objective.minimum

    def dump_group(self, group: Service) -> Any:
        """See `InOrder`."""
        return [group.minutes, group.halves, group.told_us]

    def load_group(self, dumped: Any) -> Service:
        """See `InOrder`."""
        return Service(*dumped)

    def dump(self) -> Any:
        """See `InOrder`."""
        return super().dump() | {"minute": self._minute, "now": self._now}

    def load(self, dumped: Any) -> None:
        """See `InOrder`."""
        super().load(dumped)
        self._minute = dumped["minute"]
        self._now = {group: (total, bad, tuple(place)) for group, (total, bad, place) in dumped["now"].items()}


def _put(buckets: list[Bucket], start_us: int, total: int, bad: int, kept_us: int) -> None:
    """Count in the last bucket, which may begin now; forget those that no window reaches."""
    if buckets and buckets[-1][0] == start_us:
        buckets[-1][1] += total
        buckets[-1][2] += bad
    else:
        buckets.append([start_us, total, bad])
    while buckets[0][0] <= start_us - kept_us:
        del buckets[0]


def _within(service: Service, end_us: int, window_us: int) -> tuple[int, int]:
    """All events and bad ones of the buckets that begin within a window that ends then."""
    total = bad = 0
    buckets: Iterable[Bucket] = reversed(service.minutes if window_us <= FINE_US else service.halves)
    for start_us, number, bad_number in buckets:
        if start_us < end_us - window_us:
            break
        total += number
        bad += bad_number
    return total, bad
