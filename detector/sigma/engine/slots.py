"""From slots to columns: what the rules of a program read, field by field, in the slots of a kind of record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple, cast

import numpy as np

from detector.events import Binding, Event
from detector.parsing.direct.slots import NULL_SIZE, Slots
from detector.parsing.jit import Bytes, Ints, Longs
from detector.parsing.simd import BLOCK
from detector.sigma.engine import kernels, slot_kernels
from detector.sigma.engine.columns import Columns
from detector.sigma.fields import KEYWORDS, EventView, Found
from detector.sigma.folding import TABLE


@dataclass(frozen=True, slots=True)
class FieldSlots:
    """Where the values of a field are.

    slots: of which each is a value, unless it is absent or null in a record.
    bits: of presence (`kernels.IS_PRESENT` and its like) that hold whatever a record has in them.
    """

    slots: tuple[int, ...] = ()
    bits: int = 0


class _Tables(NamedTuple):
    """Arrays for the kernels, where they are described."""

    bits: Bytes
    slot_end: Longs
    view_slots: Ints
    used_end: Longs
    used: Ints


class Reading:
    """How the records of one program are read: tables of its views, which grow.

    A view is a kind of record through one of its log sources.
    width: number of fields. keywords: the number of that without a name, -1 where there is none.
    """

    __slots__ = ("_numbers", "_tables", "_views", "keywords", "width")

    def __init__(self, fields: Sequence[str]) -> None:
        self._numbers = {name: number for number, name in enumerate(fields)}
        self.width = len(fields)
        self.keywords = self._numbers.get(KEYWORDS, -1)
        self._views: list[tuple[FieldSlots, ...]] = []
        self._tables: _Tables | None = None

    def add(self, fields: Mapping[str, FieldSlots]) -> int:
        """The number of a view; a field that is not named is absent."""
        self._views.append(tuple(fields.get(name, FieldSlots()) for name in self._numbers))
        self._tables = None
        return len(self._views) - 1

    def tables(self) -> _Tables:
        """All views, for the kernels."""
        if self._tables is None:
            flat = [field for view in self._views for field in view]
            used = [sorted({slot for field in view for slot in field.slots}) for view in self._views]
            self._tables = _Tables(
                np.array([field.bits for field in flat], np.uint8).reshape(len(self._views), self.width),
                *_ragged([field.slots for field in flat]),
                *_ragged(used),
            )
        return self._tables

    def found(self, slots: Slots, record: int, view: int, name: str) -> Found:
        """What a field is in a record, as `EventView.found` has it."""
        field = self._views[view][self._numbers[name]]
        sizes = [int(slots.sizes[slots.bases[record] + slot]) for slot in field.slots]
        values = tuple(slots.text(record, slot) for slot, size in zip(field.slots, sizes, strict=True) if size >= 0)
        null = NULL_SIZE in sizes or field.bits & kernels.IS_NULL != 0
        return Found(present=bool(values) or null or field.bits & kernels.IS_PRESENT != 0, null=null, values=values)

    def encoded(self, slots: Slots, record: int, view: int, name: str) -> tuple[bytes, ...]:
        """The texts of a field, as `EventView.encoded` has them."""
        its_slots = self._views[view][self._numbers[name]].slots
        return tuple(text for slot in its_slots if (text := slots.encoded(record, slot)) is not None)


class SlotView(EventView):
    """A record for the plain evaluator, of which only what is asked for is read."""

    __slots__ = ("_read", "_reading", "_record", "_slots", "_view")

    def __init__(self, reading: Reading, slots: Slots, record: int, view: int) -> None:
        super().__init__(cast("Event", None), cast("Binding", None))
        self._reading = reading
        self._slots = slots
        self._record = record
        self._view = view

    def encoded(self, name: str) -> tuple[bytes, ...]:
        """The texts in UTF-8, without a detour."""
        return self._reading.encoded(self._slots, self._record, self._view, name)

    def _find(self, name: str) -> Found:
        return self._reading.found(self._slots, self._record, self._view, name)


def gather(  # noqa: PLR0917 -- the parts of what is read
    slots: Slots,
    reading: Reading,
    records: Ints,
    views: Ints,
    columns: Sequence[tuple[int, bool]],
    joined: frozenset[int] = frozenset(),
) -> Columns:
    """The columns of some rows, each a record seen in a view.

    Each text is written once, whatever columns it is in; equal ones of a column are one value, but among keywords.

    joined: columns whose texts are one value in each row, with a byte between them that no text has.
    """
    tables = reading.tables()
    fields, rows = reading.width, len(records)
    where = records, views
    separate = [each for number, each in enumerate(columns) if number not in joined]
    count, most, size = slot_kernels.measure(
        *where, np.array(separate, np.int32).reshape(-1, 2), *tables[1:], fields, slots.bases, slots.sizes
    )
    size *= len({cased for _, cased in columns}) + len(joined)
    presence = np.empty((fields, rows), np.uint8)
    slot_kernels.presence_of(
        *where, tables.bits, tables.slot_end, tables.view_slots, slots.bases, slots.sizes, presence
    )
    data = np.empty(size + size // 2 + 2 * BLOCK, np.uint8)
    count += rows * len(joined)
    cells, ends = np.empty(count, np.int32), np.empty((len(columns), rows + 1), np.int64)
    begin, end, first = np.empty(count, np.int64), np.empty(count, np.int64), np.zeros(len(columns) + 1, np.int64)
    table = np.full(2 << int(most).bit_length(), -1, np.int32)
    to = cell = value = 0
    texts: dict[bool, tuple[np.ndarray, np.ndarray]] = {}
    for column, (field, cased) in enumerate(columns):
        if cased not in texts:
            texts[cased] = np.empty(len(slots.sizes), np.int32), np.empty(len(slots.sizes), np.int32)
            to = slot_kernels.unfold_all(
                *where, tables.used_end, tables.used, *slots, folding()[: 0 if cased else None], *texts[cased], data, to
            )
        if column in joined:
            to, cell, value = slot_kernels.join(
                *where, field, fields, tables.slot_end, tables.view_slots, slots.bases, slots.sizes, *texts[cased],
                data, to, cells, ends[column], begin, end, cell, value,
            )  # fmt: skip
            first[column + 1] = value
            continue
        cell, value = slot_kernels.gather(
            *where, field, fields, field != reading.keywords, tables.slot_end, tables.view_slots,
            slots.bases, slots.sizes, *texts[cased], data, table, cells, ends[column], begin, end, cell, value,
        )  # fmt: skip
        first[column + 1] = value
    return Columns(presence, cells, ends, data, begin[:value], end[:value], first)


def _ragged(rows: Sequence[Sequence[int]]) -> tuple[Longs, Ints]:
    """Where each row ends, from 0 on, and what is in them."""
    ends = np.zeros(len(rows) + 1, np.int64)
    np.cumsum([len(row) for row in rows], out=ends[1:])
    return ends, np.array([number for row in rows for number in row], np.int32)


@lru_cache(maxsize=1)
def folding() -> Ints:
    """Code point to code point, see `detector.sigma.folding`."""
    table = np.arange(max(TABLE) + 1, dtype=np.int32)
    table[list(TABLE)] = list(TABLE.values())
    return table
