"""Follow the alert topic like `tail -f`: a consumer of its own, without a group, of committed alerts only."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Literal

import orjson

from detector.config import Config, Level
from detector.errors import KafkaSetupError

Start = Literal["beginning", "end"] | int
"""Where to begin: at an end of the topic, or at the first alert since a time (Unix, milliseconds)."""

_LOOK_FOR_PARTITIONS_S = 10.0


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


def follow(config: Config, start: Start) -> Iterator[tuple[str, dict[str, Any] | None]]:
    """Yield each alert as it comes, with its place ("topic-partition@offset"), for ever; None: not a JSON object.

    Raises KafkaSetupError where the cluster or the topic cannot be found.
    """
    from kafka import KafkaConsumer
    from kafka.errors import KafkaError

    from detector.kafka.client import quiet_arguments

    topic = config.output.alerts_topic
    try:
        consumer = KafkaConsumer(
            **quiet_arguments(config.kafka, "alerts"),
            group_id=None,
            enable_auto_commit=False,
            isolation_level="read_committed",
            auto_offset_reset="earliest",
        )
    except KafkaError as error:
        servers = ", ".join(config.kafka.bootstrap_servers)
        raise KafkaSetupError(f"kafka.bootstrap_servers: no broker answers at {servers} ({error})") from error
    with closing(consumer):
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
                    yield f"{record.topic}-{record.partition}@{record.offset}", _decode(record.value)


def _partitions(consumer: Any, topic: str) -> set[Any]:
    from kafka import TopicPartition

    partitions = consumer.partitions_for_topic(topic)
    if not partitions:
        raise KafkaSetupError(f"output.alerts_topic: there is no topic {topic}; `detector create-topics` makes it")
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


def _part(alert: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = alert.get(name)
    return part if isinstance(part, Mapping) else {}
