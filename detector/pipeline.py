"""From a window of records to what it causes: the pure function in the middle of everything.

The service, the back-fill and the tests call the same one.
"""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa

from detector.alerts.dead_letters import dead_letter
from detector.config import Config, InputTopic, Level, Limits
from detector.correlation.inputs import Entry, time_of
from detector.direct import Direct, DirectLane
from detector.enrichment.enricher import Enricher
from detector.enrichment.loading import Sources
from detector.enrichment.uses import Seen, Use
from detector.events import Event, LogSource
from detector.failpoints import failpoint, poison
from detector.metrics import DeadLetterReason
from detector.parsing.registry import Failure, Parsed, Parsers, ParserSource, compile_parsers
from detector.part import Part, rows_by_topic
from detector.reporting import Allowance, Reporter
from detector.sigma.cache import prepared_rules
from detector.sigma.fields import EventView
from detector.sigma.rule import Rule
from detector.sigma.ruleset import RuleSet
from detector.sigma.source import RuleSource
from detector.window import Broken, Counts, Message, SpanResult, Window, WindowResult

Views = tuple[EventView, ...]
"""An event through those of its log sources that a rule runs on."""


@dataclass(frozen=True, slots=True)
class Spec:
    """All that a pipeline is made of, as values: it travels to the workers, each of which compiles it once.

    sha: names it; two specs with the same are equal.
    correlate: whether matches are entries of the correlations among the rules, too. incidents: whether alerts are such
        of incidents.
    enrichment: what events are enriched with; None: nothing.
    """

    topics: tuple[InputTopic, ...]
    limits: Limits
    min_level: Level
    rules: tuple[RuleSource, ...]
    parsers: tuple[ParserSource, ...]
    values: dict[str, list[str]]
    sha: str
    pipelines: tuple[RuleSource, ...] = ()
    correlate: bool = False
    incidents: bool = False
    enrichment: Sources | None = None

    @classmethod
    def of(  # noqa: PLR0917 -- the parts of a spec
        cls,
        config: Config,
        rules: tuple[RuleSource, ...],
        parsers: tuple[ParserSource, ...],
        values: dict[str, list[str]],
        pipelines: tuple[RuleSource, ...] = (),
        enrichment: Sources | None = None,
    ) -> Spec:
        """The spec of a configuration and the sources that it names."""
        correlate = config.correlation.enabled
        incidents = correlate and config.correlation.incidents
        settings = (config.input.topics, config.limits, config.output.min_level)
        parts = (*settings, rules, parsers, values, pipelines, correlate, incidents, enrichment and enrichment.identity)
        sha = hashlib.sha256(repr(parts).encode()).hexdigest()
        return cls(*settings, rules, parsers, values, sha, pipelines, correlate, incidents, enrichment)


Partition = tuple[str, int]


@dataclass(slots=True)
class _Outcome:
    """What some records of a window caused; `evaluated` are their rows that gave at least one event."""

    messages: list[Message] = field(default_factory=list)
    evaluated: list[int] = field(default_factory=list)
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    entries: dict[Partition, list[Entry]] = field(default_factory=dict)
    newest_us: dict[Partition, int] = field(default_factory=dict)
    allowance: Allowance = field(default_factory=Counter)
    seen: list[Seen] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)

    def add(self, other: _Outcome) -> _Outcome:
        self.messages += other.messages
        self.evaluated += other.evaluated
        self.counts.update(other.counts)
        self.seen += other.seen
        for partition, entries in other.entries.items():
            self.entries.setdefault(partition, []).extend(entries)
        for partition, time_us in other.newest_us.items():
            self.newest_us[partition] = max(time_us, self.newest_us.get(partition, 0))
        self.seconds = {name: self.seconds.get(name, 0.0) + value for name, value in other.seconds.items()}
        return self


class Pipeline:
    """Parses, detects and encodes; holds no state between windows, but for what alerts tell of the risk of addresses.

    direct: whether records may take the direct lane, which changes no answer.
    """

    __slots__ = (
        "_enrich",
        "_lanes",
        "_limits",
        "_reporter",
        "_topics",
        "direct",
        "parsers",
        "rules",
    )

    def __init__(self, spec: Spec) -> None:
        self.parsers: Parsers = compile_parsers(spec.parsers, limits=spec.limits)
        self.rules: RuleSet = prepared_rules(
            spec.rules, values=spec.values, limits=spec.limits, pipelines=spec.pipelines
        )
        self._reporter = Reporter(
            self.rules, spec.min_level, spec.limits, correlate=spec.correlate, incidents=spec.incidents
        )
        self._topics = {topic.name: topic for topic in spec.topics}
        self._limits = spec.limits
        self._enrich = Use.of(spec.enrichment, self.rules.rules, self.parsers) if spec.enrichment else None
        lanes: dict[object, DirectLane] = {}  # one for all topics that are read alike: each file of a back-fill is one
        for topic in spec.topics:
            alike = (topic.format, topic.logsource)
            if alike not in lanes:
                lanes[alike] = DirectLane(self.parsers, self.rules.engine, topic, spec.limits, self._enrich)
        self._lanes = {topic.name: lanes[topic.format, topic.logsource] for topic in spec.topics}
        self.direct = True

    def run(self, window: Window) -> WindowResult:
        """Everything that a window causes, whatever its records are: nothing that they hold raises."""
        outcome = _Outcome()
        for topic, rows in rows_by_topic(window):
            part = Part(window, self._topics[topic], rows)
            outcome.add(self._isolated(part))
            outcome.counts["bytes", topic] += part.value_bytes
        outcome.messages += [_broken(broken) for broken in window.broken]
        if self._enrich:
            self._enrich.remember(outcome.seen)
        failpoint("in_pipeline")
        return WindowResult(
            spans=_balance(window, outcome),
            messages=tuple(outcome.messages),
            counts=_counts(outcome.counts),
            seconds=outcome.seconds,
            read_at=time.time(),
        )

    def _isolated(self, part: Part) -> _Outcome:
        """Evaluate; where something raises, halve the records until the ones that do stand alone."""
        try:
            return self._evaluate(part)
        except Exception as error:  # noqa: BLE001 -- whatever a record provokes must not stop the others
            if len(part.rows) > 1:
                middle = len(part.rows) // 2
                return self._isolated(part.slice(0, middle)).add(self._isolated(part.slice(middle, None)))
            return self._poison(part, error)

    def _evaluate(self, part: Part, *, careful: bool = False) -> _Outcome:
        """Parse and detect.

        careful: by the plain evaluator, rule by rule; one that raises is left out and its record copied to the dead
            letters; the other rules run.
        """
        outcome = _Outcome()
        poison(part.values)
        started = time.perf_counter()
        topic = part.topic
        direct = self._direct(part) if not careful else None
        direct_at = time.perf_counter()
        parsed = self._parse(part, direct)
        parsed_at = time.perf_counter()
        if self._reporter.stateful:
            self._watch(part, parsed.events, direct, outcome)
        if self._enrich:
            self._enrich.for_rules(parsed.events, part.times_us(parsed.events))
        found = list(zip(parsed.events, self._matches(parsed.events, direct, careful=careful), strict=True))
        if self._enrich:
            matched = [event for event, matches in found if matches]
            self._enrich.for_alerts(matched, part.times_us(matched))
            if not careful:
                outcome.seen += self._enrich.weigh(found, part.times_us(parsed.events))
        for event, matches in found:
            for rule, views in matches:
                self._report(rule, views, event, part, outcome, careful=careful)
            outcome.counts["events", event.format] += 1
        for failure in parsed.failures:
            outcome.messages.append(part.dead_letter(failure))
            if failure.reason is DeadLetterReason.UNPARSED:
                outcome.counts["unparsed", topic.name] += 1
        outcome.evaluated = [int(part.rows[row]) for row in {event.record for event in parsed.events}]
        if direct is not None:
            outcome.evaluated += part.rows[direct.rows].tolist()
            outcome.seen += ((row, part.newest_us) for row in direct.seen)
            for name, count in direct.events.items():
                outcome.counts["events", name] += count
        outcome.seconds["parse"] = parsed_at - direct_at
        outcome.seconds["detect"] = time.perf_counter() - parsed_at + direct_at - started
        return outcome

    @property
    def enricher(self) -> Enricher | None:
        """What events are enriched by, if they are."""
        return self._enrich.enricher if self._enrich else None

    def lane(self, topic: str) -> DirectLane:
        """The direct lane of a topic that has one."""
        return self._lanes[topic]

    def _direct(self, part: Part) -> Direct | None:
        lane = self._lanes.get(part.topic.name)
        return lane.run(part.records) if lane is not None and self.direct else None

    def _parse(self, part: Part, direct: Direct | None) -> Parsed:
        """The events of the records that the direct lane is not the end of: of those that matched, and of the rest."""
        topic = part.topic
        logsource = LogSource(**topic.logsource.model_dump()) if topic.logsource else None
        if direct is None or len(direct.rest) == part.records.num_rows:
            return self.parsers.parse(
                part.records,
                format=topic.format,
                logsource=logsource,
                limits=self._limits,
                time_zone=topic.time_zone,
            )
        return self._parse_rows(part, np.sort(np.concatenate([direct.rest, np.unique(direct.matches[:, 0])])))

    def _parse_rows(self, part: Part, rows: np.ndarray) -> Parsed:
        topic = part.topic
        logsource = LogSource(**topic.logsource.model_dump()) if topic.logsource else None
        records = part.records.take(pa.array(rows))
        parsed = self.parsers.parse(
            records, format=topic.format, logsource=logsource, limits=self._limits, time_zone=topic.time_zone
        )
        for event in parsed.events:
            event.record = int(rows[event.record])
        parsed.failures = [replace(failure, record=int(rows[failure.record])) for failure in parsed.failures]
        return parsed

    def _watch(self, part: Part, events: Sequence[Event], direct: Direct | None, outcome: _Outcome) -> None:
        """Note the latest time of an event, by partition; of records without events, that of each partition's last."""
        if direct is not None and len(direct.rows):
            events = [*events, *self._parse_rows(part, part.last_by_span(direct.rows)).events]
        newest = outcome.newest_us
        for event in events:
            _, timestamp_ms, number = part.coordinates(event.record)
            partition = (part.topic.name, number)
            newest[partition] = max(time_of(event.time_us, timestamp_ms), newest.get(partition, 0))

    def _matches(
        self, events: Sequence[Event], direct: Direct | None, *, careful: bool
    ) -> Iterable[Iterable[tuple[Rule, Views]]]:
        """The rules to report of each event; when careful, all that run on it, for nobody asked yet."""
        if careful:
            return map(self.rules.bound_to, events)
        known = direct.by_row() if direct is not None else {}
        asked = iter(self.rules.matching([event for event in events if event.record not in known]))
        return (
            [(self.rules.rules[rule], (EventView(event, event.bindings[place]),)) for rule, place in found]
            if (found := known.get(event.record))
            else [(rule, (view,)) for rule, view in next(asked)]
            for event in events
        )

    def _report(self, rule: Rule, views: Views, event: Event, part: Part, outcome: _Outcome, *, careful: bool) -> None:
        try:
            if careful and not rule.matches(views):
                return
            offset, timestamp_ms, number = part.coordinates(event.record)
            place = (part.topic.name, number, offset, timestamp_ms)
            reported = self._reporter.report(rule, views, event, place, outcome.allowance)
        except Exception as error:
            if not careful:
                raise
            outcome.counts["errors", "detect"] += 1
            detail = f"rule {rule.key} ({rule.path}): {_describe(error)}"
            failure = Failure(event.record, event.ordinal, DeadLetterReason.POISON, detail, None, evaluated=True)
            outcome.messages.append(part.dead_letter(failure))
        else:
            outcome.counts["matches", rule.key] += 1
            outcome.messages += reported.messages
            if reported.entries:
                outcome.entries.setdefault((part.topic.name, number), []).extend(reported.entries)
            if reported.suppressed is not None:
                outcome.counts["suppressed", reported.suppressed] += 1

    def _poison(self, part: Part, error: Exception) -> _Outcome:
        """One record on which something raised: without the rule that did, else as a dead letter alone."""
        try:
            return self._evaluate(part, careful=True)
        except Exception:  # noqa: BLE001 -- not a rule, then: the parser; `error` says what
            failure = Failure(0, None, DeadLetterReason.POISON, _describe(error), None, evaluated=False)
            outcome = _Outcome(messages=[part.dead_letter(failure)])
            outcome.counts["errors", "parse"] += 1
            return outcome


def _balance(window: Window, outcome: _Outcome) -> tuple[SpanResult, ...]:
    spans = window.records.column("span").to_numpy()
    read = np.bincount(spans, minlength=len(window.spans))
    evaluated = np.bincount(spans[np.array(outcome.evaluated, np.int64)], minlength=len(window.spans))
    broken = Counter[tuple[str, int]]()
    for part in window.broken:
        broken[part.topic, part.partition] += part.records
    return tuple(
        SpanResult(
            span,
            evaluated=int(evaluated[index]),
            rejected=int(read[index] - evaluated[index]) + broken[span.topic, span.partition],
            entries=tuple(outcome.entries.get((span.topic, span.partition), ())),
            newest_us=outcome.newest_us.get((span.topic, span.partition)),
        )
        for index, span in enumerate(window.spans)
    )


def _broken(part: Broken) -> Message:
    """What could not even be decoded, as it was stored."""
    return dead_letter(
        DeadLetterReason.UNDECODABLE,
        f"{part.reason}; {part.records} records at offsets {part.start} to {part.end - 1}, as they were stored",
        topic=part.topic,
        partition=part.partition,
        offset=part.start,
        timestamp_ms=-1,
        key=None,
        value=part.raw,
        headers=(),
    )


def _counts(counter: Counter[tuple[str, str]]) -> Counts:
    counts = Counts()
    for (name, label), value in counter.items():
        getattr(counts, name)[label] = value
    return counts


def _describe(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
