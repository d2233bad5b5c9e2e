"""Delivery: a window's messages to their topics, then its offsets to the group. Never the other way round.

The main loop adds windows and calls `tick` every few milliseconds; nothing here waits but `open`, `flush` and `close`,
which have a bound. Whatever fails raises DeliveryError: the driver abandons, opens anew and reads again from what was
committed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from kafka import TopicPartition

from detector import config as settings
from detector.config import Config
from detector.errors import UnavailableError
from detector.failpoints import failpoint
from detector.kafka import topics as kafka_topics
from detector.kafka.group import Commit, Group
from detector.kafka.outbox import Outbox
from detector.kafka.producer import DELIVERY_TIMEOUT_MS, OPEN_TIMEOUT_MS, Producer, Sender
from detector.window import Message

COMMIT_INTERVAL_S = 0.1
"""Offsets are committed this often: a commit takes about 20 ms, and each is a write on the coordinator."""
WINDOWS = 3
"""Windows of a reader that are not acknowledged, at most: an answer takes less than it takes to fill one."""
COMMIT_TIMEOUT_S = 20.0
"""A commit without an outcome so long after it was sent is sent again."""

_STEP_S = 0.002
_DISCARD_S = 1.0

MakeSender = Callable[[Mapping[str, int]], Sender]
"""Makes a producer for topics with these `max.message.bytes`."""


@dataclass(frozen=True, slots=True)
class Progress:
    """What became durable.

    committed: positions of the group, by partition.
    acknowledged: messages that subscribers can read now, as they were sent: an alert that was too large is a dead
        letter here.
    """

    committed: Mapping[TopicPartition, int]
    acknowledged: tuple[Message, ...]

    def __bool__(self) -> bool:
        """Whether there is any."""
        return bool(self.committed or self.acknowledged)


class Delivery(Protocol):
    """How the driver hands on what windows caused."""

    def open(self) -> Progress:
        """Connect; a no-op when open. It takes at most 25 s, and 5 s where nothing answers.

        Returns:
            What turned out to have been committed before, where that was in doubt: to be noted before the driver
            goes back to what was committed.

        Raises:
            UnavailableError: the cluster does not answer: try again.
            KafkaSetupError: it refuses.
        """

    def add(self, offsets: Mapping[TopicPartition, int], messages: Sequence[Message]) -> None:
        """Take a window: the positions that it reaches, and what it caused. In order."""

    def tick(self) -> Progress:
        """Go on; call it every turn of the main loop, and `Group.poll` too. When not open it does nothing.

        Raises:
            DeliveryError: what was not reported as committed is to be read again, after `abandon` and `open`.
            FencedError: exit.
        """

    def flush(self, deadline: float) -> bool:
        """Deliver and commit everything that was added, until `deadline` (`time.monotonic`).

        The next `tick` reports what became durable.

        Returns:
            Whether nothing is left.

        Raises:
            DeliveryError, FencedError: as `tick`.
        """

    def abandon(self) -> None:
        """Drop everything that is not committed, and the producer. `open` begins anew."""

    def close(self) -> None:
        """End, within a second or so; what is not committed is dropped."""

    @property
    def pending(self) -> int:
        """Windows that were added and are not committed."""

    @property
    def room(self) -> bool:
        """Whether the driver should add another window now; never when not open."""


def make_delivery(config: Config, group: Group, topics: kafka_topics.Topics | None = None) -> Delivery:
    """Make the delivery that `output.delivery` asks for.

    topics: what `check_topics` found, which saves asking again.
    """
    from detector.kafka.transactions import ExactlyOnce

    if config.output.delivery is settings.Delivery.EXACTLY_ONCE:
        return ExactlyOnce(config, group, topics)
    return AtLeastOnce(config, group, topics)


class AtLeastOnce:
    """Alerts first, then offsets: after a crash, what lies between comes again with the same ids."""

    def __init__(
        self,
        config: Config,
        group: Group,
        topics: kafka_topics.Topics | None = None,
        *,
        make_sender: MakeSender | None = None,
    ) -> None:
        """make_sender: for tests, which need faults that no broker makes on demand."""
        self._config = config
        self._group = group
        self._sizes = topics.max_message_bytes if topics else None
        self._make_sender = make_sender or (lambda sizes: Producer(config.kafka, max_message_bytes=sizes))
        self._outbox = make_outbox(config, DELIVERY_TIMEOUT_MS / 1_000 + 5, WINDOWS)
        self._sender: Sender | None = None
        self._ready: dict[TopicPartition, int] = {}  # acknowledged, to be committed
        self._acknowledged: list[Message] = []
        self._committed: dict[TopicPartition, int] = {}
        self._commit: Commit | None = None
        self._commit_windows = 0
        self._ready_windows = 0
        self._last_commit = 0.0

    def open(self) -> Progress:
        """See `Delivery`."""
        if self._sender is None:
            self._outbox.limits = output_sizes(self._config, self._sizes)
            self._sizes = None  # next time after a failure, of which a changed limit may be the reason
            self._sender = self._make_sender(self._outbox.limits)
        return Progress({}, ())

    def add(self, offsets: Mapping[TopicPartition, int], messages: Sequence[Message]) -> None:
        """See `Delivery`."""
        assert self._sender is not None, "open() comes first"
        self._outbox.add(offsets, messages)

    def tick(self) -> Progress:
        """See `Delivery`."""
        if self._sender is not None:
            self._deliver(self._sender)
            self._commit_when_due()
        progress = Progress(self._committed, tuple(self._acknowledged))
        self._committed, self._acknowledged = {}, []
        return progress

    def flush(self, deadline: float) -> bool:
        """See `Delivery`."""
        while len(self._outbox):
            assert self._sender is not None, "windows can only be added when open"
            self._deliver(self._sender)
            if time.monotonic() > deadline:
                return False
            if len(self._outbox):
                time.sleep(_STEP_S)
        while self.pending:
            offsets = {**(self._commit.offsets if self._commit else {}), **self._ready}
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            try:
                self._group.commit(offsets, left)
            except UnavailableError:
                time.sleep(min(_STEP_S * 10, left))
                continue
            self._committed.update(offsets)
            self._forget()
        return True

    def abandon(self) -> None:
        """See `Delivery`."""
        if self._sender is not None:
            self._sender.discard(_DISCARD_S)
        self._sender = None
        self._outbox.clear()
        self._forget()

    def close(self) -> None:
        """See `Delivery`."""
        self.abandon()

    @property
    def pending(self) -> int:
        """See `Delivery`."""
        return len(self._outbox) + self._ready_windows + self._commit_windows

    @property
    def room(self) -> bool:
        """See `Delivery`."""
        return self._sender is not None and self._outbox.room

    def _deliver(self, sender: Sender) -> None:
        if self._outbox.send(sender):
            failpoint("after_produce")
        for window in self._outbox.settle():
            if window.messages:
                failpoint("after_ack")
            self._acknowledged += window.messages
            self._ready.update(window.offsets)
            self._ready_windows += 1

    def _commit_when_due(self) -> None:
        now = time.monotonic()
        commit = self._commit
        if commit is not None:
            if not commit.done and now - commit.started < COMMIT_TIMEOUT_S:
                return
            self._commit = None
            if not commit.done or isinstance(commit.error, UnavailableError):
                self._ready = {**commit.offsets, **self._ready}
                self._ready_windows += self._commit_windows
            elif commit.error is not None:
                raise commit.error
            else:
                self._committed.update(commit.offsets)
            self._commit_windows = 0
        if self._ready and now - self._last_commit >= COMMIT_INTERVAL_S:
            failpoint("in_commit")
            self._commit = self._group.commit_soon(self._ready)
            self._commit_windows, self._ready_windows = self._ready_windows, 0
            self._ready = {}
            self._last_commit = now

    def _forget(self) -> None:
        self._commit = None
        self._ready = {}
        self._ready_windows = self._commit_windows = 0


def make_outbox(config: Config, timeout_s: float, windows: int) -> Outbox:
    """An outbox for the configured topics, for so many windows a reader."""
    topics = {"alerts": config.output.alerts_topic, "dead_letters": config.output.dead_letters_topic}
    if config.correlation.enabled:
        topics |= {"signals": config.output.signals_topic, "state": config.output.state_topic}
        if config.correlation.incidents:
            topics["incidents"] = config.output.incidents_name
    return Outbox(topics, max_windows=windows * max(2, config.input.readers), timeout_s=timeout_s)


def output_sizes(config: Config, known: Mapping[str, int] | None) -> dict[str, int]:
    """`max.message.bytes` of the output topics: as known, else asked for.

    Raises:
        UnavailableError: the cluster does not answer.
    """
    if known is None:
        return kafka_topics.message_sizes(config, min(OPEN_TIMEOUT_MS, config.kafka.request_timeout_ms))
    return {name: known[name] for name in kafka_topics.outputs(config)}
