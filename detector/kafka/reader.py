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
_LAST_CALL_S = 0.002


@dataclass(slots=True)
class _Part:
    """What a window holds of a partition."""

    start: int
    end: int
    consumed: int = 0
    pieces: list[Piece] = field(default_factory=list)


@dataclass(slots=True)
class _Gathered:
    """A window under way; rows and size count what is broken, too."""

    parts: dict[TopicPartition, _Part] = field(default_factory=dict)
    broken: list[Broken] = field(default_factory=list)
    rows: int = 0
    size: int = 0

    def add(self, part: _Part, item: Piece | Broken) -> None:
        if isinstance(item, Piece):
            part.pieces.append(item)
            part.end = item.next_offset
            part.consumed += item.consumed
            self.rows += item.rows
            self.size += item.size
        else:
            self.broken.append(item)
            part.end = item.end
            part.consumed += item.records
            self.rows += max(item.records, 1)
            self.size += len(item.raw)


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
        window = _Gathered()
        lingering = False
        while True:
            full = self._gather(window)
            if self._errors:
                break
            now = time.monotonic()
            if window.rows and not lingering:
                lingering = True
                deadline = now + linger_s
            if full or now >= deadline:
                self._fetches.send()  # the answer arrives while the window is worked on
                break
            wait = deadline - now
            if lingering and wait > _LAST_CALL_S and not self._fetches.busy:
                wait -= _LAST_CALL_S  # one request for all that comes meanwhile, not one for each record
            else:
                self._fetches.send()
            self._fetches.receive(wait)
        if self._errors and not window.parts:
            raise next(iter(self._errors.values()))
        return self._finish(window)

    def close(self) -> None:
        """Close the connections; nothing is waited for."""
        self._fetches.close()

    def _gather(self, window: _Gathered) -> bool:
        """Take what has arrived, one batch of each partition in turn; whether the window is full."""
        turn = [tp for tp in self._partitions if tp not in self._errors]
        while turn:
            for tp in tuple(turn):
                item = self._held.pop(tp, None) or self._fetches.next(tp)
                if isinstance(item, Piece):
                    if not self._fits(item, window):
                        self._held[tp] = item
                        return True
                    window.add(self._part(window, tp), item)
                elif isinstance(item, BrokenError) and self._isolate:
                    window.add(self._part(window, tp), item.broken)
                else:
                    turn.remove(tp)
                    if item is not None:
                        self._errors[tp] = item
                    elif self._fetches.position(tp) > self._positions[tp]:
                        self._part(window, tp).end = self._fetches.position(tp)
        return False

    def _fits(self, piece: Piece, window: _Gathered) -> bool:
        return not window.rows or (
            window.rows + piece.rows <= self.max_records and window.size + piece.size <= self._max_bytes
        )

    def _part(self, window: _Gathered, tp: TopicPartition) -> _Part:
        if tp not in window.parts:
            window.parts[tp] = _Part(self._positions[tp], self._positions[tp])
        return window.parts[tp]

    def _finish(self, window: _Gathered) -> Window:
        now = time.monotonic()
        if not window.parts or now >= self._everyone_at:
            self._everyone_at = now + _EVERYONE_S
            for tp in self._partitions:
                self._part(window, tp)
        self._partitions = self._partitions[1:] + self._partitions[:1]  # another one is first the next time
        spans = []
        for tp, part in window.parts.items():
            end_offset = self._fetches.end(tp)
            spans.append(Span(tp.topic, tp.partition, part.start, part.end, part.consumed, end_offset))
            self._positions[tp] = part.end
        pieces = [(index, part.pieces) for index, part in enumerate(window.parts.values())]
        return Window(tuple(spans), to_arrow(pieces, self._kernels), tuple(window.broken))
