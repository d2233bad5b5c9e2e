"""Topics for a run, and where a group stands in them; by librdkafka."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Topics:
    """The topics and the consumer group of one run, with names of their own."""

    bootstrap: str
    logs: str
    alerts: str
    dead_letters: str
    group: str

    @classmethod
    def create(cls, bootstrap: str, partitions: int = 2, *, correlations: bool = False) -> Topics:
        """Make the topics of a run, with those of correlations if asked."""
        from confluent_kafka.admin import AdminClient, NewTopic

        run = uuid.uuid4().hex[:8]
        topics = cls(bootstrap, f"logs-{run}", f"alerts-{run}", f"dead-letters-{run}", f"detector-{run}")
        config = {"min.insync.replicas": "1"}
        new = [
            NewTopic(topics.logs, partitions, 1, config=config | {"max.message.bytes": str(16 << 20)}),
            NewTopic(topics.alerts, 2, 1, config=config),
            NewTopic(topics.dead_letters, 1, 1, config=config | {"max.message.bytes": str(16 << 20)}),
        ]
        if correlations:
            new += [
                NewTopic(f"{topics.alerts}.signals", 3, 1, config=config | {"max.message.bytes": str(4 << 20)}),
                NewTopic(f"{topics.alerts}.state", 3, 1, config=config | {"cleanup.policy": "compact"}),
                NewTopic(f"{topics.alerts}.incidents", 1, 1, config=config),
            ]
        admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 3})
        for made in admin.create_topics(new, operation_timeout=10).values():
            made.result()
        return topics

    def settings(self, **sections: dict[str, Any]) -> dict[str, Any]:
        """Settings of a service on these topics; `sections` add to them."""
        settings: dict[str, Any] = {
            "kafka": {"group_id": self.group},
            "input": {"topics": [{"name": self.logs}]},
            "output": {"alerts_topic": self.alerts, "dead_letters_topic": self.dead_letters},
        }
        for name, section in sections.items():
            settings[name] = settings.get(name, {}) | section
        return settings

    def uncommitted(self) -> int:
        """Offsets between what the group has committed and the ends of the log topic."""
        from confluent_kafka import Consumer, TopicPartition

        consumer = Consumer(
            {
                "bootstrap.servers": self.bootstrap,
                "log_level": 3,
                "group.id": self.group,
                "enable.auto.commit": False,
            }
        )
        try:
            partitions = consumer.list_topics(self.logs, timeout=10).topics[self.logs].partitions
            committed = consumer.committed([TopicPartition(self.logs, number) for number in partitions], timeout=10)
            return sum(
                consumer.get_watermark_offsets(partition, timeout=10)[1] - max(0, partition.offset)
                for partition in committed
            )
        finally:
            consumer.close()

    def wait_committed(self, timeout_s: float, *, but: int = 0) -> None:
        """Wait until the group has committed everything, `but` so many offsets.

        Raises AssertionError if that takes too long.
        """
        deadline = time.monotonic() + timeout_s
        while (left := self.uncommitted()) > but:
            assert time.monotonic() < deadline, f"{left} offsets were not committed within {timeout_s:.0f} s"
            time.sleep(0.3)
