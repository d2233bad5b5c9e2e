"""A producer and a group whose faults a test decides."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from kafka import TopicPartition
from kafka.structs import ConsumerGroupMetadata

from detector.kafka.group import Commit
from detector.kafka.producer import Headers


@dataclass(slots=True)
class StubPending:
    """Something under way until the test says what became of it."""

    is_done: bool = False
    exception: Exception | None = None

    def succeed(self) -> None:
        self.is_done = True

    def fail(self, error: Exception) -> None:
        self.is_done, self.exception = True, error


@dataclass(slots=True)
class StubSender:
    """Remembers what was asked of it, in order."""

    sent: list[tuple[str, bytes | None, bytes | None, Headers]] = field(default_factory=list)
    pending: list[StubPending] = field(default_factory=list)
    steps: list[str] = field(default_factory=list)
    unknown: set[str] = field(default_factory=set)
    offsets: list[tuple[dict[TopicPartition, int], StubPending]] = field(default_factory=list)
    commits: list[StubPending] = field(default_factory=list)
    discarded: bool = False

    def knows(self, topic: str) -> bool:
        return topic not in self.unknown

    def send(
        self, topic: str, key: bytes | None, value: bytes | None, headers: Headers, partition: int | None
    ) -> StubPending:
        self.sent.append((topic, key, value, headers))
        self.pending.append(StubPending())
        self.steps.append("send")
        return self.pending[-1]

    def begin(self) -> None:
        self.steps.append("begin")

    def add_offsets(self, offsets: Mapping[TopicPartition, int], group: Any) -> StubPending:
        self.offsets.append((dict(offsets), StubPending()))
        self.steps.append("offsets")
        return self.offsets[-1][1]

    def commit(self) -> StubPending:
        self.commits.append(StubPending())
        self.steps.append("commit")
        return self.commits[-1]

    def discard(self, timeout_s: float) -> None:
        self.discarded = True

    def acknowledge(self) -> None:
        for pending in self.pending:
            pending.succeed()


@dataclass(slots=True)
class StubGroup:
    """A group that commits what it is told, when the test says so."""

    commits: list[Commit] = field(default_factory=list)
    waited: list[dict[TopicPartition, int]] = field(default_factory=list)
    stored: dict[TopicPartition, int] = field(default_factory=dict)
    errors: list[Exception] = field(default_factory=list)
    member: str = "member-1"

    def commit_soon(self, offsets: Mapping[TopicPartition, int]) -> Commit:
        self.commits.append(Commit(dict(offsets)))
        return self.commits[-1]

    def commit(self, offsets: Mapping[TopicPartition, int], timeout_s: float) -> None:
        if self.errors:
            raise self.errors.pop(0)
        self.waited.append(dict(offsets))

    def committed(self, partitions: Iterable[TopicPartition], timeout_s: float) -> dict[TopicPartition, int]:
        return {tp: self.stored[tp] for tp in partitions if tp in self.stored}

    def metadata(self) -> ConsumerGroupMetadata:
        return ConsumerGroupMetadata("group", 1, self.member, "one")
