"""What a partition of the signals topic has to send: alerts of correlations, what the stage tells, and to the other
partitions what alerts it sent and how far it is.

The latter are messages of the signals topic, too, with the partition as their source: an alert that is made here may
belong to an incident there. Its offset is that of the message that made it, so that it counts once however often that
is told.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import orjson

from detector import metrics
from detector.alerts.model import Entity
from detector.alerts.threat import threat_score
from detector.correlation.alerts import encode_fired, entity_by
from detector.correlation.fold import Fired
from detector.correlation.inputs import Entry, silenced
from detector.correlation.outgoing import alert_entry, body_of, held_entry, message_of
from detector.correlation.rule import Correlation
from detector.correlation.setting import Setting
from detector.correlation.signals import Signal, Signals, source_of
from detector.correlation.stage import Output, Passed
from detector.correlation.telling import encode_incident, encode_summary
from detector.events import Binding, Event, LogSource
from detector.metrics import SuppressionReason
from detector.sigma.fields import EventView
from detector.sigma.ruleset import RuleSet
from detector.suppression.policies import exceptions_of, guards_of
from detector.window import Message

if TYPE_CHECKING:
    from detector.correlation.reading import Partition

SAY_S = 1.0
"""How often the other partitions are told how far this one is."""


class Sending:
    """Makes messages, by the rules that run."""

    def __init__(self, setting: Setting, rules: RuleSet, correlations: Sequence[Correlation]) -> None:
        self._setting = setting
        self._sha = rules.sha
        about = [each.about for each in correlations]
        everyone = [*rules.rules, *about]
        self._rules = {rule.key: rule for rule in everyone}
        self._silenced = silenced(correlations)
        self._guards = guards_of(everyone, rules.policies.suppressions)
        self.guards = tuple(self._guards.values())
        self._exceptions = exceptions_of(about, rules.policies.exceptions)
        self._signals = Signals(setting.partitions, setting.max_bytes, 0)
        self._now_us = 0

    def begin(self) -> None:
        """Some messages come; they are read now."""
        self._now_us = time.time_ns() // 1_000

    def of(
        self, fired: Iterable[Fired], output: Output, at: tuple[str, int, int], entries: list[Entry]
    ) -> Iterator[Message]:
        """The messages of what a message caused; what the other partitions must know is put to `entries`.

        at: topic, partition and offset of that message.
        """
        for each in fired:
            yield from self._fired(each, at, entries)
        for passed in output.passed:
            yield self._passed(passed, at, entries)
        limits = self._setting.config.limits
        for summary in output.summaries:
            yield encode_summary(summary, at=at, ruleset_sha=self._sha, detected_at_us=self._now_us, limits=limits)
        if self._setting.config.correlation.incidents:
            for told in output.incidents:
                yield encode_incident(told, self._rules, detected_at_us=self._now_us)

    def tell(self, partition: Partition) -> Iterator[Message]:
        """Tell the other partitions of the alerts of this one, and how far it is, if that is due."""
        now = time.monotonic()
        watermark_us = partition.fold.watermark_us
        due = watermark_us > partition.said_us and now - partition.said_at >= SAY_S
        if not (partition.entries or due):
            return
        source = source_of(self._setting.config.output.signals_topic, partition.number)
        start = max(0, partition.said)
        known_us = watermark_us if watermark_us >= 0 else None
        yield from self._signals.spread(Signal(source, start, partition.position, known_us, partition.entries))
        partition.entries = []
        partition.said, partition.said_us, partition.said_at = partition.position, watermark_us, now

    def _fired(self, fired: Fired, at: tuple[str, int, int], entries: list[Entry]) -> Iterator[Message]:
        about = fired.correlation.about
        if about.level.severity < self._setting.config.output.min_level.severity or about.key in self._silenced:
            return
        group = dict(zip(fired.correlation.group_by, orjson.loads(fired.hit.group), strict=True))
        view = EventView(Event(0, 0, {}, group, b"", "correlation", ()), Binding(LogSource()))
        time_us = fired.hit.time_us
        if not fired.correlation.monotone:  # it became certain at its window's end, behind which the watermark is
            time_us = max(time_us, fired.hit.start_us + fired.correlation.timespan_us)
        if any(time_us < each.until_us and each.test(view) for each in self._exceptions.get(about.key, ())):
            metrics.alerts_suppressed.labels(SuppressionReason.EXCEPTION).inc()
            return
        limits = self._setting.config.limits
        message = encode_fired(fired, at=at, ruleset_sha=self._sha, detected_at_us=self._now_us, limits=limits)
        entity, score = entity_by(about, group), threat_score(about)
        guard = self._guards.get(about.key)
        if guard is None:
            self._alerted(about.key, entity, score, time_us, message, at[2], entries)
            yield message
            return
        values = [next(iter(view.texts(name)), "") for name in guard.fields]
        place = (at[2], len(entries))
        ms = message.timestamp_ms or 0
        body = body_of(message, entity, score)
        entries.append(held_entry(guard, values, body, time_us=time_us, place=place, timestamp_ms=ms))

    def _passed(self, passed: Passed, at: tuple[str, int, int], entries: list[Entry]) -> Message:
        message = message_of(passed.body, passed.timestamp_ms)
        key = dict(message.headers)["rule_id"].decode()
        entity = Entity("", passed.body[3], passed.body[0])
        self._alerted(key, entity, passed.body[4], passed.time_us, message, at[2], entries)
        return message

    def _alerted(  # noqa: PLR0917 -- the columns of an entry
        self, key: str, entity: Entity, score: int, time_us: int, message: Message, offset: int, entries: list[Entry]
    ) -> None:
        if not self._setting.config.correlation.incidents:
            return
        identity = dict(message.headers)["ce_id"].decode()
        entry = alert_entry(
            *(key, entity, score),
            time_us=time_us,
            place=(offset, len(entries)),
            timestamp_ms=message.timestamp_ms or 0,
            identity=identity,
        )
        if entry is not None:
            entries.append(entry)
