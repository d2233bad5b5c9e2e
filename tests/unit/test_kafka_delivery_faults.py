"""Delivery under faults that no broker makes on demand: nothing is committed that was not acknowledged."""

from __future__ import annotations

import time
from typing import cast

import pytest
from kafka import TopicPartition
from kafka import errors as kafka_errors

from detector.config import Config, Output
from detector.errors import DeliveryError, FencedError, UnavailableError
from detector.kafka import delivery as delivery_module
from detector.kafka import topics as topics_module
from detector.kafka import transactions as transactions_module
from detector.kafka.delivery import AtLeastOnce
from detector.kafka.group import Group
from detector.kafka.producer import TRANSACTION_TIMEOUT_MS
from detector.kafka.topics import Topics
from detector.kafka.transactions import ExactlyOnce
from detector.window import Message
from tests.kafka_stubs import StubGroup, StubSender

TP = TopicPartition("logs", 0)
OTHER = TopicPartition("logs", 1)
CONFIG = Config(output=Output(alerts_topic="alerts", dead_letters_topic="dead"))
TOPICS = Topics({"alerts": 1, "dead": 1}, {"alerts": 1_000_000, "dead": 8_000_000})


def alert(value: bytes = b"{}") -> Message:
    return Message("alerts", b"k", value, ())


@pytest.fixture(autouse=True)
def no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sizes of topics are asked for anew after a failure; nobody is there to ask."""
    monkeypatch.setattr(topics_module, "message_sizes", lambda *_: TOPICS.max_message_bytes)


@pytest.fixture
def sender() -> StubSender:
    return StubSender()


@pytest.fixture
def group() -> StubGroup:
    return StubGroup()


class TestAtLeastOnce:
    @pytest.fixture
    def delivery(self, group: StubGroup, sender: StubSender, monkeypatch: pytest.MonkeyPatch) -> AtLeastOnce:
        monkeypatch.setattr(delivery_module, "COMMIT_INTERVAL_S", 0.0)
        delivery = AtLeastOnce(CONFIG, cast(Group, group), TOPICS, make_sender=lambda _sizes: sender)
        delivery.open()
        return delivery

    def test_committed_once_acknowledged(self, delivery: AtLeastOnce, group: StubGroup, sender: StubSender) -> None:
        """Offsets are committed after the last acknowledgement, and reported after the commit."""
        delivery.add({TP: 7}, [alert(), alert()])
        delivery.tick()
        sender.pending[0].succeed()
        delivery.tick()
        before = list(group.commits)
        sender.pending[1].succeed()
        acknowledged = delivery.tick()
        group.commits[0].done = True
        committed = delivery.tick()

        assert before == []
        assert (len(acknowledged.acknowledged), acknowledged.committed) == (2, {})
        assert (committed.acknowledged, committed.committed) == ((), {TP: 7})
        assert delivery.pending == 0

    def test_failed_message(self, delivery: AtLeastOnce, group: StubGroup, sender: StubSender) -> None:
        """A failed message fails the delivery, and its window is not committed."""
        delivery.add({TP: 7}, [alert(), alert()])
        delivery.tick()
        sender.pending[0].succeed()
        sender.pending[1].fail(RuntimeError("refused"))

        with pytest.raises(DeliveryError):
            delivery.tick()
        assert group.commits == []

    def test_flush_with_a_failed_message(self, delivery: AtLeastOnce, group: StubGroup, sender: StubSender) -> None:
        """So does a flush."""
        delivery.add({TP: 7}, [alert()])
        delivery.tick()
        sender.pending[0].fail(RuntimeError("refused"))

        with pytest.raises(DeliveryError):
            delivery.flush(time.monotonic() + 5)
        assert (group.commits, group.waited) == ([], [])

    def test_flush_with_an_unfinished_message(
        self, delivery: AtLeastOnce, group: StubGroup, sender: StubSender
    ) -> None:
        """A message without an outcome at the deadline is none that arrived."""
        delivery.add({TP: 7}, [alert()])
        delivery.add({TP: 9}, [])
        flushed = delivery.flush(time.monotonic() + 0.05)

        assert not flushed
        assert (group.commits, group.waited) == ([], [])
        assert delivery.pending == 2

    def test_windows_behind_a_stuck_one(self, delivery: AtLeastOnce, group: StubGroup, sender: StubSender) -> None:
        """Nothing behind a window that is not acknowledged is committed, of whatever partition."""
        delivery.add({TP: 7}, [alert()])
        delivery.add({OTHER: 9}, [alert()])
        delivery.tick()
        sender.pending[1].succeed()
        delivery.tick()

        assert group.commits == []

    def test_one_commit_at_a_time(self, delivery: AtLeastOnce, group: StubGroup) -> None:
        """While a commit is under way, further offsets gather for the next one."""
        for position in range(1, 4):
            delivery.add({TP: position}, [])
            delivery.tick()
        group.commits[0].done = True
        delivery.tick()

        assert [commit.offsets for commit in group.commits] == [{TP: 1}, {TP: 3}]

    def test_commit_that_can_be_tried_again(self, delivery: AtLeastOnce, group: StubGroup) -> None:
        """During a rebalance or without a coordinator a commit is sent again, with what came meanwhile."""
        delivery.add({TP: 1, OTHER: 5}, [])
        delivery.tick()
        delivery.add({TP: 2}, [])
        group.commits[0].error, group.commits[0].done = UnavailableError("rebalance"), True
        progress = delivery.tick()

        assert not progress
        assert group.commits[1].offsets == {TP: 2, OTHER: 5}
        assert delivery.pending == 2

    def test_commit_without_an_outcome(
        self, delivery: AtLeastOnce, group: StubGroup, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A commit that nobody answers is sent again."""
        delivery.add({TP: 1}, [])
        delivery.tick()
        monkeypatch.setattr(delivery_module, "COMMIT_TIMEOUT_S", 0.0)
        delivery.tick()

        assert [commit.offsets for commit in group.commits] == [{TP: 1}, {TP: 1}]

    @pytest.mark.parametrize("error", [DeliveryError("old generation"), FencedError("another")])
    def test_commit_refused(self, delivery: AtLeastOnce, group: StubGroup, error: Exception) -> None:
        """A refused commit is the driver's to decide about."""
        delivery.add({TP: 1}, [])
        delivery.tick()
        group.commits[0].error, group.commits[0].done = error, True  # type: ignore[assignment]

        with pytest.raises(type(error)):
            delivery.tick()

    def test_flush_waits_for_the_coordinator(self, delivery: AtLeastOnce, group: StubGroup) -> None:
        """A flush tries a commit again until its deadline, and takes one under way with it."""
        delivery.add({TP: 1, OTHER: 5}, [])
        delivery.tick()
        delivery.add({TP: 2}, [])
        group.errors = [UnavailableError("no coordinator"), UnavailableError("no coordinator")]
        flushed = delivery.flush(time.monotonic() + 5)

        assert flushed
        assert group.waited == [{TP: 2, OTHER: 5}]
        assert delivery.tick().committed == {TP: 2, OTHER: 5}

    def test_abandoned(self, delivery: AtLeastOnce, group: StubGroup, sender: StubSender) -> None:
        """Nothing of what was abandoned is committed later, and its producer is used no more."""
        delivery.add({TP: 7}, [alert()])
        delivery.tick()
        sender.acknowledge()
        delivery.abandon()
        room = delivery.room
        progress = delivery.tick()

        assert sender.discarded
        assert not room
        assert not progress
        assert (group.commits, delivery.pending) == ([], 0)


class TestExactlyOnce:
    @pytest.fixture
    def delivery(self, group: StubGroup, sender: StubSender) -> ExactlyOnce:
        delivery = ExactlyOnce(CONFIG, cast(Group, group), TOPICS, make_sender=lambda _sizes: sender)
        delivery.open()
        delivery._last = time.monotonic() - 60
        return delivery

    def committing(self, delivery: ExactlyOnce, sender: StubSender) -> None:
        """Bring a transaction with one alert to its commit."""
        delivery.add({TP: 7}, [alert()])
        delivery.tick()
        sender.acknowledge()
        delivery.tick()
        sender.offsets[0][1].succeed()
        delivery.tick()

    def test_steps(self, delivery: ExactlyOnce, group: StubGroup, sender: StubSender) -> None:
        """Messages, their acknowledgement, offsets, commit; reported when all is done."""
        self.committing(delivery, sender)
        before = delivery.tick()
        sender.commits[0].succeed()
        after = delivery.tick()

        assert sender.steps == ["begin", "send", "offsets", "commit"]
        assert not before
        assert (after.committed, len(after.acknowledged)) == ({TP: 7}, 1)

    def test_not_acknowledged(self, delivery: ExactlyOnce, sender: StubSender) -> None:
        """A transaction is not committed while a message is under way: Kafka would commit it without the message."""
        delivery.add({TP: 7}, [alert(), alert()])
        for _ in range(5):
            delivery.tick()
        sender.pending[0].succeed()
        delivery.tick()

        assert sender.steps == ["begin", "send", "send"]

    def test_failed_message(self, delivery: ExactlyOnce, sender: StubSender) -> None:
        """A failed message fails the transaction."""
        delivery.add({TP: 7}, [alert()])
        delivery.tick()
        sender.pending[0].fail(RuntimeError("refused"))

        with pytest.raises(DeliveryError):
            delivery.tick()
        assert "commit" not in sender.steps

    def test_windows_during_a_commit(self, delivery: ExactlyOnce, sender: StubSender) -> None:
        """Windows that come while a transaction ends are sent in the next one."""
        self.committing(delivery, sender)
        delivery.add({TP: 8}, [alert()])
        delivery.tick()
        meanwhile = len(sender.sent)
        sender.commits[0].succeed()
        delivery.tick()

        assert meanwhile == 1
        assert sender.steps[-2:] == ["begin", "send"]

    def test_no_answer_to_offsets(
        self, delivery: ExactlyOnce, sender: StubSender, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Offsets without an answer fail the delivery; there is nothing in doubt, as nothing was committed."""
        delivery.add({TP: 7}, [alert()])
        delivery.tick()
        sender.acknowledge()
        delivery.tick()
        monkeypatch.setattr(transactions_module, "STEP_TIMEOUT_S", 0.0)

        with pytest.raises(DeliveryError, match="offsets had no answer"):
            delivery.tick()
        delivery.abandon()
        assert not delivery.open()

    @pytest.mark.parametrize(("stored", "landed"), [({TP: 7}, True), ({TP: 9}, True), ({TP: 6}, False), ({}, False)])
    def test_commit_in_doubt(
        self,
        delivery: ExactlyOnce,
        group: StubGroup,
        sender: StubSender,
        monkeypatch: pytest.MonkeyPatch,
        stored: dict[TopicPartition, int],
        landed: bool,
    ) -> None:
        """A commit without an answer fails the delivery, and opening anew finds out what became of it."""
        self.committing(delivery, sender)
        monkeypatch.setattr(transactions_module, "STEP_TIMEOUT_S", 0.0)
        with pytest.raises(DeliveryError, match="commit had no answer"):
            delivery.tick()
        delivery.abandon()
        group.stored = stored
        progress = delivery.open()

        assert sender.discarded
        assert (progress.committed, len(progress.acknowledged)) == (({TP: 7}, 1) if landed else ({}, 0))
        assert not delivery.open()

    def test_doubt_outlives_an_outage(
        self, delivery: ExactlyOnce, group: StubGroup, sender: StubSender, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """While the group cannot be asked, opening fails; the question stays."""
        self.committing(delivery, sender)
        sender.commits[0].fail(kafka_errors.KafkaError("gone"))
        with pytest.raises(DeliveryError):
            delivery.tick()
        delivery.abandon()
        group.stored = {TP: 7}
        with monkeypatch.context() as patched:
            patched.setattr(StubGroup, "committed", _unavailable)
            with pytest.raises(UnavailableError):
                delivery.open()

        assert delivery.open().committed == {TP: 7}

    @pytest.mark.parametrize(
        ("error", "age_s", "expected"),
        [
            (kafka_errors.ProducerFencedError(), 0, FencedError),
            (kafka_errors.InvalidProducerEpochError(), 0, FencedError),
            (kafka_errors.ProducerFencedError(), TRANSACTION_TIMEOUT_MS / 1_000, DeliveryError),
            (kafka_errors.FencedInstanceIdError(), 0, FencedError),
            (kafka_errors.CommitFailedError(), 0, DeliveryError),
        ],
    )
    def test_refused(
        self,
        delivery: ExactlyOnce,
        sender: StubSender,
        error: Exception,
        age_s: float,
        expected: type[Exception],
    ) -> None:
        """Another process's takeover ends this one; a transaction that the broker timed out is begun anew."""
        delivery.add({TP: 7}, [alert()])
        delivery.tick()
        sender.acknowledge()
        delivery.tick()
        assert delivery._opened is not None
        delivery._opened -= age_s
        sender.offsets[0][1].fail(error)

        with pytest.raises(expected):
            delivery.tick()

    def test_fenced_by_oneself(self, delivery: ExactlyOnce, group: StubGroup, sender: StubSender) -> None:
        """A replica that the group dropped, and that joined again meanwhile, has taken its id over from itself."""
        delivery.add({TP: 7}, [alert()])
        delivery.tick()
        sender.acknowledge()
        delivery.tick()
        group.member = "member-2"
        sender.offsets[0][1].fail(kafka_errors.FencedInstanceIdError())

        with pytest.raises(DeliveryError):
            delivery.tick()

    def test_offsets_alone(self, delivery: ExactlyOnce, sender: StubSender) -> None:
        """Windows without messages cost a transaction a second, not more."""
        delivery._last = time.monotonic()
        delivery.add({TP: 7}, [])
        delivery.tick()
        early = list(sender.steps)
        delivery._last -= 1
        delivery.tick()

        assert early == []
        assert sender.steps == ["begin", "offsets"]

    def test_unknown_topic(self, delivery: ExactlyOnce, sender: StubSender) -> None:
        """A transaction waits for a topic that is looked up, and is committed with what could be sent before."""
        sender.unknown = {"dead"}
        delivery.add({TP: 1}, [alert()])
        delivery.add({TP: 2}, [Message("dead_letters", None, b"raw", ())])
        for _ in range(3):
            delivery.tick()
            sender.acknowledge()
        sender.offsets[0][1].succeed()
        delivery.tick()
        sender.commits[0].succeed()
        progress = delivery.tick()

        assert progress.committed == {TP: 1}
        assert delivery.pending == 1


def _unavailable(*_arguments: object) -> dict[TopicPartition, int]:
    raise UnavailableError("gone")
