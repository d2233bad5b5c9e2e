"""From JSON records to Arrow columns of ECS fields, without an object for a record whose kind is known.

The same columns as `detector.parsing.columns` gives of lines.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from detector.config import Limits
from detector.events import LogSource
from detector.parsing.columns import TIME, TIME_TYPE, Instants, as_texts, valid
from detector.parsing.direct.lane import JsonLane, Kind
from detector.parsing.direct.slots import ABSENT_SIZE, ESCAPED, Slots
from detector.parsing.direct.symbols import Leaf, UnfitError
from detector.parsing.mapping import MISSING, finder
from detector.parsing.registry import Parsers
from detector.sigma.values import text_of


@dataclass(frozen=True, slots=True)
class _Places:
    """Where the columns of a kind are: a slot for each, -1 where it has none, and the time's."""

    slots: tuple[int, ...]
    time: Instants


class JsonColumns:
    """Some fields of the events of records, in columns: `@timestamp` in UTC, all others as texts.

    names: of ECS fields.
    """

    __slots__ = ("_form", "_lane", "_limits", "_logsource", "_parsers", "_places", "schema")

    def __init__(
        self, parsers: Parsers, form: str, names: Sequence[str], limits: Limits, logsource: LogSource | None = None
    ) -> None:
        self._parsers = parsers
        self._form = form
        self._limits = limits
        self._logsource = logsource
        self.schema = pa.schema([(name, TIME_TYPE if name == TIME else pa.string()) for name in names])
        self._begin()

    def _begin(self) -> None:
        self._lane = JsonLane(self._parsers, self._form, self._logsource, self._limits)
        self._places: list[_Places | None] = []

    def read(self, records: pa.RecordBatch) -> pa.RecordBatch:
        """The columns of the events of records (of window.RECORDS), in their order."""
        if self._lane.full:
            self._begin()
        slots, kinds = self._lane.read(records)
        self._places += [self._placed(kind) for kind in self._lane.kinds[len(self._places) :]]
        unfit = [number for number, places in enumerate(self._places) if places is None]
        kinds[np.isin(kinds, unfit)] = -1
        slots, kinds = self._lane.complete(slots, kinds)
        found = self._found(slots, kinds)
        rest, rows = np.flatnonzero(kinds < 0), np.flatnonzero(kinds >= 0)
        if not len(rest):
            return self._of_slots(records, slots, rows, kinds, found)
        events, its = self._of_events(records, rest)
        if not len(rows):
            return events
        both = pa.concat_batches([self._of_slots(records, slots, rows, kinds, found), events])
        return both.take(pa.array(np.argsort(np.concatenate([rows, its]), kind="stable")))

    def _placed(self, kind: Kind) -> _Places | None:
        try:
            slots = tuple(-1 if name == TIME else _slot(kind, name) for name in self.schema.names)
        except UnfitError:
            return None
        time = kind.parser.definition.time
        found = [value for path in time.paths if (value := finder(path)(kind.raw)) is not MISSING] if time else []
        leaves = [value for value in found if value is not None]
        if len(leaves) > 1 or not all(isinstance(leaf, Leaf) and leaf.quoted for leaf in leaves):
            return None
        return _Places(slots, Instants([leaf.slot for leaf in leaves[:1]], time.formats if time else ()))

    def _found(self, slots: Slots, kinds: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
        """Starts and sizes of each column, of all rows; what has escapes becomes of no kind."""
        width = len(self.schema.names)
        table = np.full((len(self._places) + 1, width), -1, np.int64)
        for number, places in enumerate(self._places):
            if places is not None:
                table[number] = places.slots
        found = []
        for column in range(width):
            slot = table[kinds, column]
            there = slot >= 0
            where = np.where(there, slots.bases[:-1] + slot, 0)
            if not len(slots.sizes):
                found.append((np.zeros(len(kinds), np.int32), np.full(len(kinds), ABSENT_SIZE, np.int32)))
                continue
            sizes = np.where(there, slots.sizes[where], np.int32(ABSENT_SIZE))
            kinds[(sizes >= 0) & (slots.flags[where] & ESCAPED != 0)] = -1
            found.append((slots.starts[where], sizes))
        return found

    def _of_slots(
        self,
        records: pa.RecordBatch,
        slots: Slots,
        rows: np.ndarray,
        kinds: np.ndarray,
        found: list[tuple[np.ndarray, np.ndarray]],
    ) -> pa.RecordBatch:
        whole = len(rows) == len(kinds)
        columns = []
        for name, (starts, sizes) in zip(self.schema.names, found, strict=True):
            if name == TIME:
                columns.append(self._times(records, slots, rows, kinds[rows]))
            else:
                columns.append(as_texts(slots.data, *((starts, sizes) if whole else (starts[rows], sizes[rows]))))
        return pa.RecordBatch.from_arrays(columns, schema=self.schema)

    def _times(self, records: pa.RecordBatch, slots: Slots, rows: np.ndarray, kinds: np.ndarray) -> pa.Array:
        us, there = np.zeros(len(rows), np.int64), np.zeros(len(rows), bool)
        for number in np.flatnonzero(np.bincount(kinds)).tolist():
            places = self._places[number]
            its = np.flatnonzero(kinds == number)
            if places is not None:
                us[its], there[its] = places.time.read(records, slots, rows[its])
        return pa.Array.from_buffers(TIME_TYPE, len(rows), [valid(there), pa.py_buffer(us)])

    def _of_events(self, records: pa.RecordBatch, rows: np.ndarray) -> tuple[pa.RecordBatch, np.ndarray]:
        """The same by way of events, of which a record may have several, or none."""
        events = self._parsers.parse(
            records.take(pa.array(rows)), format=self._form, logsource=self._logsource, limits=self._limits
        ).events
        columns = [
            pa.array(
                [event.time_us for event in events]
                if name == TIME
                else [None if (value := event.ecs.get(name)) is None else text_of(value) for event in events],
                type_,
            )
            for name, type_ in zip(self.schema.names, self.schema.types, strict=True)
        ]
        its = rows[np.array([event.record for event in events], np.int64)]
        return pa.RecordBatch.from_arrays(columns, schema=self.schema), its


def _slot(kind: Kind, name: str) -> int:
    value = kind.derived.field(name)
    return -1 if value is MISSING or value is None else kind.derived.read(value)
