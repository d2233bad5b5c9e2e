"""From events to columns: what the rules ask for of a batch of rows, each distinct text folded once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from detector.events import Binding, Event
from detector.parsing.jit import Bytes, Ints, Longs
from detector.parsing.simd import padded
from detector.sigma.engine import kernels
from detector.sigma.engine.lowering import encode
from detector.sigma.fields import KEYWORDS, flatten, keyword_values, values_at
from detector.sigma.folding import fold
from detector.sigma.values import text_of

Row = tuple[Event, Binding]
"""An event through one of its log sources."""


class Columns(NamedTuple):
    """Arrays for the kernels, where they are described."""

    presence: Bytes
    cells: Ints
    ends: Longs
    data: Bytes
    begin: Longs
    end: Longs
    first: Longs


class _Field(NamedTuple):
    """One field of all rows.

    presence: bits. texts: the distinct ones. cells: numbers of texts, row by row. ends: where each row's end in them.
    """

    presence: bytearray
    texts: list[str]
    cells: list[int]
    ends: list[int]


def gather(rows: Sequence[Row], fields: Sequence[str], columns: Sequence[tuple[int, bool]]) -> Columns:
    """The values of some rows.

    columns: each the index of a field, and whether its texts are as they stand (else they are folded).
    """
    compared = {field for field, _ in columns}
    found = [_field(rows, name, compared=field in compared) for field, name in enumerate(fields)]
    # A bytearray, for numba compiles a kernel anew for an array that cannot be written to, and slots' arrays can.
    presence = np.frombuffer(bytearray().join(each.presence for each in found), np.uint8)
    presence = presence.reshape(len(fields), len(rows))
    ends = np.zeros((len(columns), len(rows) + 1), np.int64)
    first = np.zeros(len(columns) + 1, np.int64)
    cells: list[np.ndarray] = []
    texts: list[bytes] = []
    cell = 0
    for column, (field, cased) in enumerate(columns):
        its = found[field]
        cells.append(np.array(its.cells, np.int32) + np.int32(len(texts)))
        ends[column, 0] = cell
        ends[column, 1:] = its.ends
        ends[column, 1:] += cell
        cell += len(its.cells)
        texts += map(encode, its.texts if cased else map(fold, its.texts))
        first[column + 1] = len(texts)
    start = np.zeros(len(texts) + 1, np.int64)
    np.cumsum(np.array(list(map(len, texts)), np.int64), out=start[1:])
    data = padded(np.frombuffer(b"".join(texts), np.uint8))
    cell_values = np.concatenate([np.empty(0, np.int32), *cells])
    return Columns(presence, cell_values, ends, data, start[:-1], start[1:], first)


def _field(rows: Sequence[Row], name: str, *, compared: bool) -> _Field:
    """One field; without its texts where nothing is compared with them: that of an object takes long to make."""
    presence = bytearray(len(rows))
    numbers: dict[str, int] = {}
    cells: list[int] = []
    ends: list[int] = []
    for row, (event, binding) in enumerate(rows):
        values = keyword_values(event) if name == KEYWORDS else values_at(event, binding.aliases, name)
        if values:
            bits = kernels.IS_PRESENT
            for value in values:
                if type(value) is str:
                    bits |= kernels.HAS_VALUE
                    cells.append(numbers.setdefault(value, len(numbers)))
                    continue
                for each in flatten([value]):
                    if each is None:
                        bits |= kernels.IS_NULL
                    else:
                        bits |= kernels.HAS_VALUE
                        if compared:
                            cells.append(numbers.setdefault(text_of(each), len(numbers)))
            presence[row] = bits
        elif name == KEYWORDS:
            presence[row] = kernels.IS_PRESENT
        ends.append(len(cells))
    return _Field(presence, list(numbers), cells, ends)
