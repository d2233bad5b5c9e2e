"""Giving partitions away, with a group and a delivery that a test decides about."""

from __future__ import annotations

from typing import Any

import pytest
from kafka import TopicPartition

from detector.config import Config
from detector.errors import DeliveryError
from detector.kafka.delivery import Progress
from detector.kafka.group import Change
from detector.stream.driver import Driver

KEPT, REVOKED, NEW = (TopicPartition("logs", number) for number in range(3))


class StuckDelivery:
    """Delivery that cannot commit what is under way."""

    pending = 1

    def flush(self, _deadline: float) -> bool:
        return False

    def tick(self) -> Progress:
        return Progress({}, ())


class OneChange:
    """A group in which one rebalance happens."""

    def poll(self) -> Change:
        return Change(assigned=frozenset({NEW}), revoked=frozenset({REVOKED}))


class TestHandOver:
    def test_what_could_not_be_committed(self) -> None:
        """A revoked partition is not read on, even if draining it failed: it is somebody else's next."""
        unused: Any = None
        parts: Any = {"group": OneChange(), "delivery": StuckDelivery()}
        driver = Driver(Config(), reloader=unused, streamer=unused, **parts)
        driver._positions.assign(KEPT, 5)
        driver._positions.assign(REVOKED, 7)

        with pytest.raises(DeliveryError):
            driver.follow_group()
        assert driver._positions.owned == {KEPT}
        assert driver._unplaced == {NEW}
