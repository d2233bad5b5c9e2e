"""The index of witnesses: by grams of its text, or by the whole text, each is found in one pass over a value."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from detector.parsing.jit import Bytes, Longs
from detector.parsing.simd import padded
from detector.sigma.engine import scan_kernels
from detector.sigma.engine.lowering import Atom, Kind
from detector.sigma.engine.witness import GRAM, grams

_FEW = 7
"""Texts of a column that may be looked for one by one: so many times a block fits into the kernel's scratch."""
_STRIDES = (8, 4, 2, 1)
_ONE_BY_ONE, _LOOK_UP = 0.04, 1.0
"""Cost of looking for one text at a byte, and of a look into a bitmap."""


class GramIndex(NamedTuple):
    """Arrays for `scan_kernels.scan`, where they are described."""

    lengths: Bytes
    sizes: Bytes
    strides: Bytes
    bitmaps: Bytes
    few: Longs
    table: Longs
    entries: Longs


class _Entries:
    """What the grams of texts lead to, by `table_key`."""

    def __init__(self, atoms: Sequence[Atom]) -> None:
        self._atoms = atoms
        self._found: dict[int, list[tuple[int, int, int, int]]] = {}

    def add(self, key: int, atom: int, place: int) -> None:
        """A text has the gram, or the hash of the whole, at that place."""
        head = self._atoms[atom].needle[:8]
        mask = int.from_bytes(b"\xff" * len(head), "little", signed=False)
        self._found.setdefault(key, []).append((_signed(int.from_bytes(head, "little")), _signed(mask), atom, place))

    def arrays(self) -> tuple[Longs, Longs]:
        """The table, and the entries."""
        table = np.zeros((1 << (3 * len(self._found)).bit_length(), 2), np.int64)
        table[:, 0] = -1
        end = 0
        for key, entries in self._found.items():
            table[scan_kernels.slot(key, table)] = key, end | (end + len(entries)) << 32
            end += len(entries)
        entries = [entry for bucket in self._found.values() for entry in bucket]
        return table, np.array(entries, np.int64).reshape(-1, 4)


def build(atoms: Sequence[Atom], wanted: Iterable[int], columns: int, counts: Counter[tuple[int, bytes]]) -> GramIndex:
    """The index of some atoms; counts: how often rules ask for each gram, to look for the rarest of a text."""
    index = GramIndex(
        np.zeros((columns, scan_kernels.LENGTHS), np.uint8),
        np.zeros(columns, np.uint8),
        np.ones(columns, np.uint8),
        np.zeros((columns, 2, (1 << scan_kernels.BITS) >> 3), np.uint8),
        np.full((columns, _FEW, 2), -1, np.int64),
        *(np.empty(0, np.int64),) * 2,
    )
    entries = _Entries(atoms)
    inside: list[list[int]] = [[] for _ in range(columns)]
    for number in sorted(wanted):
        atom = atoms[number]
        if atom.kind is Kind.EQUALS:
            size = len(atom.needle)
            index.lengths[atom.column, min(size, scan_kernels.LENGTHS - 1)] = 1
            hashed = scan_kernels.whole_hash(padded(np.frombuffer(atom.needle, np.uint8)), 0, size)
            entries.add(scan_kernels.table_key(atom.column, scan_kernels.WHOLE, hashed), number, 0)
        else:
            inside[atom.column].append(number)
    for column, numbers in enumerate(inside):
        numbers.sort(key=lambda number: len(atoms[number].needle))
        _add_column(index, entries, column, numbers, atoms, counts)
    table, rows = entries.arrays()
    return index._replace(table=table, entries=rows)


def _add_column(  # noqa: PLR0917 -- a step of `build`
    index: GramIndex,
    entries: _Entries,
    column: int,
    numbers: Sequence[int],
    atoms: Sequence[Atom],
    counts: Counter[tuple[int, bytes]],
) -> None:
    """The texts of a column, the shortest first: how each is looked for."""
    sizes = [len(atoms[number].needle) for number in numbers]
    few = min(range(min(len(numbers), _FEW) + 1), key=lambda few: few * _ONE_BY_ONE + _cost(sizes[few:]))
    stride = _stride(sizes[few:])
    index.strides[column] = stride
    one_by_one: dict[tuple[int, int], None] = {}
    for rank, number in enumerate(numbers):
        parts = grams(atoms[number].needle)
        together = stride if rank >= few and len(parts[0]) == GRAM else 1
        often = [_how_often(counts, column, part) for part in parts]
        place = min(range(len(parts) - together + 1), key=lambda at: max(often[at : at + together]))
        for at in range(place, place + together):
            gram, size = int.from_bytes(parts[at], "little"), len(parts[at])
            hashed = scan_kernels.gram_hash(gram)
            entries.add(scan_kernels.table_key(column, size, hashed), number, at)
            if rank < few:
                one_by_one[gram, size] = None
            else:
                index.sizes[column] |= 1 << size
                _set_bits(index.bitmaps[column], gram, size, hashed)
    index.few[column, : len(one_by_one)] = np.array(list(one_by_one), np.int64).reshape(-1, 2)


def _set_bits(bitmaps: Bytes, gram: int, size: int, hashed: int) -> None:
    if size == GRAM:
        bitmaps[scan_kernels.LONG, hashed >> 3] |= 1 << (hashed & 7)
        return
    for second in range(256) if size == 1 else (gram >> 8 & 0xFF,):
        pair = gram & 0xFF | second << 8
        bitmaps[scan_kernels.SHORT, pair >> 3] |= 1 << (pair & 7)


def _cost(sizes: Sequence[int]) -> float:
    """Of looking into bitmaps for texts of these sizes, for each byte of a value."""
    short = _LOOK_UP if any(size < GRAM for size in sizes) else 0.0
    return short + (_LOOK_UP / _stride(sizes) if any(size >= GRAM for size in sizes) else 0.0)


def _stride(sizes: Sequence[int]) -> int:
    """How far apart the places may be of which one is that of a gram in the shortest text that is not too short."""
    shortest = min((size for size in sizes if size >= GRAM), default=GRAM)
    return next(stride for stride in _STRIDES if stride <= shortest - GRAM + 1)


def _how_often(counts: Counter[tuple[int, bytes]], column: int, gram: bytes) -> int:
    """How common a gram is in events, by estimate: least what is not ASCII, then what few rules ask for."""
    return counts[column, gram] if gram.isascii() else 0


def _signed(bits: int) -> int:
    return bits - (1 << 64) if bits >> 63 else bits
