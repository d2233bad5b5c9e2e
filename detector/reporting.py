"""What a match becomes: entries for correlations, an alert, or what suppressions and incidents need to know of one."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from detector.alerts.encoding import encode
from detector.alerts.model import Entity, entity_of
from detector.alerts.text import cut
from detector.alerts.threat import is_listed, threat_score
from detector.config import Level, Limits
from detector.correlation.inputs import MAX_KEY_BYTES, Entry, entries_of, inputs_of, silenced, time_of
from detector.correlation.outgoing import alert_entry, body_of, held_entry
from detector.events import Event
from detector.metrics import SuppressionReason
from detector.sigma.fields import EventView
from detector.sigma.rule import Rule
from detector.sigma.ruleset import RuleSet
from detector.suppression.policies import Guard, exceptions_of, guards_of
from detector.window import Message

Place = tuple[str, int, int, int]
"""Where a record is: topic, partition, offset, and its timestamp in milliseconds."""

Allowance = Counter[tuple[str, int, str, tuple[str, ...], int]]
"""How many alerts of a window were made that may pass, by partition and the suppression, group and bucket that may
hold them back: what comes after the first ones cannot pass, and is never made."""


@dataclass(slots=True)
class Reported:
    """What a match became. suppressed: why it is no alert, where that is certain."""

    messages: list[Message] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    suppressed: SuppressionReason | None = None


class Reporter:
    """Decides by the rule set alone.

    stateful: whether there is anything that asks more of events than which rules match.
    """

    def __init__(self, rules: RuleSet, min_level: Level, limits: Limits, *, correlate: bool, incidents: bool) -> None:
        correlations = rules.correlations if correlate else ()
        self._inputs = inputs_of(correlations)
        self._silenced = silenced(correlations)
        self._exceptions = exceptions_of(rules.rules, rules.policies.exceptions)
        self._guards = guards_of(rules.rules, rules.policies.suppressions) if correlate else {}
        self._incidents = incidents
        self._min_severity = min_level.severity
        self._limits = limits
        self._sha = rules.sha
        self.stateful = bool(self._inputs or self._guards or incidents)

    def report(
        self, rule: Rule, views: Sequence[EventView], event: Event, place: Place, allowance: Allowance
    ) -> Reported:
        """What a match of a rule becomes. views: the event through the log sources that the rule matched through."""
        _, _, offset, timestamp_ms = place
        reported = Reported()
        time_us = time_of(event.time_us, timestamp_ms)
        for exception in self._exceptions.get(rule.key, ()):
            if time_us < exception.until_us and any(map(exception.test, views)):
                reported.suppressed = SuppressionReason.EXCEPTION
                return reported
        if rule.key in self._inputs:
            reported.entries += entries_of(self._inputs[rule.key], views, event, offset, timestamp_ms)
        if rule.level.severity < self._min_severity or rule.key in self._silenced:
            return reported
        guard = self._guards.get(rule.key)
        if guard is not None:
            reported.entries.append(self._held(guard, views, event, place, time_us, allowance))
            return reported
        message, entity, score = self._alert(rule, views, event, place)
        reported.messages.append(message)
        if self._incidents:
            where = (offset, event.ordinal)
            entry = alert_entry(rule.key, entity, score, time_us=time_us, place=where, timestamp_ms=timestamp_ms)
            if entry is not None:
                reported.entries.append(entry)
        return reported

    def _held(  # noqa: PLR0917 -- a match, and what was before it
        self,
        guard: Guard,
        views: Sequence[EventView],
        event: Event,
        place: Place,
        time_us: int,
        allowance: Allowance,
    ) -> Entry:
        """What a match of a rule with suppressions is to them: with its alert, if that may pass."""
        topic, partition, offset, timestamp_ms = place
        values = _values(guard, views)
        body = None
        if _may_pass(guard, values, (topic, partition), time_us, allowance):
            body = body_of(*self._alert(guard.rule, views, event, place))
        where = (offset, event.ordinal)
        return held_entry(guard, values, body, time_us=time_us, place=where, timestamp_ms=timestamp_ms)

    def _alert(self, rule: Rule, views: Sequence[EventView], event: Event, place: Place) -> tuple[Message, Entity, int]:
        """The alert, its entity and its score."""
        topic, partition, offset, timestamp_ms = place
        match = rule.explain(views)
        message = encode(
            rule,
            match,
            event,
            topic=topic,
            partition=partition,
            offset=offset,
            timestamp_ms=timestamp_ms,
            ruleset_sha=self._sha,
            detected_at_us=time.time_ns() // 1000,
            limits=self._limits,
        )
        entity = entity_of(rule, match, event, topic, partition)
        return message, entity, threat_score(rule, listed=is_listed(event.ecs))


def _values(guard: Guard, views: Sequence[EventView]) -> tuple[str, ...]:
    """The first text of each field of a guard; empty where an event has none."""
    return tuple(
        next((cut(texts[0], MAX_KEY_BYTES) for view in views if (texts := view.texts(name))), "")
        for name in guard.fields
    )


def _may_pass(
    guard: Guard, values: tuple[str, ...], partition: tuple[str, int], time_us: int, allowance: Allowance
) -> bool:
    """Whether an alert may pass, by what the same window had before it."""
    only = guard.single
    if only is None:  # what one of several held back does not count for the next
        return True
    key = (*partition, guard.definition, values, time_us // only.timespan_us)
    allowance[key] += 1
    return allowance[key] <= only.first
