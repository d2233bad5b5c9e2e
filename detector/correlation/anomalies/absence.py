"""absence: a group that had events and has none for a timespan, by the watermark."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from detector.correlation.anomalies.options import AbsenceOptions
from detector.correlation.anomalies.ordered import InOrder, Taken
from detector.correlation.buckets import Finding, Hit, Place
from detector.correlation.rule import Correlation


@dataclass(slots=True)
class Heard:
    """place: of the last event. end_us: what stands for the group in the heap."""

    first_us: int
    last_us: int
    events: int
    place: Place
    end_us: int


class Absence(InOrder[Heard]):
    """A group is forgotten with its silence: when it comes back, it has to be heard of for a while again."""

    def __init__(self, correlation: Correlation, options: AbsenceOptions) -> None:
        super().__init__(correlation)
        self._minimum = options.minimum
        self._ends: list[tuple[int, str]] = []  # of silences, some of which were broken meanwhile

    def take(self, events: Sequence[Taken], found: list[Hit]) -> None:
        """See `InOrder`."""
        self.passed(events[0][0], found)  # what ends within this second ends before or with the next one
        groups = self.groups
        for time_us, place, _, group, _ in events:
            heard = groups.get(group)
            if heard is not None and time_us - heard.last_us >= self.timespan_us:
                self._end(group, heard, found)
                heard = None
            if heard is None:
                end_us = time_us + self.timespan_us
                groups[group] = Heard(time_us, time_us, 1, place, end_us)
                heapq.heappush(self._ends, (end_us, group))
                continue
            heard.last_us, heard.place = time_us, place
            heard.events += 1

    def passed(self, time_us: int, found: list[Hit]) -> None:
        """See `InOrder`."""
        while self._ends and self._ends[0][0] <= time_us:
            end_us, group = heapq.heappop(self._ends)
            heard = self.groups.get(group)
            if heard is None or heard.end_us != end_us:
                continue
            heard.end_us = heard.last_us + self.timespan_us
            if heard.end_us <= time_us:
                self._end(group, heard, found)
            else:
                heapq.heappush(self._ends, (heard.end_us, group))

    def _end(self, group: str, heard: Heard, found: list[Hit]) -> None:
        del self.groups[group]
        if heard.events < self._minimum:
            return
        end_us = heard.last_us + self.timespan_us
        silence_s = self.timespan_us / 1_000_000
        mean_s = max(heard.last_us - heard.first_us, 1) / max(1, heard.events - 1) / 1_000_000
        text = f"nothing for {silence_s:g} s after {heard.events} events, one each {mean_s:.3g} s"
        finding = Finding(f"an event each {mean_s:.3g} s", f"none for {silence_s:g} s", mean_s / silence_s, text)
        found.append(Hit(group, heard.last_us, end_us, silence_s, heard.place, end_us, "", finding))

    def learned(self, group: Heard) -> bool:
        """See `InOrder`."""
        return group.events >= self._minimum

    def dump_group(self, group: Heard) -> Any:
        """See `InOrder`."""
        return [group.first_us, group.last_us, group.events, group.place]

    def load_group(self, dumped: Any) -> Heard:
        """See `InOrder`."""
        first_us, last_us, events, place = dumped
        return Heard(first_us, last_us, events, tuple(place), last_us + self.timespan_us)

    def load(self, dumped: Any) -> None:
        """See `InOrder`."""
        super().load(dumped)
        self._ends = [(heard.end_us, group) for group, heard in self.groups.items()]
        heapq.heapify(self._ends)
