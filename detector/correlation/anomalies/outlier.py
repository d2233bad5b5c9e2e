"""outlier: a value beyond a quantile of what a group had before."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from detector.correlation.anomalies.options import OutlierOptions
from detector.correlation.anomalies.ordered import InOrder, Taken
from detector.correlation.anomalies.sketch import Counts, above, bucket_of, halve, merge, quantile
from detector.correlation.buckets import Finding, Hit
from detector.correlation.rule import Correlation

HALVED_AT = 1 << 20
"""Values of a group from which on all counts are halved, so that the past fades."""
FLOOD = 10
"""A timespan with so many times more values beyond the quantile than there should be is not learned."""
LEAST_FLOOD = 5
NEW_NORMAL = 12
"""So many such timespans one after another are how things are from now on."""


@dataclass(slots=True)
class Values:
    """past: counts of the timespans that are over, of `number` values; now: those of the current one.

    limit: beyond it a value is an outlier; over: how many were, in this timespan; floods: timespans not learned.
    """

    number: int = 0
    timespan: int = -1
    limit: float = math.inf
    over: int = 0
    floods: int = 0
    past: Counts = field(default_factory=dict)
    now: Counts = field(default_factory=dict)


class Outlier(InOrder[Values]):
    """Values are compared with the timespans before theirs; a group is told of once in a timespan."""

    def __init__(self, correlation: Correlation, options: OutlierOptions) -> None:
        super().__init__(correlation)
        self._options = options

    def take(self, events: Sequence[Taken], found: list[Hit]) -> None:
        """See `InOrder`."""
        groups = self.groups
        timespan = events[0][0] // self.timespan_us
        for time_us, place, _, group, value in events:
            values = groups.get(group)
            if values is None:
                values = groups[group] = Values(timespan=timespan)
            elif values.timespan != timespan:
                self._turn(values, timespan)
            bucket = bucket_of(value)
            values.now[bucket] = values.now.get(bucket, 0) + 1
            if value > values.limit:
                values.over += 1
                if values.over == 1:
                    found.append(self._hit(group, values, time_us, value, place))

    def _turn(self, values: Values, timespan: int) -> None:
        """Learn from the timespan that is over, unless it was a flood of outliers."""
        number = sum(values.now.values())
        usual = FLOOD * (1 - self._options.quantile) * number
        if values.over > max(usual, LEAST_FLOOD) and values.floods < NEW_NORMAL:
            values.floods += 1
        else:
            values.floods = 0
            merge(values.past, values.now)
            values.number += number
            if values.number >= HALVED_AT:
                values.number = halve(values.past)
            if values.number >= self._options.minimum:
                values.limit = self._options.times * quantile(values.past, values.number, self._options.quantile)
        values.now, values.over, values.timespan = {}, 0, timespan

    def _hit(self, group: str, values: Values, time_us: int, value: float, place: Any) -> Hit:
        unlikely = (above(values.past, bucket_of(value)) + 1) / (values.number + 1)
        share, times = self._options.quantile, self._options.times
        usual = values.limit / times
        text = f"{value:g} is more than {f'{times:g} times ' if times > 1 else ''}{usual:.6g}, which {share:.6g} of "
        text += f"{values.number} values before do not exceed"
        finding = Finding(values.limit, value, unlikely, text)
        start_us = values.timespan * self.timespan_us
        return Hit(group, start_us, time_us, value, place, time_us, "", finding)

    def learned(self, group: Values) -> bool:
        """See `InOrder`."""
        return group.limit < math.inf

    def dump_group(self, group: Values) -> Any:
        """See `InOrder`; JSON has no infinity, and its keys are texts."""
        limit = None if group.limit == math.inf else group.limit
        counts = [list(group.past.items()), list(group.now.items())]
        return [group.number, group.timespan, limit, group.over, group.floods, *counts]

    def load_group(self, dumped: Any) -> Values:
        """See `InOrder`."""
        number, timespan, limit, over, floods, past, now = dumped
        return Values(number, timespan, math.inf if limit is None else limit, over, floods, dict(past), dict(now))
