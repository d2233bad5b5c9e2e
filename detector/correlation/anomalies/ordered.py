"""What the states of anomalies share: events wait until the watermark has passed them, and are taken in order of time.

So what an anomaly finds depends on the events alone, not on the order in which they arrive; each type is a plain loop
over events in order.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import Any, Generic, TypeVar

from detector.correlation.buckets import Hit, Place
from detector.correlation.rule import Correlation

S = TypeVar("S")

Taken = tuple[int, Place, int, str, Any]
"""An event: time, place, place of its rule, group, value. They are taken in order of these."""

SLOT_US = 1_000_000
"""Events wait in lists of a second each, so that each is sorted once; all timespans are whole seconds."""
MAX_WAITING = 500_000
"""Events that wait for the watermark; further ones are dropped and counted."""


class InOrder(Generic[S]):
    """Groups, and the events that wait. Subclasses say what a group's state is, and what is found."""

    def __init__(self, correlation: Correlation) -> None:
        self.correlation = correlation
        self.timespan_us = correlation.timespan_us
        self.groups: dict[str, S] = {}
        self.dropped = 0
        self._waiting: dict[int, list[Taken]] = {}
        self._number = 0
        self.upto_us = 0  # events before this were taken

    def take(self, events: Sequence[Taken], found: list[Hit]) -> None:
        """Take the events of at most one second, which are in order, and come after all those before."""
        raise NotImplementedError

    def passed(self, time_us: int, found: list[Hit]) -> None:
        """All events before this time were taken."""

    def learned(self, group: S) -> bool:
        """Whether a group has been there for long enough that something may be found."""
        raise NotImplementedError

    def dump_group(self, group: S) -> Any:
        """A group as JSON has it."""
        raise NotImplementedError

    def load_group(self, dumped: Any) -> S:
        """A group that was dumped."""
        raise NotImplementedError

    def add(self, group: str, time_us: int, rule: int, value: Any, place: Place) -> None:
        """Let an event wait. It never fires because of it."""
        if self._number >= MAX_WAITING:
            self.dropped += 1
            return
        self._number += 1
        try:
            self._waiting[time_us // SLOT_US].append((time_us, place, rule, group, value))
        except KeyError:
            self._waiting[time_us // SLOT_US] = [(time_us, place, rule, group, value)]

    def holds(self, group: str, time_us: int) -> bool:  # noqa: ARG002 -- other states ask for the group
        """Whether an event of that time can still be taken in its order."""
        return time_us >= self.upto_us

    def settled(self, watermark_us: int) -> list[Hit]:  # noqa: ARG002 -- what is found is settled with `advance`
        """Nothing: what is found is what another correlation takes."""
        return []

    def advance(self, watermark_us: int) -> list[Hit]:
        """Take what lies before the watermark, in order."""
        found: list[Hit] = []
        if watermark_us <= self.upto_us:
            return found
        last = watermark_us // SLOT_US
        for slot in sorted(each for each in self._waiting if each <= last):
            events = self._waiting.pop(slot)
            events.sort()
            if slot == last:
                behind = bisect_left(events, watermark_us, key=_time)
                if behind < len(events):
                    self._waiting[slot] = events[behind:]
                    del events[behind:]
            if events:
                self._number -= len(events)
                self.take(events, found)
        self.passed(watermark_us, found)
        self.upto_us = watermark_us
        return found

    @property
    def size(self) -> int:
        """Groups."""
        return len(self.groups)

    def evict(self, number: int) -> int:
        """Forget so many groups, if there are: first those that are new, as made up ones are, then the oldest."""
        gone: list[str] = []
        for learned in (False, True):
            if len(gone) < number:
                some = [name for name, group in self.groups.items() if self.learned(group) == learned]
                gone += some[: number - len(gone)]
        for name in gone:
            del self.groups[name]
        return len(gone)

    def dump(self) -> Any:
        """The state as JSON has it."""
        return {
            "upto": self.upto_us,
            "waiting": list(self._waiting.values()),
            "groups": {name: self.dump_group(group) for name, group in self.groups.items()},
        }

    def load(self, dumped: Any) -> None:
        """Take a dumped state over."""
        self.upto_us = dumped["upto"]
        self._waiting = {
            events[0][0] // SLOT_US: [(each[0], tuple(each[1]), *each[2:]) for each in events]
            for events in dumped["waiting"]
        }
        self._number = sum(map(len, self._waiting.values()))
        self.groups = {name: self.load_group(group) for name, group in dumped["groups"].items()}


def _time(event: Taken) -> int:
    return event[0]
