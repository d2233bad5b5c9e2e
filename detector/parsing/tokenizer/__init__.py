"""Expressions as programs of a kernel: the groups of all lines of a batch in one call, five times as fast as RE2.

The expression stays the definition. What the kernel does not run (`syntax`), and lines that it gives up, are RE2's; the
answers are the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from detector.parsing.jit import Bytes, Ints, Longs
from detector.parsing.simd import BLOCK
from detector.parsing.tokenizer import kernels
from detector.parsing.tokenizer.kernels import GAVE_UP, NO_MATCH, UNSET
from detector.parsing.tokenizer.lowering import lower
from detector.parsing.tokenizer.syntax import Accept, Choice, NotLoweredError, parse
from detector.parsing.tokenizer.syntax import Sequence as Parts

__all__ = ["GAVE_UP", "NO_MATCH", "UNSET", "NotLoweredError", "Spans", "Texts", "Tokenizer", "joined"]

Texts = tuple[str | None, ...]
"""The groups of a line in order."""


@dataclass(frozen=True, slots=True)
class Spans:
    """Where the groups of some lines are.

    status: (rows,) the number of the expression that matches the whole line, NO_MATCH, or GAVE_UP: ask RE2.
    bounds: (rows, groups, 2) start and end in bytes from the start of the line, UNSET for a group that took no part; as
        many groups as the expression with the most of them has.
    """

    status: Ints
    bounds: Ints


class Tokenizer:
    """Matches whole lines with the first of some expressions that takes them.

    groups: how many each expression has.
    Raises NotLoweredError for an expression whose shape it cannot run.
    """

    __slots__ = ("_program", "groups")

    def __init__(self, expressions: Sequence[str]) -> None:
        parts = []
        groups: list[int] = []
        for number, expression in enumerate(expressions):
            node, count = parse(expression)
            groups.append(count)
            parts.append(Parts((*node.parts, Accept(number)) if isinstance(node, Parts) else (node, Accept(number))))
        self.groups = tuple(groups)
        self._program = lower(parts[0] if len(parts) == 1 else Choice(tuple(parts)))

    def spans(self, data: Bytes, starts: Longs, ends: Longs) -> Spans:
        """The spans of the lines `data[starts[r]:ends[r]]`, which must be valid UTF-8.

        data: with `simd.BLOCK` bytes behind the last line.
        """
        rows = len(starts)
        most = max(self.groups)
        bounds = np.empty((rows, most, 2), np.int32)
        status = np.empty(rows, np.int32)
        program = self._program
        kernels.tokenize(
            data, starts, ends, program.code, program.entry, program.sets, program.stops, program.literals,
            bounds.reshape(-1), 2 * most, status, np.empty(kernels.STACK, np.int64), np.empty(kernels.TRAIL, np.int64),
        )  # fmt: skip
        return Spans(status, bounds)

    def texts(self, lines: Sequence[bytes]) -> list[tuple[int, Texts | None]]:
        """The number of the expression that takes each line, and its groups: "" for one that took no part.

        Else NO_MATCH or GAVE_UP, and None.
        """
        data, offsets = joined(lines)
        spans = self.spans(data, offsets[:-1], offsets[1:])
        return [
            (status, None)
            if status < 0
            else (
                status,
                tuple([line[start:end].decode() for start, end in bounds[: self.groups[status]]]),
            )
            for line, status, bounds in zip(lines, spans.status.tolist(), spans.bounds.tolist(), strict=True)
        ]


def joined(lines: Sequence[bytes]) -> tuple[Bytes, Longs]:
    """The bytes of some lines on end, a block behind them, and where each begins; the last entry is where all end."""
    offsets = np.zeros(len(lines) + 1, np.int64)
    np.cumsum(np.fromiter(map(len, lines), np.int64, len(lines)), out=offsets[1:])
    return np.frombuffer(bytearray().join((*lines, bytes(BLOCK))), np.uint8), offsets
