"""event_count and value_count with a lower bound."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from dataclasses import dataclass
from typing import Any

from detector.correlation.buckets import Buckets, Hit, Place, Spans, hits, widen


class EventCount(Buckets[list[int]]):
    """A group's events of a bucket: their times in order; of one that fired, the last `least`.

    If it feeds another correlation, the first ones, too: they tell with which event it fired.
    """

    def __init__(self, timespan_us: int, least: int, *, feeds: bool = False) -> None:
        super().__init__(timespan_us, feeds=feeds)
        self._least = least
        self._first = least if feeds else 0

    def add(self, group: str, time_us: int, rule: int, value: Any, place: Place) -> list[Hit] | None:  # noqa: ARG002
        """See `Buckets`."""
        bucket = time_us // self.timespan_us
        states = self.held.get(bucket)
        if states is None:
            states = self.of(bucket)
        times = states.get(group)
        late = False
        if times is None:
            states[group] = times = [time_us]
        elif time_us >= times[-1]:
            times.append(time_us)
        else:
            insort(times, time_us)
            late = True
        found = None
        if group not in self.fired[bucket]:
            found = self._judge(bucket, group, time_us, place)
        else:
            if len(times) > self._first + self._least:
                del times[self._first]
            if late and self.feeds:
                self.resettle(bucket, group)
        if self.feeds:
            self.resettle(bucket + 1, group)
        if not self.waits(bucket + 1, group):
            return [found] if found else None
        return hits((found, self._judge(bucket + 1, group, 0, place)))

    def progress(self, state: list[int]) -> float:
        """See `Buckets`."""
        return len(state) / self._least

    def _judge(self, bucket: int, group: str, since_us: int, place: Place) -> Hit | None:
        crossing = self.crossing(bucket, group, since_us)
        return self.fire(bucket, group, *crossing, place) if crossing else None

    def crossing(self, bucket: int, group: str, since_us: int) -> tuple[int, float] | None:
        """See `Buckets`."""
        times = self.held[bucket][group]
        before = self.held.get(bucket - 1, {}).get(group, ())
        if len(times) + len(before) < self._least:
            return None
        for index in range(bisect_left(times, since_us), len(times)):
            time_us = times[index]
            count = index + 1 + len(before) - bisect_right(before, time_us - self.timespan_us)
            if count >= self._least:
                return time_us, count
        return None


@dataclass(slots=True)
class _Sweep:
    """How far the judgement of a bucket has come, while events arrive in order.

    before: last time and value of the bucket before, in order; passed: how many of them no window reaches any more.
    alive: values of the others that the bucket itself does not have.
    """

    before: list[tuple[int, str]]
    passed: int
    alive: set[str]
    time_us: int

    def to(self, time_us: int, horizon_us: int) -> None:
        """Go on to windows that end at `time_us` and begin behind `horizon_us`."""
        before = self.before
        while self.passed < len(before) and before[self.passed][0] <= horizon_us:
            self.alive.discard(before[self.passed][1])
            self.passed += 1
        self.time_us = time_us


class ValueCount(Buckets[Spans]):
    """A group's values of a bucket; of one that fired, at least the last `least`."""

    def __init__(self, timespan_us: int, least: int, *, feeds: bool = False) -> None:
        super().__init__(timespan_us, feeds=feeds)
        self._least = least
        self._sweeps: dict[int, dict[str, _Sweep]] = {}

    def add(self, group: str, time_us: int, rule: int, value: Any, place: Place) -> list[Hit] | None:  # noqa: ARG002
        """See `Buckets`."""
        bucket = time_us // self.timespan_us
        states = self.held.get(bucket)
        if states is None:
            states = self.of(bucket)
        spans = states.get(group)
        if spans is None:
            states[group] = spans = {}
        first = widen(spans, value, time_us)
        if first is None:
            return None
        found = None
        if group in self.fired[bucket]:
            if len(spans) > (4 if self.feeds else 2) * self._least:
                states[group] = self._trimmed(spans)
            if self.feeds:
                self.resettle(bucket, group)
        elif first:
            found = self._judge(bucket, group, value, time_us, place)
        if self.feeds:
            self.resettle(bucket + 1, group)
        if not self.waits(bucket + 1, group):
            return [found] if found else None
        self._sweeps.get(bucket + 1, {}).pop(group, None)
        return hits((found, self._judge_all(bucket + 1, group, place)))

    def progress(self, state: Spans) -> float:
        """See `Buckets`."""
        return len(state) / self._least

    def forget(self, bucket: int) -> None:
        """See `Buckets`."""
        super().forget(bucket)
        self._sweeps.pop(bucket, None)

    def _judge(self, bucket: int, group: str, value: str, time_us: int, place: Place) -> Hit | None:
        """Judge the window that ends now, if events come in order, else all of the bucket."""
        spans = self.held[bucket][group]
        before = self.held.get(bucket - 1, {}).get(group)
        if len(spans) + (len(before) if before else 0) < self._least:
            self._sweeps.get(bucket, {}).pop(group, None)
            return None
        if not before:
            return self.fire(bucket, group, max(span[0] for span in spans.values()), len(spans), place)
        sweeps = self._sweeps.setdefault(bucket, {})
        sweep = sweeps.get(group)
        if sweep is None:
            sweep = sweeps[group] = self._sweep(spans, before)
            if time_us < sweep.time_us:
                return self._judge_all(bucket, group, place)
        elif time_us < sweep.time_us:
            sweep.alive.discard(value)
            return self._judge_all(bucket, group, place)
        sweep.alive.discard(value)
        sweep.to(time_us, time_us - self.timespan_us)
        count = len(spans) + len(sweep.alive)
        return self.fire(bucket, group, time_us, count, place) if count >= self._least else None

    def _sweep(self, spans: Spans, before: Spans) -> _Sweep:
        ordered = sorted((span[1], value) for value, span in before.items())
        return _Sweep(ordered, 0, before.keys() - spans.keys(), max(span[0] for span in spans.values()))

    def _judge_all(self, bucket: int, group: str, place: Place) -> Hit | None:
        crossing = self.crossing(bucket, group, 0)
        return self.fire(bucket, group, *crossing, place) if crossing else None

    def _trimmed(self, spans: Spans) -> Spans:
        """The values that windows from now on may need: the last ones, and if it feeds another one the first."""
        kept = sorted(spans.items(), key=lambda item: (item[1][1], item[0]))[-self._least :]
        if self.feeds:
            kept += sorted(spans.items(), key=lambda item: (item[1][0], item[0]))[: self._least]
        return dict(kept)

    def crossing(self, bucket: int, group: str, since_us: int) -> tuple[int, float] | None:  # noqa: ARG002
        """See `Buckets`; all windows are looked at."""
        spans = self.held[bucket][group]
        before = self.held.get(bucket - 1, {}).get(group, {})
        if len(spans) + len(before) < self._least:
            return None
        sweep = _Sweep(sorted((span[1], value) for value, span in before.items()), 0, set(before), 0)
        ordered = sorted((span[0], value) for value, span in spans.items())
        for number, (time_us, value) in enumerate(ordered, 1):
            sweep.alive.discard(value)
            sweep.to(time_us, time_us - self.timespan_us)
            if number + len(sweep.alive) >= self._least:
                return time_us, number + len(sweep.alive)
        return None
