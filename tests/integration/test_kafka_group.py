"""The group membership on a real broker."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial

import pytest
from kafka import KafkaAdminClient, TopicPartition
from kafka.admin import MemberToRemove

from detector.config import Config, Input
from detector.errors import DeliveryError, FencedError
from detector.kafka.group import Change, Group
from tests.conftest import Broker
from tests.kafka_world import SESSION_TIMEOUT_MS, Member, World, wait_until

pytestmark = pytest.mark.kafka


@pytest.fixture
def world(kafka: Broker) -> World:
    return World.make(kafka.bootstrap, partitions=4)


def commit_revoked(group: Group, change: Change) -> None:
    if change.revoked:
        group.commit(dict.fromkeys(change.revoked, 7), 5)


@pytest.fixture
def admin(kafka: Broker) -> Iterator[KafkaAdminClient]:
    client = KafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    yield client
    client.close()


Join = Callable[[Config], tuple[Group, Change]]


@pytest.fixture
def join() -> Iterator[Join]:
    """Makes members that the test itself polls, and lets them leave at its end."""
    groups = []

    def make(config: Config) -> tuple[Group, Change]:
        group = Group(config)
        group.join()
        groups.append(group)
        change = group.poll(20)
        assert change is not None
        return group, change

    yield make
    for group in groups:
        group.leave(for_good=True, timeout_s=3)


class TestSharing:
    def test_alone(self, world: World, join: Join) -> None:
        """The only member gets all partitions, and polling on does not rebalance."""
        group, change = join(world.config())
        generation = group.metadata().generation_id
        for _ in range(50):
            group.poll(0.002)

        assert change == Change(assigned=frozenset(TopicPartition(world.logs, number) for number in range(4)))
        assert group.metadata().generation_id == generation
        assert group.reachable

    def test_fetches_nothing(self, world: World, join: Join) -> None:
        """No record of an assigned partition is fetched."""
        world.produce(world.logs, [b"record"] * 10)
        group, change = join(world.config())
        for _ in range(50):
            group.poll(0.01)

        assert {group._consumer.highwater(tp) for tp in change.assigned} == {None}

    def test_second_member(self, world: World, join: Join) -> None:
        """Half of the partitions move to a second member, but not before the first has polled again."""
        first, _ = join(world.config("one"))
        with Member(world.config("two")) as second:
            change = first.poll(20)
            time.sleep(0.5)
            early = second.group.owned
            wait_until(lambda: first.poll(0.01) is None and second.group.owned)

            assert change is not None
            assert (len(change.revoked), len(change.assigned), len(change.lost)) == (2, 0, 0)
            assert early == frozenset()
            assert second.group.owned == change.revoked
            assert len(first.owned) == 2

    def test_committed_before_it_moves(self, world: World) -> None:
        """What a member commits of a revoked partition before it polls again is where the next owner begins."""
        world.produce(world.logs, [b"record"] * 10, partition=3)
        with Member(world.config("one")) as first:
            first.wait_owned(4)
            first.on_change = partial(commit_revoked, first.group)
            with Member(world.config("two")) as second:
                second.wait_owned(2)
                positions = second.group.positions(second.group.owned, 5)

                assert {position.offset for position in positions.values()} == {7}

    def test_a_slow_member_blocks_nobody(self, world: World, join: Join) -> None:
        """While another member drains, a poll takes no longer than asked, and what is owned stays owned."""
        slow, _ = join(world.config("one"))
        other = Group(world.config("two"))
        other.join()
        wait_until(lambda: (other.poll(0.01), slow.poll(0.01))[1])  # told to give two away, it drains for a second
        longest = 0.0
        until = time.monotonic() + 1.0
        while time.monotonic() < until:
            started = time.monotonic()
            other.poll(0.01)
            longest = max(longest, time.monotonic() - started)

        assert longest < 0.2
        assert len(slow.owned) == 2

        other.leave(for_good=True, timeout_s=3)


class TestComingAndGoing:
    def test_killed_and_back(self, world: World, kafka: Broker, join: Join) -> None:
        """A member killed with SIGKILL that is back within the session timeout has its partitions again, and its peer
        never sees them."""
        script = (
            "import sys, time\n"
            "from detector.config import Config\n"
            "from detector.kafka.group import Group\n"
            "group = Group(Config.model_validate_json(sys.argv[1])); group.join()\n"
            "while True:\n"
            "    if group.poll(0.02): print(len(group.owned), flush=True)\n"
        )
        argument = world.config("two").model_dump_json()
        with Member(world.config("one")) as first:
            first.wait_owned(4)
            child = subprocess.Popen([sys.executable, "-c", script, argument], stdout=subprocess.PIPE, text=True)
            assert child.stdout is not None
            assert child.stdout.readline().strip() == "2"
            wait_until(lambda: len(first.group.owned) == 2)
            os.kill(child.pid, signal.SIGKILL)
            child.wait()
            started = time.monotonic()
            with Member(world.config("two")) as back:
                back.wait_owned(2)
                took = time.monotonic() - started

                assert took < 3
                assert len(first.group.owned) == 2
            child.stdout.close()

    def test_leaves_for_good(self, world: World) -> None:
        """The peer of a member that leaves for good has its partitions long before the session timeout."""
        with Member(world.config("one")) as first:
            first.wait_owned(4)
            second = Member(world.config("two"))
            with second:
                second.wait_owned(2)
            took = first.wait_owned(4)

            assert took < SESSION_TIMEOUT_MS / 1_000 / 2

    def test_new_partitions(self, world: World, admin: KafkaAdminClient, join: Join) -> None:
        """Partitions that appear later are assigned, also by a leader that was restarted meanwhile."""
        group, _ = join(world.config())
        group.leave(for_good=False, timeout_s=3)
        with Member(world.config()) as back:
            back.wait_owned(4)
            before = len(back.changes)
            admin.create_partitions({world.logs: 6})
            back.wait_owned(6)

            def added() -> set[TopicPartition]:  # at once, or one by one
                return {tp for _, change in back.changes[before:] for tp in change.assigned}

            wait_until(lambda: added() == {TopicPartition(world.logs, 4), TopicPartition(world.logs, 5)})

    def test_another_topic_after_a_restart(self, world: World, kafka: Broker, join: Join) -> None:
        """A member that is back with one more topic gets its partitions."""
        other = World.make(kafka.bootstrap)
        group, _ = join(world.config())
        group.leave(for_good=False, timeout_s=3)
        config = world.config()
        topics = (*config.input.topics, *other.config().input.topics)
        with Member(config.model_copy(update={"input": Input(topics=topics)})) as back:
            back.wait_owned(5)

            assert TopicPartition(other.logs, 0) in back.group.owned

    def test_removed_by_others(self, world: World, admin: KafkaAdminClient) -> None:
        """A member that the group removed is told that its partitions are lost, and gets new ones."""
        with Member(world.config()) as member:
            member.wait_owned(4)
            admin.remove_group_members(world.group, [MemberToRemove(group_instance_id="one")])
            wait_until(lambda: len(member.changes) >= 3)
            _, lost, again = (change for _, change in member.changes[:3])

            assert (len(lost.lost), len(lost.revoked), len(again.assigned)) == (4, 0, 4)


class TestFencing:
    def test_second_process_with_the_same_id(self, world: World, join: Join) -> None:
        """A member whose instance id another process uses stops, and can commit no more."""
        old, _ = join(world.config())
        new, _ = join(world.config())

        with pytest.raises(FencedError, match="instance_id"):
            old.poll(5)
        with pytest.raises(FencedError):
            old.commit({TopicPartition(world.logs, 0): 1}, 5)
        assert new.committed([TopicPartition(world.logs, 0)], 5) == {}

    def test_old_generation(self, world: World, admin: KafkaAdminClient, join: Join) -> None:
        """A commit of a member that the group has removed is refused, now and later."""
        group, _ = join(world.config())
        admin.remove_group_members(world.group, [MemberToRemove(group_instance_id="one")])

        with pytest.raises(DeliveryError, match="old generation"):
            group.commit({TopicPartition(world.logs, 0): 1}, 5)
        commit = group.commit_soon({TopicPartition(world.logs, 0): 1})
        wait_until(lambda: (group.poll(0), commit.done)[1])
        assert isinstance(commit.error, DeliveryError)
        assert group.committed([TopicPartition(world.logs, 0)], 5) == {}


class TestCommit:
    def test_waits(self, world: World, join: Join) -> None:
        """A commit that was waited for is there."""
        group, _ = join(world.config())
        group.commit({TopicPartition(world.logs, 1): 5}, 5)

        assert group.committed([TopicPartition(world.logs, 1), TopicPartition(world.logs, 2)], 5) == {
            TopicPartition(world.logs, 1): 5
        }

    def test_goes_on(self, world: World, join: Join) -> None:
        """A commit that was not waited for tells its outcome in a later poll."""
        group, _ = join(world.config())
        commit = group.commit_soon({TopicPartition(world.logs, 1): 5})
        early = commit.done
        wait_until(lambda: (group.poll(0), commit.done)[1])

        assert not early
        assert commit.error is None
        assert group.committed([TopicPartition(world.logs, 1)], 5) == {TopicPartition(world.logs, 1): 5}


class TestPositions:
    def test_nothing_committed(self, world: World, join: Join) -> None:
        """Without a commit a partition begins where the settings say."""
        world.produce(world.logs, [b"record"] * 10)
        tp = TopicPartition(world.logs, 0)
        earliest, _ = join(world.config())
        from_start = earliest.positions([tp], 5)[tp]
        earliest.leave(for_good=True, timeout_s=3)
        config = world.config()
        latest, _ = join(config.model_copy(update={"input": config.input.model_copy(update={"start": "latest"})}))
        from_end = latest.positions([tp], 5)[tp]
        latest.leave(for_good=True, timeout_s=3)

        assert (from_start.offset, from_start.end, from_start.skipped) == (0, 10, 0)
        assert (from_end.offset, from_end.end, from_end.skipped) == (10, 10, 0)

    def test_committed(self, world: World, join: Join) -> None:
        """A commit is where a partition begins."""
        world.produce(world.logs, [b"record"] * 10)
        tp = TopicPartition(world.logs, 0)
        group, _ = join(world.config())
        group.commit({tp: 4}, 5)
        position = group.positions([tp], 5)[tp]

        assert (position.offset, position.skipped, position.beyond_end) == (4, 0, False)

    def test_retention(self, world: World, admin: KafkaAdminClient, join: Join) -> None:
        """Offsets that retention removed after the commit are counted."""
        world.produce(world.logs, [b"record"] * 10)
        tp = TopicPartition(world.logs, 0)
        group, _ = join(world.config())
        group.commit({tp: 2}, 5)
        admin.delete_records({tp: 7})
        position = group.positions([tp], 5)[tp]

        assert (position.offset, position.skipped, position.beyond_end) == (7, 5, False)

    def test_beyond_the_end(self, world: World, join: Join) -> None:
        """A commit beyond the end of the log is told, not corrected."""
        world.produce(world.logs, [b"record"] * 10)
        tp = TopicPartition(world.logs, 0)
        group, _ = join(world.config())
        group.commit({tp: 11}, 5)
        position = group.positions([tp], 5)[tp]

        assert (position.offset, position.end, position.beyond_end) == (11, 10, True)
