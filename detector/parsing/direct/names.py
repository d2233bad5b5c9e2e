"""Texts that are known ahead, for a kernel to look up: keys that somebody asks for, programs that have a parser."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from detector.parsing.jit import Bytes, Ints, Longs, compiled

_PLACES = 4
"""Places of the table for each text, at least."""


class Names(NamedTuple):
    """An open hash table.

    places: (2^n,) the number of a text plus one, 0 where there is none. ends: where each text ends in `texts`.
    values: what is looked up.
    """

    places: Ints
    ends: Ints
    texts: Bytes
    values: Ints


def names_of(values: Mapping[str, int]) -> Names:
    """The table of some texts and their values."""
    texts = [text.encode() for text in values]
    size = 1 << (_PLACES * len(texts)).bit_length()
    places = np.zeros(size, np.int32)
    for number, text in enumerate(texts, 1):
        place = int(hashed(np.frombuffer(text + b"\0", np.uint8), 0, len(text))) & (size - 1)
        while places[place]:
            place = (place + 1) & (size - 1)
        places[place] = number
    ends = np.cumsum([0, *map(len, texts)]).astype(np.int32)
    return Names(
        places, ends, np.frombuffer(b"".join(texts) or b"\0", np.uint8), np.array([*values.values()], np.int32)
    )


@compiled
def hashed(data: Bytes, at: int, end: int) -> Any:
    """A number for a text."""
    found = np.uint64(end - at)
    for place in range(at, end):
        found = found * np.uint64(0x100000001B3) ^ np.uint64(data[np.uint64(place)])
    return found ^ (found >> np.uint64(17))


@compiled
def lookup(  # noqa: PLR0917 -- kernels take arrays and numbers, not objects
    data: Bytes, at: int, end: int, places: Ints, ends: Ints, texts: Bytes, values: Ints
) -> Any:
    """The value of a text, -1 where it is none of them."""
    mask = np.uint64(places.shape[0] - 1)
    place = np.uint64(hashed(data, at, end)) & mask
    while places[place]:
        number = np.int64(places[place]) - 1
        first = np.int64(ends[number])
        if np.int64(ends[number + 1]) - first == end - at:
            same = True
            for each in range(end - at):
                if data[np.uint64(at + each)] != texts[np.uint64(first + each)]:
                    same = False
                    break
            if same:
                return np.int64(values[number])
        place = (place + np.uint64(1)) & mask
    return np.int64(-1)


@compiled
def lookup_all(  # noqa: PLR0917
    data: Bytes,
    rows: Longs,
    field_starts: Ints,
    field_sizes: Ints,
    field: int,
    places: Ints,
    ends: Ints,
    texts: Bytes,
    values: Ints,
    out: Ints,
) -> None:
    """The value of a field of some rows; `out`: (rows,) out, -1 where it is none of them, or not there."""
    for index in range(rows.shape[0]):
        row = rows[index]
        out[index] = -1
        if field_sizes[row, field] >= 0:
            at = np.int64(field_starts[row, field])
            out[index] = lookup(data, at, at + field_sizes[row, field], places, ends, texts, values)
