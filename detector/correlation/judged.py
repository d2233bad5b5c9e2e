"""Correlations that further events can make false: judged when the watermark has passed their window.

A group's windows follow one another: each begins with the first event that lies behind the one before, and is as long
as the timespan.
"""

from __future__ import annotations

import heapq
import math
from bisect import bisect_left, insort
from collections.abc import Sequence
from typing import Any

from detector.correlation.buckets import Hit, Place
from detector.correlation.rule import Correlation, Kind
from detector.correlation.temporal import Chain

Taken = list[Any]
"""An event: time, source, offset, ordinal, place of its rule, value."""


class Judged:
    """The events of each group in order, at most `max_events` of them, since its window began."""

    def __init__(self, correlation: Correlation, max_events: int) -> None:
        self._correlation = correlation
        self._max_events = max_events
        self._watermark_us = 0
        self._ends: list[tuple[int, str]] = []  # of windows, some of which began earlier than was thought
        self.groups: dict[str, list[Taken]] = {}
        self.dropped = 0

    def add(self, group: str, time_us: int, rule: int, value: Any, place: Place) -> list[Hit] | None:
        """Take an event in. It never fires because of it."""
        events = self.groups.setdefault(group, [])
        taken: Taken = [time_us, *place, rule, value]
        if events and len(events) >= self._max_events:
            self.dropped += 1
            return None
        if not events or time_us < events[0][0]:
            heapq.heappush(self._ends, (time_us + self._correlation.timespan_us, group))
        insort(events, taken)
        return None

    def settled(self, watermark_us: int) -> list[Hit]:  # noqa: ARG002 -- what fires is settled with `advance`
        """Nothing: what fires is what another correlation takes, at its window's end."""
        return []

    def holds(self, group: str, time_us: int) -> bool:
        """Whether the window of that time can still be judged."""
        if time_us >= self._watermark_us:
            return True
        events = self.groups.get(group)
        return bool(events) and events is not None and time_us >= events[0][0]

    def advance(self, watermark_us: int) -> list[Hit]:
        """Judge what lies before the watermark, in order of time."""
        self._watermark_us = watermark_us
        found = []
        while self._ends and self._ends[0][0] <= watermark_us:
            end_us, group = heapq.heappop(self._ends)
            events = self.groups.get(group)
            if not events or events[0][0] + self._correlation.timespan_us != end_us:
                continue
            behind = bisect_left(events, [end_us])
            if (value := judge(self._correlation, events[:behind])) is not None:
                last = events[behind - 1]
                found.append(Hit(group, events[0][0], last[0], value, (last[1], last[2], last[3]), end_us))
            del events[:behind]
            if events:
                heapq.heappush(self._ends, (events[0][0] + self._correlation.timespan_us, group))
            else:
                del self.groups[group]
        return found

    @property
    def size(self) -> int:
        """Groups."""
        return len(self.groups)

    def evict(self, number: int) -> int:
        """Forget so many groups, if there are: those that came first."""
        gone = list(self.groups)[:number]
        for group in gone:
            del self.groups[group]
        return len(gone)

    def dump(self) -> Any:
        """The state as JSON has it."""
        return self.groups

    def load(self, dumped: Any) -> None:
        """Take a dumped state over."""
        self.groups = dumped
        self._ends = [(events[0][0] + self._correlation.timespan_us, group) for group, events in dumped.items()]
        heapq.heapify(self._ends)


def judge(correlation: Correlation, events: Sequence[Taken]) -> float | None:
    """The value of a window that fulfils a correlation's condition, else None; independent of the events' order."""
    if correlation.kind.temporal:
        present = {event[4] for event in events}
        for way in correlation.ways:
            if way.forbidden & present or not present.issuperset(way.required):
                continue
            chain = Chain((way,))
            if correlation.kind is Kind.TEMPORAL or any(chain.take(event) >= 0 for event in events):
                return len(present)
        return None
    value = _value(correlation, events)
    assert correlation.threshold is not None
    return value if correlation.threshold.holds(value) else None


def _value(correlation: Correlation, events: Sequence[Taken]) -> float:
    if correlation.kind is Kind.EVENT_COUNT:
        return len(events)
    values = [event[5] for event in events]
    if correlation.kind is Kind.VALUE_COUNT:
        return len(set(values))
    if correlation.kind is Kind.VALUE_SUM:
        return math.fsum(values)
    if correlation.kind is Kind.VALUE_AVG:
        return math.fsum(values) / len(values)
    return percentile(sorted(values), correlation.percentile)


def percentile(ordered: Sequence[float], percent: float) -> float:
    """The percentile by linear interpolation between the closest ranks (method 7 of Hyndman and Fan)."""
    rank = (len(ordered) - 1) * percent / 100
    below = math.floor(rank)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (rank - below)
