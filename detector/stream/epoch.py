"""An epoch: one streaming Dataset that lives for minutes and is disposable (decision 001).

It begins at explicit positions and ends when its readers return, all of them at once, because their ticket was
withdrawn: for its age, its number of windows, or because something else takes over. Whatever goes wrong in it ends it;
the driver then begins the next one at its own positions.
"""

from __future__ import annotations

import itertools
import logging
import os
import queue
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import ray
import structlog
from kafka import TopicPartition
from ray.data import DataContext, Dataset
from ray.data.block import BlockMetadata
from ray.data.datasource import Datasource, ReadTask
from ray.exceptions import RayActorError, RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from detector import metrics
from detector.config import Config, Epochs
from detector.errors import DeliveryError, DetectorError
from detector.pipeline import Spec
from detector.stream import internals, memory
from detector.stream.cluster import SPARES
from detector.stream.tickets import Tickets
from detector.stream.worker import ReaderTask, Row, evaluate, read, unpack, warm_process

MAX_WINDOWS_PER_SECOND = 80
"""Over all readers; under load windows grow instead of multiplying."""

STALL_S = 10.0
"""A reader without a row for this long is taken for stuck in native code, and its process is ended."""

log = structlog.get_logger()

_FORCE_S = 2.0
_ISSUE_S = 20.0
_PREPARE_S = 20.0
_WARM_S = 120.0


class EpochError(DeliveryError):
    """A reader died or raised; nothing that was not delivered yet counts."""


class Streamer:
    """Makes epochs, one at a time; holds what they share. Needs a running Ray.

    readers: how many there are at most: `input.readers`, or as many as the cluster has slots.

    Raises:
        DetectorError: the cluster has no slot at all.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self._numbers = itertools.count(1)
        self._tickets: Any = None
        slots = int(ray.cluster_resources().get("CPU", 0))
        if not slots:
            raise DetectorError("the Ray cluster has no CPU; each reader needs one (input.readers)")
        self.readers = min(config.input.readers, slots)
        self._processes = self.readers + (SPARES if config.ray.address is None else 0)
        self._context = context = DataContext.get_current().copy()  # of these epochs alone
        context.enable_progress_bars = False
        context.enable_auto_log_stats = False
        context.target_max_block_size = 1  # each row is a block of its own and leaves its task at once
        context.target_min_block_size = 1
        logging.getLogger("ray.data._internal.progress").setLevel(logging.ERROR)  # "progress bars disabled", each time
        missing = internals.apply(context)
        metrics.ray_internals_missing.set(len(missing))
        if missing:
            log.warning("this Ray lacks private parts: alerts come later, or nothing bounds reading", missing=missing)

    def start(
        self, spec: Spec, starts: Mapping[TopicPartition, int], *, suspects: frozenset[TopicPartition] = frozenset()
    ) -> Epoch:
        """Begin an epoch at these positions; `suspects` among them are read record by record at first."""
        return self._start(spec, share(starts, self.readers), starts, suspects)

    def warm(self, spec: Spec, *, while_waiting: Callable[[], None]) -> None:
        """Start every process and let it compile, by an epoch that reads nothing.

        Raises:
            EpochError: they did not start in time.
        """
        epoch = self._start(spec, [[] for _ in range(self._processes)], {}, frozenset())
        deadline = time.monotonic() + _WARM_S
        while not epoch.over:
            while_waiting()
            epoch.next(0.1)
            if time.monotonic() > deadline:
                raise EpochError(
                    f"Ray did not start {self._processes} processes within {_WARM_S:.0f} s; does the cluster have "
                    "that many free CPUs (input.readers)?"
                )
        memory.settle()

    def warm_spare(self, spec: Spec) -> None:
        """Have a warm process again, in place of one that died."""
        if self._processes > self.readers:
            warm_process.options(num_cpus=1, max_retries=0).remote(spec.sha, self._tickets)

    def _start(
        self,
        spec: Spec,
        shares: Sequence[Sequence[TopicPartition]],
        starts: Mapping[TopicPartition, int],
        suspects: frozenset[TopicPartition],
    ) -> Epoch:
        number = next(self._numbers)
        try:
            self._issue(number, spec)
        except RayError as error:
            raise EpochError(f"epoch {number} cannot begin: {_describe(error)}") from error
        tasks = self.tasks(number, spec, shares, starts, suspects)
        with DataContext.current(self._context):
            data = dataset(tasks)
        return Epoch(number, data, len(tasks), self._tickets, self._config.epochs)

    def _issue(self, number: int, spec: Spec) -> None:
        """Have somebody hold the epoch's ticket: the actor from before, or a new one if that has died."""
        if self._tickets is not None:
            try:
                ray.get(self._tickets.issue.remote(number, spec), timeout=_ISSUE_S)
            except RayActorError:
                self._tickets = None
            else:
                return
        self._tickets = Tickets.remote()  # type: ignore[attr-defined]
        ray.get(self._tickets.issue.remote(number, spec), timeout=_ISSUE_S)

    def tasks(
        self,
        number: int,
        spec: Spec,
        shares: Sequence[Sequence[TopicPartition]],
        starts: Mapping[TopicPartition, int],
        suspects: frozenset[TopicPartition] = frozenset(),
    ) -> list[ReaderTask]:
        """What each reader of epoch `number` does."""
        settings = self._config
        linger_s = max(settings.input.linger_ms / 1000, len(shares) / MAX_WINDOWS_PER_SECOND)
        return [
            ReaderTask(
                reader=index,
                epoch=number,
                starts={tp: starts[tp] for tp in partitions},
                suspects=suspects.intersection(partitions),
                spec_sha=spec.sha,
                kafka=settings.kafka,
                input=settings.input,
                linger_s=linger_s,
                tickets=self._tickets,
            )
            for index, partitions in enumerate(shares)
        ]


def share(starts: Mapping[TopicPartition, int], readers: int) -> list[list[TopicPartition]]:
    """Deal the partitions out, topic by topic, to as many readers as there is something to read for."""
    ordered = sorted(starts)
    used = min(readers, len(ordered))
    return [ordered[index::used] for index in range(used)]


def dataset(tasks: Sequence[ReaderTask]) -> Dataset:
    """The Dataset of an epoch. Reading and evaluating fuse because their Ray arguments are equal."""
    once = {"max_retries": 0}  # a failed reader fails the epoch: Ray must never read again on its own
    evaluation = partial(evaluate, spec_sha=tasks[0].spec_sha, tickets=tasks[0].tickets)
    with warnings.catch_warnings():
        # Ray 2.60 deprecates these arguments, and has no others that take `max_retries`.
        warnings.simplefilter("ignore", DeprecationWarning)
        source = ray.data.read_datasource(_Windows(tasks), override_num_blocks=len(tasks), ray_remote_args=once)
        return source.map_batches(evaluation, batch_format="pyarrow", batch_size=None, zero_copy_batch=True, **once)


class _Windows(Datasource):  # type: ignore[misc]
    """One read task for each reader; each yields windows until it returns by itself."""

    def __init__(self, tasks: Sequence[ReaderTask]) -> None:
        self._tasks = tasks

    def estimate_inmemory_data_size(self) -> int | None:
        return None

    def get_read_tasks(self, _parallelism: int, *_args: Any, **_kwargs: Any) -> list[ReadTask]:
        unknown = BlockMetadata(num_rows=None, size_bytes=None, exec_stats=None, input_files=None)
        return [ReadTask(partial(read, task), unknown) for task in self._tasks]


@dataclass(slots=True)
class _Reader:
    """What the driver knows of a reader's process."""

    pid: int
    node: str
    seen: float
    ended: bool = False


class Epoch:
    """A running epoch; `next` gives its window results as they come.

    Ray's iterator runs in a thread of its own behind a small queue, so that the main thread never waits for it. Of its
    age and number of windows it withdraws its ticket by itself.
    """

    def __init__(self, number: int, data: Dataset, readers: int, tickets: Any, limits: Epochs) -> None:
        self.number = number
        self.started = time.monotonic()
        self.readers = readers
        self._tickets = tickets
        self._limits = limits
        self._windows = 0
        self._preparing: tuple[str, Any, float] | None = None
        self._queue: queue.Queue[Row | BaseException | None] = queue.Queue(maxsize=readers)
        self._abandoned = threading.Event()
        self._processes: dict[int, _Reader] = {}
        self._withdrawn = False
        self._asked = self.started
        self._thread = threading.Thread(target=self._iterate, args=(data,), name=f"epoch-{number}", daemon=True)
        self._thread.start()
        self.over = False

    def next(self, timeout_s: float) -> Row | None:
        """The next row, or None when none came in time or the epoch is over (`over`).

        Raises:
            EpochError: a reader died or raised.
        """
        asked, self._asked = self._asked, time.monotonic()
        if self._windows >= self._limits.max_windows or self._asked - self.started >= self._limits.max_age_s:
            self.withdraw()
        for process in self._processes.values():
            # While the driver asks for nothing, readers are held back and cannot be blamed for their silence.
            process.seen += max(0.0, self._asked - asked - 1.0)
        try:
            item = self._queue.get(timeout=timeout_s) if timeout_s > 0 else self._queue.get_nowait()
        except queue.Empty:
            self._end_stalled()
            return None
        if item is None:
            self.over = True
            return None
        if isinstance(item, BaseException):
            self.over = True
            raise EpochError(f"epoch {self.number}: {_describe(item)}") from item
        self._processes[item.reader] = _Reader(item.pid, item.node, time.monotonic())
        self._windows += item.result is not None
        return item

    def rows(self, timeout_s: float) -> Iterator[Row]:
        """All rows until the epoch is over, at most for `timeout_s`; see `next`."""
        deadline = time.monotonic() + timeout_s
        while not self.over and time.monotonic() < deadline:
            row = self.next(min(0.1, max(0.0, deadline - time.monotonic())))
            if row is not None:
                yield row

    @property
    def processes(self) -> list[int]:
        """Process ids of the readers that have shown themselves."""
        return [process.pid for process in self._processes.values()]

    def prepared(self, spec: Spec) -> bool:
        """Whether every reader has compiled what takes over next, or has had time enough; the first call asks them to.

        Then they begin with it at once, and no record waits for the compiler.
        """
        if self._preparing is None or self._preparing[0] != spec.sha:
            self._preparing = spec.sha, self._tickets.prepare.remote(spec, self.readers), time.monotonic()
        _, ref, since = self._preparing
        ready, _ = ray.wait([ref], timeout=0)
        return bool(ready) or time.monotonic() - since > _PREPARE_S

    def withdraw(self) -> None:
        """Ask the readers to return; their last windows still come."""
        if not self._withdrawn:
            self._withdrawn = True
            self._tickets.withdraw.remote(self.number)

    def close(self) -> None:
        """End the epoch whatever its state; what it has not given is dropped.

        The readers get 2 s to return by themselves; ended by force, their processes have to start anew.
        """
        self.withdraw()
        deadline = time.monotonic() + _FORCE_S
        while self._thread.is_alive() and time.monotonic() < deadline:
            self._discard()
            self._thread.join(0.02)
        self._abandoned.set()
        while self._thread.is_alive() and time.monotonic() < deadline + _FORCE_S:
            self._discard()
            self._thread.join(0.02)
        self.over = True

    def _iterate(self, data: Dataset) -> None:
        last: BaseException | None = None
        blocks = iter(data.iter_batches(batch_format="pyarrow", batch_size=None, prefetch_batches=0))
        try:
            for block in blocks:
                for row in unpack(block):
                    if not self._put(row):
                        return
        except BaseException as error:  # noqa: BLE001 -- it reaches the main thread, which decides
            last = error
        finally:
            blocks.close()
            self._put(last)

    def _put(self, item: Row | BaseException | None) -> bool:
        while not self._abandoned.is_set():
            try:
                self._queue.put(item, timeout=0.1)
            except queue.Full:
                continue
            return True
        return False

    def _discard(self) -> None:
        while True:
            try:
                self._queue.get_nowait()
            except queue.Empty:
                return

    def _end_stalled(self) -> None:
        """End the process of a reader that has shown nothing for too long: it no longer answers to anything else."""
        now = time.monotonic()
        for process in self._processes.values():
            if now - process.seen > STALL_S and not process.ended and not self._withdrawn:
                process.ended = True
                _kill(process)


def _kill(process: _Reader) -> None:
    there = NodeAffinitySchedulingStrategy(process.node, soft=False)
    end = ray.remote(num_cpus=0, max_retries=0)(_end)
    end.options(scheduling_strategy=there).remote(process.pid)


def _end(pid: int) -> None:  # Ray takes no built-in function
    os.kill(pid, signal.SIGKILL)


def _describe(error: BaseException) -> str:
    cause = getattr(error, "cause", None) or error  # what a RayTaskError carries
    return f"{type(cause).__name__}: {cause}".strip().rpartition("\n")[2][:500]
