"""Delivery on a real broker, both ways."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator

import pytest
from kafka import KafkaAdminClient, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.structs import MemberState

from detector.alerts.dead_letters import parse_dead_letter
from detector.config import Delivery as Mode
from detector.errors import DeliveryError
from detector.kafka.delivery import Delivery, Progress, make_delivery
from detector.kafka.group import Group
from detector.metrics import DeadLetterReason
from detector.window import Message
from tests.conftest import Broker
from tests.kafka_world import World, wait_until

pytestmark = pytest.mark.kafka


class Driver:
    """The main loop, without windows to read: it polls, ticks, and remembers what became durable."""

    def __init__(self, world: World, mode: Mode) -> None:
        config = world.config(delivery=mode)
        self.world = world
        self.tp = TopicPartition(world.logs, 0)
        self.group = Group(config)
        self.group.join()
        self.delivery: Delivery = make_delivery(config, self.group)
        self.delivery.open()
        self.committed: dict[TopicPartition, int] = {}
        self.acknowledged: list[Message] = []
        self.longest_turn = 0.0
        wait_until(lambda: self.group.poll(0.01))

    def turn(self) -> None:
        started = time.monotonic()
        self.group.poll(0)
        self.note(self.delivery.tick())
        self.longest_turn = max(self.longest_turn, time.monotonic() - started)

    def note(self, progress: Progress) -> None:
        self.committed.update(progress.committed)
        self.acknowledged += progress.acknowledged

    def turn_until(self, condition: Callable[[], object], timeout_s: float = 20) -> None:
        def turned() -> object:
            self.turn()
            return condition()

        wait_until(turned, timeout_s, step_s=0.005)

    def add(self, position: int, *values: bytes) -> None:
        self.delivery.add({self.tp: position}, [alert(value) for value in values])

    def settle(self, timeout_s: float = 20) -> None:
        self.turn_until(lambda: not self.delivery.pending, timeout_s)

    def close(self) -> None:
        self.delivery.close()
        self.group.leave(for_good=True, timeout_s=3)


def alert(value: bytes, key: bytes | None = b"key") -> Message:
    return Message("alerts", key, value, (("level", b"high"),), 1_700_000_000_000)


@pytest.fixture(params=list(Mode))
def mode(request: pytest.FixtureRequest) -> Mode:
    return Mode(request.param)


@pytest.fixture
def drive(kafka: Broker) -> Iterator[Callable[[Mode], Driver]]:
    """Makes drivers on topics of their own."""
    drivers = []

    def make(mode: Mode) -> Driver:
        drivers.append(Driver(World.make(kafka.bootstrap), mode))
        return drivers[-1]

    yield make
    for driver in drivers:
        driver.close()


Drive = Callable[[Mode], Driver]


@pytest.fixture
def admin(kafka: Broker) -> Iterator[KafkaAdminClient]:
    client = KafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    yield client
    client.close()


def set_limit(admin: KafkaAdminClient, topic: str, max_message_bytes: int) -> None:
    admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, {"max.message.bytes": max_message_bytes})])


class TestDelivery:
    def test_messages_and_offsets(self, drive: Drive, mode: Mode) -> None:
        """Messages come whole and in order to the topics of their roles, offsets to the group, and all is reported."""
        driver = drive(mode)
        letter = Message("dead_letters", None, b"raw", (("detector.reason", b"unparsed"),))
        driver.delivery.add({driver.tp: 5}, [alert(b"one"), letter, alert(b"two")])
        driver.delivery.add({driver.tp: 9}, [alert(b"three")])
        driver.settle()
        record, *_ = driver.world.read(driver.world.alerts)

        assert (record.key(), record.headers()) == (b"key", [("level", b"high")])
        assert driver.world.values(driver.world.alerts) == [b"one", b"two", b"three"]
        assert driver.world.values(driver.world.dead_letters) == [b"raw"]
        assert driver.group.committed([driver.tp], 5) == {driver.tp: 9} == driver.committed
        assert [message.value for message in driver.acknowledged] == [b"one", b"raw", b"two", b"three"]

    def test_windows_without_messages(self, drive: Drive, mode: Mode) -> None:
        """Their offsets are committed within about a second."""
        driver = drive(mode)
        driver.add(5)
        started = time.monotonic()
        driver.settle()

        assert driver.group.committed([driver.tp], 5) == {driver.tp: 5}
        assert time.monotonic() - started < 3

    def test_message_without_key_and_value(self, drive: Drive, mode: Mode) -> None:
        """A dead letter of a tombstone without a key comes as an empty value."""
        driver = drive(mode)
        driver.delivery.add({driver.tp: 1}, [Message("dead_letters", None, None, (("detector.reason", b"x"),))])
        driver.settle()

        assert driver.world.values(driver.world.dead_letters) == [b""]

    def test_flush(self, drive: Drive, mode: Mode) -> None:
        """A flush delivers and commits everything at once, and the next turn reports it."""
        driver = drive(mode)
        for position in range(1, 11):
            driver.add(position, b"%d" % position)
        started = time.monotonic()
        flushed = driver.delivery.flush(started + 10)
        took = time.monotonic() - started
        driver.turn()

        assert flushed
        assert took < 1
        assert driver.group.committed([driver.tp], 5) == {driver.tp: 10} == driver.committed
        assert len(driver.world.values(driver.world.alerts)) == len(driver.acknowledged) == 10

    def test_abandoned(self, drive: Drive, mode: Mode) -> None:
        """What was abandoned is not committed, and what comes after it is delivered."""
        driver = drive(mode)
        driver.add(5, b"kept")
        driver.settle()
        driver.add(9, b"dropped")
        driver.delivery.tick()
        driver.delivery.abandon()
        pending = driver.delivery.pending
        progress = driver.delivery.open()
        committed = driver.group.committed([driver.tp], 5)
        driver.add(7, b"next")
        driver.settle()

        assert pending == 0
        assert not progress
        assert committed == {driver.tp: 5}
        assert driver.group.committed([driver.tp], 5) == {driver.tp: 7}
        # At least once, what was on its way may have arrived; in a transaction it must not.
        values = driver.world.values(driver.world.alerts)
        assert [value for value in values if mode is Mode.EXACTLY_ONCE or value != b"dropped"] == [b"kept", b"next"]

    def test_throughput(self, drive: Drive, mode: Mode) -> None:
        """A few thousand messages a second are no trouble, and no turn of the loop is long."""
        driver = drive(mode)
        started = time.monotonic()
        for position in range(1, 51):
            driver.turn_until(lambda: driver.delivery.room)
            driver.add(position, *[b"x" * 500] * 100)
        driver.settle()
        rate = 5_000 / (time.monotonic() - started)

        assert len(driver.world.values(driver.world.alerts)) == 5_000
        assert rate > 3_000
        assert driver.longest_turn < 0.5

    def test_back_pressure(self, drive: Drive, mode: Mode) -> None:
        """Without room there are only so many windows, by number and by size."""
        driver = drive(mode)
        windows = 0
        while driver.delivery.room:
            driver.add(windows + 1, b"alert")
            windows += 1
        driver.settle()
        driver.add(windows + 1, *[b"x" * 100_000] * 50)
        full = not driver.delivery.room
        driver.settle()

        assert windows == {"at_least_once": 6, "exactly_once": 16}[mode]
        assert full
        assert driver.delivery.room


class TestRebalance:
    def test_while_others_take_their_time(self, drive: Drive, mode: Mode) -> None:
        """While a rebalance waits for another member, alerts are delivered; offsets follow, at the latest after it."""
        driver = drive(mode)
        slow, new = (Group(driver.world.config(name)) for name in ("slow", "new"))
        slow.join()
        driver.turn_until(lambda: (slow.poll(0), slow.joined)[1])
        new.join()
        driver.turn_until(lambda: (new.poll(0), driver.group.metadata().state != MemberState.STABLE)[1])
        driver.add(5, b"alert")
        for _ in range(200):
            driver.turn()
            new.poll(0.005)
        during = list(driver.acknowledged), dict(driver.committed)
        driver.turn_until(lambda: (slow.poll(0), new.poll(0), driver.committed)[2])

        assert len(during[0]) == 1
        assert during[1] == ({} if mode is Mode.AT_LEAST_ONCE else {driver.tp: 5})
        assert driver.group.committed([driver.tp], 5) == {driver.tp: 5}
        assert driver.longest_turn < 0.5

        new.leave(for_good=True, timeout_s=3)
        slow.leave(for_good=True, timeout_s=3)


class TestSizes:
    def test_alert_too_large(self, drive: Drive, mode: Mode, admin: KafkaAdminClient) -> None:
        """It becomes a dead letter with the alert's coordinates, and the alerts around it are delivered."""
        driver = drive(mode)
        value = b'{"source":{"topic":"logs","partition":3,"offset":77,"ordinal":1},"x":"%s"}' % (b"y" * 1_100_000)
        driver.add(5, b"before", value, b"after")
        driver.add(6, b"next window")
        driver.settle()
        (record,) = driver.world.read(driver.world.dead_letters)
        letter = parse_dead_letter(record.key(), record.value(), tuple(record.headers()))

        assert driver.world.values(driver.world.alerts) == [b"before", b"after", b"next window"]
        assert letter.reason is DeadLetterReason.ALERT_TOO_LARGE
        assert (letter.topic, letter.partition, letter.offset, letter.ordinal) == ("logs", 3, 77, 1)
        assert (letter.value, letter.truncated) == (value, ())
        assert driver.acknowledged[1].topic == "dead_letters"

    def test_largest(self, drive: Drive, mode: Mode, admin: KafkaAdminClient) -> None:
        """What is judged to fit is taken by the broker, also when nothing of it can be compressed."""
        driver = drive(mode)
        set_limit(admin, driver.world.alerts, 10_000)
        driver.delivery.abandon()
        driver.delivery.open()
        for size in range(9_800, 10_001):
            driver.add(size, secrets.token_bytes(size))
        driver.settle()
        sizes = [len(value) for value in driver.world.values(driver.world.alerts)]

        assert len(sizes) + len(driver.world.values(driver.world.dead_letters)) == 201
        assert 9_800 <= max(sizes) < 10_000

    def test_limit_lowered_meanwhile(self, drive: Drive, mode: Mode, admin: KafkaAdminClient) -> None:
        """A refused message fails the delivery; opened anew, it knows the new limit and nothing is spoiled."""
        driver = drive(mode)
        driver.add(1, b"first")
        driver.settle()
        set_limit(admin, driver.world.alerts, 2_000)

        driver.add(2, secrets.token_bytes(20_000))
        with pytest.raises(DeliveryError):
            driver.settle()
        driver.delivery.abandon()
        driver.delivery.open()
        driver.add(2, secrets.token_bytes(20_000), b"second")
        driver.settle()

        assert driver.world.values(driver.world.alerts)[-1] == b"second"
        assert len(driver.world.values(driver.world.dead_letters)) == 1
        assert driver.group.committed([driver.tp], 5) == {driver.tp: 2}


class TestTopics:
    def test_alert_topic_made_anew(self, drive: Drive, mode: Mode, admin: KafkaAdminClient) -> None:
        """A topic that is deleted and made again takes what comes next; nothing is committed without its message."""
        driver = drive(mode)
        driver.add(1, b"first")
        driver.settle()
        admin.delete_topics([driver.world.alerts])
        time.sleep(0.5)
        driver.add(2, b"second")
        for _ in range(100):
            driver.turn()
            time.sleep(0.01)
        meanwhile = dict(driver.committed)
        admin.create_topics({driver.world.alerts: {"num_partitions": 1, "replication_factor": 1}})
        try:
            driver.settle(30)
        except DeliveryError:
            driver.delivery.abandon()
            driver.delivery.open()
            driver.add(2, b"second")
            driver.settle(30)

        assert meanwhile == {driver.tp: 1}
        assert b"second" in driver.world.values(driver.world.alerts)
        assert driver.group.committed([driver.tp], 5) == {driver.tp: 2}
