"""Lines within lines, in columns: which lines hold one that is a format's, and so take the way over events."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from detector.parsing.direct.line_recognizer import LineRecognizer
from detector.parsing.direct.line_steps import UnfitError
from detector.parsing.direct.line_work import Work
from detector.parsing.jit import Bytes, Ints, Longs, compiled
from detector.parsing.text import TextParser

_BLANK = np.zeros(256, np.uint8)
_BLANK[[*range(9, 14), *range(28, 33)]] = 1


class InnerLines:
    """Raises UnfitError for a format whose inner lines are found by more than a field."""

    __slots__ = ("_fields", "_recognizer")

    def __init__(self, parser: TextParser, number: Callable[[str], int], recognizer: LineRecognizer | None) -> None:
        inner, definition = parser.definition.inner, parser.definition
        if inner is None or inner.program or definition.unpack or definition.audit or recognizer is None:
            raise UnfitError("its inner lines are found by more than a field")
        if not set(inner.paths) <= set(parser.pattern.names):
            raise UnfitError("its inner lines are in no group")
        self._fields = np.array([number(path) for path in inner.paths], np.int32)
        self._recognizer = recognizer

    def run(self, work: Work, rows: np.ndarray) -> None:
        """Make rows slow whose inner line is that of a format, or may be."""
        begin, end = np.empty(len(rows), np.int64), np.empty(len(rows), np.int64)
        stripped(work.data, rows, self._fields, work.field_starts, work.field_sizes, begin, end, work.slow)
        there = np.flatnonzero(end > begin)
        if len(there):
            slow = self._recognizer.maybe(work.data, begin[there], end[there])
            work.slow[rows[there[slow]]] = 1


@compiled
def stripped(  # noqa: PLR0917 -- kernels take arrays and numbers, not objects
    data: Bytes, rows: Longs, fields: Ints, starts: Ints, sizes: Ints, begin: Longs, end: Longs, slow: Bytes
) -> None:
    """Where the first of some fields that is not empty is, without the spaces around it.

    A line whose text begins like JSON, or with what may be a space beyond ASCII, is slow.
    """
    for index in range(rows.shape[0]):
        row = rows[index]
        at, last = np.int64(0), np.int64(0)
        for field in fields:
            if sizes[row, field] > 0:
                at = np.int64(starts[row, field])
                last = at + sizes[row, field]
                break
        while at < last and _BLANK[data[np.uint64(at)]]:
            at += 1
        while last > at and _BLANK[data[np.uint64(last - 1)]]:
            last -= 1
        begin[index], end[index] = at, last
        if at < last and (data[np.uint64(at)] in (123, 194, 225, 226, 227) or _spacious(data, at, last)):
            slow[row] = 1


@compiled
def _spacious(data: Bytes, at: int, end: int) -> bool:
    """Whether a text may end in a space beyond ASCII: U+0085, U+00A0, U+1680, U+2000 and some behind it, U+3000."""
    if end - at >= 2 and data[np.uint64(end - 2)] == 194:
        return True
    return bool(end - at >= 3 and data[np.uint64(end - 3)] in (225, 226, 227))
