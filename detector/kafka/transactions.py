"""Exactly once: alerts, dead letters and offsets of some windows in one Kafka transaction, several a second."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from kafka import TopicPartition
from kafka import errors as kafka_errors

from detector.config import Config
from detector.errors import DeliveryError, FencedError
from detector.failpoints import failpoint
from detector.kafka.delivery import MakeSender, Progress, make_outbox, output_sizes
from detector.kafka.group import Group
from detector.kafka.producer import (
    OPEN_TIMEOUT_MS,
    TRANSACTION_DELIVERY_TIMEOUT_MS,
    TRANSACTION_TIMEOUT_MS,
    Pending,
    Producer,
    Sender,
)
from detector.kafka.topics import Topics
from detector.window import Message

OFFSETS_INTERVAL_S = 1.0
"""Offsets alone are worth a transaction this often."""
WINDOWS = 8
"""Windows of a reader that are not committed, at most: what comes while a transaction takes its time."""
STEP_TIMEOUT_S = TRANSACTION_DELIVERY_TIMEOUT_MS / 1_000

_STEP_S = 0.002
_DISCARD_S = 1.0


class ExactlyOnce:
    """A transaction at a time: open, sealed (no further window), offsets added, committing.

    An alert opens a transaction at once; it is sealed when `output.transaction_interval_ms` have passed since the
    last one was. Where a commit has no clear outcome, the next `open` finds it out: beginning anew ends the old
    transaction one way or the other, and the group's offsets tell which.
    """

    def __init__(
        self, config: Config, group: Group, topics: Topics | None = None, *, make_sender: MakeSender | None = None
    ) -> None:
        """make_sender: for tests, which need faults that no broker makes on demand."""
        self._config = config
        self._group = group
        self._sizes = topics.max_message_bytes if topics else None
        # Stable over restarts: a new id would leave readers of the alerts waiting for the old one's transaction.
        identity = f"{config.kafka.group_id}-{config.kafka.instance_id}-alerts"
        self._make_sender = make_sender or (
            lambda sizes: Producer(config.kafka, max_message_bytes=sizes, transactional_id=identity)
        )
        self._identity = identity
        self._interval_s = config.output.transaction_interval_ms / 1_000
        self._outbox = make_outbox(config, STEP_TIMEOUT_S, WINDOWS)
        self._sender: Sender | None = None
        self._opened: float | None = None  # the transaction
        self._sealed: float | None = None
        self._offsets: Pending | None = None
        self._commit: Pending | None = None
        self._member: Any = None  # in whose name the offsets were added
        self._last = 0.0  # when the last transaction was sealed
        self._ready: dict[TopicPartition, int] = {}
        self._ready_windows = 0
        self._messages: list[Message] = []  # acknowledged, to be committed
        self._done = Progress({}, ())
        self._doubt: Progress | None = None

    def open(self) -> Progress:
        """See `Delivery`."""
        if self._sender is None:
            self._outbox.limits = output_sizes(self._config, self._sizes)
            self._sizes = None
            sender = self._make_sender(self._outbox.limits)
            try:
                found = self._resolve()
            except BaseException:
                sender.discard(_DISCARD_S)
                raise
            self._sender = sender
            return found
        return Progress({}, ())

    def add(self, offsets: Mapping[TopicPartition, int], messages: Sequence[Message]) -> None:
        """See `Delivery`."""
        assert self._sender is not None, "open() comes first"
        self._outbox.add(offsets, messages)

    def tick(self) -> Progress:
        """See `Delivery`."""
        if self._sender is not None:
            self._turn(self._sender, hurry=False)
        done, self._done = self._done, Progress({}, ())
        return done

    def flush(self, deadline: float) -> bool:
        """See `Delivery`."""
        while self.pending:
            assert self._sender is not None, "windows can only be added when open"
            self._turn(self._sender, hurry=True)
            if time.monotonic() > deadline:
                return not self.pending
            time.sleep(_STEP_S)
        return True

    def abandon(self) -> None:
        """See `Delivery`."""
        if self._sender is not None:
            self._sender.discard(_DISCARD_S)
        if self._commit is not None:
            self._doubt = Progress(self._ready, tuple(self._messages))
        self._sender = None
        self._outbox.clear()
        self._end()

    def close(self) -> None:
        """See `Delivery`."""
        self.abandon()

    @property
    def pending(self) -> int:
        """See `Delivery`."""
        return len(self._outbox) + self._ready_windows

    @property
    def room(self) -> bool:
        """See `Delivery`."""
        return self._sender is not None and self._outbox.room

    def _turn(self, sender: Sender, *, hurry: bool) -> None:
        now = time.monotonic()
        try:
            if self._commit is not None and not self._committed(self._commit, now):
                return
            if self._sealed is None:
                self._fill(sender, now, hurry=hurry)
            self._settle()
            if self._sealed is not None and not self._outbox.under_way:
                self._complete(sender, now)
        except kafka_errors.KafkaError as error:
            raise self._explained(error, now) from error
        except DeliveryError as error:
            if isinstance(error.__cause__, kafka_errors.KafkaError):
                raise self._explained(error.__cause__, now) from error.__cause__
            raise

    def _fill(self, sender: Sender, now: float, *, hurry: bool) -> None:
        """Open a transaction if there is something for one, send, and seal it when it is time."""
        if self._opened is None:
            self._settle()  # windows without messages
            alone = self._ready and (hurry or now - self._last >= OFFSETS_INTERVAL_S)
            if not (self._outbox.unsent or alone):
                return
            sender.begin()
            self._opened = now
        if self._outbox.send(sender):
            failpoint("after_produce")
        if not self._outbox.split and (hurry or now - self._last >= self._interval_s):
            self._sealed = self._last = now

    def _settle(self) -> None:
        for window in self._outbox.settle():
            self._messages += window.messages
            self._ready.update(window.offsets)
            self._ready_windows += 1

    def _complete(self, sender: Sender, now: float) -> None:
        """Every message is acknowledged: add the offsets, then commit."""
        if self._offsets is None:
            if self._messages:
                failpoint("after_ack")
            if not self._ready:  # a topic is being looked up, and nothing was sent yet
                self._sealed = None
                return
            self._member = self._group.metadata()
            self._offsets = sender.add_offsets(self._ready, self._member)
        if not self._offsets.is_done:
            self._check(self._sealed, now, "the transaction's offsets")
            return
        if self._offsets.exception is not None:
            raise self._offsets.exception
        failpoint("in_commit")
        self._commit = sender.commit()
        self._sealed = now

    def _committed(self, commit: Pending, now: float) -> bool:
        if not commit.is_done:
            self._check(self._sealed, now, "the transaction's commit")
            return False
        if commit.exception is not None:
            raise commit.exception
        self._done = Progress({**self._done.committed, **self._ready}, (*self._done.acknowledged, *self._messages))
        self._end()
        return True

    def _end(self) -> None:
        self._opened = self._sealed = self._offsets = self._commit = None
        self._ready, self._ready_windows, self._messages = {}, 0, []

    def _resolve(self) -> Progress:
        """Find out what became of a commit without an outcome.

        The transaction is over by now, one way or the other. Positions only grow, so it was committed exactly if all
        of its positions are reached.
        """
        doubt = self._doubt
        if doubt is None:
            return Progress({}, ())
        found = self._group.committed(doubt.committed, OPEN_TIMEOUT_MS / 1_000)
        self._doubt = None
        if all(found.get(tp, -1) >= offset for tp, offset in doubt.committed.items()):
            return doubt
        return Progress({}, ())

    def _check(self, since: float | None, now: float, what: str) -> None:
        if since is not None and now - since > STEP_TIMEOUT_S:
            raise DeliveryError(f"{what} had no answer within {STEP_TIMEOUT_S:.0f} s")

    def _still_member(self) -> bool:
        # A replica that the group had dropped and that joins again takes its instance id over from itself.
        try:
            return bool(self._group.metadata().member_id == self._member.member_id)
        except DeliveryError:
            return False

    def _explained(self, error: Exception, now: float) -> Exception:
        if isinstance(error, kafka_errors.FencedInstanceIdError) and self._still_member():
            return FencedError(f"kafka.instance_id: another process took over {self._config.kafka.instance_id!r}")
        young = self._opened is not None and now - self._opened < TRANSACTION_TIMEOUT_MS / 1_000
        if isinstance(error, (kafka_errors.ProducerFencedError, kafka_errors.InvalidProducerEpochError)) and young:
            # An older transaction may have been ended by the coordinator, which looks the same.
            return FencedError(f"kafka.instance_id: another process took over the transactional id {self._identity!r}")
        return DeliveryError(f"the transaction failed: {type(error).__name__}: {error}")
