"""What windows caused, on its way to the brokers: in order, within the topics' limits, every message accounted for."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import orjson
from kafka import TopicPartition

from detector.alerts.dead_letters import dead_letter, fit
from detector.errors import DeliveryError, KafkaSetupError
from detector.kafka.producer import Pending, Sender, message_bytes
from detector.metrics import DeadLetterReason
from detector.window import Message

MAX_BYTES = 4 << 20
"""With more under way than this, no further window is taken."""
SEND_S = 0.01
"""The main loop's time for sending in one turn: kafka-python needs 40 us for a message."""


@dataclass(slots=True)
class Window:
    """A window's messages, fitted to their topics, and the positions that are reached once all are acknowledged."""

    offsets: Mapping[TopicPartition, int]
    messages: tuple[Message, ...]
    bytes: int
    since: float
    sent: int = 0
    pending: deque[Pending] = field(default_factory=deque)


class Outbox:
    """Windows in order. Nothing here waits."""

    def __init__(self, topics: Mapping[str, str], *, max_windows: int, timeout_s: float) -> None:
        """Begin empty.

        topics: the topic of each role of `Message.topic`.
        max_windows: no `room` beyond these.
        timeout_s: a window that is not acknowledged so long after it was added has failed.
        """
        self._topics = topics
        self._max_windows = max_windows
        self._timeout_s = timeout_s
        self._windows: deque[Window] = deque()
        self._bytes = 0
        self.limits: Mapping[str, int] = {}  # max.message.bytes, by topic

    def __len__(self) -> int:
        """Windows that are not acknowledged."""
        return len(self._windows)

    @property
    def room(self) -> bool:
        """Whether another window may be added now: back-pressure, not a hard limit."""
        return len(self._windows) < self._max_windows and self._bytes < MAX_BYTES

    @property
    def unsent(self) -> bool:
        """Whether there are messages to send."""
        return any(window.sent < len(window.messages) for window in self._windows)

    @property
    def split(self) -> bool:
        """Whether a window is sent in part."""
        return any(0 < window.sent < len(window.messages) for window in self._windows)

    @property
    def under_way(self) -> bool:
        """Whether messages were sent and are not acknowledged."""
        return any(window.pending for window in self._windows)

    def add(self, offsets: Mapping[TopicPartition, int], messages: Sequence[Message]) -> None:
        """Put a window behind the others."""
        fitted = tuple(self._fit(message) for message in messages)
        size = sum(_size(message) for message in fitted)
        self._windows.append(Window(dict(offsets), fitted, size, time.monotonic()))
        self._bytes += size

    def send(self, sender: Sender) -> int:
        """Send what is not sent, for at most about `SEND_S`.

        Returns:
            The number of messages sent.

        Raises:
            DeliveryError: the sender takes no more.
        """
        until = time.monotonic() + SEND_S
        sent = 0
        for window in self._windows:
            while window.sent < len(window.messages):
                message = window.messages[window.sent]
                topic = self._topics[message.topic]
                if not sender.knows(topic) or time.monotonic() > until:
                    return sent
                pending = sender.send(topic, message.key, message.value, message.headers, message.partition)
                window.pending.append(pending)
                window.sent += 1
                sent += 1
        return sent

    def settle(self) -> Iterator[Window]:
        """Take the leading windows whose messages are all acknowledged.

        Raises:
            DeliveryError: a message failed, or is overdue.
        """
        while self._windows:
            window = self._windows[0]
            while window.pending and window.pending[0].is_done:
                if (error := window.pending[0].exception) is not None:
                    raise DeliveryError(f"a message was not delivered: {type(error).__name__}: {error}") from error
                window.pending.popleft()
            if window.pending or window.sent < len(window.messages):
                self._check_age(window)
                return
            self._windows.popleft()
            self._bytes -= window.bytes
            yield window

    def clear(self) -> None:
        """Drop everything."""
        self._windows.clear()
        self._bytes = 0

    def _check_age(self, window: Window) -> None:
        if time.monotonic() - window.since <= self._timeout_s:
            return
        if window.sent < len(window.messages):
            topic = self._topics[window.messages[window.sent].topic]
            raise DeliveryError(
                f"topic {topic!r} cannot be sent to: if it does not exist, run `detector create-topics`"
            )
        raise DeliveryError(f"messages were not acknowledged within {self._timeout_s:.0f} s")

    def _fit(self, message: Message) -> Message:
        """The message as its topic takes it: one that the broker refuses would spoil the producer for all others."""
        limit = self.limits[self._topics[message.topic]]
        if _size(message) <= limit:
            return message
        if message.topic == "alerts":
            return _as_dead_letter(message, limit, self.limits[self._topics["dead_letters"]])
        if message.topic != "dead_letters":
            topic = self._topics[message.topic]
            raise KafkaSetupError(
                f"topic {topic!r}: max.message.bytes is {limit}, a message has {_size(message)}: "
                "raise it to what `detector create-topics` sets"
            )
        return fit(message, limit)


def _size(message: Message) -> int:
    return message_bytes(message.key, message.value, message.headers)


def _as_dead_letter(alert: Message, limit: int, max_bytes: int) -> Message:
    topic, partition, offset, ordinal = _coordinates(alert)
    return dead_letter(
        DeadLetterReason.ALERT_TOO_LARGE,
        f"the alert takes up to {_size(alert)} bytes, its topic {limit} (max.message.bytes); "
        "the value is the alert, not the record",
        topic=topic,
        partition=partition,
        offset=offset,
        ordinal=ordinal,
        timestamp_ms=alert.timestamp_ms or 0,
        key=alert.key,
        value=alert.value,
        headers=alert.headers,
        max_bytes=max_bytes,
    )


def _coordinates(alert: Message) -> tuple[str, int, int, int]:
    """Topic, partition, offset and ordinal of what the alert is about, as it says itself."""
    try:
        source = orjson.loads(alert.value or b"")["source"]
        return str(source["topic"]), int(source["partition"]), int(source["offset"]), int(source["ordinal"])
    except (KeyError, TypeError, ValueError):
        return "", -1, -1, 0
