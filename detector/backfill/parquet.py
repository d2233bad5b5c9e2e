"""Rows of Parquet files as records."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from detector.backfill.files import UnreadableFileError, readable
from detector.backfill.plan import Piece
from detector.backfill.records import Chunk, batch

RECORD_COLUMNS = ("event.original", "value", "message")
"""The first of these that a file has as text or bytes, with nothing but coordinates beside it, is the record."""
TIME_COLUMNS = ("@timestamp", "timestamp")
_COORDINATES = {"topic", "partition", "offset", "timestamp", "timestampType", "key", "headers", "value"}
_ROWS = 20_000


def rows(piece: Piece, reference_ms: int | None) -> Iterator[Chunk]:
    """The chunk of some row groups: a row's place is its number in the file.

    A lake's rows are the records that they came from (`event.original`), a Kafka sink's their `value`; of other tables
    each row is a JSON object.

    Raises:
        UnreadableFileError: the file cannot be read further.
    """
    file = piece.file
    with readable(file), file.system.open_input_file(file.path) as stream:
        table = pq.ParquetFile(stream)
        sizes = [table.metadata.row_group(index).num_rows for index in range(piece.end)]
        start = sum(sizes[: piece.start])
        column = _record_column(table.schema_arrow)
        time = next((name for name in TIME_COLUMNS if name in table.schema_arrow.names), None)
        columns = None if column is None else [column, *([time] if time else [])]
        fallback = file.changed_ms if reference_ms is None else reference_ms
        parts = []
        groups = range(piece.start, piece.end)
        at = start
        for each in table.iter_batches(batch_size=_ROWS, row_groups=list(groups), columns=columns):
            values = pa.array(objects(each), pa.binary()) if column is None else each.column(column).cast(pa.binary())
            times = times_of(each, time, fallback)
            parts.append(batch(np.arange(at, at + each.num_rows), times, values))
            at += each.num_rows
    if at != start + sum(sizes[piece.start :]):
        raise UnreadableFileError(f"it ends after row {at:,}")
    if parts:
        stored = sum(table.metadata.row_group(index).total_byte_size for index in groups)
        whole = sum(table.metadata.row_group(index).total_byte_size for index in range(table.metadata.num_row_groups))
        yield Chunk(piece.start, file.size * stored // max(1, whole), pa.concat_batches(parts))


def _record_column(schema: pa.Schema) -> str | None:
    for name in RECORD_COLUMNS:
        if name in schema.names and _is_text(schema.field(name).type):
            alone = len(schema.names) == 1 or name == "event.original"
            if alone or (name == "value" and set(schema.names) <= _COORDINATES):
                return name
    return None


def _is_text(kind: pa.DataType) -> bool:
    return any(test(kind) for test in (pa.types.is_string, pa.types.is_large_string, pa.types.is_binary)) or (
        pa.types.is_large_binary(kind)
    )


def times_of(rows: pa.RecordBatch | pa.Table, name: str | None, fallback: int) -> np.ndarray[Any, Any]:
    """The rows' own times, Unix milliseconds."""
    if name is None or not pa.types.is_timestamp(rows.schema.field(name).type):
        return np.full(rows.num_rows, fallback, np.int64)
    stamps = rows.column(name).cast(pa.timestamp("ms"), safe=False).cast(pa.int64())
    return np.asarray(pc.fill_null(stamps, fallback).to_numpy(zero_copy_only=False))


def objects(rows: pa.RecordBatch) -> list[bytes]:
    """Each row as a JSON object."""
    return [
        orjson.dumps(row, default=_plain, option=orjson.OPT_UTC_Z | orjson.OPT_NAIVE_UTC) for row in rows.to_pylist()
    ]


def _plain(value: Any) -> str:
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)
