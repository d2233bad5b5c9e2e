"""Which format each line of a batch has, in columns: the answers of `Recognizer.line`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate
from typing import Any

import numpy as np
import re2

from detector.parsing.recognition import starts_of
from detector.parsing.simd import padded
from detector.parsing.text import TextParser
from detector.parsing.tokenizer import NO_MATCH, NotLoweredError
from detector.parsing.tokenizer.automaton import Automaton


class LineRecognizer:
    """One automaton over the signatures of all formats, the best ones first.

    parsers: in that order. Signatures that the automaton cannot run are asked of RE2, where they could come first.
    It knows the steps that the formats' samples take: learning those takes longer than a window may.
    """

    __slots__ = ("_automaton", "_formats", "_others", "_parsers")

    def __init__(self, parsers: Sequence[TextParser]) -> None:
        self._parsers = tuple(parsers)
        self._formats: list[int] = []
        self._others: list[tuple[int, Any]] = []
        for number, parser in enumerate(parsers):
            try:
                Automaton([starts_of(parser)])
            except NotLoweredError:
                self._others.append((number, re2.compile(f"(?s:{starts_of(parser)})")))
            else:
                self._formats.append(number)
        self._automaton = Automaton([starts_of(parsers[number]) for number in self._formats])
        samples = [record for parser in parsers for record in _lines_of(parser)]
        ends = np.fromiter(accumulate(map(len, samples)), np.int64, len(samples))
        data = padded(np.frombuffer(b"".join(samples), np.uint8))
        self._automaton.first(data, ends - np.fromiter(map(len, samples), np.int64, len(samples)), ends)

    def lines(self, data: np.ndarray, begin: np.ndarray, end: np.ndarray) -> list[tuple[TextParser, np.ndarray]]:
        """The rows of each format; those that are of none, or for which it would take too long to say, are in none.

        data, begin, end: as `Tokenizer.spans` takes them.
        """
        status = self._automaton.first(data, begin, end)
        found: list[tuple[TextParser, np.ndarray]] = []
        known = np.bincount(status[status >= 0])
        for place in np.flatnonzero(known).tolist():
            number = self._formats[place]
            rows = np.flatnonzero(status == place)
            before = [expression for other, expression in self._others if other < number]
            if before:
                texts = [data[begin[row] : end[row]].tobytes() for row in rows.tolist()]
                rows = rows[[not any(each.match(text) for each in before) for text in texts]]
            found.append((self._parsers[number], rows))
        return found

    def maybe(self, data: np.ndarray, begin: np.ndarray, end: np.ndarray) -> np.ndarray:
        """Which lines are, or may be, of a format: never wrong in saying no."""
        status = self._automaton.first(data, begin, end)
        found: np.ndarray = status != NO_MATCH
        for row in np.flatnonzero(~found).tolist() if self._others else ():
            text = data[begin[row] : end[row]].tobytes()
            found[row] = any(expression.match(text) for _, expression in self._others)
        return found


@lru_cache(maxsize=4)
def line_recognizer(parsers: tuple[TextParser, ...]) -> LineRecognizer:
    """The recognizer of these parsers; the same in a process, so that new rules do not make it learn anew."""
    return LineRecognizer(parsers)


def _lines_of(parser: TextParser) -> list[bytes]:
    records = (sample.record for sample in parser.definition.samples)
    return [record.encode() for record in records if isinstance(record, str)]
