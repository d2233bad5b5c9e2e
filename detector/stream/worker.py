"""What runs inside a Ray task: read windows and evaluate them, one process a reader, for the length of an epoch."""

from __future__ import annotations

import os
import pickle
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import pyarrow as pa
import ray
from kafka import TopicPartition

from detector import config
from detector.failpoints import failpoint
from detector.kafka import warm as kafka_kernels
from detector.kafka.reader import Reader
from detector.parsing import warm as parsing_kernels
from detector.pipeline import Pipeline
from detector.sigma.engine import warm as engine_kernels
from detector.stream import memory
from detector.stream.isolation import Order, isolated
from detector.stream.pieces import pieces
from detector.stream.tickets import Preparation, Ticket
from detector.window import WindowResult, from_row, to_row

HEARTBEAT_S = 1.0
"""A reader yields at least this often, so that neither the driver's loop nor its look at dead readers starves."""

TICKET_CHECK_S = 0.05

WINDOW_S = 1.0
"""How long a window should take to evaluate, at most."""

MIN_RECORDS = 100
FIRST_RECORDS = 1_000
"""Records of a process's first window, when it is not known how long one takes."""


@dataclass(frozen=True, slots=True)
class ReaderTask:
    """What one reader does in one epoch.

    starts: fetch position of each of its partitions.
    suspects: partitions that are first read record by record in a child process.
    """

    reader: int
    epoch: int
    starts: Mapping[TopicPartition, int]
    suspects: frozenset[TopicPartition]
    spec_sha: str
    kafka: config.Kafka
    input: config.Input
    linger_s: float
    tickets: Any


@dataclass(frozen=True, slots=True)
class Row:
    """A window result as it reaches the driver.

    pid, node: the reader's process. result: None in a reader's first row, which only names its process.
    """

    reader: int
    pid: int
    node: str
    result: WindowResult | None
    reachable: bool = True


def read(task: ReaderTask) -> Iterator[pa.Table]:
    """Yield one row for each window, until the epoch's ticket is withdrawn."""
    pipeline(task.spec_sha, task.tickets)  # compiled before anything is read
    _pipelines.only(task.spec_sha)
    yield _row(task, None)
    if not task.starts:
        return
    ticket = Ticket(task.tickets, task.epoch)
    preparation = Preparation(task.tickets, task.spec_sha, partial(pipeline, tickets=task.tickets))
    starts = dict(task.starts)
    if task.suspects:
        spec = ray.get(task.tickets.spec.remote(task.spec_sha))
        for result in isolated(Order(spec, task.kafka, task.input, {tp: starts[tp] for tp in task.suspects})):
            for part in result.spans if result is not None else ():
                starts[TopicPartition(part.span.topic, part.span.partition)] = part.span.end
            yield _row(task, result)
    reader = Reader(task.kafka, task.input, starts)
    try:
        last = time.monotonic()
        while ticket.valid:
            preparation.attend()
            reader.max_records = min(task.input.max_window_records, _pace.records)
            window = reader.read(TICKET_CHECK_S, task.linger_s)
            now = time.monotonic()
            if window.spans and (window.records.num_rows or _moved(window.spans) or now - last >= HEARTBEAT_S):
                failpoint("after_poll")
                last = now
                for piece in pieces(window, lambda: _pace.records):  # a record batch may hold more than asked for
                    yield to_row(piece, task=_describe(task), reachable=reader.reachable)
    finally:
        reader.close()


def evaluate(row: pa.Table, *, spec_sha: str, tickets: Any) -> pa.Table:
    """Make a window's row into its result's: fused with `read`, so it runs in the same task."""
    if "done" in row.column_names:
        return row
    window = from_row(row)
    started = time.perf_counter()
    result = pipeline(spec_sha, tickets).run(window)
    _pace.note(window.records.num_rows, time.perf_counter() - started)
    reader, pid, node = pickle.loads(row["task"][0].as_py())  # noqa: S301 -- our own process wrote it
    return _table(Row(reader, pid, node, result, row["reachable"][0].as_py()))


@ray.remote  # type: ignore[untyped-decorator]
def warm_process(spec_sha: str, tickets: Any) -> None:
    """Be a process that has compiled."""
    pipeline(spec_sha, tickets)


def unpack(table: pa.Table) -> list[Row]:
    """The rows that a block holds."""
    return [pickle.loads(value) for value in table["done"].to_pylist()]  # noqa: S301 -- our own workers wrote it


def warm_kernels() -> None:
    """Compile all kernels: else the first window would wait for them, longer than a reader may be silent."""
    kafka_kernels.warm()
    parsing_kernels.warm()
    engine_kernels.warm()


def pipeline(sha: str, tickets: Any) -> Pipeline:
    """The pipeline of that spec, compiled once in this process."""
    return _pipelines.get(sha, lambda: Pipeline(ray.get(tickets.spec.remote(sha))))


class _Pipelines:
    """The pipelines of this process, by the names of their specs: the one that runs, and the one that follows it."""

    def __init__(self) -> None:
        self._known: dict[str, Pipeline] = {}
        self._compiling = threading.Lock()

    def get(self, sha: str, compile_it: Callable[[], Pipeline]) -> Pipeline:
        """That pipeline; who asks for one that is being compiled waits for it."""
        found = self._known.get(sha)
        if found is None:
            with self._compiling:
                found = self._known.get(sha)
                if found is None:
                    memory.keep_freed()
                    warm_kernels()
                    found = self._known[sha] = compile_it()
        return found

    def only(self, sha: str) -> None:
        """Forget the others."""
        self._known = {sha: self._known[sha]}


_pipelines = _Pipelines()


class _Pace:
    """How many records take about `WINDOW_S`: a window that takes longer than a reader may be silent looks stuck."""

    def __init__(self) -> None:
        self._seconds_per_record: float | None = None

    def note(self, records: int, seconds: float) -> None:
        """A window took so long. Slower counts at once, faster bit by bit."""
        if records:
            now = seconds / records
            before = self._seconds_per_record
            self._seconds_per_record = now if before is None else max(now, 0.8 * before + 0.2 * now)

    @property
    def records(self) -> int:
        """Records of the next window."""
        if self._seconds_per_record is None:
            return FIRST_RECORDS
        return max(MIN_RECORDS, int(WINDOW_S / max(self._seconds_per_record, 1e-9)))


_pace = _Pace()


def _moved(spans: Any) -> bool:
    return any(span.end > span.start for span in spans)


def _describe(task: ReaderTask) -> bytes:
    return pickle.dumps((task.reader, os.getpid(), ray.get_runtime_context().get_node_id()))


def _row(task: ReaderTask, result: WindowResult | None) -> pa.Table:
    return _table(Row(task.reader, os.getpid(), ray.get_runtime_context().get_node_id(), result))


def _table(row: Row) -> pa.Table:
    return pa.table({"done": pa.array([pickle.dumps(row, 5)], pa.binary())})
