"""An independent consumer of the output topics: what came, and when."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from tests.harness.load import find_token


@dataclass(frozen=True, slots=True)
class Seen:
    """One message of an output topic, as a subscriber sees it.

    arrived: Unix time at which it was read, seconds.
    token: of the record that it is about; None if it quotes none.
    identity, rule: of an alert; empty for a dead letter.
    partition, offset: of the record that it is about, by its own statement.
    detected: when an alert's record was evaluated, by its own statement; Unix time, seconds.
    reason: of a dead letter.
    recorded: the timestamp of an alert's record, by its own statement, likewise.
    """

    arrived: float
    dead_letter: bool
    token: str | None
    identity: str
    rule: str
    partition: int
    offset: int
    detected: float = 0.0
    reason: str = ""
    recorded: float = 0.0


class Watcher:
    """Reads the alerts and dead letters from their beginning on a thread of its own, read_committed."""

    def __init__(self, bootstrap: str, alerts: str, dead_letters: str) -> None:
        self._consumer = _consumer(bootstrap)
        self._topics = (alerts, dead_letters)
        self.seen: list[Seen] = []
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="watcher", daemon=True)

    def start(self) -> None:
        """Begin reading."""
        _assign(self._consumer, self._topics)
        self._thread.start()

    def wait_for(self, condition: Callable[[Seen], bool], timeout_s: float) -> Seen | None:
        """Wait until a message for which the condition holds has been seen; it may be an earlier one."""
        deadline = time.monotonic() + timeout_s
        looked = 0
        while True:
            until = len(self.seen)
            for seen in self.seen[looked:until]:
                if condition(seen):
                    return seen
            looked = until
            if time.monotonic() > deadline:
                return None
            time.sleep(0.005)

    def close(self) -> None:
        """End reading."""
        self._stopping = True
        if self._thread.is_alive():
            self._thread.join()
        self._consumer.close()

    def _run(self) -> None:
        while not self._stopping:
            message = self._consumer.poll(0.1)
            if message is None or message.error():  # a broker that is away is no end
                continue
            self.seen.append(_read(message, self._topics[1]))


def read_all(bootstrap: str, alerts: str, dead_letters: str, timeout_s: float = 60.0) -> list[Seen]:
    """Everything that a subscriber can see in the topics now, from their beginning."""
    from confluent_kafka import KafkaError

    consumer = _consumer(bootstrap, **{"enable.partition.eof": True})
    try:
        left = _assign(consumer, (alerts, dead_letters))
        seen: list[Seen] = []
        deadline = time.monotonic() + timeout_s
        while left:
            assert time.monotonic() < deadline, f"not read to the end within {timeout_s} s: {left}"
            message = consumer.poll(1.0)
            if message is None:
                continue
            if message.error() is None:
                seen.append(_read(message, dead_letters))
            elif message.error().code() == KafkaError._PARTITION_EOF:
                left.discard((message.topic(), message.partition()))
        return seen
    finally:
        consumer.close()


def _consumer(bootstrap: str, **more: Any) -> Any:
    from confluent_kafka import Consumer

    return Consumer(
        {
            "bootstrap.servers": bootstrap,
            "log_level": 3,
            "group.id": "unused",  # librdkafka wants one; nothing is committed
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            "fetch.wait.max.ms": 10,
            **more,
        }
    )


def _assign(consumer: Any, topics: tuple[str, ...]) -> set[tuple[str, int]]:
    from confluent_kafka import OFFSET_BEGINNING, TopicPartition

    partitions = {
        (topic, number)
        for topic in topics
        for number in consumer.list_topics(topic, timeout=10).topics[topic].partitions
    }
    consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for topic, number in partitions])
    return partitions


def _read(message: Any, dead_letters: str) -> Seen:
    return read_dead_letter(message) if message.topic() == dead_letters else read_alert(message)


def read_alert(message: Any) -> Seen:
    """Read a message of the alert topic; whatever it is not, it states nothing and will be judged as invented."""
    value: bytes = message.value() or b""
    try:
        alert = orjson.loads(value)
        identity, rule = str(alert["id"]), str(alert["rule"]["id"])
        partition, offset = int(alert["source"]["partition"]), int(alert["source"]["offset"])
        detected = datetime.fromisoformat(alert["detected_at"]).timestamp()
        recorded = float(alert["source"]["record_timestamp"]) / 1_000
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
        return Seen(time.time(), False, None, "", "", -1, -1)
    return Seen(time.time(), False, find_token(value), identity, rule, partition, offset, detected, recorded=recorded)


def read_dead_letter(message: Any) -> Seen:
    """Read a message of the dead-letter topic."""
    headers = dict(message.headers() or ())
    try:
        partition, offset = int(headers["detector.partition"]), int(headers["detector.offset"])
    except (KeyError, ValueError):
        partition = offset = -1
    reason = headers.get("detector.reason", b"").decode()
    return Seen(time.time(), True, find_token(message.value() or b""), "", "", partition, offset, reason=reason)
