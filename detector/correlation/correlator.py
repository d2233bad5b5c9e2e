"""The correlator of a replica: its share of the signals topic, folded, and what fires delivered.

It is a member of a group of its own, `<kafka.group_id>.correlations`, and delivers by the same means as alerts of
single events: what fires is acknowledged before the offsets of its signals are committed, or with them in one
transaction. Whatever goes wrong, it forgets what is not committed, and recovers the state from there.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import structlog
from kafka import TopicPartition

from detector import metrics, telemetry
from detector.config import Config, InputTopic
from detector.correlation.reading import Partition, Reading, Result, Start
from detector.correlation.setting import Setting
from detector.correlation.signals import Signals, source_of
from detector.errors import DeliveryError, DetectorError, KafkaSetupError, UnavailableError
from detector.kafka.delivery import Delivery, Progress, make_delivery
from detector.kafka.group import Change, Group
from detector.kafka.topics import Topics, check_retention
from detector.metrics import Stage
from detector.sigma.ruleset import RuleSet

if TYPE_CHECKING:
    from detector.reload import Reloader

BACK_OFF_S = (0.0, 0.5, 1.0, 2.0, 5.0)
STOP_S = 3.0

log = structlog.get_logger()


def settings_of(config: Config) -> Config:
    """The settings of the correlator's group and delivery: it reads signals, from the beginning."""
    kafka = config.kafka.model_copy(update={"group_id": f"{config.kafka.group_id}.correlations"})
    topics = (InputTopic(name=config.output.signals_topic),)
    return config.model_copy(
        update={"kafka": kafka, "input": config.input.model_copy(update={"topics": topics, "start": "earliest"})}
    )


def make_signals(config: Config, topics: Topics) -> Signals | None:
    """What makes the signals of windows; None where correlations do not run."""
    if not config.correlation.enabled:
        return None
    name = config.output.signals_topic
    lateness_us = round(config.correlation.lateness_s * 1_000_000)
    return Signals(topics.partitions[name], topics.max_message_bytes[name], lateness_us, topics.ids)


def _longest_us(rules: RuleSet) -> int:
    """The longest timespan whose state can be made from signals."""
    spans = [each.replayed_us for each in rules.correlations] + [
        each.timespan_us for each in rules.policies.suppressions
    ]
    return max(spans, default=0)


class Correlator:
    """All methods are for the main thread, and none waits without a bound."""

    def __init__(self, config: Config, topics: Topics, reloader: Reloader) -> None:
        self._config = settings_of(config)
        self._reloader = reloader
        self._rules = reloader.rules
        self._correlations = reloader.correlations
        self._group = Group(self._config)
        self._delivery: Delivery = make_delivery(self._config, self._group, topics)
        sources = tuple(
            source_of(topic.name, number, topics.ids.get(topic.name, ""))
            for topic in config.input.topics
            for number in range(topics.partitions[topic.name])
        )
        name = config.output.signals_topic
        self._setting = Setting(self._config, topics.partitions[name], topics.max_message_bytes[name], sources)
        check_retention(config, topics, _longest_us(reloader.rules))
        self._reading: Reading | None = None
        self._kept: list[Partition] = []  # their state is as far as what is committed
        self._owned: set[TopicPartition] = set()
        self._committed: dict[TopicPartition, int] = {}
        self._trouble: str | None = None
        self._troubles = 0
        self._retry_at = 0.0

    def open(self) -> None:
        """Connect for delivery. Raises UnavailableError, KafkaSetupError."""
        self._note(self._delivery.open())

    def join(self) -> None:
        """Join the group. Raises UnavailableError, KafkaSetupError."""
        self._group.join()

    @property
    def hindrance(self) -> str | None:
        """Why correlations do not run, if so."""
        if self._trouble:
            return f"correlations: {self._trouble}"
        if not self._group.joined:
            return "correlations: the group has not shared out its partitions"
        if self._owned and (self._reading is None or self._reading.recovering):
            return "correlations: the state is being recovered"
        return None

    def turn(self) -> None:
        """Go on; what fails is tried again from the last commit, less and less often.

        Raises:
            FencedError: exit.
        """
        try:
            self._turn()
        except (DeliveryError, UnavailableError, KafkaSetupError) as error:
            self._recover(error)

    def stop(self) -> None:
        """Deliver and commit what is under way."""
        try:
            self._drain()
        except (DeliveryError, UnavailableError, KafkaSetupError) as error:
            self._recover(error)

    def close(self) -> None:
        """End, and let others have the partitions."""
        self._drop()
        self._delivery.close()
        self._group.leave(for_good=True, timeout_s=STOP_S)

    def _turn(self) -> None:
        change = self._group.poll()
        if change is not None:
            self._follow(change)
        if time.monotonic() < self._retry_at:
            return
        self._note(self._delivery.open())
        if self._reloader.rules is not self._rules:
            self._drain()
            self._rules = self._reloader.rules
            self._correlations = self._reloader.correlations
            for partition in self._kept:
                partition.fold.use(self._correlations)
        if self._reading is None:
            self._start()
        self._take()
        self._note(self._delivery.tick())

    def _follow(self, change: Change) -> None:
        log.info("signals partitions change", **{name: len(getattr(change, name)) for name in Change.__slots__})
        try:
            if change.lost:
                self._drop()
            else:
                self._drain()
        finally:
            gone = change.revoked | change.lost
            self._owned = (self._owned - gone) | change.assigned
            numbers = {tp.partition for tp in self._owned}
            # An assigned one may have been somebody else's meanwhile: its state here is old
            new = {tp.partition for tp in change.assigned}
            self._kept = [each for each in self._kept if each.number in numbers - new]
            metrics.correlation_partitions.set(len(self._owned))

    def _start(self) -> None:
        """Read on with what is kept; what is not begins by its recovery."""
        kept = {each.number for each in self._kept}
        begin = {tp for tp in self._owned if tp.partition not in kept}
        timeout_s = self._config.kafka.request_timeout_ms / 1_000
        starts = {}
        if begin:
            positions = self._group.positions(begin, timeout_s)
            states = {tp.partition: TopicPartition(self._config.output.state_topic, tp.partition) for tp in begin}
            begins = self._group.begins([*begin, *states.values()], timeout_s)
            ends = self._group.end_offsets(states.values(), timeout_s)
            for tp, position in positions.items():
                if position.beyond_end:
                    raise KafkaSetupError(
                        f"topic {tp.topic!r}: offset {position.offset} of partition {tp.partition} is beyond its end "
                        f"{position.end}: was it made anew? Delete the group {self._config.kafka.group_id!r}"
                    )
                if position.skipped:
                    metrics.correlation_gaps.inc()
                    log.error("retention deleted signals before they were read", partition=tp.partition)
                state = states[tp.partition]
                starts[tp.partition] = Start(position.offset, begins[tp], begins[state], ends[state])
                self._committed[tp] = position.offset
        self._reading = Reading(self._setting, self._correlations, self._rules, self._kept, starts)
        self._reading.committed = self._committed
        self._kept = []

    def _take(self) -> None:
        while self._reading is not None and self._delivery.room:
            result = self._reading.next()
            if result is None:
                return
            self._add(result)

    def _add(self, result: Result) -> None:
        self._delivery.add(result.offsets, result.messages)
        for key in result.fired:
            if key in self._reloader.levels:
                metrics.rule_matches.labels(key, self._reloader.levels[key]).inc()

    def _drain(self) -> None:
        """Stop reading; deliver and commit all that it gave. The states are kept.

        Raises:
            DeliveryError: not everything could be committed in time.
        """
        deadline = time.monotonic() + self._config.epochs.drain_timeout_s
        if self._reading is not None:
            for result in self._reading.stop(self._config.epochs.drain_timeout_s / 2):
                self._add(result)
        if self._delivery.pending:
            done = self._delivery.flush(deadline)
            self._note(self._delivery.tick())
            if not done:
                raise DeliveryError("what correlations found could not be committed in time; it will be found again")
        if self._reading is not None:
            self._kept = list(self._reading.partitions.values())
            self._reading = None

    def _drop(self) -> None:
        """Forget all that is not committed, and the states, which are further."""
        if self._reading is not None:
            self._reading.abandon()
            self._reading = None
        self._delivery.abandon()
        self._kept = []

    def _recover(self, error: DetectorError) -> None:
        metrics.errors.labels(Stage.CORRELATE).inc()
        log.warning("trouble with correlations; going on from the last commit", error=str(error))
        self._drop()
        self._trouble = str(error)
        self._retry_at = time.monotonic() + BACK_OFF_S[min(self._troubles, len(BACK_OFF_S) - 1)]
        self._troubles += 1

    def _note(self, progress: Progress) -> None:
        telemetry.acknowledged(progress.acknowledged)
        if progress.committed:
            self._committed = {**self._committed, **progress.committed}
            if self._reading is not None:
                self._reading.committed = self._committed
            self._trouble = None
            self._troubles = 0
