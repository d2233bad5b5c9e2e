"""Rows for people and programs: a table of text, CSV or JSON lines, in which texts of strangers do no harm."""

from __future__ import annotations

from typing import TextIO

import orjson
import pyarrow as pa
import pyarrow.csv as pcsv

from detector.alerts.text import harmless_json, printable
from detector.reports.write import harmless

WIDTH = 60
"""Characters of a cell in a table of text."""


def print_rows(rows: pa.Table, form: str, stream: TextIO) -> None:
    """Print as `table`, `csv` or `json` (a line for each row)."""
    if form == "json":
        stream.writelines(harmless_json(orjson.dumps(row, default=_text)).decode() + "\n" for row in rows.to_pylist())
    elif form == "csv":
        sink = pa.BufferOutputStream()
        pcsv.write_csv(harmless(_texts(rows)), sink)
        stream.write(sink.getvalue().to_pybytes().decode())
    else:
        cells = [[_cell(value) for value in row.values()] for row in rows.to_pylist()]
        head = [printable(name) for name in rows.column_names]
        widths = [max(map(len, column)) for column in zip(head, *cells, strict=True)]
        stream.writelines(
            "  ".join(f"{cell:{width}}" for cell, width in zip(line, widths, strict=True)).rstrip() + "\n"
            for line in [head, ["-" * width for width in widths], *cells]
        )


def _cell(value: object) -> str:
    text = printable("" if value is None else _text(value) if isinstance(value, bytes) else str(value))
    return text if len(text) <= WIDTH else text[: WIDTH - 1] + "…"


def _text(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _texts(rows: pa.Table) -> pa.Table:
    """Columns that CSV cannot hold (lists, bytes) as texts."""
    columns = [
        pa.array([None if value is None else _text(value) for value in column.to_pylist()], pa.string())
        if pa.types.is_nested(column.type) or pa.types.is_binary(column.type)
        else column
        for column in rows.columns
    ]
    return pa.table(columns, names=rows.column_names)
