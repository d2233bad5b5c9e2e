"""Totals of a lake: each batch of events gives partial ones, small tables that only need to be added up.

So events never travel: a task reads a block of the lake and hands over its partial totals (`partials`), and the driver
adds them (`Totals`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pyarrow as pa

from detector.analytics import commerce, compliance, operations, quality, traffic
from detector.analytics.questions import Question, add

MAX_KEYS = 200_000
"""Rows of a total that are kept: beyond it the smallest are left out, and the report says so."""

_AREAS = (traffic.AREA, operations.AREA, quality.AREA, commerce.AREA, compliance.AREA)
COLUMNS = tuple(sorted({name for area in _AREAS for name in area.columns}))
"""Columns of the lake that the questions look at."""
QUESTIONS: Mapping[str, Question] = {name: question for area in _AREAS for name, question in area.questions.items()}


def partials(events: pa.Table) -> dict[str, pa.Table]:
    """The totals of some events (with some of COLUMNS; one that is missing is null), by question."""
    return {name: answer for area in _AREAS for name, answer in area.answer(events).items()}


class Totals:
    """Adds partial totals up. dropped: rows that were left out, by question."""

    def __init__(self) -> None:
        self._parts: dict[str, list[pa.Table]] = {name: [] for name in QUESTIONS}
        self._rows = dict.fromkeys(QUESTIONS, 0)
        self.dropped = dict.fromkeys(QUESTIONS, 0)

    def add(self, name: str, part: pa.Table) -> None:
        """Add a partial total."""
        if not part.num_rows:
            return
        self._parts[name].append(part)
        self._rows[name] += part.num_rows
        if self._rows[name] > 2 * MAX_KEYS:
            self._merge(name)

    def of(self, name: str) -> pa.Table:
        """The whole, the largest counts first; then by its keys, so that it is the same for any order of adding."""
        self._merge(name)
        return self._parts[name][0]

    def _merge(self, name: str) -> None:
        parts = self._parts[name] or [partials(pa.table({}))[name]]
        merged = add(parts, QUESTIONS[name])
        self.dropped[name] += max(0, merged.num_rows - MAX_KEYS)
        self._parts[name] = [merged.slice(0, MAX_KEYS)]
        self._rows[name] = min(merged.num_rows, MAX_KEYS)


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
