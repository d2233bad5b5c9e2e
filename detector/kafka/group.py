"""The driver's place in the consumer group: which partitions are its own, where they begin, what is committed.

It is a member that fetches nothing: its partitions are paused from the moment they are assigned, and readers of their
own fetch them.

How partitions move (cooperative): a rebalance that takes partitions away ends with `on_partitions_revoked` *after* the
group's new generation is agreed, and nobody owns them then. Their next owner gets them in a second round, which begins
when this member polls again. So what `poll` reports as revoked may still be committed, until the next `poll`.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import structlog
from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition
from kafka import errors as kafka_errors
from kafka.admin import MemberToRemove
from kafka.consumer.subscription_state import ConsumerRebalanceListener
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.structs import OffsetAndMetadata

from detector.config import Config
from detector.errors import DeliveryError, DetectorError, FencedError, KafkaSetupError, UnavailableError
from detector.kafka.client import arguments, connect, quiet_arguments
from detector.kafka.coordinator import Coordinator

HEARTBEAT_MS = 250
"""A member hears of a rebalance with its next heartbeat, so this bounds how long one waits for the others."""
REBALANCE_TIMEOUT_MS = 60_000
"""How long a rebalance waits for a member that drains; the liveness probe ends a stuck one after 30 s."""
METADATA_AGE_MS = 3_000
"""How soon new partitions and topics are noticed."""
ANSWER_S = 4.0
"""A coordinator that leaves heartbeats unanswered so long is not reachable."""

_STEP_S = 0.005

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Change:
    """What a rebalance did to this member.

    assigned: begins here.
    revoked: to be committed now, given away with the next `poll`.
    lost: somebody else's already; nothing may be committed.
    """

    assigned: frozenset[TopicPartition] = frozenset()
    revoked: frozenset[TopicPartition] = frozenset()
    lost: frozenset[TopicPartition] = frozenset()


@dataclass(frozen=True, slots=True)
class Position:
    """Where a partition begins.

    offset: the first offset to read.
    skipped: offsets between the commit and the beginning of the log, which retention removed unread.
    end: the end of the log (last stable offset). An `offset` beyond it means that the topic was made anew or that
        the log was truncated: reading on would pass over records.
    """

    offset: int
    skipped: int
    end: int

    @property
    def beyond_end(self) -> bool:
        """Whether the committed offset does not exist (yet)."""
        return self.offset > self.end


@dataclass(slots=True)
class Commit:
    """A commit under way; `done` and `error` change in `Group.poll` only.

    error: a `DetectorError` that says what to do, `UnavailableError` where trying again is all.
    """

    offsets: Mapping[TopicPartition, int]
    started: float = field(default_factory=time.monotonic)
    done: bool = False
    error: DetectorError | None = None


class Group:
    """This replica as a static member. All methods are for one thread, the main one."""

    def __init__(self, config: Config) -> None:
        self._kafka = config.kafka
        self._topics = tuple(topic.name for topic in config.input.topics)
        self._earliest = config.input.start == "earliest"
        self._listener = _Listener()
        self._consumer: Any = None
        self._coordinator: Coordinator
        self._introduced = False

    def join(self) -> None:
        """Connect and subscribe; partitions come with `poll`.

        Raises:
            UnavailableError: no broker answers.
            KafkaSetupError: the brokers refuse the client.
        """
        kafka = self._kafka
        self._consumer = connect(
            KafkaConsumer,
            **quiet_arguments(kafka, "group"),
            group_id=kafka.group_id,
            group_instance_id=kafka.instance_id,
            session_timeout_ms=kafka.session_timeout_ms,
            heartbeat_interval_ms=HEARTBEAT_MS,
            max_poll_interval_ms=REBALANCE_TIMEOUT_MS,
            metadata_max_age_ms=METADATA_AGE_MS,
            partition_assignment_strategy=[CooperativeStickyAssignor],
            enable_auto_commit=False,
            isolation_level="read_committed",  # also: a committed offset is not seen while its transaction is open
        )
        self._coordinator = Coordinator.of(self._consumer)
        self._introduced = False
        self._listener.consumer = self._consumer
        self._consumer.subscribe(topics=list(self._topics), listener=self._listener)
        # A leader that knows no partitions would share out none, and rebalance in circles until it does.
        deadline = time.monotonic() + kafka.request_timeout_ms / 1_000
        cluster = self._consumer._cluster  # noqa: SLF001
        while not all(map(cluster.partitions_for_topic, self._topics)) and time.monotonic() < deadline:
            time.sleep(_STEP_S)

    def poll(self, timeout_s: float = 0.0) -> Change | None:
        """Take part in the group for at most about `timeout_s`; returns at once when a rebalance changed something.

        Raises:
            FencedError: another process uses this replica's instance id.
            KafkaSetupError: a right is missing, or the group's other members are set up differently.
            UnavailableError: the coordinator answers nonsense; try again.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            # Never with a timeout: kafka-python would go on to the second round of a rebalance in the same call,
            # and give partitions away before they are committed.
            try:
                self._consumer.poll(timeout_ms=0)
            except kafka_errors.KafkaError as error:
                raise self._explained(error) from error
            if self._coordinator.fenced():
                raise self._explained(kafka_errors.FencedInstanceIdError())
            change = self._listener.take()
            if change and not self._introduced:
                self._introduced = True
                self._coordinator.introduce()
            left = deadline - time.monotonic()
            if change or left <= 0:
                return change
            time.sleep(min(_STEP_S, left))

    @property
    def owned(self) -> frozenset[TopicPartition]:
        """The partitions of this member, by its last rebalance."""
        return frozenset(self._consumer.assignment())

    @property
    def joined(self) -> bool:
        """Whether the group has said which partitions are this member's, possibly none."""
        return bool(self._consumer._coordinator.stable())  # noqa: SLF001

    @property
    def reachable(self) -> bool:
        """Whether the group's coordinator is known and answers."""
        return self._coordinator.answers(ANSWER_S)

    def positions(self, partitions: Collection[TopicPartition], timeout_s: float) -> dict[TopicPartition, Position]:
        """Where to begin: at the commit, else where `input.start` says.

        Raises:
            UnavailableError: the cluster does not tell in time; also while another process's transaction is open.
        """
        if not partitions:
            return {}
        listed = list(partitions)
        timeout_ms = round(timeout_s * 1_000)
        try:
            committed = self._coordinator.committed(listed, timeout_s)
            begins = self._consumer.beginning_offsets(listed, timeout_ms)
            ends = self._consumer.end_offsets(listed, timeout_ms)
        except (kafka_errors.KafkaError, KeyError) as error:  # KeyError: a partition without a leader
            raise self._explained(error) from error
        positions = {}
        for tp in listed:
            begin, end = begins[tp], ends[tp]
            if tp in committed:
                offset = committed[tp]
                positions[tp] = Position(max(offset, begin), max(0, begin - offset), end)
            else:
                positions[tp] = Position(begin if self._earliest else end, 0, end)
        return positions

    def committed(self, partitions: Iterable[TopicPartition], timeout_s: float) -> dict[TopicPartition, int]:
        """What the group has committed; no key where it has nothing.

        Raises:
            UnavailableError: the cluster does not tell in time.
        """
        try:
            return self._coordinator.committed(list(partitions), timeout_s)
        except kafka_errors.KafkaError as error:
            raise self._explained(error) from error

    def begins(self, partitions: Collection[TopicPartition], timeout_s: float) -> dict[TopicPartition, int]:
        """The beginnings of the logs, of any topics.

        Raises:
            UnavailableError: the cluster does not tell in time.
        """
        try:
            for topic in {tp.topic for tp in partitions}:
                self._consumer.partitions_for_topic(topic)  # looks one up that the group does not read
            begins: dict[TopicPartition, int] = self._consumer.beginning_offsets(
                list(partitions), round(timeout_s * 1_000)
            )
        except (kafka_errors.KafkaError, KeyError) as error:
            raise self._explained(error) from error
        return begins

    def end_offsets(self, partitions: Collection[TopicPartition], timeout_s: float) -> dict[TopicPartition, int]:
        """The ends of the logs (last stable offsets).

        Raises:
            UnavailableError: the cluster does not tell in time.
        """
        try:
            ends: dict[TopicPartition, int] = self._consumer.end_offsets(list(partitions), round(timeout_s * 1_000))
        except (kafka_errors.KafkaError, KeyError) as error:
            raise self._explained(error) from error
        return ends

    def commit(self, offsets: Mapping[TopicPartition, int], timeout_s: float) -> None:
        """Commit and wait for it.

        Raises:
            FencedError: another process uses this replica's instance id.
            DeliveryError: this member's generation is over; its partitions may be somebody else's.
            UnavailableError: not now (no coordinator, a rebalance): try again.
            KafkaSetupError: not allowed.
        """
        try:
            self._consumer.commit(_commits(offsets), timeout_ms=round(timeout_s * 1_000))
        except kafka_errors.KafkaError as error:
            raise self._explained(error) from error

    def commit_soon(self, offsets: Mapping[TopicPartition, int]) -> Commit:
        """Send a commit and go on; a later `poll` notes in it what became of it."""
        commit = Commit(dict(offsets))

        def note(_offsets: Any, outcome: Any) -> None:
            commit.done = True
            if isinstance(outcome, Exception):
                commit.error = self._explained(outcome)

        try:
            # The future that this returns is no help: while the coordinator is being looked up, it is the look-up's.
            self._consumer.commit_async(_commits(offsets), callback=note)
        except kafka_errors.KafkaError as error:
            commit.done, commit.error = True, self._explained(error)
        return commit

    def metadata(self) -> Any:
        """Group, generation and member, as `send_offsets_to_transaction` needs them for fencing.

        Raises:
            DeliveryError: the membership was lost. Offsets sent without one would not be fenced.
        """
        metadata = self._consumer.group_metadata()
        if metadata.generation_id < 0 or not metadata.member_id:
            raise DeliveryError(f"group {self._kafka.group_id!r}: the membership was lost")
        return metadata

    def leave(self, *, for_good: bool, timeout_s: float) -> None:
        """Close the membership without a commit.

        for_good: the replica will not come back, so the others get its partitions at once. Else they stay its own for
            the session timeout, and are there again when it is back.
        """
        if self._consumer is None:
            return
        try:
            self._consumer.close(autocommit=False, timeout_ms=round(timeout_s * 1_000))
        except kafka_errors.KafkaError as error:
            log.warning("could not close the membership cleanly", error=str(error))
        self._consumer = None
        if for_good:
            self._remove(timeout_s)

    def _remove(self, timeout_s: float) -> None:
        settings = arguments(self._kafka, "leave")
        settings["request_timeout_ms"] = settings["bootstrap_timeout_ms"] = max(1_000, round(timeout_s * 1_000))
        me = MemberToRemove(group_instance_id=self._kafka.instance_id, reason="leaves for good")
        try:
            admin = connect(KafkaAdminClient, **settings)
            try:
                outcomes = admin.remove_group_members(self._kafka.group_id, [me])
            finally:
                admin.close()
            fine = (kafka_errors.NoError, kafka_errors.UnknownMemberIdError)
            refused = [error.__name__ for error in outcomes.values() if error not in fine]
            if refused:
                log.warning("the group did not remove this member", errors=refused)
        except (kafka_errors.KafkaError, DetectorError) as error:
            # Only its peers' patience is lost: they wait for the session timeout.
            log.warning("could not leave the group for good", error=str(error))

    def _explained(self, error: Exception) -> DetectorError:
        kafka = self._kafka
        if isinstance(error, kafka_errors.FencedInstanceIdError):
            return FencedError(
                f"kafka.instance_id: another process took over {kafka.instance_id!r} in group {kafka.group_id!r}; "
                "give each replica an id of its own"
            )
        if isinstance(error, kafka_errors.AuthorizationError):
            return KafkaSetupError(
                f"kafka.group_id: not allowed ({error}); grant Read on group {kafka.group_id!r} "
                f"and on the topics {', '.join(self._topics)}"
            )
        if isinstance(error, kafka_errors.InconsistentGroupProtocolError):
            return KafkaSetupError(
                f"kafka.group_id: the members of {kafka.group_id!r} share partitions in another way; "
                "give this service a group of its own"
            )
        if isinstance(error, kafka_errors.InvalidSessionTimeoutError):
            return KafkaSetupError(
                f"kafka.session_timeout_ms: the broker does not take {kafka.session_timeout_ms}; "
                "it must lie between group.min.session.timeout.ms and group.max.session.timeout.ms"
            )
        if isinstance(error, kafka_errors.CommitFailedError) and not _is_rebalance(error):
            return DeliveryError(f"group {kafka.group_id!r}: refused a commit of an old generation ({error})")
        return UnavailableError(f"group {kafka.group_id!r}: {type(error).__name__}: {error}")


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]
    """Notes what moves. It runs on kafka-python's IO thread while the main thread waits in `poll`."""

    def __init__(self) -> None:
        self.consumer: Any = None
        self._assigned: set[TopicPartition] = set()
        self._revoked: set[TopicPartition] = set()
        self._lost: set[TopicPartition] = set()

    def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        for tp in assigned:
            # With any position and paused, kafka-python neither fetches nor asks for offsets.
            self.consumer.pause(tp)
            self.consumer.seek(tp, 0)
        self._assigned.update(assigned)

    def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        self._revoked.update(revoked)

    def on_partitions_lost(self, lost: Iterable[TopicPartition]) -> None:
        self._lost.update(lost)

    def take(self) -> Change | None:
        if not (self._assigned or self._revoked or self._lost):
            return None
        change = Change(frozenset(self._assigned), frozenset(self._revoked), frozenset(self._lost))
        for noted in (self._assigned, self._revoked, self._lost):
            noted.clear()
        return change


def _commits(offsets: Mapping[TopicPartition, int]) -> dict[TopicPartition, Any]:
    return {tp: OffsetAndMetadata(offset) for tp, offset in offsets.items()}


def _is_rebalance(error: Exception) -> bool:
    return bool(error.args) and isinstance(error.args[0], kafka_errors.RebalanceInProgressError)
