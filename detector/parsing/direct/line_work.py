"""What is at work on a batch of lines: their bytes, the fields found in them, and the slots that are made."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from detector.parsing.simd import BLOCK

MAX_BYTES = (1 << 31) - 1
"""Slots count bytes in 32 bits."""


class FullError(Exception):
    """A batch needs more than MAX_BYTES."""


def _none() -> np.ndarray:
    return np.empty((0, 0), np.int32)


@dataclass(slots=True)
class Work:
    """Lines of a batch.

    data: their bytes, and behind them the arena, which is used up to `arena`. size: bytes of the lines.
    begin, end: (rows,) of each line. state: (rows,) whether it is ASCII, see `utf8_kernels`.
    bases, starts, sizes, flags: of `Slots`.
    field_starts, field_sizes, seen: (rows, fields) of the format that is being read, see `unpack_kernels`.
    slow: (rows,) 1 for a line that takes the way over events.
    """

    data: np.ndarray
    size: int
    arena: int
    begin: np.ndarray
    end: np.ndarray
    state: np.ndarray
    bases: np.ndarray
    starts: np.ndarray
    sizes: np.ndarray
    flags: np.ndarray
    slow: np.ndarray
    field_starts: np.ndarray = field(default_factory=_none)
    field_sizes: np.ndarray = field(default_factory=_none)
    seen: np.ndarray = field(default_factory=_none)

    def fields(self, count: int) -> None:
        """Begin with another format, of so many fields."""
        rows = len(self.begin)
        self.field_starts = np.zeros((rows, count), np.int32)
        self.field_sizes = np.full((rows, count), -1, np.int32)
        self.seen = np.zeros((rows, count), np.int32)

    def room(self, texts: bytes | bytearray) -> int:
        """Put texts into the arena; where they begin."""
        size = len(texts)
        self.reserve(size)
        begun = self.arena
        self.data[begun : begun + size] = np.frombuffer(bytes(texts), np.uint8)
        self.arena += size
        return begun

    def reserve(self, size: int) -> None:
        """Make room for so many bytes in the arena. Raises FullError."""
        needed = self.arena + size + 2 * BLOCK
        if needed > MAX_BYTES:
            raise FullError
        if needed > len(self.data):
            more = np.empty(max(size + 2 * BLOCK, len(self.data) // 2), np.uint8)
            self.data = np.concatenate([self.data[: self.arena], more])
