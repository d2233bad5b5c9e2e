"""The parts of a line that hold fields of their own, for kernels: `detector.parsing.unpacking`."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from detector.parsing.audit import ABSENT, ENCODED
from detector.parsing.definition import Unpack
from detector.parsing.direct import audit_kernels, cef_kernels, unpack_kernels
from detector.parsing.direct.line_steps import UnfitError
from detector.parsing.direct.line_work import Work
from detector.parsing.direct.names import names_of

_BLANKS = b" \t\r\n"
_Unpack = Callable[[Work, np.ndarray], None]


def sources_of(parts: tuple[Unpack, ...], audit: tuple[str, str] | None) -> set[str]:
    """The fields that parts are taken from."""
    found = {part.source for part in parts} | {part.separator for part in parts if part.style == "leef"}
    return (found | set(audit or ())) - {""}


def names_within(parts: tuple[Unpack, ...], audit: tuple[str, str] | None) -> frozenset[str] | None:
    """The names of fields that may be within parts; None: any."""
    if audit or any(part.style != "columns" for part in parts):
        return None
    return frozenset(name for part in parts for name in part.names)


class Parts:
    """Finds the fields within parts of lines.

    numbers: of the fields that somebody asks for. Raises UnfitError.
    """

    __slots__ = ("_steps",)

    def __init__(self, parts: tuple[Unpack, ...], audit: tuple[str, str] | None, numbers: Mapping[str, int]) -> None:
        self._steps: list[_Unpack] = []
        for number, part in enumerate(parts, 1):
            self._steps.append(_step(number, part, numbers))
        if audit:
            kind, source = (numbers[name] for name in audit)
            self._steps.append(_audit(len(parts) + 1, kind, source, numbers, ()))

    def run(self, work: Work, rows: np.ndarray) -> None:
        """Take the fields of some rows."""
        for step in self._steps:
            work.reserve(work.size)
            step(work, rows)


def _texts(texts: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    encoded = [text.encode() for text in texts]
    ends = np.cumsum(np.array([len(text) for text in encoded], np.int32), dtype=np.int32)
    return np.frombuffer(b"".join(encoded) or b"\0", np.uint8), ends


def _step(number: int, part: Unpack, numbers: Mapping[str, int]) -> _Unpack:
    source, names, absent = numbers[part.source], names_of(numbers), _texts(part.absent)
    if part.style == "audit":
        return _audit(number, -1, source, numbers, part.absent)
    if part.style == "columns":
        if len(part.separator) != 1 or not part.separator.isascii():
            raise UnfitError("what divides its columns is not one byte")
        fields = np.array([numbers.get(name, -1) for name in part.names], np.int32)
        separator = ord(part.separator)

        def columns(work: Work, rows: np.ndarray) -> None:
            unpack_kernels.columns(
                work.data, rows, source, number, separator, fields, *absent, work.field_starts, work.field_sizes,
                work.seen, work.slow,
            )  # fmt: skip

        return columns
    if part.style == "cef":

        def cef(work: Work, rows: np.ndarray) -> None:
            work.arena = cef_kernels.cef(
                work.data, work.arena, rows, source, number, *names, *absent, work.field_starts, work.field_sizes,
                work.seen, work.slow,
            )  # fmt: skip

        return cef
    if part.style == "leef":
        delimiter = numbers.get(part.separator, -1)

        def leef(work: Work, rows: np.ndarray) -> None:
            work.arena = cef_kernels.leef(
                work.data, work.arena, rows, source, delimiter, number, *names, *absent, work.field_starts,
                work.field_sizes, work.seen, work.slow,
            )  # fmt: skip

        return leef
    if not part.separator.isascii():
        raise UnfitError("what divides its pairs is not ASCII")
    stops = np.zeros(256, np.uint8)
    stops[list(_BLANKS + part.separator.encode())] = 1

    def pairs(work: Work, rows: np.ndarray) -> None:
        work.arena = unpack_kernels.pairs(
            work.data, work.arena, rows, source, number, stops, *names, *absent, work.field_starts, work.field_sizes,
            work.seen, work.slow,
        )  # fmt: skip

    return pairs


def _audit(number: int, kind: int, source: int, numbers: Mapping[str, int], absent: tuple[str, ...]) -> _Unpack:
    if absent:
        raise UnfitError("what stands for no value in an audit record is known")
    of_arguments = int(any(name == "argv" or (name[:1] == "a" and name[1:2].isdigit()) for name in numbers))
    encoded = np.zeros(len(numbers), np.uint8)
    for name, field in numbers.items():
        encoded[field] = name in ENCODED
    names, none = names_of(numbers), _texts(tuple(ABSENT))

    def audit(work: Work, rows: np.ndarray) -> None:
        work.arena = audit_kernels.audit(
            work.data, work.arena, rows, kind, source, number, of_arguments, *names, encoded, *none,
            work.field_starts, work.field_sizes, work.seen, work.state, work.slow,
        )  # fmt: skip

    return audit
