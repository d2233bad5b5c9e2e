"""From slots to columns: what the rules of a program read, field by field, in the slots of a kind of record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import cast

import numpy as np

from detector.events import Binding, Event
from detector.parsing.direct.slots import NULL_SIZE, Slots
from detector.sigma.engine import kernels, slot_kernels
from detector.sigma.engine.columns import Columns
from detector.sigma.fields import EventView, Found
from detector.sigma.folding import TABLE


@dataclass(frozen=True, slots=True)
class FieldSlots:
    """Where the values of a field are.

    slots: of which each is a value, unless it is absent or null in a record.
    bits: of presence (`kernels.IS_PRESENT` and its like) that hold whatever a record has in them.
    """

    slots: tuple[int, ...] = ()
    bits: int = 0


class Reading:
    """How the records of one program are read: tables of its views, which grow.

    A view is a kind of record through one of its log sources.
    """

    __slots__ = ("_arrays", "_fields", "_numbers", "_views")

    def __init__(self, fields: Sequence[str]) -> None:
        self._numbers = {name: number for number, name in enumerate(fields)}
        self._fields = len(fields)
        self._views: list[tuple[FieldSlots, ...]] = []
        self._arrays: tuple[kernels.Bytes, kernels.Longs, kernels.Ints] | None = None

    def add(self, fields: Mapping[str, FieldSlots]) -> int:
        """The number of a view; a field that is not named is absent."""
        self._views.append(tuple(fields.get(name, FieldSlots()) for name in self._numbers))
        self._arrays = None
        return len(self._views) - 1

    def arrays(self) -> tuple[kernels.Bytes, kernels.Longs, kernels.Ints]:
        """`bits`, `slot_end` and `view_slots` of `slot_kernels.gather`."""
        if self._arrays is None:
            flat = [field for view in self._views for field in view]
            bits = np.array([field.bits for field in flat], np.uint8).reshape(len(self._views), self._fields)
            slot_end = np.zeros(len(flat) + 1, np.int64)
            np.cumsum([len(field.slots) for field in flat], out=slot_end[1:])
            self._arrays = bits, slot_end, np.array([slot for field in flat for slot in field.slots], np.int32)
        return self._arrays

    def found(self, slots: Slots, record: int, view: int, name: str) -> Found:
        """What a field is in a record, as `EventView.found` has it."""
        field = self._views[view][self._numbers[name]]
        sizes = [int(slots.sizes[slots.bases[record] + slot]) for slot in field.slots]
        values = tuple(slots.text(record, slot) for slot, size in zip(field.slots, sizes, strict=True) if size >= 0)
        null = NULL_SIZE in sizes or field.bits & kernels.IS_NULL != 0
        return Found(present=bool(values) or null or field.bits & kernels.IS_PRESENT != 0, null=null, values=values)


class SlotView(EventView):
    """A record for the plain evaluator, of which only what is asked for is read."""

    __slots__ = ("_read", "_reading", "_record", "_slots", "_view")

    def __init__(self, reading: Reading, slots: Slots, record: int, view: int) -> None:
        super().__init__(cast("Event", None), cast("Binding", None))
        self._reading = reading
        self._slots = slots
        self._record = record
        self._view = view

    def _find(self, name: str) -> Found:
        return self._reading.found(self._slots, self._record, self._view, name)


def gather(
    slots: Slots, reading: Reading, records: kernels.Ints, views: kernels.Ints, columns: Sequence[tuple[int, bool]]
) -> Columns:
    """The columns of some rows, each a record seen in a view."""
    bits, slot_end, view_slots = reading.arrays()
    wanted = np.array(columns, np.int32).reshape(-1, 2)
    fields, rows = bits.shape[1], len(records)
    count, most, size = slot_kernels.measure(
        records, views, wanted, slot_end, view_slots, fields, slots.bases, slots.sizes
    )
    presence = np.empty((fields, rows), np.uint8)
    cells = np.empty(count, np.int32)
    ends = np.empty((len(wanted), rows + 1), np.int64)
    data = np.empty(size + size // 2 + 64, np.uint8)
    start = np.zeros(count + 1, np.int64)
    first = np.zeros(len(wanted) + 1, np.int64)
    table = np.full(2 << int(most).bit_length(), -1, np.int32)
    values = slot_kernels.gather(
        records, views, wanted, bits, slot_end, view_slots, *slots, folding(), table,
        presence, cells, ends, data, start, first,
    )  # fmt: skip
    return Columns(presence, cells, ends, data, start[: values + 1], first)


@lru_cache(maxsize=1)
def folding() -> kernels.Ints:
    """Code point to code point, see `detector.sigma.folding`."""
    table = np.arange(max(TABLE) + 1, dtype=np.int32)
    table[list(TABLE)] = list(TABLE.values())
    return table
