"""Fixtures of all tests: a real broker."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field

import hypothesis
import pytest

# A machine that is busy with something else is no fault of what is tested.
hypothesis.settings.register_profile("any-machine", deadline=None)
hypothesis.settings.load_profile("any-machine")


@dataclass(frozen=True)
class Broker:
    """A real broker to test on; topics that a test makes have names of their own."""

    bootstrap: str
    _names: list[str] = field(default_factory=list)

    def topic(self, partitions: int = 1, **config: str | int) -> str:
        """Make a topic (settings with `_` for `.`) and return its name."""
        from kafka import KafkaAdminClient

        name = f"t-{uuid.uuid4().hex[:12]}"
        admin = KafkaAdminClient(bootstrap_servers=self.bootstrap)
        try:
            configs = {key.replace("_", "."): str(value) for key, value in config.items()}
            admin.create_topics(
                {name: {"num_partitions": partitions, "replication_factor": 1, "configs": configs}},
                timeout_ms=10_000,
                wait_for_metadata=True,
            )
        finally:
            admin.close()
        return name


@pytest.fixture(scope="session")
def kafka() -> Iterator[Broker]:
    """A broker for the whole run: the one that DETECTOR_TEST_BOOTSTRAP names, else one of our own."""
    named = os.environ.get("DETECTOR_TEST_BOOTSTRAP")
    if named:
        yield Broker(named)
        return
    from detector.kafka.local import LocalKafka

    with LocalKafka() as node:
        yield Broker(node.bootstrap)
