"""A producer that never blocks for long: sends, transactions and its end are all bounded.

`KafkaProducer` waits without a bound in `commit_transaction`, for a topic's metadata in `send`, and for everything
under way in `close`. Here are the same steps without the waiting; their private parts were read in kafka-python 3.0.12.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from kafka import KafkaProducer, TopicPartition
from kafka import errors as kafka_errors
from kafka.structs import OffsetAndMetadata

from detector.config import Kafka
from detector.errors import DeliveryError, FencedError, KafkaSetupError, UnavailableError
from detector.kafka.client import connect, quiet_arguments

DELIVERY_TIMEOUT_MS = 120_000
"""At least once: an outage of a minute costs nothing but time, as the broker drops what is sent again."""
TRANSACTION_DELIVERY_TIMEOUT_MS = 10_000
TRANSACTION_TIMEOUT_MS = 15_000
"""A transaction that is left open holds up its readers this long; delivery must give up before."""
OPEN_TIMEOUT_MS = 5_000
"""Each step of opening: the main loop stands still meanwhile, and after 30 s it counts as dead."""

_BATCH_BYTES = 64 << 10
_RECORD_OVERHEAD_BYTES = 61 + 21 + 5  # header of a batch, of a record, and the count of headers
_FIELD_OVERHEAD_BYTES = 5  # a length as a varint

Headers = tuple[tuple[str, bytes], ...]


class Pending(Protocol):
    """Something under way: a future of kafka-python, or the result of a step of a transaction."""

    @property
    def is_done(self) -> bool:
        """Whether there is an outcome."""

    @property
    def exception(self) -> Exception | None:
        """Why it failed, once it is done."""


class Sender(Protocol):
    """What delivery needs of a producer."""

    def knows(self, topic: str) -> bool:
        """Whether a message for the topic can be sent without waiting; else the topic is being looked up."""

    def send(
        self, topic: str, key: bytes | None, value: bytes | None, headers: Headers, partition: int | None
    ) -> Pending:
        """Put a message on its way. partition: None: by its key."""

    def begin(self) -> None:
        """Open a transaction."""

    def add_offsets(self, offsets: Mapping[TopicPartition, int], group: Any) -> Pending:
        """Make a commit of the consumer group part of the open transaction."""

    def commit(self) -> Pending:
        """End the transaction. Only once every message of it was acknowledged: a lost one would not hinder it."""

    def discard(self, timeout_s: float) -> None:
        """Drop everything under way and stop."""


class Producer:
    """`Sender` on a real cluster."""

    def __init__(
        self, kafka: Kafka, *, max_message_bytes: Mapping[str, int], transactional_id: str | None = None
    ) -> None:
        """Connect, and with a transactional id end what an earlier process with the same one left open.

        max_message_bytes: of the topics that will be sent to.

        Raises:
            UnavailableError: the cluster does not answer in time.
            KafkaSetupError: the cluster refuses the client.
        """
        settings = quiet_arguments(kafka, "producer")
        open_timeout_ms = min(OPEN_TIMEOUT_MS, kafka.request_timeout_ms)
        delivery_timeout_ms = TRANSACTION_DELIVERY_TIMEOUT_MS if transactional_id else DELIVERY_TIMEOUT_MS
        if transactional_id:
            settings |= {
                "transactional_id": transactional_id,
                "transaction_timeout_ms": TRANSACTION_TIMEOUT_MS,
                # kafka-python sleeps this long where the last transaction's markers are still being written
                "retry_backoff_ms": 10,
            }
        self._producer: Any = connect(
            KafkaProducer,
            **settings
            | {
                "acks": "all",
                "enable_idempotence": True,
                "compression_type": "lz4",
                "linger_ms": 0,  # while a batch is under way, the next one gathers: no need to wait for more
                "batch_size": min(_BATCH_BYTES, *max_message_bytes.values()),
                "max_request_size": max(1 << 20, *max_message_bytes.values()),
                "bootstrap_timeout_ms": open_timeout_ms,
                "max_block_ms": open_timeout_ms,
                "request_timeout_ms": min(kafka.request_timeout_ms, delivery_timeout_ms),
                "delivery_timeout_ms": delivery_timeout_ms,
                "metadata_max_age_ms": 30_000,
            },
        )
        if transactional_id:
            try:
                self._producer.init_transactions()
            except kafka_errors.KafkaError as error:
                self.discard(1.0)
                raise _explained(error, transactional_id) from error

    def knows(self, topic: str) -> bool:
        """Whether a message for the topic can be sent without waiting; else the topic is being looked up."""
        metadata = self._producer._metadata  # noqa: SLF001
        if metadata.partitions_for_topic(topic):
            return True
        self._producer._sender.add_topic(topic)  # noqa: SLF001
        if not metadata.need_update:
            metadata.request_update()
            self._producer._sender.wakeup()  # noqa: SLF001
        return False

    def send(
        self, topic: str, key: bytes | None, value: bytes | None, headers: Headers, partition: int | None
    ) -> Pending:
        """Put a message on its way. partition: None: by its key.

        Raises:
            DeliveryError: the producer takes no more, since something failed before.
        """
        try:
            # A message without key and value is not accepted by kafka-python.
            pending: Pending = self._producer.send(
                topic,
                value=b"" if value is None and key is None else value,
                key=key,
                headers=list(headers),
                partition=partition,
            )
        except (kafka_errors.KafkaError, AssertionError) as error:
            raise DeliveryError(f"topic {topic!r}: cannot send: {type(error).__name__}: {error}") from error
        return pending

    def begin(self) -> None:
        """Open a transaction.

        Raises:
            DeliveryError: the producer is in no state to.
        """
        try:
            self._producer.begin_transaction()
        except kafka_errors.KafkaError as error:
            raise DeliveryError(f"cannot begin a transaction: {error}") from error

    def add_offsets(self, offsets: Mapping[TopicPartition, int], group: Any) -> Pending:
        """Make a commit of the consumer group part of the open transaction.

        Raises:
            DeliveryError: the producer is in no state to.
        """
        commits = {tp: OffsetAndMetadata(offset) for tp, offset in offsets.items()}
        return self._step(lambda manager: manager.send_offsets_to_transaction(commits, group))

    def commit(self) -> Pending:
        """End the transaction. Only once every message of it was acknowledged: a lost one would not hinder it.

        Raises:
            DeliveryError: the producer is in no state to.
        """
        return self._step(lambda manager: manager.begin_commit())

    def _step(self, step: Any) -> Pending:
        try:
            pending: Pending = step(self._producer._transaction_manager)  # noqa: SLF001
        except (kafka_errors.KafkaError, ValueError) as error:
            raise DeliveryError(f"the transaction cannot go on: {error}") from error
        self._producer._sender.wakeup()  # noqa: SLF001
        return pending

    def discard(self, timeout_s: float) -> None:
        """Drop everything under way and stop; an open transaction is left to the next one's beginning.

        After `timeout_s` it is left to end by itself, which it does with its next network timeout.
        """
        # Not by `close`: it waits for what is under way, and again when the object is collected.
        producer = self._producer
        producer._sender.force_close()  # noqa: SLF001
        producer._sender.join(timeout_s)  # noqa: SLF001
        producer._unregister_cleanup()  # noqa: SLF001
        producer._closed = True  # noqa: SLF001


def message_bytes(key: bytes | None, value: bytes | None, headers: Headers) -> int:
    """Upper bound of what a message alone in a record batch takes, without compression."""
    fields = 2 + 2 * len(headers)
    size = _RECORD_OVERHEAD_BYTES + fields * _FIELD_OVERHEAD_BYTES + len(key or b"") + len(value or b"")
    return size + sum(len(name.encode()) + len(text) for name, text in headers)


def _explained(error: Exception, transactional_id: str) -> Exception:
    if isinstance(error, kafka_errors.AuthorizationError):
        return KafkaSetupError(
            f"transactional id {transactional_id!r}: not allowed ({error}); "
            "grant Write and Describe on it, or set output.delivery to at_least_once"
        )
    if isinstance(error, kafka_errors.ProducerFencedError):
        return FencedError(f"transactional id {transactional_id!r}: another process took it over")
    if kafka_errors.InvalidTransactionTimeoutError.__name__ in str(error):  # kafka-python wraps it in words
        return KafkaSetupError(
            f"the broker allows no transaction of {TRANSACTION_TIMEOUT_MS} ms; raise transaction.max.timeout.ms"
        )
    return UnavailableError(f"cannot begin transactions as {transactional_id!r}: {type(error).__name__}: {error}")
