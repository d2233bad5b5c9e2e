"""Follow the alert topic like `tail -f`: a consumer of its own, without a group, of committed alerts only."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import orjson

from detector.config import Config, Level
from detector.errors import KafkaSetupError

Start = Literal["beginning", "end"] | int
"""Where to begin: at an end of the topic, or at the first alert since a time (Unix, milliseconds)."""

_LOOK_FOR_PARTITIONS_S = 10.0
_METADATA_MAX_AGE_MS = 30_000


class Arrival(NamedTuple):
    """A message of the alert topic.

    place: "topic-partition@offset".
    alert: None where the message is no JSON object.
    latency_ms: from the timestamp of the alert's record to that of the message, where both are known.
    """

    place: str
    alert: dict[str, Any] | None
    latency_ms: float | None


@dataclass(frozen=True, slots=True)
class Filter:
    """Which alerts to show; a part that is not set lets all through.

    level: this one and those above it.
    rule: the rule's id, or a part of its title, without case.
    entity: the entity's value, without case.
    """

    level: Level | None = None
    rule: str | None = None
    entity: str | None = None

    def accepts(self, alert: Mapping[str, Any]) -> bool:
        """Whether an alert passes; one of a foreign shape passes no part that is set."""
        rule, entity, severity = _part(alert, "rule"), _part(alert, "entity"), alert.get("severity")
        if self.level and not (isinstance(severity, int) and severity >= self.level.severity):
            return False
        if self.rule:
            wanted = self.rule.casefold()
            if wanted != str(rule.get("id", "")).casefold() and wanted not in str(rule.get("title", "")).casefold():
                return False
        return not self.entity or self.entity.casefold() == str(entity.get("value", "")).casefold()


def follow(config: Config, start: Start, topic: str | None = None) -> Iterator[Arrival]:
    """Yield each alert as it comes, for ever; an outage of the cluster is waited out.

    topic: another one than that of the alerts, whose messages are of a like form.

    Raises UnavailableError or KafkaSetupError where the cluster or the topic cannot be found at the start.
    """
    from kafka import KafkaConsumer
    from kafka.errors import KafkaError

    from detector.kafka.client import connect, quiet_arguments

    topic = topic or config.output.alerts_topic
    consumer = connect(
        KafkaConsumer,
        **quiet_arguments(config.kafka, "alerts"),
        group_id=None,
        enable_auto_commit=False,
        isolation_level="read_committed",
        auto_offset_reset="earliest",
        metadata_max_age_ms=_METADATA_MAX_AGE_MS,
    )
    with closing(consumer):
        try:
            yield from _arrivals(consumer, topic, start)
        except KafkaError as error:  # what kafka-python does not wait out: a missing right, say
            raise KafkaSetupError(f"topic {topic!r} cannot be read: {type(error).__name__}: {error}") from error


def _arrivals(consumer: Any, topic: str, start: Start) -> Iterator[Arrival]:
    assigned: set[Any] = set()
    look_at = 0.0
    while True:
        if time.monotonic() >= look_at:
            new = _partitions(consumer, topic) - assigned
            # Partitions that appear later have been empty until then.
            _begin(consumer, assigned, new, "beginning" if assigned else start)
            assigned |= new
            look_at = time.monotonic() + _LOOK_FOR_PARTITIONS_S
        for records in consumer.poll(timeout_ms=200).values():
            for record in records:
                place = f"{record.topic}-{record.partition}@{record.offset}"
                alert = _decode(record.value)
                yield Arrival(place, alert, _latency(alert, record.timestamp))


def _partitions(consumer: Any, topic: str) -> set[Any]:
    from kafka import TopicPartition

    partitions = consumer.partitions_for_topic(topic)
    if not partitions:
        raise KafkaSetupError(f"there is no topic {topic}: `detector create-topics` makes it")
    return {TopicPartition(topic, partition) for partition in partitions}


def _begin(consumer: Any, assigned: set[Any], new: set[Any], start: Start) -> None:
    if not new:
        return
    consumer.assign([*assigned, *new])
    if start == "beginning":
        consumer.seek_to_beginning(*new)
    elif start == "end":
        consumer.seek_to_end(*new)
    else:
        for partition, found in consumer.offsets_for_times(dict.fromkeys(new, start)).items():
            if found is None:
                consumer.seek_to_end(partition)
            else:
                consumer.seek(partition, found.offset)


def _decode(value: bytes | None) -> dict[str, Any] | None:
    try:
        alert = orjson.loads(value or b"")
    except orjson.JSONDecodeError:
        return None
    return alert if isinstance(alert, dict) else None


def _latency(alert: Mapping[str, Any] | None, timestamp_ms: int) -> float | None:
    started = _part(alert or {}, "source").get("record_timestamp")
    return timestamp_ms - started if isinstance(started, int) and started >= 0 else None


def _part(alert: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = alert.get(name)
    return part if isinstance(part, Mapping) else {}
