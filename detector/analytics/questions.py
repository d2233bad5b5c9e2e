"""What is asked of the events: totals by keys, each of which can be made in parts that only need to be added up."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.compute as pc

TIME = pa.timestamp("us", "UTC")
Number = TypeVar("Number", int, float)


@dataclass(frozen=True, slots=True)
class Question:
    """What is counted by which keys.

    where: name of a derived truth that the events must have; None: all. sums, mins, maxs: derived values that are
    added up, or of which the least or greatest is kept as `min_…` or `max_…`. Beside them stand `count`, and `first`
    and `last` (times). chosen: makes of the events those that count, with more columns.
    """

    keys: tuple[str, ...]
    where: str | None = None
    sums: tuple[str, ...] = ()
    mins: tuple[str, ...] = ()
    maxs: tuple[str, ...] = ()
    chosen: Callable[[pa.Table], pa.Table] | None = None

    @property
    def values(self) -> tuple[str, ...]:
        """The columns of an answer beside its keys, in order."""
        return ("count", *self.sums, *self.least, *self.most, "first", "last")

    @property
    def least(self) -> tuple[str, ...]:
        """Names of the least values in an answer."""
        return tuple(f"min_{name}" for name in self.mins)

    @property
    def most(self) -> tuple[str, ...]:
        """Names of the greatest values in an answer."""
        return tuple(f"max_{name}" for name in self.maxs)


@dataclass(frozen=True, slots=True)
class Area:
    """A field of questions.

    columns: of the lake that it looks at, with their types. derive: from a table of these columns to one of those of
    its events that it is about, with what follows from them.
    """

    columns: Mapping[str, pa.DataType]
    questions: Mapping[str, Question]
    derive: Callable[[pa.Table], pa.Table]

    def answer(self, events: pa.Table, only: Collection[str] | None = None) -> dict[str, pa.Table]:
        """The totals of some events, by question (only these). A column that the events lack is null."""
        table = self.derive(pa.table({name: _column(events, name, kind) for name, kind in self.columns.items()}))
        return {
            name: _answer(table, question) for name, question in self.questions.items() if only is None or name in only
        }


def add(parts: Sequence[pa.Table], question: Question) -> pa.Table:
    """One answer for several in any order: the largest counts first, then by its keys."""
    aggregates = [(name, "sum") for name in ("count", *question.sums)]
    aggregates += [(name, "min") for name in (*question.least, "first")]
    aggregates += [(name, "max") for name in (*question.most, "last")]
    merged = pa.concat_tables(parts).group_by(list(question.keys), use_threads=False).aggregate(aggregates)
    names = ["count", *question.sums, *question.least, "first", *question.most, "last"]
    merged = merged.rename_columns([*question.keys, *names]).select([*question.keys, *question.values])
    return merged.sort_by([("count", "descending"), *((key, "ascending") for key in question.keys)])


def truth(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Null is false."""
    return pc.fill_null(values, fill_value=False)


def among(values: pa.ChunkedArray, texts: Sequence[str]) -> pa.ChunkedArray:
    """Whether each value is one of some texts."""
    return pc.is_in(values, value_set=pa.array(texts, pa.string()))


def within(values: pa.ChunkedArray, low: int, high: int) -> pa.ChunkedArray:
    """Whether each number is in `[low, high)`."""
    return truth(pc.and_(pc.greater_equal(values, low), pc.less(values, high)))


def distinct(values: pa.ChunkedArray, make: Callable[[pa.Array], pa.Array]) -> pa.ChunkedArray:
    """What `make` makes of texts, each of which it sees once."""
    if values.null_count == len(values):
        return pa.chunked_array([make(pa.nulls(0, pa.string())).slice(0, 0).take(pa.nulls(len(values), pa.int32()))])
    encoded = values.combine_chunks().dictionary_encode()
    return pa.chunked_array([make(encoded.dictionary.cast(pa.string())).take(encoded.indices)])


def only(values: pa.ChunkedArray, truths: pa.ChunkedArray) -> pa.ChunkedArray:
    """The values where it is true, else null: so that what is made of them is made of these alone."""
    if not pc.any(truths).as_py():
        return pa.chunked_array([pa.nulls(len(values), values.type)])
    return pc.if_else(truths, values, pa.scalar(None, values.type))


def matches(values: pa.ChunkedArray, expression: str) -> pa.ChunkedArray:
    """Whether each text matches, by RE2, over distinct values."""
    return truth(distinct(values, lambda texts: pc.match_substring_regex(texts, expression)))


def rounded(values: pa.ChunkedArray, digits: int = 3) -> pa.ChunkedArray:
    """To so many significant digits: with three there are at most a few thousand, and a quantile is off by 0.5 %."""
    floats = values.cast(pa.float64())
    magnitude = pc.floor(pc.log10(pc.max_element_wise(floats, 1.0)))
    step = pc.max_element_wise(pc.power(10.0, pc.subtract(magnitude, float(digits - 1))), 1.0)
    return pc.multiply(pc.round(pc.divide(floats, step)), step).cast(pa.int64())


def quantile(values: Sequence[Number], counts: Sequence[int], share: float) -> Number | None:
    """The least of the values, in rising order, up to which `share` of the events lie; None of none."""
    total, running = sum(counts), 0
    for value, count in zip(values, counts, strict=True):
        running += count
        if running >= share * total:
            return value
    return None


def sums(table: pa.Table, keys: Sequence[str], names: Sequence[str]) -> pa.Table:
    """The rows of a total by fewer keys, those keys in order; also the first and last time."""
    aggregates = [*((name, "sum") for name in names), ("first", "min"), ("last", "max")]
    found = table.group_by(list(keys), use_threads=False).aggregate(aggregates)
    found = found.rename_columns([*keys, *names, "first", "last"])
    return found.sort_by([(key, "ascending") for key in keys])


def renamed(table: pa.Table, **columns: str) -> pa.Table:
    """Some columns under other names: new=old."""
    return table.select(list(columns.values())).rename_columns(list(columns))


def table_of(rows: Sequence[Mapping[str, Any]], **kinds: pa.DataType) -> pa.Table:
    """Rows as a table of these columns, also where there is no row."""
    return pa.Table.from_pylist(list(rows), pa.schema(list(kinds.items())))


def _answer(table: pa.Table, question: Question) -> pa.Table:
    if question.chosen:
        table = question.chosen(table)
    if question.where:
        table = table.filter(table[question.where])
    aggregates: list[tuple[object, str]] = [([], "count_all")]
    aggregates += [(name, "sum") for name in question.sums]
    aggregates += [(name, "min") for name in (*question.mins, "@timestamp")]
    aggregates += [(name, "max") for name in (*question.maxs, "@timestamp")]
    found = table.group_by(list(question.keys), use_threads=False).aggregate(aggregates)
    names = ["count", *question.sums, *question.least, "first", *question.most, "last"]
    found = found.rename_columns([*question.keys, *names]).select([*question.keys, *question.values])
    return found.cast(_schema(table, question))


def _schema(table: pa.Table, question: Question) -> pa.Schema:
    """The same for every batch, whatever is null in it."""
    kinds = {name: table.schema.field(name).type for name in question.keys}
    for name, origin in zip((*question.least, *question.most), (*question.mins, *question.maxs), strict=True):
        kinds[name] = table.schema.field(origin).type
    for name in question.sums:
        floating = pa.types.is_floating(table.schema.field(name).type)
        kinds[name] = pa.float64() if floating else pa.int64()
    kinds |= {"count": pa.int64(), "first": TIME, "last": TIME}
    return pa.schema([(name, kinds[name]) for name in (*question.keys, *question.values)])


def _column(events: pa.Table, name: str, kind: pa.DataType) -> pa.ChunkedArray:
    if name not in events.column_names:
        return pa.chunked_array([pa.nulls(events.num_rows, kind)])
    column = events[name]
    return column if column.type == kind else column.cast(kind)
