"""Totals of a lake: each batch of events gives partial ones, small tables that only need to be added up.

So events never travel: a task reads a block of the lake and hands over its partial totals (`partials`), and the driver
adds them (`Totals`). What is asked is one table, `QUESTIONS`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pyarrow as pa
import pyarrow.compute as pc

from detector.analytics import samples, series
from detector.analytics.question import Question

MAX_KEYS = 200_000
"""Rows of a total that are kept: beyond it the smallest are left out, and the report says so."""

COLUMNS = (
    "@timestamp",
    "cloud.provider",
    "cloud.region",
    "error.code",
    "event.action",
    "event.category",
    "event.format",
    "event.outcome",
    "http.request.method",
    "http.response.body.bytes",
    "http.response.status_code",
    "log.file.path",
    "source.ip",
    "url.path",
    "user.name",
    *series.COLUMNS,
)
"""Columns of the lake that the questions look at."""

_UNPARSED = "raw"
_LOGIN_PATHS = r"(?i)(?:^|/)(?:log-?in|sign-?in|auth|session|wp-login\.php|oauth/token)(?:[/.?]|$)"
_TIME = pa.timestamp("us", "UTC")


QUESTIONS: Mapping[str, Question] = {
    "hours": Question(("hour",), sums=("failed", "client_error", "server_error", "bytes")),
    "sources": Question(("log.file.path", "event.format"), sums=("unparsed",)),
    "types": Question(("event.format", "event.action"), sums=("failed", "bytes")),
    "requests": Question(("http.request.method", "http.response.status_code"), where="web", sums=("bytes",)),
    "paths": Question(("url.path",), where="web", sums=("failed", "bytes")),
    "addresses": Question(("source.ip",), sums=("failed", "bytes")),
    "errors": Question(("event.format", "http.response.status_code", "error.code", "event.action"), where="failed"),
    "logins": Question(("source.ip",), where="login", sums=("login_failed",)),
    "regions": Question(("cloud.region",), where="cloud", sums=("failed",)),
    "calls_failed": Question(("event.action", "error.code", "user.name", "source.ip"), where="call_failed"),
    "console": Question(("source.ip", "user.name", "event.outcome"), where="console"),
    "sizes": Question(("size",), where="sized"),
    **series.QUESTIONS,
    samples.NAME: samples.QUESTION,
}


def partials(events: pa.Table) -> dict[str, pa.Table]:
    """The totals of some events (with some of COLUMNS; one that is missing is null), by question.

    Each has the question's keys, `count`, its sums, `first` and `last` (times).
    """
    table = _derived(events)
    return {
        name: _answer(samples.few(table) if name == samples.NAME else table, question)
        for name, question in QUESTIONS.items()
    }


class Totals:
    """Adds partial totals up. dropped: rows that were left out, by question."""

    def __init__(self) -> None:
        self._parts: dict[str, list[pa.Table]] = {name: [] for name in QUESTIONS}
        self._rows = dict.fromkeys(QUESTIONS, 0)
        self.dropped = dict.fromkeys(QUESTIONS, 0)

    def add(self, name: str, part: pa.Table) -> None:
        """Add a partial total."""
        self._parts[name].append(part)
        self._rows[name] += part.num_rows
        if self._rows[name] > 2 * MAX_KEYS:
            self._merge(name)

    def of(self, name: str) -> pa.Table:
        """The whole, the largest counts first; then by its keys, so that it is the same for any order of adding."""
        self._merge(name)
        return self._parts[name][0]

    def _merge(self, name: str) -> None:
        question = QUESTIONS[name]
        parts = self._parts[name] or [partials(pa.table({}))[name]]
        grouped = pa.concat_tables(parts).group_by(list(question.keys), use_threads=False)
        numbers = ["count", *question.sums]
        sums = [(number, "sum") for number in numbers]
        merged = grouped.aggregate([*sums, ("first", "min"), ("last", "max")])
        merged = merged.rename_columns([*question.keys, *numbers, "first", "last"])
        order = [("count", "descending"), *((key, "ascending") for key in question.keys)]
        merged = merged.sort_by(order)
        self.dropped[name] += max(0, merged.num_rows - MAX_KEYS)
        self._parts[name] = [merged.slice(0, MAX_KEYS)]
        self._rows[name] = min(merged.num_rows, MAX_KEYS)


def _answer(table: pa.Table, question: Question) -> pa.Table:
    if question.where:
        table = table.filter(table[question.where])
    aggregates = [([], "count_all"), *((name, "sum") for name in question.sums)]
    times = [("@timestamp", "min"), ("@timestamp", "max")]
    found = table.group_by(list(question.keys), use_threads=False).aggregate([*aggregates, *times])
    found = found.rename_columns([*question.keys, "count", *question.sums, "first", "last"])
    return found.cast(_schema(table, question))


def _schema(table: pa.Table, question: Question) -> pa.Schema:
    """The same for every batch, whatever is null in it."""
    keys = [pa.field(key, table.schema.field(key).type) for key in question.keys]
    numbers = [pa.field(name, pa.int64()) for name in ("count", *question.sums)]
    return pa.schema([*keys, *numbers, pa.field("first", _TIME), pa.field("last", _TIME)])


_TYPES = {
    "@timestamp": _TIME,
    "http.response.body.bytes": pa.int64(),
    "http.response.status_code": pa.int64(),
    **series.COLUMNS,
}


def _derived(events: pa.Table) -> pa.Table:
    """The columns, and what follows from them."""
    columns = {name: _column(events, name) for name in COLUMNS}
    status, size = columns["http.response.status_code"], columns["http.response.body.bytes"]
    client, server = _within(status, 400, 500), _within(status, 500, 600)
    outcome = pc.fill_null(pc.equal(columns["event.outcome"], "failure"), fill_value=False)
    authentication = pc.fill_null(pc.equal(columns["event.category"], "authentication"), fill_value=False)
    posted = pc.fill_null(pc.equal(columns["http.request.method"], "POST"), fill_value=False)
    login = pc.or_(authentication, pc.and_(posted, _matches(columns["url.path"], _LOGIN_PATHS)))
    web, cloud = pc.is_valid(status), pc.is_valid(columns["cloud.provider"])
    coded = pc.is_valid(columns["error.code"])
    failed = pc.or_(pc.or_(outcome, coded), pc.or_(client, server))
    derived: dict[str, pa.ChunkedArray] = {
        "hour": pc.floor_temporal(columns["@timestamp"], unit="hour"),
        "web": web,
        "cloud": cloud,
        "client_error": client,
        "server_error": server,
        "failed": failed,
        "unparsed": pc.fill_null(pc.equal(columns["event.format"], _UNPARSED), fill_value=False),
        "login": login,
        "login_failed": pc.and_(login, failed),
        "call_failed": pc.and_(cloud, coded),
        "console": pc.fill_null(pc.equal(columns["event.action"], "ConsoleLogin"), fill_value=False),
        "sized": pc.is_valid(size),
        "size": _rounded(size),
        "bytes": pc.fill_null(size, 0),
    }
    return pa.table(columns | derived | series.derived(columns, derived))


def _column(events: pa.Table, name: str) -> pa.ChunkedArray:
    kind = _TYPES.get(name, pa.string())
    if name not in events.column_names:
        return pa.chunked_array([pa.nulls(events.num_rows, kind)])
    return events[name].cast(kind)


def _within(values: pa.ChunkedArray, low: int, high: int) -> pa.ChunkedArray:
    return pc.fill_null(pc.and_(pc.greater_equal(values, low), pc.less(values, high)), fill_value=False)


def _matches(values: pa.ChunkedArray, expression: str) -> pa.ChunkedArray:
    """By RE2, over distinct values."""
    encoded = values.combine_chunks().dictionary_encode()
    truths = pc.fill_null(pc.match_substring_regex(encoded.dictionary.cast(pa.string()), expression), fill_value=False)
    return pc.fill_null(truths.take(encoded.indices), fill_value=False)


def _rounded(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """To three significant digits, so that there are at most a few thousand: a quantile is off by 0.5 % at most."""
    magnitude = pc.floor(pc.log10(pc.max_element_wise(values, 1).cast(pa.float64())))
    step = pc.max_element_wise(pc.power(10.0, pc.subtract(magnitude, 2.0)), 1.0)
    return pc.multiply(pc.round(pc.divide(values.cast(pa.float64()), step)), step).cast(pa.int64())


def pack(answers: Mapping[str, pa.Table]) -> pa.Table:
    """Totals as the rows of one table, so that they can leave a Ray task."""
    names, texts = zip(*((name, _to_bytes(table)) for name, table in answers.items()), strict=True)
    return pa.table({"question": pa.array(names, pa.string()), "total": pa.array(texts, pa.binary())})


def unpack(table: pa.Table) -> Iterable[tuple[str, pa.Table]]:
    """What `pack` packed."""
    for name, text in zip(table["question"].to_pylist(), table["total"].to_pylist(), strict=True):
        with pa.ipc.open_stream(text) as stream:
            yield name, stream.read_all()


def _to_bytes(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return bytes(sink.getvalue().to_pybytes())
