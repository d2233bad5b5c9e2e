"""What runs inside a Ray task: read chunks of files, evaluate them, write what they caused; only counts leave it."""

from __future__ import annotations

import pickle
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import ray

from detector.backfill import correlate, lake, outputs, parquet, records
from detector.backfill.files import File, UnreadableFileError
from detector.backfill.outputs import Form
from detector.backfill.plan import Piece, Unreadable
from detector.backfill.records import Chunk
from detector.config import Limits
from detector.parsing import warm as parsing_kernels
from detector.pipeline import Pipeline, Spec
from detector.sigma.engine import warm as engine_kernels
from detector.window import Counts, Message, Span, Window, from_row, to_row

FILE = -1
"""The partition of a record that comes from a file."""


@dataclass(frozen=True, slots=True)
class Job:
    """What is the same for all tasks of a run.

    spec: of the pipeline, an ObjectRef; each file is a topic of it. folder: for alerts and dead letters. lake: for
    events, or None. window_records, window_bytes: of the windows into which a chunk is cut.
    correlate: whether to write what it has for correlations, too.
    """

    spec: Any
    spec_sha: str
    folder: Path
    lake: Path | None
    form: Form
    block_bytes: int
    window_records: int
    window_bytes: int
    reference_ms: int | None
    limits: Limits
    correlate: bool = False


@dataclass(slots=True)
class Outcome:
    """What became of a chunk, or of several.

    name: of the chunk. stored: bytes of files as stored. alerts: by rule's level. whole: else it is read again.
    """

    name: str = ""
    stored: int = 0
    records: int = 0
    evaluated: int = 0
    rejected: int = 0
    whole: bool = True
    alerts: dict[str, int] = field(default_factory=dict)
    dead_letters: dict[str, int] = field(default_factory=dict)
    counts: Counts = field(default_factory=Counts)
    seconds: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Place:
    """What travels with a chunk's row from reading to evaluating."""

    number: int
    file: File
    start: int
    stored: int
    whole: bool


def read(pieces: Sequence[Piece], job: Job, done: frozenset[str]) -> Iterator[pa.Table]:
    """Yield a row for each chunk that is not done, and one for each file that cannot be read (further)."""
    for piece in pieces:
        try:
            for chunk in _chunks(piece, job):
                if chunk_name(piece.number, chunk.start) in done or not chunk.records.num_rows:
                    continue
                yield _row(piece, chunk)
        except UnreadableFileError as error:
            yield _table(Unreadable(piece.file.name, str(error)))


def evaluate(row: pa.Table, *, job: Job) -> pa.Table:
    """Make a chunk's row into its outcome's: fused with `read`, so it runs in the same task."""
    if "done" in row.column_names:
        return row
    place: _Place = pickle.loads(row["place"][0].as_py())  # noqa: S301 -- our own process wrote it
    return _table(_evaluate(place, from_row(row).records, job))


def unpack(table: pa.Table) -> list[Outcome | Unreadable]:
    """The rows that a block holds."""
    return [pickle.loads(value) for value in table["done"].to_pylist()]  # noqa: S301 -- our own workers wrote it


def chunk_name(number: int, start: int) -> str:
    """Name of what is written of a chunk: the file's number in the run, and where in it the chunk begins."""
    return f"{number:06d}-{start:015d}"


def _chunks(piece: Piece, job: Job) -> Iterator[Chunk]:
    if piece.shape.container == "parquet":
        return parquet.rows(piece, job.reference_ms)
    return records.chunks(piece, job.block_bytes, job.reference_ms)


def _evaluate(place: _Place, batch: pa.RecordBatch, job: Job) -> Outcome:
    pipeline = _pipeline(job)
    outcome = Outcome(chunk_name(place.number, place.start), place.stored, batch.num_rows, whole=place.whole)
    messages: list[Message] = []
    tables: list[pa.Table] = []
    entries: list[correlate.Placed] = []
    source = correlate.source_name(place.file.name, FILE)
    for part in _windows(batch, job):
        offsets = part.column("offset")
        span = Span(place.file.name, FILE, offsets[0].as_py(), offsets[-1].as_py() + 1, part.num_rows, -1)
        result = pipeline.run(Window((span,), part))
        messages += result.messages
        outcome.evaluated += sum(each.evaluated for each in result.spans)
        outcome.rejected += sum(each.rejected for each in result.spans)
        entries += [(source, entry) for each in result.spans for entry in each.entries]
        outcome.counts.add(result.counts)
        for phase, seconds in result.seconds.items():
            outcome.seconds[phase] = outcome.seconds.get(phase, 0.0) + seconds
        if job.lake is not None:
            tables.append(_events(pipeline, place.file, part, job, outcome))
    started = time.perf_counter()
    outputs.write(messages, job.folder, outcome.name, job.form)
    if job.correlate:
        correlate.write(entries, job.folder, outcome.name)
    if job.lake is not None:
        lake.write(pa.concat_tables(tables), job.lake, Path(place.file.path).name, outcome.name)
    outcome.seconds["write"] = time.perf_counter() - started
    outcome.alerts = outputs.by_header(messages, "alerts", "level")
    outcome.dead_letters = outputs.by_header(messages, "dead_letters", "detector.reason")
    return outcome


def _windows(batch: pa.RecordBatch, job: Job) -> Iterator[pa.RecordBatch]:
    """Parts of a chunk of so many records and bytes at most, but of one record at least."""
    average = max(1, batch.column("value").nbytes // batch.num_rows)
    step = max(1, min(job.window_records, job.window_bytes // average))
    for start in range(0, batch.num_rows, step):
        yield batch.slice(start, step)


def _events(pipeline: Pipeline, file: File, part: pa.RecordBatch, job: Job, outcome: Outcome) -> pa.Table:
    started = time.perf_counter()
    reader = _readers.get((job.spec_sha, file.format))
    if reader is None:
        reader = _readers[job.spec_sha, file.format] = lake.Reader(
            pipeline.parsers, file.format, job.limits, pipeline.enricher
        )
    rows = reader.table(part, file.name)
    outcome.seconds["lake"] = outcome.seconds.get("lake", 0.0) + time.perf_counter() - started
    return rows


def _pipeline(job: Job) -> Pipeline:
    """The pipeline of that run, compiled once in this process."""
    found = _pipelines.get(job.spec_sha)
    if found is None:
        parsing_kernels.warm()
        engine_kernels.warm()
        spec: Spec = ray.get(job.spec)
        _pipelines.clear()
        _readers.clear()
        found = _pipelines[job.spec_sha] = Pipeline(spec)
    return found


_pipelines: dict[str, Pipeline] = {}
_readers: dict[tuple[str, str], lake.Reader] = {}


def _row(piece: Piece, chunk: Chunk) -> pa.Table:
    place = _Place(piece.number, piece.file, chunk.start, chunk.stored, chunk.whole)
    return to_row(Window((), chunk.records), place=pickle.dumps(place))


def _table(row: Outcome | Unreadable) -> pa.Table:
    return pa.table({"done": pa.array([pickle.dumps(row, 5)], pa.binary())})
