"""The back-fill: find the files, cut them, let Ray Data read and evaluate them, sum up what they caused."""

from __future__ import annotations

import hashlib
import logging
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import ray
from ray.data import DataContext, Dataset
from ray.data.block import BlockMetadata
from ray.data.datasource import Datasource, ReadTask
from ray.exceptions import RayError

from detector.backfill import chain, correlate, files, outputs, plan
from detector.backfill.files import File
from detector.backfill.outputs import Form
from detector.backfill.plan import Piece, Unreadable
from detector.backfill.state import State
from detector.backfill.worker import Job, Outcome, chunk_name, evaluate, read, unpack
from detector.config import Config, InputTopic
from detector.errors import DetectorError
from detector.parsing.registry import AUTO, compile_parsers
from detector.pipeline import Spec
from detector.reload import load
from detector.sigma.ruleset import RuleSet
from detector.stream import cluster
from detector.window import Message


@dataclass(frozen=True, slots=True)
class Request:
    """What to back-fill. sources: `PATH` or `PATH=FORMAT`. reference_ms: time of undated lines, Unix milliseconds."""

    sources: tuple[str, ...]
    out: Path
    events: Path | None = None
    form: Form = "jsonl"
    reference_ms: int | None = None
    resume: bool = False


@dataclass(slots=True)
class Summary:
    """What a run did, together with the attempts before it; times are of this one, in seconds.

    lake_head: the last link of the lake's hash chain.
    """

    files: int = 0
    bytes: int = 0
    records: int = 0
    evaluated: int = 0
    rejected: int = 0
    alerts: dict[str, int] = field(default_factory=dict)
    dead_letters: dict[str, int] = field(default_factory=dict)
    events: dict[str, int] = field(default_factory=dict)
    matches: dict[str, int] = field(default_factory=dict)
    unreadable: list[Unreadable] = field(default_factory=list)
    chunks_resumed: int = 0
    lake_head: str | None = None
    seconds: float = 0.0
    phases: dict[str, float] = field(default_factory=dict)

    def add(self, outcome: Outcome) -> None:
        """Count a chunk."""
        self.bytes += outcome.stored
        self.records += outcome.records
        self.evaluated += outcome.evaluated
        self.rejected += outcome.rejected
        for mine, more in (
            (self.alerts, outcome.alerts),
            (self.dead_letters, outcome.dead_letters),
            (self.events, outcome.counts.events),
            (self.matches, outcome.counts.matches),
        ):
            for label, count in more.items():
                mine[label] = mine.get(label, 0) + count


Watch = Callable[[Summary, int], None]
"""Told of the progress so far, and of how many bytes there are in all."""


def run(config: Config, request: Request, watch: Watch = lambda _summary, _total: None) -> Summary:
    """Read the sources, write what they cause below `request.out`. Files that cannot be read are in the summary.

    Raises:
        DetectorError: nothing can be read or written, or the run broke off; `resume` goes on with it.
    """
    spec, rules = load(config)
    formats = {AUTO, *compile_parsers(spec.parsers, limits=spec.limits).definitions}
    found = files.find([files.source(argument, formats) for argument in request.sources])
    summary = Summary(files=len(found))
    with State.opened(request.out, _settings(config, request, spec, found), found, resume=request.resume) as state:
        for outcome in state.done.values():
            summary.add(outcome)
        summary.chunks_resumed = len(state.done)
        total = sum(max(0, file.size) for file in found)
        block_bytes = config.backfill.block_bytes
        pieces: list[Piece] = []
        for part in plan.pieces(enumerate(found), block_bytes):
            if isinstance(part, Unreadable):
                summary.unreadable.append(part)
            elif chunk_name(part.number, part.start) not in state.done or part.end < 0:
                pieces.append(part)
        watch(summary, total)
        if pieces:
            with cluster.running(config.ray, readers=max(1, _concurrency(config) - cluster.SPARES)):
                started = time.monotonic()
                job = _job(config, request, _with_files(spec, found))
                for row in _rows(plan.tasks(pieces, block_bytes), job, frozenset(state.done)):
                    if isinstance(row, Unreadable):
                        summary.unreadable.append(row)
                    else:
                        if row.whole:
                            state.note(row)
                        summary.add(row)
                        for phase, seconds in row.seconds.items():
                            summary.phases[phase] = summary.phases.get(phase, 0.0) + seconds
                    summary.seconds = time.monotonic() - started
                    watch(summary, total)
        if spec.correlate:
            _correlate(config, rules, request, summary)
    if request.events is not None and request.events.is_dir():
        summary.lake_head = chain.seal(request.events)
    return summary


def dataset(tasks: Sequence[Sequence[Piece]], job: Job, done: frozenset[str]) -> Dataset:
    """The Dataset of a run: a task for each of `tasks`, a row for each chunk.

    A task whose process dies is done again by Ray: it writes the same files.
    """
    context = DataContext.get_current().copy()
    context.enable_progress_bars = False
    context.enable_auto_log_stats = False
    context.target_max_block_size = 1  # each row is a block of its own and leaves its task at once
    context.target_min_block_size = 1
    with DataContext.current(context):
        source = ray.data.read_datasource(_Chunks(tasks, job, done), override_num_blocks=len(tasks))
        return source.map_batches(
            partial(evaluate, job=job), batch_format="pyarrow", batch_size=None, zero_copy_batch=True
        )


class _Chunks(Datasource):  # type: ignore[misc]
    """Ray's own `read_text` loads whole files, fails on invalid UTF-8, and drops and cuts lines (decision 013)."""

    def __init__(self, tasks: Sequence[Sequence[Piece]], job: Job, done: frozenset[str]) -> None:
        self._tasks = tasks
        self._job = job
        self._done = done

    def estimate_inmemory_data_size(self) -> int | None:
        return None

    def get_read_tasks(self, _parallelism: int, *_args: Any, **_kwargs: Any) -> list[ReadTask]:
        unknown = BlockMetadata(num_rows=None, size_bytes=None, exec_stats=None, input_files=None)
        return [ReadTask(partial(read, pieces, self._job, self._of(pieces)), unknown) for pieces in self._tasks]

    def _of(self, pieces: Sequence[Piece]) -> frozenset[str]:
        numbers = {f"{piece.number:06d}-" for piece in pieces}
        return frozenset(name for name in self._done if name[:7] in numbers)


def _rows(tasks: Sequence[Sequence[Piece]], job: Job, done: frozenset[str]) -> Iterator[Outcome | Unreadable]:
    logging.getLogger("ray.data._internal.progress").setLevel(logging.ERROR)  # "progress bars disabled"
    data = dataset(tasks, job, done)
    try:
        for block in data.iter_batches(batch_format="pyarrow", batch_size=None, prefetch_batches=0):
            yield from unpack(block)
    except RayError as error:
        first = str(error).partition("\n\nThe above exception")[0].strip().rpartition("\n")[2]
        raise DetectorError(f"the back-fill broke off ({first[:500]}); --resume goes on with it") from error


def _job(config: Config, request: Request, spec: Spec) -> Job:
    return Job(
        spec=ray.put(spec),
        spec_sha=spec.sha,
        folder=request.out.absolute(),
        lake=request.events and request.events.absolute(),
        form=request.form,
        block_bytes=config.backfill.block_bytes,
        window_records=config.backfill.window_records,
        window_bytes=config.input.max_window_bytes,
        reference_ms=request.reference_ms,
        limits=config.limits,
        correlate=config.correlation.enabled,
    )


def _correlate(config: Config, rules: RuleSet, request: Request, summary: Summary) -> None:
    """Write what the entries of all chunks cause together, and count it."""
    found: dict[str, list[Message]] = {}
    for message in correlate.fold(config, rules, request.out):
        found.setdefault(message.topic, []).append(message)
    outputs.write(found.get("alerts", []), request.out, "correlations", request.form)
    outputs.write_incidents(found.get("incidents", []), request.out)
    for level, count in outputs.by_header(found.get("alerts", []), "alerts", "level").items():
        summary.alerts[level] = summary.alerts.get(level, 0) + count


def _with_files(spec: Spec, found: Sequence[File]) -> Spec:
    """The spec with a topic for each file; a file's name is none that a topic may have."""
    topics = tuple(InputTopic.model_construct(name=file.name, format=file.format, logsource=None) for file in found)
    named = repr([(topic.name, topic.format) for topic in topics])
    return replace(spec, topics=topics, sha=hashlib.sha256(f"{spec.sha} {named}".encode()).hexdigest())


def _settings(config: Config, request: Request, spec: Spec, found: Sequence[File]) -> dict[str, Any]:
    """What the results depend on, under the names that a user knows."""
    return {
        "rules, parsers or limits": spec.sha,
        "backfill.block_bytes": config.backfill.block_bytes,
        "--events": str(request.events and request.events.absolute()),
        "--output-format": request.form,
        "--reference-time": request.reference_ms,
        "format of a source": sorted({file.format for file in found}),
    }


def _concurrency(config: Config) -> int:
    return config.backfill.concurrency or os.cpu_count() or 1
