"""The lines of text of one topic, as slots: recognized, tokenized and derived in columns.

What is no line that a kernel reads takes the other way, over `Parsers.parse`.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from detector.config import Limits
from detector.events import LogSource
from detector.parsing.direct import line_kernels
from detector.parsing.direct.line_format import Asked, LineFormat, LineKind
from detector.parsing.direct.line_recognizer import line_recognizer
from detector.parsing.direct.line_steps import UnfitError
from detector.parsing.direct.line_work import MAX_BYTES, FullError, Work
from detector.parsing.direct.slots import ABSENT_SIZE, UNICODE, Slots, no_slots
from detector.parsing.direct.utf8_kernels import BEYOND_ASCII, UNFIT
from detector.parsing.registry import AUTO, Parsers
from detector.parsing.simd import BLOCK
from detector.parsing.text import TextParser

_ARENA = 8
"""Room behind the lines, in their size; kernels that may need more make more."""
_ARENA_MORE, _ARENA_OF_LINE = 1 << 16, 512
_MOST_BYTES = MAX_BYTES // 4
"""Of the values of a batch; slots count bytes in 32 bits."""


class LineLane:
    """Reads batches of records of one topic; remembers nothing of them.

    kinds: of the lines that it has met: a format, and log sources. formats: those that it reads.
    """

    __slots__ = ("_limits", "_numbers", "_recognizer", "formats", "kinds")

    def __init__(
        self,
        parsers: Parsers,
        form: str,
        topic: LogSource | None,
        limits: Limits,
        asked: Asked,
    ) -> None:
        self._limits = limits
        recognizer = line_recognizer(tuple(parsers.recognizer.text))
        self._recognizer = recognizer if form == AUTO else None
        self.formats: dict[TextParser, LineFormat] = {}
        self.kinds: list[LineKind] = []
        self._numbers: dict[LineKind, int] = {}
        for parser in parsers.text.values():
            if form in (AUTO, parser.name):
                try:
                    self.formats[parser] = LineFormat(parser, topic, asked, recognizer)
                except UnfitError:
                    continue

    def read(self, records: pa.RecordBatch) -> tuple[Slots, np.ndarray]:
        """The slots of records (of window.RECORDS), and the index in `kinds` of each record; -1: it is of none."""
        values = records.column("value")
        count = len(values)
        kinds = np.full(count, -1, np.int64)
        offsets = np.frombuffer(values.buffers()[1], np.int32)[values.offset : values.offset + count + 1]
        first, size = int(offsets[0]), int(offsets[-1] - offsets[0])
        if not self.formats or not size or size > _MOST_BYTES:
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
        room = (1 + _ARENA) * size + count * _ARENA_OF_LINE + _ARENA_MORE
        data = np.empty(min(room, MAX_BYTES), np.uint8)
        data[:size] = given
        data[size : size + BLOCK] = 0
        found = self._recognized(data, begin, body_end, state)
        width = max((len(form.slots) for form, _ in found), default=0)
        if not width:
            return no_slots(count), kinds
        bases = np.arange(count + 1, dtype=np.int64) * width
        starts = np.empty(count * width, np.int32)
        sizes = np.full(count * width, ABSENT_SIZE, np.int32)
        flags = np.empty(count * width, np.uint8)
        work = Work(
            data, size, size, begin, body_end, state, bases, starts, sizes, flags, slow=np.zeros(count, np.uint8)
        )
        try:
            for form, rows in found:
                for kind, its in form.read(work, rows):
                    kinds[its] = self._number(kind)
        except FullError:
            kinds[:] = -1
        fit = np.flatnonzero(kinds >= 0)
        starts[fit * width] = begin[fit]
        sizes[fit * width] = (end - begin)[fit]
        flags[fit * width] = np.where(state[fit] == BEYOND_ASCII, UNICODE, 0)
        return Slots(work.data, bases, starts, sizes, flags), kinds

    def complete(self, slots: Slots, kinds: np.ndarray) -> tuple[Slots, np.ndarray]:
        """All slots are there: which are asked for is known beforehand."""
        return slots, kinds

    def _recognized(
        self, data: np.ndarray, begin: np.ndarray, end: np.ndarray, state: np.ndarray
    ) -> list[tuple[LineFormat, np.ndarray]]:
        """The rows of each format."""
        rows = np.flatnonzero(state != UNFIT)
        if self._recognizer is None:
            return [(form, rows) for form in self.formats.values()]
        parsers = self._recognizer.lines(data, begin[rows], end[rows])
        return [(self.formats[parser], rows[its]) for parser, its in parsers if parser in self.formats]

    def _number(self, kind: LineKind) -> int:
        number = self._numbers.get(kind)
        if number is None:
            number = self._numbers[kind] = len(self.kinds)
            self.kinds.append(kind)
        return number
