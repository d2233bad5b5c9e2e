"""What the states of correlations that fire on arrival share.

Time is cut into buckets as long as the timespan. A window ends with an event and is as long as the timespan, so it lies
in its last event's bucket and the one before. A group fires once for each bucket in which a window ends that fulfils
the condition; which these are does not depend on the order in which events arrive.

A state keeps of each bucket only what later windows can need. It is bounded by the condition, not by the number of
events: in a bucket that has fired only its end matters (to windows that begin in it), and one that has not fired is
one that has little in it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

S = TypeVar("S")

Place = tuple[str, int, int]
"""Where an event is from: source, offset, ordinal. The source of what a correlation fired is empty."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What was expected, what was seen, and the chance of such a thing at most (0 to 1), by `docs/anomalies.md`."""

    expected: float | str
    seen: float | str
    unlikely: float
    text: str


@dataclass(frozen=True, slots=True)
class Hit:
    """A group that fulfils its correlation's condition.

    start_us: what tells it from others of the group: the beginning of the bucket, or the window's first event.
    time_us: of the window's last event. value: the count or number that fulfils it.
    place: of the event with which it did.
    end_us: when another correlation takes it; -1 for those that tell with `Buckets.settled`.
    mark: what else tells it from others of the group, where its beginning does not.
    finding: what an anomaly says of it.
    """

    group: str
    start_us: int
    time_us: int
    value: float
    place: Place
    end_us: int = -1
    mark: str = ""
    finding: Finding | None = None


class Buckets(Generic[S]):
    """States of groups by bucket. Subclasses say what a state is, and when it fires."""

    def __init__(self, timespan_us: int, *, feeds: bool = False) -> None:
        """Begin empty.

        feeds: whether another correlation takes what fires: then it has to be known with which event it did, and
            that is known only when the watermark has passed that event.
        """
        self.timespan_us = timespan_us
        self.feeds = feeds
        self.unsettled: dict[int, dict[str, int]] = {}  # by bucket, the time of what fired, as far as it is known
        self.held: dict[int, dict[str, S]] = {}
        self.fired: dict[int, set[str]] = {}
        self.first = 0  # the first bucket that is held
        self.dropped = 0  # events that a bound left out

    def add(self, group: str, time_us: int, rule: int, value: Any, place: Place) -> list[Hit] | None:
        """Take an event in. Gives what fires because of it."""
        raise NotImplementedError

    def crossing(self, bucket: int, group: str, since_us: int) -> tuple[int, float] | None:
        """The end of the first window that fulfils the condition, of those that end in the bucket, not before
        `since_us`; and its value.
        """
        raise NotImplementedError

    def progress(self, state: S) -> float:
        """How far a state is from firing: 1 is there."""
        raise NotImplementedError

    def holds(self, group: str, time_us: int) -> bool:  # noqa: ARG002 -- the other kind of state asks for it
        """Whether the windows of that time can still be judged."""
        return time_us // self.timespan_us >= self.first

    def advance(self, watermark_us: int) -> list[Hit]:
        """Forget what no window from the watermark on can reach."""
        self.first = watermark_us // self.timespan_us - 1
        for bucket in [each for each in self.held if each < self.first]:
            self.forget(bucket)
        return []

    def settled(self, watermark_us: int) -> list[Hit]:
        """What fired with an event before the watermark, if it feeds another correlation: each group of a bucket once,
        with the first event that made it true. To be asked before `advance`.
        """
        found = []
        for bucket in [each for each in self.unsettled if each * self.timespan_us < watermark_us]:
            groups = self.unsettled[bucket]
            for group in [each for each, time_us in groups.items() if time_us < watermark_us]:
                del groups[group]
                crossing = self.crossing(bucket, group, 0) if group in self.held.get(bucket, ()) else None
                if crossing is not None:
                    start_us = bucket * self.timespan_us
                    found.append(Hit(group, start_us, crossing[0], crossing[1], ("", start_us, 0)))
            if not groups:
                del self.unsettled[bucket]
        return found

    def resettle(self, bucket: int, group: str) -> None:
        """An event came out of order: what fired may have done so earlier than was thought."""
        time_us = self.unsettled.get(bucket, {}).get(group)
        if time_us is not None and (crossing := self.crossing(bucket, group, 0)) is not None:
            self.unsettled[bucket][group] = min(time_us, crossing[0])

    def forget(self, bucket: int) -> None:
        """Forget a bucket."""
        del self.held[bucket], self.fired[bucket]
        self.unsettled.pop(bucket, None)

    @property
    def size(self) -> int:
        """Groups, counted once for each bucket."""
        return sum(map(len, self.held.values()))

    def evict(self, number: int) -> int:
        """Forget so many groups, if there are: the oldest first, and those that are about to fire last."""
        left = number
        for spared in (0.5, 2.0):
            for bucket in sorted(self.held):
                states = self.held[bucket]
                gone: list[str] = []
                for group, state in states.items():
                    if len(gone) == left:
                        break
                    if self.progress(state) < spared:
                        gone.append(group)
                for group in gone:
                    del states[group]
                left -= len(gone)
        return number - left

    def dump(self) -> Any:
        """The state as JSON has it."""
        return [
            [bucket, states, sorted(self.fired[bucket]), self.unsettled.get(bucket, {})]
            for bucket, states in self.held.items()
        ]

    def load(self, dumped: Any) -> None:
        """Take a dumped state over."""
        self.held = {bucket: states for bucket, states, _, _ in dumped}
        self.fired = {bucket: set(fired) for bucket, _, fired, _ in dumped}
        self.unsettled = {bucket: unsettled for bucket, _, _, unsettled in dumped if unsettled}

    def of(self, bucket: int) -> dict[str, S]:
        """The states of a bucket, which begins to be held."""
        states = self.held.get(bucket)
        if states is None:
            states = self.held[bucket] = {}
            self.fired[bucket] = set()
        return states

    def waits(self, bucket: int, group: str) -> bool:
        """Whether a group has something in a bucket, and did not fire there."""
        return bucket in self.held and group in self.held[bucket] and group not in self.fired[bucket]

    def fire(self, bucket: int, group: str, time_us: int, value: float, place: Place) -> Hit:
        """Note that it fired."""
        self.fired[bucket].add(group)
        if self.feeds:
            self.unsettled.setdefault(bucket, {})[group] = time_us
        return Hit(group, bucket * self.timespan_us, time_us, value, place)


def hits(found: Iterable[Hit | None]) -> list[Hit] | None:
    """Those that are; None for none, which is the rule."""
    return [each for each in found if each is not None] or None


Spans = dict[str, list[int]]
"""Of each value the first and the last time in a bucket: windows that end in it need the first, later ones the last."""


def widen(spans: Spans, name: str, time_us: int) -> bool | None:
    """Take a time of a value in. Gives whether it is the first one; None if it changes nothing."""
    span = spans.get(name)
    if span is None:
        spans[name] = [time_us, time_us]
        return True
    if time_us > span[1]:
        span[1] = time_us
        return False
    if time_us < span[0]:
        span[0] = time_us
        return True
    return None
