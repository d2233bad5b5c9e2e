"""The fold over a partition of the signals topic: messages in, what fires out; the same ones give the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import orjson

from detector.config import Correlation as Settings
from detector.correlation.buckets import Hit
from detector.correlation.inputs import group_of
from detector.correlation.rule import Correlation
from detector.correlation.signals import Columns, topic_of
from detector.correlation.stage import Stage
from detector.correlation.states import State, make_state
from detector.sigma.values import number_of

FORMAT = 2
"""Of dumps; another one is not read."""

_EVICTED = 10
"""At the bound, one tenth of the groups is forgotten, so that it is not looked for at each event."""


class Fired(NamedTuple):
    """A correlation that fired, and the timestamp of the record that made it, where one did."""

    correlation: Correlation
    hit: Hit
    timestamp_ms: int | None


@dataclass(slots=True)
class _Source:
    """next: the offset that is expected next, -1 before the first; watermark_us: -1 before it is known."""

    next: int = -1
    watermark_us: int = -1


class _Feed(NamedTuple):
    """That a correlation takes what another one fires: as which of its rules, and which of that one's fields."""

    to: str
    rule: int
    fields: tuple[int, ...]
    values: tuple[int, ...]


@dataclass(slots=True)
class _Running:
    """feeds: whose events it is, when it fires."""

    correlation: Correlation
    state: State
    feeds: tuple[_Feed, ...]


@dataclass(slots=True)
class Tally:
    """What is worth counting, since it was last taken: by `metrics.CorrelationEvent`, and gaps (times that a source did
    not go on where it had ended) and evicted (groups that were forgotten at the bound).
    """

    counts: Counter[str] = field(default_factory=Counter)

    def take(self) -> Mapping[str, int]:
        """Take the counts."""
        taken, self.counts = self.counts, Counter()
        return taken


class Fold:
    """The state of all correlations in one partition of the signals topic."""

    def __init__(
        self,
        correlations: Sequence[Correlation],
        sources: Collection[str],
        settings: Settings,
        *,
        others: Collection[str] = (),
    ) -> None:
        """Begin empty.

        sources: all that must have spoken before a window is judged. others: what the correlations of all partitions
            are called as sources of alerts; all of them must have spoken before an alert's incident is judged.
        """
        self.stage = Stage(settings)
        self._others = frozenset(others)
        self._settings = settings
        self._expected = set(sources)
        self._topics = {(topic_of(source)[0], _id_of(source)) for source in sources}
        self._sources: dict[str, _Source] = {}
        self._running: dict[str, _Running] = {}
        self.watermark_us = self.before_us = -1
        self.tally = Tally()
        self.use(correlations)

    def use(self, correlations: Sequence[Correlation]) -> None:
        """Run these from now on: those that did before keep their state, the others begin empty."""
        kept = self._running
        self._running = {}
        for each in _from_below(correlations):
            feeds = tuple(_feeds(each, correlations))
            before = kept.get(each.definition)
            if before is not None and bool(before.feeds) == bool(feeds):
                state = before.state
            else:
                state = make_state(each, self._settings.max_group_events, feeds=bool(feeds))
            self._running[each.definition] = _Running(each, state, feeds)

    def apply(self, message: Columns) -> list[Fired]:
        """Take a message in. Gives what fires, in order."""
        source = self._sources.get(message.source)
        if source is None:
            source = self._sources[message.source] = _Source()
            if (topic_of(message.source)[0], _id_of(message.source)) in self._topics:
                self._expected.add(message.source)  # a partition that the topic did not have before
        fired: list[Fired] = []
        if message.end > message.start or source.next < 0:
            if source.next >= message.end and message.end > message.start:
                self.tally.counts["repeated"] += len(message.columns[0]) if message.columns else 0
                return fired
            if 0 <= source.next < message.start and message.source not in self._others:
                self.tally.counts["gaps"] += 1
            if message.columns:
                self._take(message, source.next, fired)
            source.next = max(source.next, message.end)
        if message.watermark_us is not None and message.watermark_us > source.watermark_us:
            source.watermark_us = message.watermark_us
            if message.source not in self._others:
                self._advance(fired)
            self._settle()
        return fired

    def apply_in_time(self, message: Columns) -> list[Fired]:
        """Take in entries that come in the order of their times, so that their places are in none; as `apply`."""
        fired: list[Fired] = []
        if message.columns:
            self._take(message, -1, fired)
        return fired

    @property
    def groups(self) -> int:
        """Groups that are held, over all correlations."""
        return self.stage.groups + sum(running.state.size for running in self._running.values())

    def dump(self) -> dict[str, Any]:
        """The state as JSON has it. The fold must not go on before it is written."""
        return {
            "format": FORMAT,
            "watermark": self.watermark_us,
            "sources": {name: [source.next, source.watermark_us] for name, source in self._sources.items()},
            "stage": self.stage.dump(),
            "states": {name: running.state.dump() for name, running in self._running.items()},
        }

    def load(self, dumped: Mapping[str, Any]) -> None:
        """Take over a dumped state: what it has of correlations that run here."""
        self.watermark_us = dumped["watermark"]
        self._sources = {name: _Source(*values) for name, values in dumped["sources"].items()}
        self.stage.load(dumped["stage"])
        for name, state in dumped["states"].items():
            if name in self._running:
                running = self._running[name]
                running.state.load(state)
                if self.watermark_us >= 0:
                    running.state.advance(self.watermark_us)

    def _take(self, message: Columns, first: int, fired: list[Fired]) -> None:
        counts = self.tally.counts
        runnings = [self._running.get(name) for name in message.definitions]
        adds = [None if running is None else running.state.add for running in runnings]
        source, watermark_us = message.source, self.watermark_us
        applied = 0
        for number, rule, group, time_us, offset, ordinal, value, timestamp_ms in zip(*message.columns, strict=True):
            if offset < first:
                counts["repeated"] += 1
                continue
            add = adds[number]
            if add is None:
                name, place = message.definitions[number], (source, offset, ordinal)
                known = name.startswith("~") and self.stage.add(name, rule, group, time_us, place, value, timestamp_ms)
                if not known:
                    counts["unknown"] += 1
                continue
            if time_us < watermark_us and not runnings[number].state.holds(group, time_us):
                counts["late"] += 1
                continue
            applied += 1
            hits = add(group, time_us, rule, value, (source, offset, ordinal))
            if hits:
                fired += [Fired(runnings[number].correlation, hit, timestamp_ms) for hit in hits]
        counts["applied"] += applied
        counts.update(self.stage.counts())
        self._bound()

    def _settle(self) -> None:
        """Move the stage on to the least of all watermarks."""
        sources = self._sources
        known = [sources[name].watermark_us if name in sources else -1 for name in self._others]
        self.stage.advance(min([self.watermark_us, *known]))

    def _advance(self, fired: list[Fired]) -> None:
        """Move on to the least watermark, once every source has one."""
        sources = self._sources
        known = [sources[name].watermark_us if name in sources else -1 for name in self._expected]
        watermark_us = min(known, default=-1)
        if watermark_us <= self.watermark_us:
            return
        self.before_us, self.watermark_us = self.watermark_us, watermark_us
        judged: list[Fired] = []
        for running in self._running.values():  # those that others take from come first
            settled = running.state.settled(watermark_us)
            at_the_end = running.state.advance(watermark_us)
            judged += [Fired(running.correlation, hit, None) for hit in at_the_end]
            for feed in running.feeds:
                for hit in settled:
                    judged += self._pass_on(hit, hit.time_us, feed)
                for hit in at_the_end:
                    judged += self._pass_on(hit, hit.end_us, feed)
        fired += sorted(judged, key=lambda each: (each.hit.time_us, each.hit.place, each.correlation.key))

    def _pass_on(self, hit: Hit, time_us: int, feed: _Feed) -> list[Fired]:
        """Let a correlation take what another one fired."""
        running = self._running[feed.to]
        if time_us < self.before_us and not running.state.holds(hit.group, time_us):
            self.tally.counts["late"] += 1
            return []
        values: list[str] = orjson.loads(hit.group)
        value: str | float | None = "\0".join(values[place] for place in feed.values) if feed.values else None
        if running.correlation.numeric:
            value = number_of(value)
            if value is None:
                return []
        group = group_of([values[place] for place in feed.fields])
        hits = running.state.add(group, time_us, feed.rule, value, ("", hit.start_us, feed.rule))
        return [Fired(running.correlation, each, None) for each in hits or ()]

    def _bound(self) -> None:
        counts = self.tally.counts
        for running in self._running.values():
            counts["dropped"] += running.state.dropped
            running.state.dropped = 0
        groups = self.groups - self.stage.groups  # which has bounds of its own
        if groups > self._settings.max_groups:
            left = groups - self._settings.max_groups + self._settings.max_groups // _EVICTED
            for running in sorted(self._running.values(), key=lambda each: -each.state.size):
                left -= (evicted := running.state.evict(left))
                counts["evicted"] += evicted


def _id_of(source: str) -> str:
    return source.partition(":")[2].partition(":")[2]


def _feeds(correlation: Correlation, others: Sequence[Correlation]) -> Iterator[_Feed]:
    for other in others:
        for place, key in enumerate(other.rules):
            if key == correlation.key:
                fields = tuple(correlation.group_by.index(name) for name in other.fields[place])
                values = tuple(correlation.group_by.index(name) for name in other.values[place])
                yield _Feed(other.definition, place, fields, values)


def _from_below(correlations: Sequence[Correlation]) -> list[Correlation]:
    """Those first that others take from; there are no circles."""
    by_key = {each.key: each for each in correlations}
    ordered: dict[str, Correlation] = {}

    def put(each: Correlation) -> None:
        for key in each.rules:
            if key in by_key and key not in ordered:
                put(by_key[key])
        ordered[each.key] = each

    for each in correlations:
        put(each)
    return list(ordered.values())
