"""What the driver knows of each partition that it owns; it trusts this, and the group's offsets only on assignment."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from kafka import TopicPartition

from detector.errors import DeliveryError
from detector.window import WindowResult

DEATHS_UNTIL_SUSPECT = 2


class Positions:
    """Next expected and committed position of each partition, and how often its reader died without progress."""

    def __init__(self) -> None:
        self._next: dict[TopicPartition, int] = {}
        self._committed: dict[TopicPartition, int] = {}
        self._ends: dict[TopicPartition, int] = {}
        self._deaths: dict[TopicPartition, int] = {}
        self._stopped: dict[TopicPartition, str] = {}

    def assign(self, tp: TopicPartition, start: int, end: int | None = None) -> None:
        """Own a partition from there on, or go back to there; `end` is where it ends now, if known."""
        self._next[tp] = self._committed[tp] = start
        if end is not None:
            self._ends[tp] = end
        self._stopped.pop(tp, None)

    def stop(self, tp: TopicPartition, why: str) -> None:
        """Own a partition that cannot be read."""
        self._next.pop(tp, None)
        self._deaths.pop(tp, None)
        self._stopped[tp] = why

    def drop(self, partitions: Iterable[TopicPartition]) -> None:
        """Own these no longer."""
        for table in (self._next, self._committed, self._ends, self._deaths, self._stopped):
            for tp in partitions:
                table.pop(tp, None)

    @property
    def stopped(self) -> dict[TopicPartition, str]:
        """Partitions that cannot be read, and why."""
        return dict(self._stopped)

    @property
    def owned(self) -> frozenset[TopicPartition]:
        """The partitions that are read."""
        return frozenset(self._next)

    @property
    def starts(self) -> dict[TopicPartition, int]:
        """Where the next epoch begins."""
        return dict(self._next)

    @property
    def committed(self) -> dict[TopicPartition, int]:
        """What is committed of each partition."""
        return dict(self._committed)

    @property
    def suspects(self) -> frozenset[TopicPartition]:
        """Partitions whose reader died twice in a row without progress: a record that they still hold may be why."""
        return frozenset(
            tp
            for tp, deaths in self._deaths.items()
            if deaths >= DEATHS_UNTIL_SUSPECT and self._next[tp] < self._ends.get(tp, self._next[tp] + 1)
        )

    def lag(self) -> dict[TopicPartition, int]:
        """Offsets between the committed position and the last end that a reader saw."""
        return {tp: max(0, end - self._committed[tp]) for tp, end in self._ends.items() if tp in self._committed}

    def accept(self, result: WindowResult) -> dict[TopicPartition, int]:
        """Advance over a window.

        Returns:
            The positions to commit once what the window caused is delivered.

        Raises:
            DeliveryError: the window does not begin where the last one ended: something was lost or comes twice.
        """
        offsets = {}
        for part in result.spans:
            span = part.span
            tp = TopicPartition(span.topic, span.partition)
            if self._next.get(tp) != span.start:
                raise DeliveryError(
                    f"{span.topic}-{span.partition}: window at {span.start}, expected {self._next.get(tp)}"
                )
            self._next[tp] = offsets[tp] = span.end
            if span.end_offset >= 0:
                self._ends[tp] = span.end_offset
            if span.end > span.start:
                self._deaths.pop(tp, None)
        return offsets

    def commit(self, offsets: Mapping[TopicPartition, int]) -> bool:
        """Note what was committed, and say whether any of it is new; what was given away meanwhile is left out."""
        new = {tp: offset for tp, offset in offsets.items() if offset > self._committed.get(tp, offset)}
        self._committed.update(new)
        return bool(new)

    def reached(self, offsets: Mapping[TopicPartition, int]) -> bool:
        """Whether all of these are committed."""
        return all(self._committed.get(tp, offset) >= offset for tp, offset in offsets.items())

    def blame(self) -> None:
        """A reader died, nobody knows which, nor what it had read: count it for every partition."""
        for tp in self._next:
            self._deaths[tp] = self._deaths.get(tp, 0) + 1
