"""baseline: what a group does in a timespan, compared with its own past."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from detector.correlation.anomalies.options import BaselineOptions, Direction, Measure
from detector.correlation.anomalies.ordered import InOrder, Taken
from detector.correlation.anomalies.past import HOUR_US, Past
from detector.correlation.buckets import Finding, Hit, Place
from detector.correlation.rule import Correlation

MAX_VALUES = 10_000
"""Different values that are counted of a group in a timespan; further ones are not, and the alert says "at least"."""
FORGOTTEN_US = 14 * 24 * HOUR_US
"""A group without events for two weeks is forgotten."""
_COUNTS = (Measure.RATE, Measure.DISTINCT)


@dataclass(slots=True)
class Amount:
    """What a group did in the current timespan: part and whole of a ratio, else sum and number; place: its last."""

    place: Place
    part: float = 0
    whole: float = 0
    values: dict[str, None] = field(default_factory=dict)


class Baseline(InOrder[Past]):
    """All groups' timespans end together, by the watermark. Those without events count as zero, but for a mean or a
    ratio, which they do not have.
    """

    def __init__(self, correlation: Correlation, options: BaselineOptions) -> None:
        super().__init__(correlation)
        self._options = options
        self._measure = options.measure
        self._timespan = -1  # the current one
        self._now: dict[str, Amount] = {}

    def take(self, events: Sequence[Taken], found: list[Hit]) -> None:
        """See `InOrder`."""
        self.passed(events[0][0], found)
        self._timespan = events[0][0] // self.timespan_us
        now, ratio, distinct = self._now, self._measure is Measure.RATIO, self._measure is Measure.DISTINCT
        numeric = self._options.numeric
        for _, place, rule, group, value in events:
            amount = now.get(group)
            if amount is None:
                amount = now[group] = Amount(place)
            amount.place = place
            if ratio:
                if rule == 0:
                    amount.part += 1
                else:
                    amount.whole += 1
            elif distinct:
                if len(amount.values) < MAX_VALUES:
                    amount.values[value] = None
            else:
                amount.part += value if numeric else 1
                amount.whole += 1

    def passed(self, time_us: int, found: list[Hit]) -> None:
        """See `InOrder`."""
        if self._timespan < 0:
            return
        last = time_us // self.timespan_us
        while self._timespan < last:
            if not self._now and not self.groups:
                self._timespan = last
                return
            self._close(found)
            self._timespan += 1

    def _close(self, found: list[Hit]) -> None:
        now, self._now = self._now, {}
        start_us = self._timespan * self.timespan_us
        for group in now:
            if group not in self.groups:
                self.groups[group] = Past()
        gone = []
        for group, past in self.groups.items():
            amount = now.get(group)
            if amount is None:
                past.idle += 1
                if past.idle * self.timespan_us > FORGOTTEN_US:
                    gone.append(group)
            else:
                past.idle, past.place = 0, amount.place
            value = self._value(amount)
            if value is not None:
                self._judge(group, past, start_us, value, amount, found)
        for group in gone:
            del self.groups[group]

    def _value(self, amount: Amount | None) -> float | None:
        """What is compared; None where there is nothing to compare."""
        if self._measure in (Measure.RATIO, Measure.SIZE):
            return min(amount.part / amount.whole, math.inf) if amount is not None and amount.whole else None
        if amount is None:
            return 0.0
        return len(amount.values) if self._measure is Measure.DISTINCT else amount.part

    def _judge(  # noqa: PLR0917 -- a group's timespan
        self, group: str, past: Past, start_us: int, value: float, amount: Amount | None, found: list[Hit]
    ) -> None:
        expected, seasonal = past.expected(start_us)
        spread = max(past.spread, self._floor(expected, amount))
        difference = value - expected
        if self._options.direction is Direction.BOTH:
            difference = abs(difference)
        elif self._options.direction is Direction.DOWN:
            difference = -difference
        if len(past.recent) < self._options.minimum or difference < self._options.deviations * spread:
            past.learn(start_us, value, expected, self.timespan_us)
            return
        if past.flag(start_us, value, self._options.minimum):
            score = difference / spread
            at_least = "at least " if amount is not None and len(amount.values) >= MAX_VALUES else ""
            text = (
                f"{self._measure} {at_least}{value:.6g} in {self.timespan_us // 1_000_000} s, expected {expected:.6g}"
            )
            text += f" as {'at this hour' if seasonal else 'lately'}, {score:.3g} deviations of {spread:.3g} away"
            finding = Finding(expected, value, 1 / (1 + score * score), text)
            end_us = start_us + self.timespan_us
            found.append(Hit(group, start_us, end_us - 1, value, past.place, end_us, "", finding))

    def _floor(self, expected: float, amount: Amount | None) -> float:
        """The least deviation that chance alone makes, however alike the past was: that of a count (Poisson) or a share
        (binomial); 5 % of what is expected for others.
        """
        if self._measure in _COUNTS:
            return math.sqrt(max(expected, 1.0))
        if self._measure is Measure.RATIO and amount is not None:
            return math.sqrt(max(expected * (1 - expected), 1 / amount.whole) / amount.whole)
        return max(0.05 * abs(expected), 1e-9)

    def learned(self, group: Past) -> bool:
        """See `InOrder`."""
        return len(group.recent) >= self._options.minimum

    def dump_group(self, group: Past) -> Any:
        """See `InOrder`."""
        return group.dump()

    def load_group(self, dumped: Any) -> Past:
        """See `InOrder`."""
        return Past.loaded(dumped)

    def dump(self) -> Any:
        """See `InOrder`."""
        now = {
            group: [amount.place, amount.part, amount.whole, list(amount.values)] for group, amount in self._now.items()
        }
        return super().dump() | {"timespan": self._timespan, "now": now}

    def load(self, dumped: Any) -> None:
        """See `InOrder`."""
        super().load(dumped)
        self._timespan = dumped["timespan"]
        self._now = {
            group: Amount(tuple(place), part, whole, dict.fromkeys(values))
            for group, (place, part, whole, values) in dumped["now"].items()
        }

    @property
    def size(self) -> int:
        """Groups, those of the current timespan counted too."""
        return len(self.groups) + len(self._now)

    def evict(self, number: int) -> int:
        """See `InOrder`; what the current timespan has of a group goes with it, and of new ones before."""
        new = [group for group in self._now if group not in self.groups][:number]
        for group in new:
            del self._now[group]
        before = list(self.groups)
        evicted = super().evict(number - len(new))
        for group in before:
            if group not in self.groups:
                self._now.pop(group, None)
        return len(new) + evicted
