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
from detector.parsing.direct.slots import ABSENT_SIZE, Slots
from detector.parsing.registry import Parsers
from detector.parsing.simd import BLOCK
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

    __slots__ = ("_form", "_integers", "_lane", "_limits", "_logsource", "_names", "_parsers", "_times", "schema")

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
        self._names = tuple(names)
        self._lane = LineLane(parsers, form, logsource, limits, lambda source: self._names if source is None else ())
        for parser, known in list(self._lane.formats.items()):
            if not all(known.gives_integers(name) for name in self._integers.intersection(names)):
                del self._lane.formats[parser]
        self._times: dict[str, Instants] = {}

    def _type(self, name: str) -> pa.DataType:
        return TIME_TYPE if name == TIME else pa.int64() if name in self._integers else pa.string()

    def read(self, records: pa.RecordBatch) -> pa.RecordBatch:
        """The columns of the events of records (of window.RECORDS), in their order."""
        slots, kinds = self._lane.read(records)
        lines, rest = np.flatnonzero(kinds >= 0), np.flatnonzero(kinds < 0)
        if not len(rest):
            return self._of_lines(records, slots, lines, kinds)
        events, rows = self._of_events(records, rest)
        if not len(lines):
            return events
        both = pa.concat_batches([self._of_lines(records, slots, lines, kinds[lines]), events])
        return both.take(pa.array(np.argsort(np.concatenate([lines, rows]), kind="stable")))

    def lines(self, records: pa.RecordBatch) -> tuple[list[tuple[str, np.ndarray, pa.RecordBatch]], np.ndarray]:
        """Of the lines that kernels read, by format: name, rows, columns; and the rows of all others.

        Lines of a format whose events may have fields beyond those that definitions name are among the others.
        """
        slots, kinds = self._lane.read(records)
        kinds[np.isin(kinds, [number for number, kind in enumerate(self._lane.kinds) if kind.format.beginnings])] = -1
        found = []
        for number in np.unique(kinds[kinds >= 0]).tolist():
            rows = np.flatnonzero(kinds == number)
            found.append(
                (self._lane.kinds[number].parser.name, rows, self._of_lines(records, slots, rows, kinds[rows]))
            )
        return found, np.flatnonzero(kinds < 0)

    def _of_lines(self, records: pa.RecordBatch, slots: Slots, rows: np.ndarray, kinds: np.ndarray) -> pa.RecordBatch:
        """The columns of some rows. kinds: of each."""
        columns = []
        for name, type_ in zip(self.schema.names, self.schema.types, strict=True):
            if name == TIME:
                columns.append(self._times_of(records, slots, rows, kinds))
                continue
            slot = np.array([kind.format.slots.get(name, -1) for kind in self._lane.kinds], np.int64)
            if not len(rows) or slot[kinds].max() < 0:
                columns.append(pa.nulls(len(rows), type_))
                continue
            starts, sizes = _of_slots(slots, rows, slot[kinds])
            columns.append((_integers if name in self._integers else as_texts)(slots.data, starts, sizes))
        return pa.RecordBatch.from_arrays(columns, schema=self.schema)

    def _times_of(self, records: pa.RecordBatch, slots: Slots, rows: np.ndarray, kinds: np.ndarray) -> pa.Array:
        us, there = np.zeros(len(rows), np.int64), np.zeros(len(rows), bool)
        for number in np.flatnonzero(np.bincount(kinds)).tolist():
            its = np.flatnonzero(kinds == number)
            us[its], there[its] = self._times_in(self._lane.kinds[number].format).read(records, slots, rows[its])
        return pa.Array.from_buffers(TIME_TYPE, len(rows), [valid(there), pa.py_buffer(us)])

    def _times_in(self, form: LineFormat) -> Instants:
        times = self._times.get(form.parser.name)
        if times is None:
            times = self._times[form.parser.name] = Instants.of(form)
        return times

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


def _of_slots(slots: Slots, rows: np.ndarray, slot: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where the texts of a slot of each row are, and their sizes; negative where there is none, or no slot."""
    places = slots.bases[rows] + np.maximum(slot, 0)
    sizes = slots.sizes[places]
    return slots.starts[places], sizes if slot.min() >= 0 else np.where(slot >= 0, sizes, ABSENT_SIZE)


def valid(there: np.ndarray) -> pa.Buffer | None:
    """Arrow's bitmap of the rows that have a value; None where all have."""
    return None if there.all() else pa.py_buffer(np.packbits(there, bitorder="little"))


def as_texts(data: np.ndarray, starts: np.ndarray, sizes: np.ndarray) -> pa.Array:
    """The texts of some slots (`direct.slots`); null where the size is negative."""
    there = sizes >= 0
    offsets = np.zeros(len(sizes) + 1, np.int32)
    np.cumsum(np.maximum(sizes, 0), out=offsets[1:])
    out = np.empty(int(offsets[-1]) + 2 * BLOCK, np.uint8)
    column_kernels.copy_texts(data, starts, sizes, offsets, out)
    return pa.Array.from_buffers(pa.string(), len(sizes), [valid(there), pa.py_buffer(offsets), pa.py_buffer(out)])


def _integers(data: np.ndarray, starts: np.ndarray, sizes: np.ndarray) -> pa.Array:
    out = np.empty(len(sizes), np.int64)
    column_kernels.integers(data, starts, sizes, out)
    return pa.Array.from_buffers(pa.int64(), len(sizes), [valid(sizes >= 0), pa.py_buffer(out)])


class Instants:
    """Reads the times of the lines of a format: in a kernel, and what is left by `TimeParser`."""

    __slots__ = ("_epoch", "_parser", "_slots", "_steps")

    def __init__(self, slots: Sequence[int], formats: tuple[str, ...]) -> None:
        """slots: the places for it, in their order."""
        self._slots = slots
        self._parser = TimeParser(formats)
        self._epoch = int("epoch" in formats)
        self._steps = time_kernels.steps_of(each for each in formats if each != "epoch")

    @classmethod
    def of(cls, form: LineFormat) -> Instants:
        """Of a format."""
        time = form.parser.definition.time
        slots = [form.slots[RAW + path] for path in time.paths if RAW + path in form.slots] if time else []
        return cls(slots, time.formats if time else ())

    def read(self, records: pa.RecordBatch, slots: Slots, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The times of some rows, and whether they have one: the first place that can be read counts."""
        us, there = np.zeros(len(rows), np.int64), np.zeros(len(rows), bool)
        left = np.arange(len(rows))
        for slot in self._slots:
            if not len(left):
                break
            read, known, plausibly = self._place(records, slots, rows[left], slot)
            us[left[known]] = read[known]
            there[left[known]] = plausibly[known]
            left = left[~known]
        return us, there

    def _place(
        self, records: pa.RecordBatch, slots: Slots, rows: np.ndarray, slot: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The times in a slot, whether there is one that can be read, and whether it can belong to the record."""
        starts, sizes = _of_slots(slots, rows, np.full(len(rows), slot))
        reference_ms = records.column("timestamp").to_numpy()[rows]
        dated = (reference_ms >= 0) & (reference_ms <= _LAST_MS)
        reference_us = reference_ms * 1_000
        out = np.full(len(rows), time_kernels.UNREAD, np.int64)
        if self._steps is not None:
            years = np.where(dated, reference_ms, 0).astype("datetime64[ms]").astype("datetime64[Y]").astype(np.int32)
            years += np.int32(1970)
            time_kernels.times(
                slots.data, starts, sizes, *self._steps, self._epoch, reference_us, years, out,
                np.zeros(time_kernels.PARTS, np.int64),
            )  # fmt: skip
        known = out != time_kernels.UNREAD
        plausibly = known & (~dated | ((out >= reference_us - MAX_BEHIND_US) & (out <= reference_us + MAX_AHEAD_US)))
        for row in np.flatnonzero((sizes >= 0) & (~known | ~dated)).tolist():
            text = slots.data[starts[row] : starts[row] + sizes[row]].tobytes().decode()
            reference = int(reference_us[row]) if dated[row] else None
            instant, _ = self._parser.parse(text, reference)
            known[row] = instant is not None
            plausibly[row] = instant is not None and plausible(instant.us, reference)
            out[row] = instant.us if instant is not None else 0
        return out, known, plausibly
