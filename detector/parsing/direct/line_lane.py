"""The lines of text of one topic, as slots: recognized, tokenized and derived in columns.

What is no line that a kernel reads takes the other way, over `Parsers.parse`.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pyarrow as pa

from detector.config import Limits
from detector.events import LogSource
from detector.parsing.direct import line_kernels
from detector.parsing.direct.line_format import Asked, LineFormat, UnfitError
from detector.parsing.direct.line_recognizer import line_recognizer
from detector.parsing.direct.slots import ABSENT_SIZE, UNICODE, Slots, no_slots
from detector.parsing.direct.utf8_kernels import BEYOND_ASCII, UNFIT
from detector.parsing.registry import AUTO, Parsers
from detector.parsing.simd import BLOCK
from detector.parsing.text import TextParser

_ARENA = 2
"""Room behind the lines, in their size: a request is decoded to no more."""
_CONSTANTS = 1 << 16
"""Room for what is the same in all lines of a format."""
_MOST_BYTES = (1 << 31) // (2 + _ARENA)
"""Of the values of a batch; slots count bytes in 32 bits."""


class LineLane:
    """Reads batches of records of one topic; remembers nothing of them.

    kinds: the formats that it reads; a record's kind is the index of its format.
    """

    __slots__ = ("_limits", "_number", "_recognizer", "kinds")

    def __init__(
        self,
        parsers: Parsers,
        form: str,
        topic: LogSource | None,
        limits: Limits,
        asked: Asked,
    ) -> None:
        self._limits = limits
        self._recognizer = line_recognizer(tuple(parsers.recognizer.text)) if form == AUTO else None
        self.kinds: list[LineFormat] = []
        self._number: dict[TextParser, int] = {}
        for parser in parsers.text.values():
            if form in (AUTO, parser.name):
                try:
                    self.kinds.append(LineFormat(parser, topic, asked))
                except UnfitError:
                    continue
                self._number[parser] = len(self.kinds) - 1

    def read(self, records: pa.RecordBatch) -> tuple[Slots, np.ndarray]:
        """The slots of records (of window.RECORDS), and the index in `kinds` of each record; -1: it is of none."""
        values = records.column("value")
        count = len(values)
        kinds = np.full(count, -1, np.int64)
        offsets = np.frombuffer(values.buffers()[1], np.int32)[values.offset : values.offset + count + 1]
        first, size = int(offsets[0]), int(offsets[-1] - offsets[0])
        if not self.kinds or not size or size > _MOST_BYTES:
            return no_slots(count), kinds
        given = np.frombuffer(values.buffers()[2], np.uint8)[first : first + size]
        begin = offsets[:-1].astype(np.int64) - first
        end = offsets[1:].astype(np.int64) - first
        body_end = np.empty(count, np.int64)
        state = np.empty(count, np.uint8)
        line_kernels.states(given, begin, end, self._limits.max_line_bytes, body_end, state)
        if values.null_count:
            state[values.is_null().to_numpy(zero_copy_only=False)] = UNFIT
        if state.min() == UNFIT:
            return no_slots(count), kinds
        data = np.empty((1 + _ARENA) * size + _CONSTANTS + 2 * BLOCK, np.uint8)
        data[:size] = given
        data[size : size + BLOCK] = 0
        width = max(len(kind.slots) for kind in self.kinds)
        bases = np.arange(count + 1, dtype=np.int64) * width
        starts = np.empty(count * width, np.int32)
        sizes = np.full(count * width, ABSENT_SIZE, np.int32)
        flags = np.empty(count * width, np.uint8)
        slots = Slots(data, bases, starts, sizes, flags)
        later: list[tuple[int, bytes]] = []
        arena = size
        for number, rows in self._recognized(data, begin, body_end, state):
            arena = self._fill(number, rows, slots, arena, begin, body_end, state, kinds, later)
        fit = np.flatnonzero(kinds >= 0)
        starts[fit * width] = begin[fit]
        sizes[fit * width] = (end - begin)[fit]
        flags[fit * width] = np.where(state[fit] == BEYOND_ASCII, UNICODE, 0)
        return _with_texts(slots, later, arena), kinds

    def complete(self, slots: Slots, kinds: np.ndarray) -> tuple[Slots, np.ndarray]:
        """All slots are there: which are asked for is known beforehand."""
        return slots, kinds

    def _recognized(
        self, data: np.ndarray, begin: np.ndarray, end: np.ndarray, state: np.ndarray
    ) -> Iterable[tuple[int, np.ndarray]]:
        """The rows of each kind, by its number."""
        rows = np.flatnonzero(state != UNFIT)
        if self._recognizer is None:
            return [(0, rows)]
        parsers = self._recognizer.lines(data, begin[rows], end[rows])
        return [(self._number[parser], rows[its]) for parser, its in parsers if parser in self._number]

    def _fill(  # noqa: PLR0917 -- the parts of one step of `read`
        self,
        number: int,
        rows: np.ndarray,
        slots: Slots,
        arena: int,
        begin: np.ndarray,
        end: np.ndarray,
        state: np.ndarray,
        kinds: np.ndarray,
        later: list[tuple[int, bytes]],
    ) -> int:
        """Fill in the slots of the lines of a kind; returns where the arena ends. later: places of slots, and texts."""
        kind = self.kinds[number]
        spans = kind.tokenizer.spans(slots.data, begin[rows], end[rows])
        taken = spans.status == 0
        if not taken.all():
            rows = rows[taken]
        kinds[rows] = number
        bounds = spans.bounds if taken.all() else spans.bounds[taken]
        odd = np.empty((len(rows), len(kind.steps)), np.uint8)
        arena = line_kernels.derive(
            slots.data, arena, rows, begin, state, bounds, kind.raw, kind.steps, kind.targets, kind.absent,
            kind.absent_end, slots.bases, slots.starts, slots.sizes, slots.flags, odd,
            np.empty(len(kind.raw), np.uint8), np.empty(8, np.int64),
        )  # fmt: skip
        if odd.any():
            if kind.shared:
                odd[odd.any(axis=1)] = 1  # in their order
            later += _converted(kind, slots, odd, rows, begin, bounds)
        for slot, text in kind.constants:
            slots.data[arena : arena + len(text)] = np.frombuffer(text, np.uint8)
            places = slots.bases[rows] + slot
            slots.starts[places], slots.sizes[places], slots.flags[places] = arena, len(text), UNICODE
            arena += len(text)
        return int(arena)


def _converted(  # noqa: PLR0917 -- the arguments of `LineLane._fill`
    kind: LineFormat, slots: Slots, odd: np.ndarray, rows: np.ndarray, begin: np.ndarray, bounds: np.ndarray
) -> list[tuple[int, bytes]]:
    """The places and texts of the slots of odd rows, by the plain converters; the slots are absent for now."""
    found: list[tuple[int, bytes]] = []
    known: dict[tuple[int, bytes], list[tuple[int, bytes]]] = {}
    absent = frozenset(text.encode() for text in kind.parser.definition.absent)
    for row, step in zip(*(each.tolist() for each in np.nonzero(odd)), strict=True):
        base, line = int(slots.bases[rows[row]]), int(begin[rows[row]])
        for slot in kind.targets[step].tolist():
            if slot >= 0:
                slots.sizes[base + slot] = ABSENT_SIZE
        start, stop = bounds[row, kind.steps[step, 1]].tolist()
        text = slots.data[line + start : line + stop].tobytes()
        if start < 0 or text in absent:
            continue
        made = known.get((step, text))
        if made is None:
            made = known[step, text] = kind.convert(step, text.decode())
        found += [(base + slot, each) for slot, each in made]
    return found


def _with_texts(slots: Slots, texts: list[tuple[int, bytes]], arena: int) -> Slots:
    """The slots with some more texts, behind the arena."""
    if not texts:
        return slots
    more = b"".join(text for _, text in texts)
    data = slots.data
    if arena + len(more) + BLOCK > len(data):
        data = np.concatenate([data[:arena], np.empty(len(more) + BLOCK, np.uint8)])
    data[arena : arena + len(more)] = np.frombuffer(more, np.uint8)
    places = np.array([place for place, _ in texts], np.int64)
    lengths = np.array([len(text) for _, text in texts], np.int64)
    slots.starts[places] = arena + np.cumsum(lengths) - lengths
    slots.sizes[places] = lengths
    slots.flags[places] = UNICODE
    return slots._replace(data=data)
