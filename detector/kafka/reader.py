"""Reading partitions in windows."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from kafka import TopicPartition

from detector.config import Input, Kafka
from detector.kafka import client
from detector.kafka.batches import Piece, to_arrow
from detector.kafka.failures import BrokenError, ReadError
from detector.kafka.kernels import CHECKED, FAST
from detector.kafka.wire import Fetches
from detector.window import Broken, Span, Window

_EVERYONE_S = 1.0


@dataclass(slots=True)
class _Part:
    """What a window holds of one partition."""

    start: int
    end: int
    consumed: int = 0
    rows: int = 0
    size: int = 0
    pieces: list[Piece] = field(default_factory=list)
    broken: list[Broken] = field(default_factory=list)

    def add(self, piece: Piece) -> None:
        self.pieces.append(piece)
        self.end = piece.next_offset
        self.consumed += piece.consumed
        self.rows += piece.rows
        self.size += piece.size

    def add_broken(self, broken: Broken) -> None:
        self.broken.append(broken)
        self.end = broken.end
        self.consumed += broken.records
        self.rows += max(broken.records, 1)
        self.size += len(broken.raw)


class Reader:
    """Reads partitions from given offsets on, in contiguous windows. Needs no group and commits nothing.

    max_records: of a window, unless a single record batch has more; it may be changed between two windows.

    Records of aborted transactions are left out, those of open ones wait (`read_committed`).
    """

    def __init__(
        self,
        kafka: Kafka,
        input: Input,  # noqa: A002 -- the name of the section
        starts: Mapping[TopicPartition, int],
        *,
        isolate: bool = False,
    ) -> None:
        """Begin to connect; nothing is waited for.

        Args:
            kafka: the cluster.
            input: bounds of a window and of an answer.
            starts: first offset to read of each partition; its keys are `(topic, partition)`.
            isolate: hand over what cannot be decoded in `Window.broken` and read on behind it, with bounds-checked
                kernels; otherwise `read` raises it.

        Raises:
            ConfigError: the file of the SASL password cannot be read.
        """
        partitions = {TopicPartition(*tp): offset for tp, offset in starts.items()}
        self.max_records = input.max_window_records
        self._max_bytes = input.max_window_bytes
        self._isolate = isolate
        self._kernels = CHECKED if isolate else FAST
        self._positions = dict(partitions)
        self._held: dict[TopicPartition, Piece] = {}  # decoded, for the next window
        self._partitions = list(partitions)
        self._errors: dict[TopicPartition, ReadError] = {}
        self._everyone_at = 0.0
        self._fetches = Fetches(
            partitions,
            arguments=client.arguments(kafka, "reader"),
            partition_bytes=input.max_partition_fetch_bytes,
            isolate=isolate,
        )

    @property
    def reachable(self) -> bool:
        """Whether the cluster answered the last request."""
        return self._fetches.reachable

    def read(self, timeout_s: float, linger_s: float) -> Window:
        """The next window: waits for the first records, then for more until it is full or has lingered.

        Its spans begin where those of the last window ended. A window without records has a span for each partition,
        one with records for each that moved, and once a second for all. While the cluster does not answer, windows
        are empty.

        Args:
            timeout_s: how long to wait for the first records.
            linger_s: how long to wait for more.

        Raises:
            OffsetOutOfRange: a partition does not have the offset to be read next.
            CorruptBatch, MalformedRecord: what is to be read next cannot be decoded (not with `isolate`).
            PartitionGone: the topic or partition does not exist any more.
            ReadError: the broker refuses to give the next records of a partition.
            KafkaSetupError: the brokers refuse the client.
        """
        deadline = time.monotonic() + timeout_s
        parts: dict[TopicPartition, _Part] = {}
        lingering = False
        while True:
            full = self._gather(parts)
            if self._errors:
                break
            self._fetches.send()  # also before a full window leaves: the answer arrives while it is worked on
            if full:
                break
            now = time.monotonic()
            if not lingering and any(part.rows for part in parts.values()):
                lingering = True
                deadline = now + linger_s
            if now >= deadline:
                break
            self._fetches.receive(deadline - now)
        if self._errors and not parts:
            raise next(iter(self._errors.values()))
        return self._window(parts)

    def close(self) -> None:
        """Close the connections; nothing is waited for."""
        self._fetches.close()

    def _gather(self, parts: dict[TopicPartition, _Part]) -> bool:
        """Take what has arrived, one batch of each partition in turn; whether the window is full."""
        turn = [tp for tp in self._partitions if tp not in self._errors]
        while turn:
            for tp in tuple(turn):
                item = self._held.pop(tp, None) or self._fetches.next(tp)
                if isinstance(item, Piece):
                    if not self._fits(item, parts):
                        self._held[tp] = item
                        return True
                    self._part(parts, tp).add(item)
                elif isinstance(item, BrokenError) and self._isolate:
                    self._part(parts, tp).add_broken(item.broken)
                else:
                    turn.remove(tp)
                    if item is not None:
                        self._errors[tp] = item
                    elif self._fetches.position(tp) > self._positions[tp]:
                        self._part(parts, tp).end = self._fetches.position(tp)
        return False

    def _fits(self, piece: Piece, parts: Mapping[TopicPartition, _Part]) -> bool:
        rows = sum(part.rows for part in parts.values())
        size = sum(part.size for part in parts.values())
        return not rows or (rows + piece.rows <= self.max_records and size + piece.size <= self._max_bytes)

    def _part(self, parts: dict[TopicPartition, _Part], tp: TopicPartition) -> _Part:
        if tp not in parts:
            parts[tp] = _Part(self._positions[tp], self._positions[tp])
        return parts[tp]

    def _window(self, parts: Mapping[TopicPartition, _Part]) -> Window:
        now = time.monotonic()
        everyone = not parts or now >= self._everyone_at
        if everyone:
            self._everyone_at = now + _EVERYONE_S
        self._partitions.append(self._partitions.pop(0))  # another one is first the next time
        shown = [tp for tp in self._partitions if everyone or tp in parts]
        spans = []
        for tp in shown:
            start = self._positions[tp]
            part = parts.get(tp) or _Part(start, start)
            spans.append(Span(tp.topic, tp.partition, part.start, part.end, part.consumed, self._fetches.end(tp)))
            self._positions[tp] = part.end
        pieces = [(index, parts[tp].pieces) for index, tp in enumerate(shown) if tp in parts]
        broken = tuple(broken for part in parts.values() for broken in part.broken)
        return Window(tuple(spans), to_arrow(pieces, self._kernels), broken)
