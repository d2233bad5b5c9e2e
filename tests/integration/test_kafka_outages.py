"""Delivery and group while the broker is gone, hangs, or comes back."""

from __future__ import annotations

import gc
import logging
import threading
import time
from collections.abc import Iterator

import pytest
from kafka import TopicPartition

from detector.config import Delivery as Mode
from detector.errors import DeliveryError, UnavailableError
from detector.kafka.delivery import Delivery, Progress, make_delivery
from detector.kafka.group import Group
from detector.kafka.local import LocalKafka, free_port
from detector.window import Message
from tests.kafka_world import World, wait_until

pytestmark = [
    pytest.mark.kafka,
    # kafka-python 3.0.12 leaves the socket of a refused connection to the garbage collector.
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

TURN_S = 1.0
"""No turn of the main loop may take longer, whatever the broker does."""


@pytest.fixture(scope="module")
def node() -> Iterator[LocalKafka]:
    """A broker of our own: faults on the shared one would hit other tests."""
    # Else the controller waits 9 s before it lets a broker that was killed come back.
    with LocalKafka(broker_session_timeout_ms=2_000, broker_heartbeat_interval_ms=500) as node:
        yield node


@pytest.fixture(autouse=True)
def sockets() -> Iterator[None]:
    """Lets the collector have them within the test: pytest keeps log records, these keep errors and their frames."""
    logger = logging.getLogger("kafka")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    yield
    logger.setLevel(level)
    gc.collect()


@pytest.fixture(params=list(Mode))
def mode(request: pytest.FixtureRequest) -> Mode:
    return Mode(request.param)


class Replica:
    """The main loop with alerts to deliver: one a window, as long as there is room."""

    def __init__(self, world: World, mode: Mode) -> None:
        config = world.config(delivery=mode)
        self.group = Group(config)
        self.group.join()
        wait_until(lambda: self.group.poll(0.01))
        self.delivery: Delivery = make_delivery(config, self.group)
        self.delivery.open()
        self.tp = TopicPartition(world.logs, 0)
        self.position = 0
        self.committed = 0
        self.longest_turn = 0.0
        self.failures = 0
        self.failed = False

    def turn(self) -> None:
        started = time.monotonic()
        try:
            self.group.poll(0)
            self.note(self.delivery.open())
            if self.failed:
                self.failed, self.position = False, self.committed
            if self.delivery.room:
                self.position += 1
                self.delivery.add({self.tp: self.position}, [Message("alerts", b"k", b"%d" % self.position, ())])
            self.note(self.delivery.tick())
        except UnavailableError:
            pass
        except DeliveryError:
            self.failures += 1
            self.failed = True
            self.delivery.abandon()
        self.longest_turn = max(self.longest_turn, time.monotonic() - started)
        time.sleep(0.005)

    def note(self, progress: Progress) -> None:
        self.committed = progress.committed.get(self.tp, self.committed)

    def run(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.turn()

    def turn_until(self, committed: int) -> None:
        deadline = time.monotonic() + 40
        while self.committed < committed:
            self.turn()
            assert time.monotonic() < deadline

    def finish(self) -> None:
        assert self.delivery.flush(time.monotonic() + 20)
        self.note(self.delivery.tick())
        self.delivery.close()
        self.group.leave(for_good=True, timeout_s=3)


class TestOutage:
    def test_broker_hangs(self, node: LocalKafka, mode: Mode) -> None:
        """While nothing is answered, windows stop at a limit and the loop turns; then all goes on, each alert once."""
        world = World.make(node.bootstrap)
        replica = Replica(world, mode)
        replica.run(1)
        before = replica.committed
        node.pause()
        replica.run(5)
        reachable, room, ahead = replica.group.reachable, replica.delivery.room, replica.position - replica.committed
        node.resume()
        started = time.monotonic()
        replica.turn_until(before + 100)
        took = time.monotonic() - started
        replica.finish()

        assert before > 10
        assert (reachable, room) == (False, False)
        assert ahead < 80
        assert took < 3
        assert replica.failures == 0
        assert replica.longest_turn < TURN_S
        assert world.values(world.alerts) == [b"%d" % number for number in range(1, replica.position + 1)]

    def test_broker_restarts(self, node: LocalKafka, mode: Mode) -> None:
        """A broker killed and started again costs no alert, and in transactions doubles none."""
        world = World.make(node.bootstrap)
        replica = Replica(world, mode)
        replica.run(1)
        before = replica.committed
        node.stop(kill=True)
        replica.run(2)
        node.start()
        replica.turn_until(before + 100)
        replica.finish()
        values = world.values(world.alerts)

        assert set(values) == {b"%d" % number for number in range(1, replica.committed + 1)}
        assert len(values) == len(set(values)) or mode is Mode.AT_LEAST_ONCE

    def test_nobody_there(self, mode: Mode) -> None:
        """Opening and joining end within their bound, again and again, and leave nothing behind."""
        world = World(f"127.0.0.1:{free_port()}", "logs", "alerts", "dead-letters", "group")
        config = world.config(delivery=mode, request_timeout_ms=1_000)
        group = Group(config)
        delivery = make_delivery(config, group)
        threads = []
        started = time.monotonic()
        for _ in range(3):
            with pytest.raises(UnavailableError, match="bootstrap_servers"):
                group.join()
            with pytest.raises(UnavailableError, match="bootstrap_servers"):
                delivery.open()
            threads.append(threading.active_count())

        assert time.monotonic() - started < 12
        assert threads[1:] == threads[:1] * 2
