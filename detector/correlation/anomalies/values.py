"""new_value and rare_value: values of a group that were not, or hardly ever, there before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from detector.correlation.anomalies.options import NewValueOptions, RareValueOptions
from detector.correlation.anomalies.ordered import InOrder, Taken
from detector.correlation.buckets import Finding, Hit
from detector.correlation.rule import Correlation

MAX_VALUES = 1_000
"""Values that are remembered of a group: beyond, the one seen longest ago (rare_value: least often) is forgotten."""
HALVED_AT = 1 << 20
"""Events of a group from which on all counts are halved, so that the past fades."""
TAIL = 10
"""Values as rare as the limit may make up so many times the limit; a group with more of them is full of rare values."""
SHOWN = 5


@dataclass(slots=True)
class Known:
    """values: when each was last seen."""

    first_us: int
    events: int = 0
    values: dict[str, int] = field(default_factory=dict)


class NewValue(InOrder[Known]):
    """A value that a group has for the first time, after its learning period."""

    def __init__(self, correlation: Correlation, options: NewValueOptions) -> None:
        super().__init__(correlation)
        self._minimum = options.minimum

    def take(self, events: Sequence[Taken], found: list[Hit]) -> None:
        """See `InOrder`."""
        groups = self.groups
        for event in events:
            time_us, _, _, group, value = event
            known = groups.get(group)
            if known is None:
                known = groups[group] = Known(time_us)
            values = known.values
            if value not in values:
                if time_us - known.first_us >= self.timespan_us and known.events >= self._minimum:
                    found.append(_new(known, event))
                if len(values) >= MAX_VALUES:
                    del values[min(values, key=values.__getitem__)]
            values[value] = time_us
            known.events += 1

    def learned(self, group: Known) -> bool:
        """See `InOrder`."""
        return group.events >= self._minimum and self.upto_us - group.first_us >= self.timespan_us

    def dump_group(self, group: Known) -> Any:
        """See `InOrder`."""
        return [group.first_us, group.events, group.values]

    def load_group(self, dumped: Any) -> Known:
        """See `InOrder`."""
        return Known(*dumped)


def _new(known: Known, event: Taken) -> Hit:
    time_us, place, _, group, value = event
    number, events = len(known.values), known.events
    expected = ", ".join(readable(each) for each in list(known.values)[:SHOWN]) + (", …" if number > SHOWN else "")
    seen = readable(value)
    text = f"{seen!r} is new after {events} events with {number} values ({expected})"
    finding = Finding(expected, seen, (number + 1) / (events + 2), text)
    return Hit(group, time_us, time_us, number, place, time_us, value, finding)


@dataclass(slots=True)
class Counted:
    """values: events of each; rare: events whose value was rare when they came; told_us: when a value was last told."""

    events: int = 0
    rare: int = 0
    values: dict[str, int] = field(default_factory=dict)
    told_us: dict[str, int] = field(default_factory=dict)


class RareValue(InOrder[Counted]):
    """A value that makes up less than a share of a group's events, in a group where that is seldom so."""

    def __init__(self, correlation: Correlation, options: RareValueOptions) -> None:
        super().__init__(correlation)
        self._minimum = options.minimum
        self._share = options.share

    def take(self, events: Sequence[Taken], found: list[Hit]) -> None:
        """See `InOrder`."""
        groups, share, minimum = self.groups, self._share, self._minimum
        for event in events:
            time_us, _, _, group, value = event
            counted = groups.get(group)
            if counted is None:
                counted = groups[group] = Counted()
            number = counted.values.get(value, 0)
            if counted.events >= minimum and number + 1 < share * (counted.events + 1):
                unlikely = (counted.rare + 1) / (counted.events + 2)
                told_us = counted.told_us.get(value)
                if unlikely < TAIL * share and (told_us is None or time_us - told_us >= self.timespan_us):
                    found.append(_rare(counted, event, share, unlikely))
                    counted.told_us.pop(value, None)
                    counted.told_us[value] = time_us
                    if len(counted.told_us) > MAX_VALUES:
                        del counted.told_us[next(iter(counted.told_us))]
                counted.rare += 1
            if not number and len(counted.values) >= MAX_VALUES:
                del counted.values[min(counted.values, key=counted.values.__getitem__)]
            counted.values[value] = number + 1
            counted.events += 1
            if counted.events >= HALVED_AT:
                counted.values = {each: times // 2 for each, times in counted.values.items() if times > 1}
                counted.events, counted.rare = counted.events // 2, counted.rare // 2

    def learned(self, group: Counted) -> bool:
        """See `InOrder`."""
        return group.events >= self._minimum

    def dump_group(self, group: Counted) -> Any:
        """See `InOrder`."""
        return [group.events, group.rare, group.values, group.told_us]

    def load_group(self, dumped: Any) -> Counted:
        """See `InOrder`."""
        return Counted(*dumped)


def _rare(counted: Counted, event: Taken, share: float, unlikely: float) -> Hit:
    time_us, place, _, group, value = event
    number, events, seen = counted.values.get(value, 0), counted.events, readable(value)
    text = f"{seen!r} was there {number} times in {events} events, less than {share:g} of them"
    finding = Finding(f"{share:g} of events", seen, unlikely, text)
    return Hit(group, time_us, time_us, number, place, time_us, value, finding)


def readable(value: str) -> str:
    """A value of several fields, as people read it."""
    return value.replace("\0", " / ")
