"""Exactly once on a real broker: what a read_committed subscriber sees, whatever happens in between."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
from kafka import KafkaAdminClient, TopicPartition
from kafka.admin import MemberToRemove

from detector.config import Config, Delivery
from detector.errors import DeliveryError, FencedError
from detector.kafka.group import Group
from detector.kafka.transactions import ExactlyOnce
from detector.window import Message
from tests.conftest import Broker
from tests.kafka_world import World, wait_until

pytestmark = pytest.mark.kafka

CHILD = """
import sys, time
from kafka import TopicPartition
from detector.config import Config
from detector.kafka.group import Group
from detector.kafka.transactions import ExactlyOnce
from detector.window import Message

config = Config.model_validate_json(sys.argv[1])
tp = TopicPartition(config.input.topics[0].name, 0)
group = Group(config)
group.join()
while not group.poll(0.1): pass
delivery = ExactlyOnce(config, group)
delivery.open()
position = group.positions([tp], 10)[tp].offset
print("ready", flush=True)
while True:
    group.poll(0)
    if delivery.room and position < 5_000:
        position += 1
        delivery.add({tp: position}, [Message("alerts", b"k", b"%d" % position, ())])
    delivery.tick()
    time.sleep(0.001)
"""


@pytest.fixture
def world(kafka: Broker) -> World:
    return World.make(kafka.bootstrap)


@pytest.fixture
def config(world: World) -> Config:
    return world.config(delivery=Delivery.EXACTLY_ONCE)


@pytest.fixture
def tp(world: World) -> TopicPartition:
    return TopicPartition(world.logs, 0)


@pytest.fixture
def group(config: Config) -> Iterator[Group]:
    group = Group(config)
    group.join()
    wait_until(lambda: group.poll(0.01))
    yield group
    group.leave(for_good=True, timeout_s=3)


@pytest.fixture
def admin(kafka: Broker) -> Iterator[KafkaAdminClient]:
    client = KafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    yield client
    client.close()


@pytest.fixture
def delivery(config: Config, group: Group) -> Iterator[ExactlyOnce]:
    delivery = ExactlyOnce(config, group)
    delivery.open()
    yield delivery
    delivery.close()


def alert(value: bytes) -> Message:
    return Message("alerts", b"k", value, ())


class TestTransactions:
    def test_invisible_until_committed(
        self, world: World, delivery: ExactlyOnce, group: Group, tp: TopicPartition
    ) -> None:
        """Alerts of an open transaction are in the log, but no subscriber sees them; then all at once, with offsets."""
        delivery._last = time.monotonic() + 60  # it stays open
        delivery.add({tp: 3}, [alert(b"one"), alert(b"two")])
        wait_until(lambda: (delivery.tick(), len(world.values(world.alerts, committed_only=False)) == 2)[1])
        before = world.values(world.alerts), group.committed([tp], 5)
        delivery.flush(time.monotonic() + 5)

        assert before == ([], {})
        assert world.values(world.alerts) == [b"one", b"two"]
        assert group.committed([tp], 5) == {tp: 3}

    def test_aborted(self, world: World, delivery: ExactlyOnce, group: Group, tp: TopicPartition) -> None:
        """What was abandoned with its transaction open is never seen, and holds up no subscriber."""
        delivery._last = time.monotonic() + 60
        delivery.add({tp: 3}, [alert(b"aborted")])
        wait_until(lambda: (delivery.tick(), world.values(world.alerts, committed_only=False))[1])
        delivery.abandon()
        delivery.open()
        delivery.add({tp: 3}, [alert(b"committed")])
        delivery.flush(time.monotonic() + 5)

        assert world.values(world.alerts) == [b"committed"]
        assert set(world.values(world.alerts, committed_only=False)) == {b"aborted", b"committed"}

    def test_killed(self, world: World, config: Config, tp: TopicPartition) -> None:
        """Processes killed with SIGKILL in the middle of transactions leave neither duplicates nor gaps."""
        for pause in (0.35, 0.6, 0.15):
            with subprocess.Popen(
                [sys.executable, "-c", CHILD, config.model_dump_json()], stdout=subprocess.PIPE, text=True
            ) as child:
                assert child.stdout is not None
                assert child.stdout.readline() == "ready\n"
                time.sleep(pause)
                os.kill(child.pid, signal.SIGKILL)
        group = Group(config)
        group.join()
        wait_until(lambda: group.poll(0.01))
        delivery = ExactlyOnce(config, group)
        started = time.monotonic()
        delivery.open()
        position = group.positions([tp], 10)[tp].offset if group.committed([tp], 10) else 0
        took = time.monotonic() - started
        delivery.add({tp: position + 1}, [alert(b"%d" % (position + 1))])
        flushed = delivery.flush(time.monotonic() + 10)
        delivery.close()
        group.leave(for_good=True, timeout_s=3)
        values = world.values(world.alerts)

        assert flushed
        assert took < 5
        assert position > 10
        assert values == [b"%d" % number for number in range(1, position + 2)]

    def test_latency(self, world: World, delivery: ExactlyOnce, tp: TopicPartition) -> None:
        """A lone alert is committed at once, not only after the interval."""
        took = []
        for position in range(1, 11):
            time.sleep(0.15)
            started = time.monotonic()
            delivery.add({tp: position}, [alert(b"alert")])
            wait_until(lambda: delivery.tick().acknowledged, step_s=0.002)
            took.append(time.monotonic() - started)

        assert sorted(took)[5] < 0.1


class TestFencing:
    def test_another_process(self, config: Config, delivery: ExactlyOnce, group: Group, tp: TopicPartition) -> None:
        """Where another process has taken over the transactional id, this one must exit."""
        other = ExactlyOnce(config, group)
        other.open()
        delivery.add({tp: 1}, [alert(b"late")])

        with pytest.raises(FencedError):
            delivery.flush(time.monotonic() + 10)

        other.close()

    def test_old_generation(
        self,
        world: World,
        admin: KafkaAdminClient,
        delivery: ExactlyOnce,
        group: Group,
        tp: TopicPartition,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """A transaction of a member that the group has removed is not committed."""
        metadata = group.metadata()
        monkeypatch.setattr(group, "metadata", lambda: metadata)  # it does not know yet
        admin.remove_group_members(world.group, [MemberToRemove(group_instance_id="one")])
        delivery.add({tp: 1}, [alert(b"late")])

        with pytest.raises(DeliveryError, match="metadata mismatch"):
            delivery.flush(time.monotonic() + 10)
        delivery.abandon()
        delivery.open()
        assert world.values(world.alerts) == []
        assert group.committed([tp], 5) == {}

    def test_lost_membership(
        self, world: World, admin: KafkaAdminClient, delivery: ExactlyOnce, group: Group, tp: TopicPartition
    ) -> None:
        """A member that knows that it is none does not commit either: the broker would not stop it."""
        admin.remove_group_members(world.group, [MemberToRemove(group_instance_id="one")])
        wait_until(lambda: not group._consumer.group_metadata().member_id)
        delivery.add({tp: 1}, [alert(b"late")])

        with pytest.raises(DeliveryError, match="membership was lost"):
            delivery.flush(time.monotonic() + 10)
        delivery.abandon()
        delivery.open()
        assert world.values(world.alerts) == []
