"""Alerts of two sources on their way through the signals topic: suppressions, incidents, crashes; without a broker."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import orjson

from detector.config import Config, Correlation
from detector.correlation.fold import Fold
from detector.correlation.reading import Partition
from detector.correlation.sending import Sending
from detector.correlation.setting import Setting
from detector.correlation.signals import Signals, decode
from detector.events import Event
from detector.reporting import Allowance, Reporter
from detector.sigma.ruleset import RuleSet
from detector.window import Message, Span, SpanResult, WindowResult
from tests.sigma import event

SECOND = 1_000_000
PARTITIONS = 2
SOURCES = ("logs:0", "logs:1")


class World:
    """Windows of two input partitions, and the folds of two signals partitions, which may crash.

    alerts, incidents: messages that a subscriber sees, as they come.
    """

    def __init__(self, rules: RuleSet, lateness_s: float = 10.0, **correlation: Any) -> None:
        settings = Correlation(enabled=True, lateness_s=lateness_s, **correlation)
        self.rules = rules
        self.config = Config(correlation=settings)
        self.reporter = Reporter(
            rules, self.config.output.min_level, self.config.limits, correlate=True, incidents=True
        )
        self.signals = Signals(PARTITIONS, 1 << 20, round(lateness_s * SECOND))
        self.setting = Setting(self.config, PARTITIONS, 1 << 20, SOURCES)
        self.logs: list[list[bytes]] = [[] for _ in range(PARTITIONS)]
        self.sending = Sending(self.setting, rules, rules.correlations)
        self.partitions = [self._begin(number) for number in range(PARTITIONS)]
        self.committed = [0] * PARTITIONS
        self.snapshots: list[tuple[int, bytes]] = [(0, b"")] * PARTITIONS
        self.alerts: list[dict[str, Any]] = []
        self.incidents: list[dict[str, Any]] = []

    def window(
        self, source: int, start: int, events: list[tuple[int, dict[str, Any]]], newest_us: int | None = None
    ) -> None:
        """A window from `start` on; events: time in microseconds, and fields."""
        messages, entries = [], []
        allowance: Allowance = Counter()
        for index, (time_us, fields) in enumerate(events):
            each = event_at(time_us, fields)
            for rule, views in self.rules.bound_to(each):
                if rule.matches(views):
                    place = ("logs", source, start + index, time_us // 1_000)
                    reported = self.reporter.report(rule, views, each, place, allowance)
                    messages += reported.messages
                    entries += reported.entries
        newest_us = max((time_us for time_us, _ in events), default=newest_us)
        end = start + max(1, len(events))
        span = Span("logs", source, start, end, len(events), 1 << 40)
        result = WindowResult((SpanResult(span, len(events), 0, tuple(entries), newest_us),))
        self._deliver((*messages, *self.signals.of(result, 0)))

    def step(self, number: int, most: int = 1 << 30) -> None:
        """Let a partition fold some of what waits for it."""
        partition = self.partitions[number]
        partition.said_at = float("-inf")
        self.sending.begin()
        until = min(len(self.logs[number]), partition.position + most)
        while partition.position < until:
            offset = partition.position
            found = partition.fold.apply(decode(self.logs[number][offset]))
            output = partition.fold.stage.take()
            partition.position += 1
            if offset >= partition.told:
                at = (self.config.output.signals_topic, number, offset)
                self._deliver(self.sending.of(found, output, at, partition.entries))
        self._deliver(self.sending.tell(partition))

    def commit(self, number: int) -> None:
        """What the partition delivered is committed."""
        self.committed[number] = self.partitions[number].position

    def snapshot(self, number: int) -> None:
        """Its state is written down."""
        partition = self.partitions[number]
        self.snapshots[number] = (partition.position, orjson.dumps(partition.fold.dump()))

    def crash(self, number: int) -> None:
        """It begins anew at what is committed, and tells what came after that again."""
        committed = self.committed[number]
        partition = self._begin(number)
        position, dumped = self.snapshots[number]
        if dumped and position <= committed:
            partition.fold.load(orjson.loads(dumped))
            partition.position = position
        for value in self.logs[number][partition.position : committed]:
            partition.fold.apply(decode(value))
        partition.fold.stage.take()
        partition.position = partition.told = partition.said = committed
        self.partitions[number] = partition

    def finish(self, starts: list[int]) -> None:
        """Both sources go on to a time far ahead, and all is folded."""
        for source in (0, 1):
            self.window(source, starts[source], [], 1 << 50)
        for _ in range(6):
            for number in range(PARTITIONS):
                self.step(number)

    def _begin(self, number: int) -> Partition:
        fold = Fold(self.rules.correlations, SOURCES, self.config.correlation, others=self.setting.others)
        fold.stage.use(self.sending.guards)
        return Partition(number, fold, 0, told=0)

    def _deliver(self, messages: Any) -> None:
        for message in messages:
            assert isinstance(message, Message)
            if message.topic == "signals":
                assert message.partition is not None
                assert message.value is not None
                self.logs[message.partition].append(message.value)
            else:
                target = self.alerts if message.topic == "alerts" else self.incidents
                target.append(orjson.loads(message.value or b""))


def event_at(time_us: int, fields: dict[str, Any]) -> Event:
    """An event with ECS fields; its `kind` is in both forms, for the rules of `tests.correlations`."""
    made = event(fields, ecs={name: value for name, value in fields.items() if "." in name})
    return replace(made, time_us=time_us)
