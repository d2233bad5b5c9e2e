"""The driver: whose partitions, which epoch, what is delivered, what is committed.

Nothing is committed before all that it caused was acknowledged. Whatever goes wrong, `drop` forgets what is not
committed, and the next epoch begins at the group's offsets.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import structlog
from kafka import TopicPartition

from detector import metrics, telemetry
from detector.config import Config
from detector.correlation.signals import Signals
from detector.errors import DeliveryError
from detector.kafka.delivery import Delivery, Progress
from detector.kafka.group import Change, Group
from detector.metrics import EpochEnd, Phase
from detector.reload import Reloader
from detector.stream import memory
from detector.stream.epoch import Epoch, Streamer
from detector.stream.positions import Positions
from detector.stream.worker import Row
from detector.window import Message, WindowResult

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Taken:
    """A window that was taken from the epoch at monotonic time `at`, and the positions that it reaches."""

    offsets: Mapping[TopicPartition, int]
    result: WindowResult
    at: float


class Driver:
    """One replica's reading and delivering. All methods are for the main thread, and none waits without a bound."""

    def __init__(
        self,
        config: Config,
        *,
        reloader: Reloader,
        streamer: Streamer,
        group: Group,
        delivery: Delivery,
        signals: Signals | None = None,
    ) -> None:
        """signals: what makes those of windows, where correlations run."""
        self._config = config
        self._reloader = reloader
        self._streamer = streamer
        self._group = group
        self._delivery = delivery
        self._signals = signals
        self._positions = Positions()
        self._unplaced: set[TopicPartition] = set()  # ours, but it is not known yet where to begin
        self._waiting: deque[_Taken] = deque()  # not committed
        self._epoch: Epoch | None = None
        self._epoch_end: float | None = None
        self._reachable = True
        self.progressed = False  # something new was committed since this was last set to False

    @property
    def hindrance(self) -> str | None:
        """Why not everything is read, if so."""
        if not (self._reachable and self._group.reachable):
            return "kafka unreachable"
        if not self._group.joined:
            return "the group has not shared out its partitions"
        stopped = self._positions.stopped
        return "; ".join(f"{tp.topic}-{tp.partition} is not read: {why}" for tp, why in stopped.items()) or None

    def follow_group(self) -> None:
        """Take part in the group; give up and take over partitions.

        Until the group is polled again, what is revoked can still be committed.
        """
        change = self._group.poll()
        if change is None:
            return
        metrics.rebalances.inc()
        log.info("partitions change", **{name: _names(getattr(change, name)) for name in Change.__slots__})
        try:
            if change.lost:
                self.drop()  # they are somebody else's: what is under way must not be committed
            else:
                self.drain(EpochEnd.ASSIGNMENT)
        finally:
            # Also where draining failed: with the next poll they are given away, committed or not.
            gone = change.revoked | change.lost
            self._positions.drop(gone)
            telemetry.forget(gone)
            if self._signals is not None:
                for tp in gone:
                    self._signals.forget(tp.topic, tp.partition)
            self._unplaced = (self._unplaced - gone) | change.assigned
            metrics.assigned_partitions.set(len(self._positions.owned | self._unplaced))

    def keep_reading(self) -> None:
        """See that there is an epoch, if there is something to read."""
        self._note(self._delivery.open())
        if self._unplaced:
            self._place()
        if self._epoch is None and self._positions.owned:
            spec = self._reloader.take()
            self._epoch = self._streamer.start(spec, self._positions.starts, suspects=self._positions.suspects)

    def take(self, timeout_s: float) -> None:
        """Accept the results that are there, while delivery has room."""
        if self._epoch is None or not self._delivery.room:
            time.sleep(timeout_s)
            return
        following = self._reloader.following
        if following is not None and self._epoch.prepared(following):
            self._epoch.withdraw()
        row = self._epoch.next(timeout_s)
        while row is not None:
            self._accept(row)
            row = self._epoch.next(0) if self._delivery.room else None
        if self._epoch.over:
            self._end_epoch(EpochEnd.RULES if self._reloader.following else EpochEnd.AGE)

    def settle(self) -> None:
        """Let delivery go on, and count what became durable."""
        self._note(self._delivery.tick())

    def drain(self, reason: EpochEnd) -> None:
        """End the epoch; deliver and commit all that it gave.

        Raises:
            DeliveryError: not everything could be committed in time.
        """
        deadline = time.monotonic() + self._config.epochs.drain_timeout_s
        if self._epoch is not None:
            self._epoch.withdraw()
            for row in self._epoch.rows(self._config.epochs.drain_timeout_s / 2):
                self._accept(row)
                self.settle()
            self._end_epoch(reason)
        if self._delivery.pending:
            done = self._delivery.flush(deadline)
            self.settle()
            if not done:
                raise DeliveryError("what was under way could not be committed in time; it will be read again")

    def drop(self) -> None:
        """Forget all that is not committed; reading goes on from there."""
        self._end_epoch(EpochEnd.FAILURE)
        self._delivery.abandon()
        self._waiting.clear()
        self._unplaced |= self._positions.owned

    def blame(self) -> None:
        """A reader died: after the second time without progress, its partitions are read record by record."""
        self._positions.blame()
        self._streamer.warm_spare(self._reloader.spec)

    def report(self) -> None:
        """Set the gauges that follow positions."""
        telemetry.lag(self._positions.lag())
        metrics.partitions_stopped.set(len(self._positions.stopped))

    def _place(self) -> None:
        """Find out where partitions begin."""
        found = self._group.positions(self._unplaced, self._config.kafka.request_timeout_ms / 1000)
        for tp, position in found.items():
            if position.beyond_end:
                reason = f"offset {position.offset} is beyond the end {position.end}: was the topic made anew?"
                log.error(
                    "a partition is not read; reset the group's offset and restart", partition=str(tp), why=reason
                )
                self._positions.stop(tp, reason)
                continue
            if position.skipped:
                metrics.records_skipped.labels(tp.topic).inc(position.skipped)
                log.error(
                    "retention deleted records before they were read", partition=str(tp), offsets=position.skipped
                )
            self._positions.assign(tp, position.offset, position.end)
        self._unplaced.clear()
        # A partition without a commit has one from now on, so that a restart does not ask `input.start` again.
        self._delivery.add(self._positions.starts, ())

    def _accept(self, row: Row) -> None:
        self._reachable = row.reachable
        if row.result is None:
            return
        if self._epoch_end is not None:
            metrics.recovery.observe(time.monotonic() - self._epoch_end)
            self._epoch_end = None
        offsets = self._positions.accept(row.result)
        messages = row.result.messages + self._signals_of(row.result)
        if messages or any(part.span.end > part.span.start for part in row.result.spans):
            self._delivery.add(offsets, messages)
            self._waiting.append(_Taken(offsets, row.result, time.monotonic()))

    def _signals_of(self, result: WindowResult) -> tuple[Message, ...]:
        if self._signals is None:
            return ()
        messages = self._signals.of(result, time.time_ns() // 1_000)
        metrics.correlation_truncated.inc(self._signals.dropped)
        self._signals.dropped = 0
        return messages

    def _note(self, progress: Progress) -> None:
        telemetry.acknowledged(progress.acknowledged)
        if not progress.committed:
            return
        metrics.last_commit.set_to_current_time()
        self.progressed |= self._positions.commit(progress.committed)
        while self._waiting and self._positions.reached(self._waiting[0].offsets):
            taken = self._waiting.popleft()
            telemetry.window(taken.result, self._reloader.levels)
            metrics.window_duration.labels(Phase.DELIVER).observe(time.monotonic() - taken.at)

    def _end_epoch(self, reason: EpochEnd) -> None:
        if self._epoch is not None:
            self._epoch.close()
            self._epoch = None
            memory.give_back()
            self._epoch_end = time.monotonic()
            metrics.epochs.labels(reason).inc()


def _names(partitions: Iterable[TopicPartition]) -> list[str]:
    return sorted(f"{tp.topic}-{tp.partition}" for tp in partitions)
