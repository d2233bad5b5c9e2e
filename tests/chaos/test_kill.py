"""Short chaos: a few ways to kill the service in each delivery mode; `python -m tests.chaos kill` has them all."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.chaos import kill
from tests.conftest import Broker


@pytest.mark.chaos
@pytest.mark.kafka
@pytest.mark.ray
class TestKill:
    @pytest.mark.timeout(300)
    @pytest.mark.parametrize(
        ("delivery", "methods"),
        [
            ("at_least_once", ["after_ack", "worker"]),
            ("exactly_once", ["in_commit", "after_produce"]),
        ],
    )
    def test_nothing_lost_doubled_or_invented(
        self, kafka: Broker, tmp_path: Path, delivery: str, methods: list[str]
    ) -> None:
        """Whatever was acknowledged has its alerts after the kills, each once, and the counts balance."""
        result = kill.run(kafka.bootstrap, tmp_path, delivery, methods, random.Random(delivery))

        assert result.faults == []


class TestSchedule:
    def test_each_method_equally_often(self) -> None:
        """Twenty cycles have each way to kill twice at least, and the seed decides their order."""
        methods = kill.schedule(20, random.Random(1))

        assert len(methods) == 20
        assert min(methods.count(method) for method in kill.METHODS) >= 2
        assert methods == kill.schedule(20, random.Random(1)) != kill.schedule(20, random.Random(2))
