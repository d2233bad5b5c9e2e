"""The parsed events as a lake: Parquet files by day and source, all of one schema, that any engine reads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from urllib.parse import quote

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from detector.backfill.atomic import replaced
from detector.config import Limits
from detector.enrichment.enricher import Enricher
from detector.events import Event, JsonValue
from detector.parsing.columns import TIME, LineColumns
from detector.parsing.definition import Alternative
from detector.parsing.registry import Parsers

OTHER = "event.other"
_OWN = [
    pa.field("@timestamp", pa.timestamp("us", "UTC"), nullable=False),  # the event's, else the record's
    pa.field("event.original", pa.binary(), nullable=False),
    pa.field("event.format", pa.string(), nullable=False),
    pa.field("event.flags", pa.list_(pa.string()), nullable=False),
    pa.field("event.ordinal", pa.int32(), nullable=False),
    pa.field("event.payload_bytes", pa.int64()),  # of JSON: its `payload`, else the whole; null for lines of text
    pa.field("log.file.path", pa.string(), nullable=False),
    pa.field("log.offset", pa.int64(), nullable=False),  # with ordinal and path: the identity of the event
    pa.field(OTHER, pa.string()),  # JSON of the fields that no definition names, as the parameters of structured data
]
_SPREAD = {
    "address": {"address": "text", "ip": "text", "port": "int", "domain": "text"},
    "hashes": {"md5": "text", "sha1": "text", "sha256": "text", "imphash": "text"},
    "syslog_priority": {"priority": "int", "facility.code": "int", "severity.code": "int"},
}
_KINDS = {"int": "int", "serial": "int", "float": "float", "share": "float", "bool": "bool"}
"""Of the types of fields; all others are texts."""
_URL = {"url.port": "int"} | dict.fromkeys(
    (f"url.{part}" for part in ("original", "scheme", "domain", "path", "query")), "text"
)
_REQUEST = _URL | dict.fromkeys(("http.request.method", "http.version", "http.request.protocol"), "text")
_ARROW = {frozenset({"int"}): pa.int64(), frozenset({"bool"}): pa.bool_()} | dict.fromkeys(
    (frozenset({"float"}), frozenset({"int", "float"})), pa.float64()
)
_PYTHON = {pa.int64(): (int,), pa.float64(): (int, float), pa.bool_(): (bool,)}
_DERIVED = frozenset(
    f"url.{form}"
    for form in (
        "path_query",
        "path_normalized",
        "path_decoded",
        "query_decoded",
        "path_query_decoded",
        "path_normalized_decoded",
    )
)
"""Forms of `url.*` that rules look at, and that anyone can make again from the others."""
_MAX_US = 253_402_300_799_999_999  # of the year 9999


@lru_cache(maxsize=4)
def schema(parsers: Parsers) -> pa.Schema:
    """A column for each ECS name that the definitions give, besides the event's own."""
    kinds: dict[str, set[str]] = {}
    for name, alternative in _alternatives(parsers):
        for each, kind in _columns(name, alternative).items():
            kinds.setdefault(each, set()).add(kind)
    own = {field.name for field in _OWN}
    rest = sorted(kinds.keys() - own)
    return pa.schema([*_OWN, *(pa.field(name, _ARROW.get(frozenset(kinds[name]), pa.string())) for name in rest)])


def table(events: Sequence[Event], records: pa.RecordBatch, path: str, columns: pa.Schema) -> pa.Table:
    """Events as rows. records: what they were parsed from. path: of their file. columns: of `schema`."""
    rows = np.array([event.record for event in events], np.int64)
    offsets, stamps = (records.column(name).to_numpy()[rows] for name in ("offset", "timestamp"))
    own: dict[str, pa.Array] = {
        "@timestamp": pa.array(_times(events, stamps)).cast(pa.timestamp("us", "UTC")),
        "event.original": pa.array([event.original for event in events], pa.binary()),
        "event.format": pa.array([event.format for event in events], pa.string()),
        "event.flags": pa.array([event.flags for event in events], pa.list_(pa.string())),
        "event.ordinal": pa.array([event.ordinal for event in events], pa.int32()),
        "event.payload_bytes": pa.array([_payload_bytes(event) for event in events], pa.int64()),
        "log.file.path": pa.repeat(path, len(events)),
        "log.offset": pa.array(offsets),
    }
    found: dict[str, list[JsonValue]] = {}
    for row, event in enumerate(events):
        for name, value in event.ecs.items():
            column = found.get(name)
            if column is None:
                column = found[name] = [None] * len(events)
            column[row] = value
    known = set(columns.names) - own.keys()
    arrays = {name: _array(values, columns.field(name).type) for name, values in found.items() if name in known}
    unknown = found.keys() - set(columns.names) - _DERIVED
    if unknown:
        arrays[OTHER] = _other({name: found[name] for name in sorted(unknown)}, len(events))
    arrays |= own
    return pa.table([arrays.get(field.name, pa.nulls(len(events), field.type)) for field in columns], schema=columns)


class Reader:
    """Makes rows of records of one format (or `auto`): of lines that kernels read in columns, of others by events."""

    def __init__(self, parsers: Parsers, form: str, limits: Limits, enricher: Enricher | None = None) -> None:
        self._parsers = parsers
        self._form = form
        self._limits = limits
        self._schema = schema(parsers)
        self._enricher = enricher
        own = {field.name for field in _OWN}
        given = [field for field in self._schema if field.name not in own]
        names = [TIME, *(field.name for field in given)]
        integers = [field.name for field in given if field.type == pa.int64()]
        self._columns = LineColumns(parsers, form, names, integers, limits)

    def table(self, records: pa.RecordBatch, path: str) -> pa.Table:
        """The events of records, as rows of the lake. path: of their file."""
        found, others = self._columns.lines(records)
        parts = []
        for form, rows, columns in found:
            # What a flag would tell (no time, a leap second) is told by an event only.
            values = records.column("value").take(pa.array(rows))
            told = pc.or_(pc.is_null(columns.column(TIME)), pc.match_substring(values, ":60"))
            others = np.concatenate((others, rows[told.to_numpy(zero_copy_only=False)]))
            plain = pc.invert(told)
            kept = rows[plain.to_numpy(zero_copy_only=False)]
            if len(kept):
                parts.append(self._lines(form, records.take(pa.array(kept)), columns.filter(plain), path))
        if len(others):
            rest = records.take(pa.array(np.sort(others)))
            events = self._parsers.parse(rest, format=self._form, logsource=None, limits=self._limits).events
            parts.append(table(events, rest, path, self._schema))
        rows = pa.concat_tables(parts) if parts else self._schema.empty_table()
        return self._enricher.columns(rows) if self._enricher else rows

    def _lines(self, form: str, records: pa.RecordBatch, columns: pa.RecordBatch, path: str) -> pa.Table:
        count = records.num_rows
        no_flags = pa.ListArray.from_arrays(pa.array(np.zeros(count + 1, np.int32)), pa.array([], pa.string()))
        own = {
            "event.original": records.column("value"),
            "event.format": pa.repeat(form, count),
            "event.flags": no_flags,
            "event.ordinal": pa.array(np.zeros(count, np.int32)),
            "event.payload_bytes": pa.nulls(count, pa.int64()),
            "log.file.path": pa.repeat(path, count),
            "log.offset": records.column("offset"),
            OTHER: pa.nulls(count, pa.string()),
        }
        arrays = [
            own[field.name] if field.name in own else columns.column(field.name).cast(field.type)
            for field in self._schema
        ]
        return pa.table(arrays, schema=self._schema)


def write(rows: pa.Table, folder: Path, source: str, name: str) -> int:
    """Write rows below `day=…/source=…`, a file for each day that they touch; return the bytes written."""
    days = pc.floor_temporal(rows["@timestamp"], unit="day")
    written = 0
    for day in pc.unique(days):
        part = rows.filter(pc.equal(days, day))
        into = folder / f"day={day.as_py():%Y-%m-%d}" / f"source={quote(source, safe='')}"
        into.mkdir(parents=True, exist_ok=True)
        with replaced(into / f"{name}.parquet") as temporary:
            pq.write_table(part, temporary, compression="zstd", compression_level=1)
            written += temporary.stat().st_size
    return written


def _payload_bytes(event: Event) -> int | None:
    if event.text:
        return None
    payload = event.raw.get("payload")
    return len(event.original) if payload is None else len(_json(payload).encode())


def _times(events: Sequence[Event], record_ms: np.ndarray) -> np.ndarray:
    times = np.array([-1 if event.time_us is None else min(event.time_us, _MAX_US) for event in events], np.int64)
    return np.where(times >= 0, times, np.clip(record_ms, 0, _MAX_US // 1_000) * 1_000)


def _array(values: list[JsonValue], kind: pa.DataType) -> pa.Array:
    allowed = _PYTHON.get(kind)
    if allowed:
        return pa.array([value if type(value) in allowed else None for value in values], kind)
    try:
        return pa.array(values, pa.string())
    except (pa.ArrowInvalid, pa.ArrowTypeError, UnicodeEncodeError):
        return pa.array([value if value is None else _text(value) for value in values], pa.string())


def _text(value: JsonValue) -> str:
    text = value if isinstance(value, str) else _json(value)
    return text.encode("utf-8", "replace").decode()


def _json(value: JsonValue) -> str:
    try:
        return orjson.dumps(value).decode()
    except TypeError:  # a surrogate, or a number beyond 64 bits
        return str(value)


def _other(columns: dict[str, list[JsonValue]], count: int) -> pa.Array:
    rows = ({name: values[row] for name, values in columns.items() if values[row] is not None} for row in range(count))
    return pa.array([_text(row) if row else None for row in rows], pa.string())


def _alternatives(parsers: Parsers) -> Iterator[tuple[str, Alternative]]:
    maps = [definition.fields for definition in parsers.definitions.values()]
    for program in parsers.programs:
        maps += [program.fields, *(message.fields for message in program.messages)]
    for fields in maps:
        for name, alternatives in fields.items():
            yield from ((name, alternative) for alternative in alternatives)


def _columns(name: str, alternative: Alternative) -> dict[str, str]:
    """The columns that a field fills, with their kinds."""
    kind = alternative.type
    if kind in _SPREAD:
        return {f"{name}.{part}": each for part, each in _SPREAD[kind].items()}
    if kind == "url":
        return _URL
    if kind == "http_request":
        return _REQUEST
    if kind == "account":
        return {name: "text", f"{name.rpartition('.')[0]}.domain".removeprefix("."): "text"}
    if not (alternative.paths or alternative.template) and isinstance(alternative.value, bool | int | float):
        return {name: type(alternative.value).__name__}
    return {name: _KINDS.get(kind, "text")}
