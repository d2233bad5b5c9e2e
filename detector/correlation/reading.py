"""Reading and folding the partitions of the signals topic that this replica owns, in a thread of its own.

A partition begins with recovery: the newest snapshot at or before the committed offset, then a silent replay up to it.
From there on, what fires is handed over together with the offset that it brings.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field

import structlog
from kafka import TopicPartition

from detector import metrics
from detector.correlation.fold import Fold
from detector.correlation.inputs import Entry
from detector.correlation.rule import Correlation
from detector.correlation.sending import Sending
from detector.correlation.setting import Setting
from detector.correlation.signals import SignalsError, decode
from detector.correlation.snapshots import SLOTS, newest, write
from detector.errors import DeliveryError
from detector.kafka.reader import Reader
from detector.sigma.ruleset import RuleSet
from detector.window import Message, Window

WAIT_S = 0.1
GAUGES_S = 1.0
MAX_WAITING = 64
"""Results that wait for delivery; then reading waits, too."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Start:
    """Where a partition begins: what is before `committed` was told already; `begin` is the oldest that is left."""

    committed: int
    begin: int
    state_begin: int
    state_end: int


@dataclass(frozen=True, slots=True)
class Result:
    """What some messages caused, and the positions that they bring; fired: keys of the correlations that did."""

    offsets: Mapping[TopicPartition, int]
    messages: tuple[Message, ...]
    fired: tuple[str, ...] = ()


@dataclass(slots=True)
class Partition:
    """A partition of the signals topic, and its state at `position`.

    told: what is before it was told before. entries: of alerts here, which the other partitions are not told yet; said,
    said_us, said_at: up to which offset, to which watermark and when (monotonic) they were told.
    snapshot: the offset of the last one, and in which slot.
    """

    number: int
    fold: Fold
    position: int
    told: int
    entries: list[Entry] = field(default_factory=list)
    said: int = -1
    said_us: int = -1
    said_at: float = 0.0
    snapshot: int = -1
    slot: int = 0
    snapshot_at: float = field(default_factory=time.monotonic)


class Reading:
    """A running thread; `next` gives its results. Stopped, `partitions` are as far as its last result."""

    def __init__(
        self,
        setting: Setting,
        correlations: Sequence[Correlation],
        rules: RuleSet,
        kept: Sequence[Partition],
        starts: Mapping[int, Start],
    ) -> None:
        """Begin.

        rules: that run; correlations: those of them that do. kept: partitions that go on.
        starts: partitions that begin, by number.
        """
        self._setting = setting
        self._correlations = correlations
        self._sending = Sending(setting, rules, correlations)
        self._guards = self._sending.guards
        self._starts = starts
        self.partitions = {each.number: each for each in kept}
        for each in kept:
            each.fold.stage.use(self._guards)
        self._results: queue.Queue[Result | BaseException] = queue.Queue(MAX_WAITING)
        self._stop = threading.Event()
        self._abandoned = threading.Event()
        self.committed: Mapping[TopicPartition, int] = {}  # set by the main thread
        self.recovering = bool(starts)
        self._gauges_at = 0.0
        self._thread = threading.Thread(target=self._run, name="correlations", daemon=True)
        self._thread.start()

    def next(self) -> Result | None:
        """A result, if there is one.

        Raises:
            DeliveryError: reading failed.
        """
        try:
            item = self._results.get_nowait()
        except queue.Empty:
            return None
        if isinstance(item, BaseException):
            raise DeliveryError(f"signals cannot be read: {type(item).__name__}: {item}") from item
        return item

    def stop(self, timeout_s: float) -> Iterator[Result]:
        """End the thread; its last results.

        Raises:
            DeliveryError: it failed, or does not end in time.
        """
        self._stop.set()
        deadline = time.monotonic() + timeout_s
        while self._thread.is_alive() and time.monotonic() < deadline:
            if (result := self.next()) is not None:
                yield result
            else:
                self._thread.join(0.005)
        while (result := self.next()) is not None:
            yield result
        if self._thread.is_alive():
            raise DeliveryError("the correlations did not stop in time")

    def abandon(self) -> None:
        """End the thread without its results."""
        self._stop.set()
        self._abandoned.set()

    def _run(self) -> None:
        try:
            for number, start in self._starts.items():
                self.partitions[number] = self._recover(number, start)
                if self._stop.is_set():
                    return
            self.recovering = False
            self._follow()
        except BaseException as error:  # noqa: BLE001 -- it reaches the main thread, which decides
            self._put(error)

    def _follow(self) -> None:
        if not self.partitions:
            return
        topic = self._topic
        starts = {TopicPartition(topic, each.number): each.position for each in self.partitions.values()}
        with closing(self._reader(starts)) as reader:
            while not self._stop.is_set():
                window = reader.read(WAIT_S, 0.0)
                result = self._fold(window)
                if result is not None and not self._put(result):
                    return
                self._snapshot()
                self._gauges()

    def _fold(self, window: Window) -> Result | None:
        """Apply a window's messages; what fires that was not told before is a message."""
        messages: list[Message] = []
        fired_keys: list[str] = []
        self._sending.begin()
        spans = [(self.partitions[span.partition], span) for span in window.spans]
        columns = (window.records.column(name).to_pylist() for name in ("span", "offset", "value"))
        for index, offset, value in zip(*columns, strict=True):
            partition = spans[index][0]
            try:
                found = partition.fold.apply(decode(value))
            except SignalsError as error:
                metrics.correlation_unreadable.inc()
                log.warning("a message of the signals topic is none", partition=partition.number, why=str(error))
                continue
            output = partition.fold.stage.take()
            if offset >= partition.told:
                at = (self._topic, partition.number, offset)
                fired_keys += [fired.correlation.key for fired in found]
                messages += self._sending.of(found, output, at, partition.entries)
        offsets = {}
        for partition, span in spans:
            partition.position = span.end
            if span.end > max(span.start, partition.told):
                offsets[TopicPartition(span.topic, span.partition)] = span.end
                messages += self._sending.tell(partition)
            _count(partition.fold)
        return Result(offsets, tuple(messages), tuple(fired_keys)) if offsets else None

    def _snapshot(self) -> None:
        """Write the states down that are due, once the last snapshot is at or before what is committed."""
        now = time.monotonic()
        for partition in self.partitions.values():
            tp = TopicPartition(self._topic, partition.number)
            due = now - partition.snapshot_at >= self._setting.config.correlation.snapshot_interval_s
            moved = partition.position > max(partition.snapshot, partition.told)
            if not (due and moved) or partition.snapshot > self.committed.get(tp, -1):
                continue
            partition.slot = (partition.slot + 1) % SLOTS
            partition.snapshot, partition.snapshot_at = partition.position, now
            messages = write(
                partition.fold.dump(),
                partition=partition.number,
                partitions=self._setting.partitions,
                offset=partition.position,
                slot=partition.slot,
            )
            if not self._put(Result({tp: partition.position}, messages)):
                return

    def _recover(self, number: int, start: Start) -> Partition:
        """The state of a partition at its committed offset."""
        began = time.monotonic()
        setting = self._setting
        fold = Fold(self._correlations, setting.sources, setting.config.correlation, others=setting.others)
        fold.stage.use(self._guards)
        position = start.begin
        state = TopicPartition(setting.config.output.state_topic, number)
        records = self._read(state, start.state_begin, start.state_end)
        snapshot = newest(records, partition=number, partitions=setting.partitions, until=start.committed)
        if snapshot is not None and snapshot.offset >= start.begin:
            fold.load(snapshot.state)
            position = snapshot.offset
        signals = TopicPartition(self._topic, number)
        replayed = 0
        for _, value in self._read(signals, position, start.committed):
            try:
                fold.apply(decode(value))
            except SignalsError:
                continue
            replayed += 1
        fold.tally.take()
        fold.stage.take()
        seconds = time.monotonic() - began
        metrics.correlation_recovery.set(seconds)
        log.info(
            "the state of correlations is back",
            partition=number,
            snapshot=snapshot and snapshot.offset,
            replayed=replayed,
            groups=fold.groups,
            seconds=round(seconds, 3),
        )
        return Partition(
            number,
            fold,
            max(position, start.committed),
            told=start.committed,
            said=start.committed,
            snapshot=snapshot.offset if snapshot else -1,
        )

    def _read(self, tp: TopicPartition, begin: int, end: int) -> Iterator[tuple[bytes | None, bytes | None]]:
        """Keys and values of a partition from `begin` up to `end`."""
        position = begin
        if begin >= end:
            return
        with closing(self._reader({tp: begin})) as reader:
            while position < end and not self._stop.is_set():
                window = reader.read(WAIT_S, 0.0)
                columns = (window.records.column(name).to_pylist() for name in ("offset", "key", "value"))
                for offset, key, value in zip(*columns, strict=True):
                    if offset < end:
                        yield key, value
                position = max([position, *(span.end for span in window.spans)])

    def _reader(self, starts: Mapping[TopicPartition, int]) -> Reader:
        return Reader(self._setting.config.kafka, self._setting.config.input, starts)

    def _gauges(self) -> None:
        now = time.monotonic()
        if now >= self._gauges_at:
            self._gauges_at = now + GAUGES_S
            folds = [each.fold for each in self.partitions.values()]
            metrics.correlation_groups.set(sum(fold.groups for fold in folds))
            metrics.incidents_open.set(sum(fold.stage.open_incidents for fold in folds))
            metrics.correlation_watermark.set(min(fold.watermark_us for fold in folds) / 1_000_000)

    @property
    def _topic(self) -> str:
        return self._setting.config.output.signals_topic

    def _put(self, item: Result | BaseException) -> bool:
        """Hand over; False where nobody takes it any more."""
        while not self._abandoned.is_set():
            try:
                self._results.put(item, timeout=0.05)
            except queue.Full:
                continue
            return True
        return False


def _count(fold: Fold) -> None:
    counts = fold.tally.take()
    for outcome in metrics.CorrelationEvent:
        if counts.get(outcome):
            metrics.correlation_events.labels(outcome).inc(counts[outcome])
    metrics.alerts_suppressed.labels(metrics.SuppressionReason.SUPPRESSION).inc(counts.get("held", 0))
    metrics.incidents_evicted.inc(counts.get("incidents_evicted", 0))
    metrics.correlation_evicted.inc(counts.get("evicted", 0))
    metrics.correlation_gaps.inc(counts.get("gaps", 0))
