"""From records to Arrow columns of ECS fields, typed, without an object for a line that kernels read.

For back-fills and reports: the same values as `Parsers.parse` gives, one row for each event.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pyarrow as pa

from detector.config import Limits
from detector.events import LogSource
from detector.parsing import column_kernels, time_kernels
from detector.parsing.direct.line_format import LineFormat
from detector.parsing.direct.line_lane import LineLane
from detector.parsing.direct.simd import BLOCK
from detector.parsing.direct.slots import Slots
from detector.parsing.registry import Parsers
from detector.parsing.timestamps import MAX_AHEAD_US, MAX_BEHIND_US, TimeParser, plausible
from detector.sigma.fields import RAW
from detector.sigma.values import text_of

TIME = "@timestamp"
TIME_TYPE = pa.timestamp("us", tz="UTC")
_LAST_MS = 253_402_300_799_000  # of the year 9999


class LineColumns:
    """Some fields of the events of records, in columns: `@timestamp` in UTC, integers as int64, all others as texts.

    names: of ECS fields. integers: those of them that are whole numbers.
    """

    __slots__ = ("_form", "_integers", "_lane", "_limits", "_logsource", "_parsers", "_times", "schema")

    def __init__(  # noqa: PLR0917
        self,
        parsers: Parsers,
        form: str,
        names: Sequence[str],
        integers: Iterable[str],
        limits: Limits,
        logsource: LogSource | None = None,
    ) -> None:
        self._parsers = parsers
        self._form = form
        self._limits = limits
        self._logsource = logsource
        self._integers = frozenset(integers)
        self.schema = pa.schema([(name, self._type(name)) for name in names])
        times = {path for parser in parsers.text.values() if (time := parser.definition.time) for path in time.paths}
        asked = tuple({*names, *times} - {TIME})
        self._lane = LineLane(parsers, form, logsource, limits, lambda _logsource: asked)
        self._times = [_Times.of(kind) for kind in self._lane.kinds]

    def _type(self, name: str) -> pa.DataType:
        return TIME_TYPE if name == TIME else pa.int64() if name in self._integers else pa.string()

    def read(self, records: pa.RecordBatch) -> pa.RecordBatch:
        """The columns of the events of records (of window.RECORDS), in their order."""
        slots, kinds = self._lane.read(records)
        numbers = np.unique(kinds)
        if len(numbers) == 1 and numbers[0] >= 0:
            return self._of_lines(records, slots, np.arange(len(kinds)), int(numbers[0]))
        parts: list[pa.RecordBatch] = []
        order: list[np.ndarray] = []
        for number in numbers.tolist():
            rows = np.flatnonzero(kinds == number)
            if number >= 0:
                parts.append(self._of_lines(records, slots, rows, number))
                order.append(rows)
            else:
                part, its_rows = self._of_events(records, rows)
                parts.append(part)
                order.append(its_rows)
        if not parts:
            return pa.RecordBatch.from_pylist([], schema=self.schema)
        places = np.argsort(np.concatenate(order), kind="stable")
        return pa.concat_batches(parts).take(pa.array(places))

    def _of_lines(self, records: pa.RecordBatch, slots: Slots, rows: np.ndarray, number: int) -> pa.RecordBatch:
        kind = self._lane.kinds[number]
        columns = []
        for name, type_ in zip(self.schema.names, self.schema.types, strict=True):
            if name == TIME:
                columns.append(self._times[number].read(records, slots, rows))
                continue
            slot = kind.slots.get(name)
            if slot is None:
                columns.append(pa.nulls(len(rows), type_))
            elif name in self._integers:
                columns.append(_integers(slots, rows, slot))
            else:
                columns.append(_texts(slots, rows, slot))
        return pa.RecordBatch.from_arrays(columns, schema=self.schema)

    def _of_events(self, records: pa.RecordBatch, rows: np.ndarray) -> tuple[pa.RecordBatch, np.ndarray]:
        """The same by way of events, of which a record may have several, or none."""
        some = records if len(rows) == records.num_rows else records.take(pa.array(rows))
        events = self._parsers.parse(some, format=self._form, logsource=self._logsource, limits=self._limits).events
        columns = [
            pa.array([_value(event.ecs.get(name), name, event.time_us, self._integers) for event in events], type_)
            for name, type_ in zip(self.schema.names, self.schema.types, strict=True)
        ]
        its = rows[np.array([event.record for event in events], np.int64)]
        return pa.RecordBatch.from_arrays(columns, schema=self.schema), its


def _value(value: object, name: str, time_us: int | None, integers: frozenset[str]) -> object:
    if name == TIME:
        return time_us
    if name in integers:
        return value if isinstance(value, int) else None
    return None if value is None else text_of(value)


def _of_slot(slots: Slots, rows: np.ndarray, slot: int) -> tuple[np.ndarray, np.ndarray]:
    places = slots.bases[rows] + slot
    return slots.starts[places], slots.sizes[places]


def _valid(there: np.ndarray) -> pa.Buffer | None:
    return None if there.all() else pa.py_buffer(np.packbits(there, bitorder="little"))


def _texts(slots: Slots, rows: np.ndarray, slot: int) -> pa.Array:
    starts, sizes = _of_slot(slots, rows, slot)
    there = sizes >= 0
    offsets = np.zeros(len(rows) + 1, np.int32)
    np.cumsum(np.maximum(sizes, 0), out=offsets[1:])
    out = np.empty(int(offsets[-1]) + 2 * BLOCK, np.uint8)
    column_kernels.copy_texts(slots.data, starts, sizes, offsets, out)
    return pa.Array.from_buffers(pa.string(), len(rows), [_valid(there), pa.py_buffer(offsets), pa.py_buffer(out)])


def _integers(slots: Slots, rows: np.ndarray, slot: int) -> pa.Array:
    starts, sizes = _of_slot(slots, rows, slot)
    out = np.empty(len(rows), np.int64)
    column_kernels.integers(slots.data, starts, sizes, out)
    return pa.Array.from_buffers(pa.int64(), len(rows), [_valid(sizes >= 0), pa.py_buffer(out)])


class _Times:
    """Reads the times of the lines of a format: in a kernel, and what is left by `TimeParser`."""

    __slots__ = ("_parser", "_slot", "_steps")

    def __init__(self, slot: int | None, formats: tuple[str, ...]) -> None:
        self._slot = slot
        self._parser = TimeParser(formats)
        self._steps = time_kernels.steps_of(formats)

    @classmethod
    def of(cls, kind: LineFormat) -> _Times:
        """Of a format; one that has no time, or several places for it, has none in columns."""
        time = kind.parser.definition.time
        slot = kind.slots.get(RAW + time.paths[0]) if time and len(time.paths) == 1 else None
        return cls(slot, time.formats if time else ())

    def read(self, records: pa.RecordBatch, slots: Slots, rows: np.ndarray) -> pa.Array:
        """The times of some rows."""
        if self._slot is None:
            return pa.nulls(len(rows), TIME_TYPE)
        starts, sizes = _of_slot(slots, rows, self._slot)
        reference_ms = records.column("timestamp").to_numpy()[rows]
        known = (reference_ms >= 0) & (reference_ms <= _LAST_MS)
        reference_us = reference_ms * 1_000
        out = np.full(len(rows), time_kernels.UNREAD, np.int64)
        if self._steps is not None:
            years = np.where(known, reference_ms, 0).astype("datetime64[ms]").astype("datetime64[Y]").astype(np.int32)
            time_kernels.times(slots.data, starts, sizes, *self._steps, reference_us, years + np.int32(1970), out)
        there = (out != time_kernels.UNREAD) & (
            ~known | ((out >= reference_us - MAX_BEHIND_US) & (out <= reference_us + MAX_AHEAD_US))
        )
        for row in np.flatnonzero((sizes >= 0) & ((out == time_kernels.UNREAD) | ~known)).tolist():
            text = slots.data[starts[row] : starts[row] + sizes[row]].tobytes().decode()
            reference = int(reference_us[row]) if known[row] else None
            instant, _ = self._parser.parse(text, reference)
            there[row] = instant is not None and plausible(instant.us, reference)
            out[row] = instant.us if instant is not None else 0
        return pa.Array.from_buffers(TIME_TYPE, len(rows), [_valid(there), pa.py_buffer(out)])
