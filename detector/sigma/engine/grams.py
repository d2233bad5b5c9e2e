"""The index of witnesses: by a gram of its text, or by the whole text, each is found in one pass over a value."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from detector.parsing.jit import Bytes, Ints, Longs
from detector.sigma.engine import kernels
from detector.sigma.engine.lowering import Atom, Kind
from detector.sigma.engine.witness import GRAM, grams

_FEW = 4
"""Grams of a column up to which they are looked for one by one."""


class GramIndex(NamedTuple):
    """Arrays for `kernels.scan`, where they are described."""

    longest: Ints
    sizes: Bytes
    bitmaps: Bytes
    few: Longs
    keys: Longs
    buckets: Ints
    entries: Ints


def build(atoms: Sequence[Atom], wanted: Iterable[int], columns: int, counts: Counter[tuple[int, bytes]]) -> GramIndex:
    """The index of some atoms; counts: how often rules ask for each gram, to look for the rarest of a text."""
    longest = np.full(columns, -1, np.int32)
    sizes = np.zeros(columns, np.uint8)
    bitmaps = np.zeros((columns, 4, (1 << kernels.BITS) >> 3), np.uint8)
    four: list[set[int]] = [set() for _ in range(columns)]
    by_key: dict[int, list[tuple[int, int]]] = {}
    for index in sorted(wanted):
        atom = atoms[index]
        if atom.kind is Kind.EQUALS:
            data = np.frombuffer(atom.needle, np.uint8)
            hashed, size, place = kernels.whole_hash(data, 0, len(data)), kernels.WHOLE, 0
            longest[atom.column] = max(longest[atom.column], len(data))
        else:
            parts = grams(atom.needle)
            place = min(range(len(parts)), key=lambda each: counts[atom.column, parts[each]])
            size = len(parts[place])
            gram = int.from_bytes(parts[place], "little")
            hashed = kernels.gram_hash(gram)
            four[atom.column].add(gram)
            sizes[atom.column] |= 1 << size
            bitmaps[atom.column, size - 1, hashed >> 3] |= 1 << (hashed & 7)
        by_key.setdefault(kernels.table_key(atom.column, size, hashed), []).append((index, place))
    few = np.full((columns, _FEW), -1, np.int64)
    for column, its_grams in enumerate(four):
        if sizes[column] == 1 << GRAM and len(its_grams) <= _FEW:
            few[column, : len(its_grams)] = sorted(its_grams)
    entries = np.array([entry for bucket in by_key.values() for entry in bucket], np.int32).reshape(-1, 2)
    keys = np.full(1 << (3 * len(by_key)).bit_length(), -1, np.int64)
    buckets = np.zeros((len(keys), 2), np.int32)
    end = 0
    for key, bucket in by_key.items():
        where = kernels.slot(key, keys)
        keys[where] = key
        buckets[where] = end, end + len(bucket)
        end += len(bucket)
    return GramIndex(longest, sizes, bitmaps, few, keys, buckets, entries)
