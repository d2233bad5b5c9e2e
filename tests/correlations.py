"""Correlations for tests, and the oracle: a full list of events, judged from scratch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import orjson

from detector.config import Correlation as Settings
from detector.correlation.fold import Fired, Fold
from detector.correlation.inputs import Entry
from detector.correlation.judged import percentile
from detector.correlation.rule import Correlation, Kind
from detector.correlation.signals import Signals, decode
from detector.sigma.ruleset import RuleSet
from detector.window import Span, SpanResult, WindowResult
from tests.sigma import load, rule_text

BASES = tuple(
    rule_text({"s": {"kind": name}}, title=name, name=name, id=f"00000000-0000-4000-8000-00000000000{number}")
    for number, name in enumerate("abc")
)


@dataclass(frozen=True, slots=True)
class Seen:
    """An event as a correlation sees it."""

    group: str
    time_us: int
    rule: int
    value: Any
    place: tuple[str, int, int]


def rule_set(correlation: dict[str, Any], **keys: Any) -> RuleSet:
    """The rules `a`, `b`, `c` (an event's `kind` is theirs) and a correlation."""
    document = {"title": "Correlation", "id": "11111111-0000-4000-8000-000000000000", "correlation": correlation}
    return load(*BASES, orjson.dumps(document | keys))


def correlation(section: dict[str, Any], **keys: Any) -> Correlation:
    """A correlation that must load."""
    rules = rule_set(section, **keys)
    assert rules.refused == ()
    return rules.correlations[0]


def oracle(rule: Correlation, events: Sequence[Seen]) -> set[tuple[str, int]]:
    """Which groups fire, and for which beginning, by the definition in `docs/correlations.md`."""
    found = set()
    for group in {event.group for event in events}:
        own = sorted((each for each in events if each.group == group), key=lambda each: (each.time_us, each.place))
        starts = _on_arrival(rule, own) if rule.monotone else _at_the_end(rule, own)
        found |= {(group, start) for start in starts}
    return found


def crossings(rule: Correlation, events: Sequence[Seen]) -> list[tuple[str, int, int]]:
    """What a correlation is to another one: group, start, when it first fired in the bucket or its window ended."""
    found = []
    for group, start in sorted(oracle(rule, events)):
        own = sorted((each for each in events if each.group == group), key=lambda each: (each.time_us, each.place))
        span = rule.timespan_us
        if not rule.monotone:
            found.append((group, start, start + span))
            continue
        time_us = next(
            last.time_us
            for last in own
            if last.time_us // span * span == start
            and _fulfils(rule, [each for each in own if last.time_us - span < each.time_us <= last.time_us])
        )
        found.append((group, start, time_us))
    return found


def _on_arrival(rule: Correlation, events: Sequence[Seen]) -> set[int]:
    span = rule.timespan_us
    return {
        last.time_us // span * span
        for last in events
        if _fulfils(rule, [each for each in events if last.time_us - span < each.time_us <= last.time_us])
    }


def _at_the_end(rule: Correlation, events: Sequence[Seen]) -> set[int]:
    starts = set()
    left = list(events)
    while left:
        start = left[0].time_us
        window = [each for each in left if each.time_us < start + rule.timespan_us]
        left = left[len(window) :]
        if _fulfils(rule, window):
            starts.add(start)
    return starts


def _fulfils(rule: Correlation, window: Sequence[Seen]) -> bool:
    if rule.kind.temporal:
        return any(_way(rule, window, way.required, way.forbidden) for way in rule.ways)
    values = [each.value for each in window]
    assert rule.threshold is not None
    return rule.threshold.holds(_number(rule, values))


def _number(rule: Correlation, values: list[Any]) -> float:
    if rule.kind is Kind.EVENT_COUNT:
        return len(values)
    if rule.kind is Kind.VALUE_COUNT:
        return len(set(values))
    if rule.kind is Kind.VALUE_SUM:
        return float(sum(values))
    if rule.kind is Kind.VALUE_AVG:
        return float(sum(values)) / len(values)
    return percentile(sorted(values), rule.percentile)


def _way(
    rule: Correlation, window: Sequence[Seen], required: Sequence[int], forbidden: frozenset[int] = frozenset()
) -> bool:
    if any(each.rule in forbidden for each in window):
        return False
    candidates = [[(each.time_us, each.place) for each in window if each.rule == place] for place in required]
    if rule.kind is Kind.TEMPORAL:
        return all(candidates)
    return any(list(chosen) == sorted(chosen) for chosen in product(*candidates))


PARTITIONS = 3
SOURCES = ("logs:0", "logs:1")


def window(
    partition: int, start: int, end: int, entries: Sequence[Entry], newest_us: int | None = None
) -> WindowResult:
    """A window of a source, read while more is there."""
    span = Span("logs", partition, start, end, end - start, 1 << 40)
    return WindowResult((SpanResult(span, end - start, 0, tuple(entries), newest_us),))


class Replica:
    """Windows of two sources, through signals, to the folds of all partitions, which may restart and repeat."""

    def __init__(self, rules: Sequence[Correlation], lateness_us: int) -> None:
        self._rules = rules
        self.signals = Signals(PARTITIONS, 4_000, lateness_us)
        self.logs: list[list[bytes]] = [[] for _ in range(PARTITIONS)]
        self.folds = [Fold(rules, SOURCES, Settings()) for _ in range(PARTITIONS)]
        self.snapshots: list[tuple[int, bytes]] = [(0, b"")] * PARTITIONS
        self.fired: list[Fired] = []

    def take(self, result: WindowResult) -> None:
        """Send the signals of a window, and fold them."""
        for message in self.signals.of(result, 0):
            assert message.partition is not None
            assert message.value is not None
            self.logs[message.partition].append(message.value)
            self.fired += self.folds[message.partition].apply(decode(message.value))

    def snapshot(self, partition: int) -> None:
        """Write the state down."""
        self.snapshots[partition] = (len(self.logs[partition]), orjson.dumps(self.folds[partition].dump()))

    def restart(self, partition: int) -> None:
        """From the snapshot, and what came after it, silently."""
        fold = Fold(self._rules, SOURCES, Settings())
        position, dumped = self.snapshots[partition]
        if dumped:
            fold.load(orjson.loads(dumped))
        for value in self.logs[partition][position:]:
            fold.apply(decode(value))
        self.folds[partition] = fold
