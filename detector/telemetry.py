"""From what was delivered to the metrics that tell of it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping

from kafka import TopicPartition

from detector import metrics
from detector.config import Level
from detector.metrics import DeadLetterReason
from detector.window import Message, WindowResult

_FIRST_HEADER = "detector.reason"


def window(result: WindowResult, levels: Mapping[str, Level]) -> None:
    """Count a window whose offsets were committed; `levels` are those of the running rules, by key."""
    for part in result.spans:
        topic = part.span.topic
        metrics.records_consumed.labels(topic).inc(part.span.consumed)
        metrics.records_evaluated.labels(topic).inc(part.evaluated)
        metrics.records_rejected.labels(topic).inc(part.rejected)
    counts = result.counts
    for counter, values in (
        (metrics.consumed_bytes, counts.bytes),
        (metrics.events_evaluated, counts.events),
        (metrics.parse_failures, counts.unparsed),
        (metrics.errors, counts.errors),
        (metrics.alerts_suppressed, counts.suppressed),
    ):
        for label, value in values.items():
            counter.labels(label).inc(value)
    for rule, value in counts.matches.items():
        if rule in levels:  # else of the rule set before this one, whose series are gone
            metrics.rule_matches.labels(rule, levels[rule]).inc(value)
    for phase, seconds in result.seconds.items():
        metrics.window_duration.labels(phase).observe(seconds)


def acknowledged(messages: tuple[Message, ...]) -> None:
    """Count messages that subscribers can read now."""
    now_ms = time.time() * 1000
    for message in messages:
        headers = dict(message.headers)
        if message.topic == "alerts":
            metrics.alerts_emitted.labels(headers["level"].decode()).inc()
            if message.timestamp_ms is not None and message.timestamp_ms >= 0:
                metrics.event_to_alert.observe(max(0.0, now_ms - message.timestamp_ms) / 1000)
        elif message.topic == "incidents":
            metrics.incidents.labels(headers["change"].decode()).inc()
        elif message.topic == "dead_letters":
            metrics.dead_letters.labels(DeadLetterReason(headers[_FIRST_HEADER].decode())).inc()


def lag(records: Mapping[TopicPartition, int]) -> None:
    """Set the lag of each partition."""
    for tp, value in records.items():
        metrics.lag_records.labels(tp.topic, tp.partition).set(value)


def forget(partitions: Iterable[TopicPartition]) -> None:
    """Drop the series of partitions that somebody else reads from now on."""
    for tp in partitions:
        metrics.forget_partition(tp.topic, tp.partition)
