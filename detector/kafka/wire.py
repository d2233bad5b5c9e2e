"""Fetching whole record batches. This and `sockets` lean on private parts of kafka-python, as read in 3.0.12.

Of kafka-python these stay in charge: connections, TLS and SASL, metadata, fetch sessions, leader epochs, follower
fetching and the errors of partitions. Replaced are the decoding of the records, and the loop: `KafkaConsumer` would
block in its constructor while no broker answers, and run the network in a thread that fights this one for the
interpreter's lock. Here the network runs while `receive` waits, and the socket's buffer bridges the time between.

A partition's position in the subscription is the next offset to *fetch*: it advances when an answer arrives, so that
the next request is under way while this answer's records are decoded.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from typing import Any

from kafka import TopicPartition
from kafka import errors as kafka_errors
from kafka.consumer import fetcher as kafka_fetcher
from kafka.consumer.subscription_state import SubscriptionState
from kafka.structs import OffsetAndMetadata

from detector.errors import KafkaSetupError
from detector.kafka.answer import Answer, Item
from detector.kafka.failures import BrokenError, CorruptBatch, OffsetOutOfRange, PartitionGone, ReadError
from detector.kafka.sockets import net_client
from detector.window import Broken

FETCH_WAIT_MS = 500
"""How long a broker holds a request while it has nothing new; when it has, it answers at once."""

GONE_AFTER_S = 5.0
"""A topic that the cluster does not know for so long is gone; right after a broker's start it may be missing."""

_ATTEMPTS = 3
_WRITES = 2  # turns of the network until a request is written, so that the answer can come while nobody waits
_RETRY_S = 0.1
_REFRESH_S = 1.0
_TURN_S = 0.05
_PAUSE_S = 1.0


class _Accepted:
    """Stands where kafka-python would decode an answer: it has looked at the answer's state, and accepts it."""

    def __init__(self, *_: Any, **__: Any) -> None: ...


class _Fetcher(kafka_fetcher.Fetcher):  # type: ignore[misc]
    PartitionRecords = _Accepted
    reachable = False

    def _handle_fetch_response(self, *arguments: Any) -> None:
        self.reachable = True
        super()._handle_fetch_response(*arguments)

    def _handle_fetch_error(self, *arguments: Any) -> None:
        self.reachable = False
        super()._handle_fetch_error(*arguments)

    def all_asked(self) -> bool:
        """Whether every broker that has something to read is being waited for."""
        pending = self._nodes_with_pending_fetch_requests
        cluster = self._manager.cluster
        return bool(pending) and all(
            cluster.leader_for_partition(tp) in pending for tp in self._subscriptions.fetchable_partitions()
        )

    def answers(self) -> Any:
        """The queue of what has arrived."""
        return self._completed_fetches

    def accepts(self, answer: Any) -> bool:
        """Whether the answer holds data that belong to the position; raises the partition's error."""
        return self._parse_fetched_data(answer) is not None


class Fetches:
    """Fetches fixed partitions from given offsets on, read_committed, without a group and without a thread.

    `send` and `receive` keep the network going; `next` takes what has arrived, `position` says how far that goes.
    """

    def __init__(
        self, starts: Mapping[TopicPartition, int], *, arguments: Mapping[str, Any], partition_bytes: int, isolate: bool
    ) -> None:
        """Begin to connect; whether that succeeds shows in `reachable`.

        Args:
            starts: first offset to read of each partition.
            arguments: addresses, time limits and security, as kafka-python's clients take them.
            partition_bytes: most bytes of a partition in an answer, but at least one batch.
            isolate: hand over malformed records one by one, with bounds-checked kernels.
        """
        settings = {
            **arguments,
            "isolation_level": "read_committed",
            "fetch_max_wait_ms": FETCH_WAIT_MS,
            "fetch_max_bytes": 2 * partition_bytes,
            "max_partition_fetch_bytes": partition_bytes,
            "receive_message_max_bytes": max(100_000_000, 4 * partition_bytes),
            "check_crcs": True,
        }
        self._isolate = isolate
        self._enough = partition_bytes
        self._queues: dict[TopicPartition, deque[Answer | ReadError]] = {tp: deque() for tp in starts}
        self._queued = self._last_bytes = 0
        self._positions: dict[TopicPartition, int] = dict(starts)
        self._ends: dict[TopicPartition, int] = dict.fromkeys(starts, -1)
        self._failures: dict[TopicPartition, int] = {}
        self._missing: dict[TopicPartition, float] = {}
        self._ids: dict[str, Any] = {}
        self._send_at = self._doubt_at = self._looked_at = 0.0
        self._turned_at = time.monotonic()
        self._client = net_client(**settings)
        self._manager = self._client._manager  # noqa: SLF001
        self._net = self._client._net  # noqa: SLF001
        self._subscriptions = SubscriptionState("none")
        self._subscriptions.assign_from_user(list(starts))
        for tp, offset in starts.items():
            self._subscriptions.seek(tp, offset)
        self._fetcher = _Fetcher(self._client, self._subscriptions, **settings)
        self._manager.cluster.set_topics([tp.topic for tp in starts])
        self._bootstrap = self._manager.bootstrap_async(None)

    @property
    def reachable(self) -> bool:
        """Whether the last request was answered."""
        doubted = self._refreshed_at < self._doubt_at < time.monotonic() - _REFRESH_S
        answered = self._fetcher.reachable if self._queues else self._manager.bootstrapped
        return bool(answered) and not doubted

    def position(self, tp: TopicPartition) -> int:
        """The position behind what `next` has given, markers and aborted records included."""
        return self._positions[tp]

    def end(self, tp: TopicPartition) -> int:
        """The partition's last stable offset by the last answer; -1 before the first."""
        return self._ends[tp]

    def next(self, tp: TopicPartition) -> Item | ReadError | None:
        """The next piece of a partition, or what keeps it from being read; None where nothing has arrived."""
        queue = self._queues[tp]
        while queue:
            head = queue[0]
            if isinstance(head, BrokenError):
                queue.popleft()
                self._go_on(tp, head.broken.end)
                return head
            if isinstance(head, ReadError):
                return head
            item = next(iter(head), None)
            self._positions[tp] = head.position
            if item is not None:
                return item
            queue.popleft()
            self._queued -= len(head)
            self._subscriptions.move_partition_to_end(tp)
            if not queue and self._subscriptions.is_paused(tp):
                self._go_on(tp, head.position, head.epoch)
        return None

    @property
    def busy(self) -> bool:
        """Whether there is more to read than comes in: the last answer was large."""
        return self._last_bytes >= self._enough // 8

    def send(self) -> None:
        """Ask for more, unless enough is waiting.

        Raises:
            KafkaSetupError: the brokers refuse the client.
        """
        self._forgive()
        if not self._manager.bootstrapped:
            if self._bootstrap.failed():
                raise _refused(self._bootstrap.exception)
            return
        if self._queued >= self._enough or time.monotonic() < self._send_at or self._refreshed_at < self._doubt_at:
            return
        if self._fetcher.all_asked():
            return
        try:
            self._fetcher.maybe_validate_positions()
            self._fetcher.validate_offsets_if_needed()
            if self._fetcher.send_fetches():
                for _ in range(_WRITES):
                    self._net.poll(timeout_ms=0)
        except kafka_errors.LogTruncationError as error:
            for tp in error.divergent_offsets:
                self._fail(tp, self._error(OffsetOutOfRange, tp, "a leader's failure cut the log before it"))
        except kafka_errors.KafkaError as error:
            raise _refused(error) from error

    def receive(self, timeout_s: float) -> bool:
        """Run the network until an answer arrives, at most for `timeout_s`; whether one did.

        Returns early when there is a reason to `send` again.

        Raises:
            KafkaSetupError: the brokers refuse the client.
        """
        self._forgive()
        deadline = time.monotonic() + timeout_s
        arrived = self._fetcher.answers()
        while not arrived:
            left = max(0.0, deadline - time.monotonic())
            waiting = self._fetcher.in_flight_fetches()
            self._net.poll(timeout_ms=1000 * (left if waiting else min(left, _TURN_S)))
            if not left or not self._fetcher.in_flight_fetches():
                break
        self._turned_at = time.monotonic()
        self._look_at_topics()
        found = bool(arrived)
        if found:
            self._last_bytes = sum(len(answer.partition_data.records or b"") for answer in arrived)
        while arrived:
            self._take_in(arrived.popleft())
        return found

    def close(self) -> None:
        """Close the connections; nothing is waited for."""
        self._fetcher.close()
        self._client.close()

    def _forgive(self) -> None:
        """Give requests their time anew if nobody listened for answers, because a window took long."""
        now = time.monotonic()
        if now - self._turned_at < _PAUSE_S:
            return
        self._turned_at = now
        until = now + self._manager.config["request_timeout_ms"] / 1000
        for connection in self._manager._conns.values():  # noqa: SLF001
            for *_, timer in connection.in_flight_requests:
                self._net.reschedule(until, timer)

    def _take_in(self, answer: Any) -> None:
        tp, data = answer.topic_partition, answer.partition_data
        if data.error_code:
            # Or a broker in trouble would be asked without a pause, and one that holds another topic of that name, too.
            self._doubt_at = time.monotonic()
            self._send_at = self._doubt_at + _RETRY_S
            self._manager.cluster.request_update()
        try:
            if not self._fetcher.accepts(answer):
                return
        except kafka_errors.OffsetOutOfRangeError:
            self._fail(tp, self._error(OffsetOutOfRange, tp, "the partition does not have it (any more, or yet)"))
        except kafka_errors.AuthorizationError as error:
            raise _refused(error) from error
        except kafka_errors.KafkaError as error:
            self._misfetched(tp, data, error)
        else:
            self._failures.pop(tp, None)
            self._ends[tp] = data.last_stable_offset if data.last_stable_offset >= 0 else data.high_watermark
            if data.records:
                self._queue(answer)

    def _queue(self, answer: Any) -> None:
        tp, data = answer.topic_partition, answer.partition_data
        part = Answer(
            tp,
            data.records,
            answer.fetched_offset,
            end_offset=data.high_watermark,
            aborted=[(item.producer_id, item.first_offset) for item in data.aborted_transactions or ()],
            isolate=self._isolate,
        )
        self._queues[tp].append(part)
        self._queued += len(part)
        last = None if self._isolate else part.last()
        if last is None:  # where to go on shows when it is decoded
            self._subscriptions.pause(tp)
        else:
            self._subscriptions.assignment[tp].position = OffsetAndMetadata(last[0], "", last[1])

    def _go_on(self, tp: TopicPartition, offset: int, epoch: int = -1) -> None:
        """Fetch from there; the partition's queue is empty."""
        self._positions[tp] = offset
        self._subscriptions.seek(tp, OffsetAndMetadata(offset, "", epoch))
        self._subscriptions.resume(tp)

    def _misfetched(self, tp: TopicPartition, data: Any, error: kafka_errors.KafkaError) -> None:
        """The broker cannot read its own data, or what it sent is no whole batch: another try, then give up."""
        self._send_at = time.monotonic() + _RETRY_S
        self._failures[tp] = attempts = self._failures.get(tp, 0) + 1
        if attempts < _ATTEMPTS:
            return
        del self._failures[tp]
        raw = data.records or b""
        if raw or isinstance(error, kafka_errors.CorruptRecordError):
            start = self._subscriptions.position(tp).offset
            reason = f"the broker cannot give it whole ({error})"
            self._fail(tp, CorruptBatch(Broken(tp.topic, tp.partition, start, start + 1, 1, bytes(raw), reason)))
        else:
            self._fail(tp, self._error(ReadError, tp, f"the broker refuses to give it ({error})"))

    def _error(self, kind: type[ReadError], tp: TopicPartition, message: str) -> ReadError:
        return kind(tp.topic, tp.partition, self._subscriptions.position(tp).offset, message)

    def _fail(self, tp: TopicPartition, error: ReadError) -> None:
        """Stop a partition behind what has arrived of it."""
        queue = self._queues[tp]
        if not (queue and isinstance(queue[-1], ReadError)):
            queue.append(error)
            self._subscriptions.pause(tp)

    @property
    def _refreshed_at(self) -> float:
        """When the topics' metadata last arrived."""
        return float(self._manager.cluster._last_successful_refresh_ms / 1000)  # noqa: SLF001 -- monotonic clock

    def _look_at_topics(self) -> None:
        """Find topics that were deleted; kafka-python would ask for them for ever, or read on in their successors."""
        now, refreshed = time.monotonic(), self._refreshed_at
        if refreshed == self._looked_at:
            return
        self._looked_at = refreshed
        cluster = self._manager.cluster
        for tp in self._queues:
            if tp.topic in cluster.unauthorized_topics:
                raise KafkaSetupError(f"topic {tp.topic}: no right to read it; grant READ and DESCRIBE to this client")
            if cluster.leader_for_partition(tp) is None:
                if now - self._missing.setdefault(tp, now) >= GONE_AFTER_S:
                    self._fail(tp, self._error(PartitionGone, tp, "no such topic or partition; was it deleted?"))
                continue
            self._missing.pop(tp, None)
            topic_id = cluster.topic_id(tp.topic)
            if self._ids.setdefault(tp.topic, topic_id) != topic_id:
                self._fail(tp, self._error(PartitionGone, tp, "the topic was deleted and made anew"))


def _refused(error: BaseException) -> KafkaSetupError:
    return KafkaSetupError(
        f"the brokers refuse this reader: {error}; see kafka.security, and grant it READ and DESCRIBE"
    )
