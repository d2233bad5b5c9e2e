"""What the Kafka tests share: settings for topics of their own, an independent reader and writer (librdkafka)."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Self

from detector.config import Config, Delivery, Input, InputTopic, Kafka, Output
from detector.kafka.group import Change, Group
from detector.kafka.topics import create_topics

SESSION_TIMEOUT_MS = 6_000


@dataclass(frozen=True, slots=True)
class World:
    """A consumer group and topics that no other test uses."""

    bootstrap: str
    logs: str
    alerts: str
    dead_letters: str
    group: str

    @classmethod
    def make(cls, bootstrap: str, partitions: int = 1) -> World:
        run = uuid.uuid4().hex[:10]
        world = cls(bootstrap, f"logs-{run}", f"alerts-{run}", f"dead-letters-{run}", f"group-{run}")
        create_topics(world.config(), partitions=partitions, replication_factor=1)
        return world

    def config(self, instance: str = "one", delivery: Delivery = Delivery.AT_LEAST_ONCE, **kafka: Any) -> Config:
        """Settings of a replica."""
        return Config(
            kafka=Kafka(
                bootstrap_servers=(self.bootstrap,),
                group_id=self.group,
                instance_id=instance,
                session_timeout_ms=SESSION_TIMEOUT_MS,
                **kafka,
            ),
            input=Input(topics=(InputTopic(name=self.logs),)),
            output=Output(alerts_topic=self.alerts, dead_letters_topic=self.dead_letters, delivery=delivery),
        )

    def produce(self, topic: str, values: Iterable[bytes], partition: int = 0) -> None:
        """Write records and wait for their acknowledgement."""
        from confluent_kafka import Producer

        producer = Producer({"bootstrap.servers": self.bootstrap})
        for value in values:
            producer.produce(topic, value, partition=partition)
        assert producer.flush(20) == 0

    def read(self, topic: str, *, committed_only: bool = True) -> list[Any]:
        """All records of a topic, up to its end as it is now."""
        from confluent_kafka import Consumer, TopicPartition

        consumer = Consumer(
            {
                "bootstrap.servers": self.bootstrap,
                "group.id": "unused",
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "isolation.level": "read_committed" if committed_only else "read_uncommitted",
                "auto.offset.reset": "earliest",
            }
        )
        try:
            partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
            consumer.assign([TopicPartition(topic, number, 0) for number in partitions])
            ended: set[int] = set()
            records = []
            deadline = time.monotonic() + 30
            while len(ended) < len(partitions):
                assert time.monotonic() < deadline, f"cannot read {topic} to its end"
                record = consumer.poll(1.0)
                if record is None:
                    continue
                if record.error():
                    ended.add(record.partition())
                else:
                    records.append(record)
            return records
        finally:
            consumer.close()

    def values(self, topic: str, *, committed_only: bool = True) -> list[bytes]:
        """The values of all records of a topic."""
        return [record.value() for record in self.read(topic, committed_only=committed_only)]


class Member:
    """A member that polls on a thread of its own, as another replica would; it remembers what moved."""

    def __init__(self, config: Config) -> None:
        self.group = Group(config)
        self.changes: list[tuple[float, Change]] = []
        self.on_change: Callable[[Change], None] = lambda _change: None
        self.error: Exception | None = None
        self._polling = threading.Event()
        self._thread = threading.Thread(target=self._run, name="member")

    def __enter__(self) -> Self:
        self.group.join()
        self._polling.set()
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self.leave(for_good=True)

    def leave(self, *, for_good: bool) -> None:
        """Stop polling and leave; a no-op the second time."""
        if self._polling.is_set():
            self._polling.clear()
            self._thread.join(10)
            self.group.leave(for_good=for_good, timeout_s=3)

    def wait_owned(self, count: int, timeout_s: float = 20) -> float:
        """Wait until the member owns so many partitions; seconds waited."""
        started = time.monotonic()
        wait_until(lambda: len(self.group.owned) == count, timeout_s)
        return time.monotonic() - started

    def _run(self) -> None:
        try:
            while self._polling.is_set():
                if change := self.group.poll(0.02):
                    self.changes.append((time.monotonic(), change))
                    self.on_change(change)
        except Exception as error:  # noqa: BLE001 -- the test looks at it
            self.error = error


def wait_until(condition: Callable[[], object], timeout_s: float = 20, step_s: float = 0.01) -> None:
    """Wait until something is true, or fail."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"not so within {timeout_s} s"
        time.sleep(step_s)
