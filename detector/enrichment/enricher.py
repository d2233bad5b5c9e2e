"""Adds to events, or to rows, what the configured sources know: each distinct value is looked up once."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from detector.enrichment.model import NOTHING, Answer, Provider
from detector.events import Event, JsonValue
from detector.sigma.values import text_of

MAX_KNOWN = 65_536
"""Answers that are kept of each source and field; then it begins anew."""
MAX_KNOWN_CHARACTERS = 8 << 20
"""Of their values together, likewise."""
_ARROW = {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_()}

_FIRST, _LAST = -(1 << 63), (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class Question:
    """A field whose values a source is asked about.

    number: of the source. names: what the values may give. key: where an event has that, it is given nothing.
    """

    number: int
    field: str
    names: Mapping[str, type]
    key: str | None


class Enricher:
    """All sources that are configured. A field that an event has is never changed: the first answer counts.

    names: what they may give, with types.
    """

    __slots__ = ("_held", "_known", "_providers", "_questions", "names")

    def __init__(self, providers: Sequence[Provider]) -> None:
        self._providers = tuple(providers)
        self._questions = tuple(
            Question(number, field, names, provider.key)
            for number, provider in enumerate(providers)
            for field, names in provider.asked().items()
        )
        self._known: dict[tuple[int, str], dict[str, Answer]] = {}
        self._held: dict[tuple[int, str], int] = {}  # characters
        self.names: dict[str, type] = {}
        for question in self._questions:
            for name, type_ in question.names.items():
                self.names.setdefault(name, type_)

    @property
    def all(self) -> tuple[Question, ...]:
        """All that can be asked."""
        return self._questions

    def questions(self, names: Iterable[str]) -> tuple[Question, ...]:
        """What must be asked for some names."""
        wanted = frozenset(names)
        return tuple(question for question in self._questions if not wanted.isdisjoint(question.names))

    def add(self, events: Sequence[Event], times_us: Sequence[int], questions: Sequence[Question]) -> None:
        """Add fields to events. times_us: of each, UTC microseconds."""
        for question in questions:
            values = [_text(event.ecs.get(question.field)) for event in events]
            answers = self.look_up(question, {value: None for value in values if value is not None})
            for event, value, time_us in zip(events, values, times_us, strict=True):
                if value is None:
                    continue
                answer = answers[value]
                if answer.fields and answer.at(time_us) and question.key not in event.ecs:
                    for name, each in answer.fields.items():
                        event.ecs.setdefault(name, each)

    def look_up(self, question: Question, values: Collection[str]) -> Mapping[str, Answer]:
        """What is known of distinct values, and of others."""
        known = self._known.setdefault((question.number, question.field), {})
        fresh = [value for value in values if value not in known]
        key = (question.number, question.field)
        self._held[key] = self._held.get(key, 0) + sum(map(len, fresh))
        if len(known) + len(fresh) > MAX_KNOWN or self._held[key] > MAX_KNOWN_CHARACTERS:
            known.clear()
            fresh = list(values)
            self._held[key] = sum(map(len, fresh))
        if fresh:
            known.update(zip(fresh, self._providers[question.number].look_up(question.field, fresh), strict=True))
        return known

    def columns(self, rows: pa.Table) -> pa.Table:
        """Rows of events, of which `@timestamp` is the time, with a column for each name, beside or within theirs.

        What a row has is not changed.
        """
        for name, type_ in sorted(self.names.items()):
            if name not in rows.column_names:
                rows = rows.append_column(pa.field(name, _ARROW[type_]), pa.nulls(rows.num_rows, _ARROW[type_]))
        times = rows["@timestamp"].cast(pa.int64()).to_numpy()
        for question in self._questions:
            if question.field not in rows.column_names:
                continue
            column = rows[question.field].combine_chunks().dictionary_encode()
            values = column.dictionary.to_pylist()
            known = self.look_up(question, [value for value in values if value])
            answers = [known[value] if value else NOTHING for value in values]
            true = _true_at(answers, column.indices, times)
            if question.key is not None:
                true = pc.and_(true, rows[question.key].combine_chunks().is_null())
            places = pc.if_else(true, column.indices, None)
            for name, type_ in question.names.items():
                cells = [answer.fields.get(name) for answer in answers]
                if any(cell is not None for cell in cells):
                    place = rows.schema.get_field_index(name)
                    given = pa.array(cells, _ARROW[type_]).take(places).cast(rows.schema.field(place).type)
                    rows = rows.set_column(place, rows.schema.field(place), pc.coalesce(rows[name], given))
        return rows


def _true_at(answers: Sequence[Answer], places: pa.Array, times_us: np.ndarray) -> pa.Array:
    """Whether the answer of each row is true at the row's time. places: of the answers; null: none."""
    begin = np.array([_FIRST if each.since_us is None else each.since_us for each in answers] + [_LAST])
    end = np.array([_LAST if each.until_us is None else each.until_us for each in answers] + [_LAST])
    rows = places.fill_null(len(answers)).to_numpy(zero_copy_only=False)
    return pa.array((begin[rows] <= times_us) & (times_us < end[rows]))


def _text(value: JsonValue) -> str | None:
    """The text that is looked up of a field: of several the first."""
    if isinstance(value, list):
        value = next(iter(value), None)
    return None if value is None or isinstance(value, list | dict) else text_of(value) or None
