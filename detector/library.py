"""The pipeline as two functions, `parse` and `detect`, on a Ray Dataset, an Arrow table or a list of lines.

A Dataset stays one: Ray evaluates it in its tasks, block by block, when it is read.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np
import pyarrow as pa

from detector.backfill import lake, outputs
from detector.backfill.parquet import TIME_COLUMNS, objects, times_of
from detector.backfill.records import batch
from detector.config import Config, InputTopic
from detector.errors import ConfigError
from detector.events import Event
from detector.parsing import views
from detector.parsing.registry import AUTO, Parsers, compile_parsers
from detector.pipeline import Pipeline, Spec
from detector.reload import load
from detector.window import Span, Window

if TYPE_CHECKING:
    from ray.data import Dataset

View = Literal["web", "github", "cloudtrail"]
Data = TypeVar("Data", "Dataset", pa.Table, Sequence[str | bytes])

RECORD_COLUMNS = ("event.original", "text", "value", "line")
"""The first of these that a table has as text or bytes holds the records; without one, each row is a JSON object."""
WINDOW_ROWS = 20_000
_NAME = "data"
_TEXTS = {
    "web": ("ip_address", "timestamp", "method", "url", "protocol", "log_source"),
    "github": ("event_id", "event_type", "user", "repo"),
    "cloudtrail": (
        "event_time",
        "event_name",
        "event_source",
        "user_identity",
        "source_ip",
        "user_agent",
        "aws_region",
    ),
}
_NUMBERS = {"web": ("status_code", "response_size", "hour"), "github": ("payload_size",), "cloudtrail": ()}
_TRUTHS = {
    "web": (
        "is_error",
        "is_client_error",
        "is_server_error",
        "is_api_endpoint",
        "is_login_endpoint",
        "is_admin_endpoint",
        "is_security_endpoint",
    ),
    "github": ("public", "is_push", "is_pr", "is_issue"),
    "cloudtrail": ("is_console_login", "is_api_call", "is_error"),
}
_ROWS = {"web": views.web_row, "github": views.github_row, "cloudtrail": views.cloudtrail_row}


def parse(
    data: Data,
    *,
    format: str = AUTO,  # noqa: A002 -- the name that settings and commands use
    view: View | None = None,
    column: str | None = None,
    reference_ms: int | None = None,
    config: Config | None = None,
) -> Dataset | pa.Table:
    """Events of records, as rows of the lake's schema, or of a view's plain columns.

    data: lines; a table or Dataset whose `column` (else the first of RECORD_COLUMNS) holds them, else each of its rows
    is a JSON object. format: name of a parser, or `auto`. view: only events of that kind. reference_ms: time of the
    records (Unix milliseconds) that completes dates without a year, unless a column `@timestamp` has it; None: now.

    Raises:
        ConfigError: there is no such format, view or column.
    """
    if view is not None and view not in _ROWS:
        raise ConfigError(f"no view {view!r}; there are {', '.join(_ROWS)}")
    spec = _spec(config or Config(), format, rules=False)
    return _applied(
        data, partial(_parse, spec=spec, form=format, view=view, column=column, reference_ms=_now(reference_ms))
    )


def detect(
    data: Data,
    *,
    format: str = AUTO,  # noqa: A002 -- as above
    column: str | None = None,
    reference_ms: int | None = None,
    config: Config | None = None,
) -> Dataset | pa.Table:
    """The alerts that records cause, with the columns of `detector backfill --output-format parquet`.

    data, format, column, reference_ms: as for `parse`, whose result it takes, too. config: names the rules; else
    the built-in ones.

    Raises:
        ConfigError: there is no such format or column.
        RuleError: no rule can be loaded.
    """
    spec = _spec(config or Config(), format, rules=True)
    return _applied(data, partial(_detect, spec=spec, form=format, column=column, reference_ms=_now(reference_ms)))


def _applied(data: Any, function: Any) -> Any:
    if isinstance(data, pa.Table):
        return function(data)
    if isinstance(data, (str, bytes)):
        raise ConfigError("a single text is no list of lines: write [text] or text.splitlines()")
    if isinstance(data, Sequence):
        lines = [line.encode("utf-8", "surrogateescape") if isinstance(line, str) else line for line in data]
        return function(pa.table({"value": pa.array(lines, pa.binary())}))
    return data.map_batches(function, batch_format="pyarrow", batch_size=WINDOW_ROWS, zero_copy_batch=True)


def _parse(
    rows: pa.Table, *, spec: Spec, form: str, view: View | None, column: str | None, reference_ms: int
) -> pa.Table:
    parsers = _parsers(_Key(spec))
    records = _records(rows, column, reference_ms)
    if view is None:
        reader = _reader(_Key(spec), form)
        parts = [reader.table(records.slice(at, WINDOW_ROWS), _NAME) for at in range(0, records.num_rows, WINDOW_ROWS)]
        return pa.concat_tables(parts) if parts else lake.schema(parsers).empty_table()
    events = parsers.parse(records, format=form, logsource=None, limits=spec.limits).events
    return _view(events, view)


def _view(events: Sequence[Event], view: View) -> pa.Table:
    schema = view_schema(view)
    found = [row for event in events if (row := _ROWS[view](event)) is not None]
    return pa.table(
        [pa.array([_typed(row[each.name], each.type) for row in found], each.type) for each in schema], schema
    )


def view_schema(view: View) -> pa.Schema:
    """The columns of a view."""
    kinds = [(_TEXTS[view], pa.string()), (_NUMBERS[view], pa.int64()), (_TRUTHS[view], pa.bool_())]
    return pa.schema([(name, kind) for names, kind in kinds for name in names])


def _detect(rows: pa.Table, *, spec: Spec, form: str, column: str | None, reference_ms: int) -> pa.Table:
    records = _records(rows, column, reference_ms)
    pipeline = _pipeline(
        _Key(replace(spec, topics=(InputTopic.model_construct(name=_NAME, format=form, logsource=None),)))
    )
    found = []
    for at in range(0, records.num_rows, WINDOW_ROWS):
        part = records.slice(at, WINDOW_ROWS)
        first = part.column("offset")[0].as_py()
        span = Span(_NAME, -1, first, first + part.num_rows, part.num_rows, -1)
        found += [each for each in pipeline.run(Window((span,), part)).messages if each.topic == "alerts"]
    return pa.Table.from_pylist([outputs.alert_row(message) for message in found], outputs.ALERTS)


def _records(rows: pa.Table, column: str | None, reference_ms: int) -> pa.RecordBatch:
    """Records with their places: the lower 32 bits are the row, the others name the batch by what it holds.

    So an alert has the same id whenever the same batch is evaluated, and no other batch's.
    """
    if column is not None and column not in rows.column_names:
        raise ConfigError(f"no column {column!r}; there are {', '.join(rows.column_names)}")
    name = column or next((each for each in RECORD_COLUMNS if each in rows.column_names), None)
    if name is None:
        parts = rows.to_batches() or [pa.RecordBatch.from_pylist([], rows.schema)]
        values = pa.array([text for part in parts for text in objects(part)], pa.binary())
    else:
        values = rows[name].cast(pa.binary()).combine_chunks()
        values = values if isinstance(values, pa.Array) else pa.concat_arrays(values.chunks)
    stamp = next((each for each in TIME_COLUMNS if each in rows.column_names), None)
    times = times_of(rows, stamp, reference_ms)
    return batch(np.arange(len(values)) + _batch_number(values), np.asarray(times), values)


def _batch_number(values: pa.Array) -> int:
    total = hashlib.sha256()
    for value in values:
        text = value.as_py() or b""
        total.update(len(text).to_bytes(8, "little") + text)
    return int.from_bytes(total.digest()[:4], "little") >> 1 << 32


def _now(reference_ms: int | None) -> int:
    return time.time_ns() // 1_000_000 if reference_ms is None else reference_ms


def _typed(value: Any, kind: pa.DataType) -> Any:
    if value is None:
        return None
    if kind == pa.string():
        return str(value)
    return value if isinstance(value, int) else None


def _spec(config: Config, form: str, *, rules: bool) -> Spec:
    spec = replace(load(config if rules else _without_rules(config))[0], correlate=False)
    _parsers(_Key(spec)).check_format(form)
    return spec


def _without_rules(config: Config) -> Config:
    return config.model_copy(update={"rules": config.rules.model_copy(update={"builtin": False, "paths": ()})})


@dataclass(frozen=True, slots=True)
class _Key:
    """A spec that caches find by its name."""

    spec: Spec

    def __hash__(self) -> int:
        return hash((self.spec.sha, self.spec.topics))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Key) and (self.spec.sha, self.spec.topics) == (other.spec.sha, other.spec.topics)


@lru_cache(maxsize=4)
def _parsers(key: _Key) -> Parsers:
    return compile_parsers(key.spec.parsers, limits=key.spec.limits)


@lru_cache(maxsize=4)
def _reader(key: _Key, form: str) -> lake.Reader:
    enricher = _pipeline(key).enricher if key.spec.enrichment else None
    return lake.Reader(_parsers(key), form, key.spec.limits, enricher)


@lru_cache(maxsize=2)
def _pipeline(key: _Key) -> Pipeline:
    return Pipeline(key.spec)
