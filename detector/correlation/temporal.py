"""temporal and temporal_ordered where nothing must be absent."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Sequence
from typing import Any

from detector.correlation.buckets import Buckets, Hit, Place, Spans, hits, widen
from detector.correlation.rule import MAX_RULES, Way

NEVER = -(1 << 62)
_NAMES = tuple(map(str, range(MAX_RULES)))
"""Of places of rules: JSON's keys are texts."""
_NOTHING: dict[str, Any] = {}


class Temporal(Buckets[Spans]):
    """Of each rule (its place as a text) the first and last time in a bucket."""

    def __init__(self, timespan_us: int, ways: Sequence[Way], *, feeds: bool = False) -> None:
        super().__init__(timespan_us, feeds=feeds)
        self._ways = [frozenset(_NAMES[place] for place in way.required) for way in ways]
        self._least = min(map(len, self._ways))

    def add(self, group: str, time_us: int, rule: int, value: Any, place: Place) -> list[Hit] | None:  # noqa: ARG002
        """See `Buckets`."""
        bucket = time_us // self.timespan_us
        states = self.held.get(bucket)
        if states is None:
            states = self.of(bucket)
        spans = states.get(group)
        if spans is None:
            states[group] = spans = {}
        first = widen(spans, _NAMES[rule], time_us)
        if first is None:
            return None
        found = None
        if first and group not in self.fired[bucket]:
            found = self._judge(bucket, group, place)
        if self.feeds:
            self.resettle(bucket, group)
            self.resettle(bucket + 1, group)
        if not self.waits(bucket + 1, group):
            return [found] if found else None
        return hits((found, self._judge(bucket + 1, group, place)))

    def progress(self, state: Spans) -> float:
        """See `Buckets`."""
        return max(len(way & state.keys()) / len(way) for way in self._ways)

    def _judge(self, bucket: int, group: str, place: Place) -> Hit | None:
        spans = self.held[bucket][group]
        before = self.held.get(bucket - 1, _NOTHING).get(group, _NOTHING)
        if len(spans) + len(before) < self._least:  # so it is with nearly all
            return None
        crossing = self.crossing(bucket, group, 0)
        return self.fire(bucket, group, *crossing, place) if crossing else None

    def crossing(self, bucket: int, group: str, since_us: int) -> tuple[int, float] | None:  # noqa: ARG002
        """See `Buckets`; all windows are looked at."""
        spans = self.held[bucket][group]
        before = self.held.get(bucket - 1, _NOTHING).get(group, _NOTHING)
        possible = spans.keys() | before.keys()
        ways = [way for way in self._ways if way <= possible]
        if not ways:
            return None
        for time_us in sorted(span[0] for span in spans.values()):
            present = {name for name, span in spans.items() if span[0] <= time_us}
            present |= {name for name, span in before.items() if span[1] > time_us - self.timespan_us}
            for way in ways:
                if way <= present:
                    return time_us, len(present)
        return None


Seen = list[Any]
"""An event: time, source, offset, ordinal, place of its rule. They are in order by these."""


class Chain:
    """The latest beginning of a chain of the first 1, 2, 3 … rules of a way, while events go by in order."""

    __slots__ = ("_begins", "_places", "last")

    def __init__(self, ways: Sequence[Way]) -> None:
        self._places = [{rule: place for place, rule in enumerate(way.required)} for way in ways]
        self._begins = [[NEVER] * len(way.required) for way in ways]
        self.last: Seen = []

    def take(self, seen: Seen) -> int:
        """Take the next event. Gives the latest beginning of a whole chain so far."""
        self.last = seen
        found = NEVER
        for places, begins in zip(self._places, self._begins, strict=True):
            place = places.get(seen[4])
            if place is not None:
                begins[place] = begins[place - 1] if place else seen[0]
            found = max(found, begins[-1])
        return found


class Ordered(Buckets[list[Seen]]):
    """A group's events of a bucket in order, at most `max_events` of them."""

    def __init__(self, timespan_us: int, ways: Sequence[Way], max_events: int, *, feeds: bool = False) -> None:
        super().__init__(timespan_us, feeds=feeds)
        self._ways = ways
        self._max_events = max_events
        self._shortest = min(len(way.required) for way in ways)
        self._chains: dict[int, dict[str, Chain]] = {}

    def add(self, group: str, time_us: int, rule: int, value: Any, place: Place) -> list[Hit] | None:  # noqa: ARG002
        """See `Buckets`."""
        bucket = time_us // self.timespan_us
        events = self.of(bucket).setdefault(group, [])
        seen: Seen = [time_us, *place, rule]
        in_order = not events or seen >= events[-1]
        if in_order:
            events.append(seen)
        else:
            insort(events, seen)
        if len(events) > self._max_events:
            del events[0]
            self.dropped += 1
        found = None
        if group not in self.fired[bucket]:
            found = self._next(bucket, group, seen, place) if in_order else self._judge(bucket, group, seen, place)
        elif self.feeds and not in_order:
            self.resettle(bucket, group)
        if self.feeds:
            self.resettle(bucket + 1, group)
        if not self.waits(bucket + 1, group):
            return [found] if found else None
        return hits((found, self._judge(bucket + 1, group, [], place)))

    def progress(self, state: list[Seen]) -> float:
        """See `Buckets`."""
        return min(1.0, len({seen[4] for seen in state}) / self._shortest)

    def forget(self, bucket: int) -> None:
        """See `Buckets`."""
        super().forget(bucket)
        self._chains.pop(bucket, None)

    def _next(self, bucket: int, group: str, seen: Seen, place: Place) -> Hit | None:
        """Judge the window that ends with an event that comes in order."""
        chain = self._chains.get(bucket, {}).get(group)
        if chain is None:
            return self._judge(bucket, group, seen, place)
        if chain.take(seen) > seen[0] - self.timespan_us:
            return self.fire(bucket, group, seen[0], self._shortest, place)
        return None

    def crossing(self, bucket: int, group: str, since_us: int) -> tuple[int, float] | None:
        """See `Buckets`."""
        found = self._walk(bucket, group, [since_us])[0]
        return None if found is None else (found, self._shortest)

    def _judge(self, bucket: int, group: str, since: Seen, place: Place) -> Hit | None:
        """The first window that ends in the bucket, not before `since`, and has the rules in order."""
        time_us, chain = self._walk(bucket, group, since)
        if time_us is not None:
            return self.fire(bucket, group, time_us, self._shortest, place)
        self._chains.setdefault(bucket, {})[group] = chain
        return None

    def _walk(self, bucket: int, group: str, since: Seen) -> tuple[int | None, Chain]:
        """The end of that window, if there is one, else the chain as far as it is."""
        chain = Chain(self._ways)
        for seen in self.held.get(bucket - 1, {}).get(group, ()):
            chain.take(seen)
        events = self.held[bucket][group]
        start = bisect_left(events, since)
        for index, seen in enumerate(events):
            begin = chain.take(seen)
            if index >= start and begin > seen[0] - self.timespan_us:
                return seen[0], chain
        return None, chain
