"""Numba kernels that find the witnesses in values; the arrays that are not named here are described in `kernels`.

A text is found by a gram of it, up to four bytes, which is looked up in a bitmap at each place of a value. Where all
texts of a column are long, only at each second, fourth or eighth place: then so many grams of a text, one behind the
other, are in the bitmap, one of which stands at such a place. A column's few shortest texts are looked for one by one.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from detector.parsing.direct.text_kernels import same_bytes, text_hash
from detector.parsing.jit import Bytes, Ints, Longs, compiled, inlined
from detector.parsing.simd import BLOCK, lowest, pair, word
from detector.sigma.engine.kernels import ENDS, EQUALS, STARTS

WHOLE = 5
"""The place of whole values among the sizes of grams, 1 to 4."""
BITS = 16
"""Bits of a gram's hash: a bitmap of a column has 8 KiB."""
SHORT, LONG = range(2)
"""The bitmaps of a column: of pairs of bytes with which a gram of up to three bytes may begin, of grams of four."""
LENGTHS = 256
"""Lengths of whole values that are told apart; the last one is that of all longer ones."""
HEAD, MASK, ATOM, PLACE = range(4)
"""Of an entry: the first eight bytes of a text, the bits of them that count, the atom, and the place of the gram."""
ASKED = 256
"""Grams of a value that are looked up at once."""
_FEW, _SHORT, _LONG, _DONE = range(4)
_MIX, _MIX64 = 2654435761, 0x9E3779B97F4A7C15


@compiled
def gram_hash(gram: int) -> Any:
    """Of up to four bytes, the first one lowest."""
    return np.int64(np.uint32(np.uint32(gram) * np.uint32(_MIX)) >> np.uint32(32 - BITS))


@compiled
def whole_hash(data: Bytes, start: int, size: int) -> Any:
    """Of a whole value."""
    return text_hash(data, start, size) & ((1 << BITS) - 1)


@compiled
def slot(key: int, table: Longs) -> Any:
    """Where in an open hash table, whose length is a power of two and which is never full, a key is or belongs."""
    mask = np.uint64(table.shape[0] - 1)
    place = ((np.uint64(key) * np.uint64(_MIX64)) >> np.uint64(32)) & mask
    while table[place, 0] != key and table[place, 0] != -1:
        place = (place + np.uint64(1)) & mask
    return place


@compiled
def table_key(column: int, size: int, hashed: int) -> Any:
    """The key of a gram's hash, or a whole value's, in a column."""
    return (np.int64(column * 8 + size) << BITS) | np.int64(hashed)


@compiled
def scan(  # noqa: PLR0917, C901 -- kernels take arrays and numbers, not objects; one loop, so that it is fast
    data: Bytes,
    begin: Longs,
    end: Longs,
    first: Longs,
    begin_at: int,
    lengths: Bytes,
    sizes: Bytes,
    strides: Bytes,
    bitmaps: Bytes,
    few: Longs,
    table: Longs,
    entries: Longs,
    kinds: Bytes,
    needle_start: Ints,
    needles: Bytes,
    seen: Longs,
    hits: Ints,
    hit_end: Longs,
    asked: Longs,
    places: Longs,
) -> Any:
    """Find the witnesses of each distinct value.

    Arrays:
        data, needles: padded.
        begin_at: number of the first value to scan; `hit_end[begin_at]` says how many hits the ones before it have.
        lengths: (columns, LENGTHS) whether texts of that length are compared with whole values.
        sizes: (columns,) a bit for each size of gram in the column's bitmaps: 2, 4, 8 for 1 to 3 bytes, 16 for 4.
        strides: (columns,) how far apart the places are at which grams of 4 bytes are looked up.
        bitmaps: (columns, 2, 8192) SHORT and LONG.
        few: (columns, n, 2) grams that are looked for one by one, and their sizes; -1 behind the last one.
        table: (n, 2) from `table_key` to the first entry, and to the one behind the last in the upper 32 bits.
        entries: (n, 4) HEAD and its like.
        seen: (atoms,) scratch, -1 before the first call.
        hits, hit_end: out; the witnesses of value v are in `hits` from `hit_end[v]` to `hit_end[v + 1]`.
        asked, places: scratch of ASKED numbers.

    Returns:
        The number of the value at which `hits` became too small, or that of all values.
    """
    witnesses = seen.shape[0]
    for column in range(first.shape[0] - 1):
        column_sizes, stride = np.int64(sizes[column]), np.int64(strides[column])
        # What is looked for in a value: each step is followed by the next that the column has.
        after_short = _LONG if column_sizes & 16 else _DONE
        after_few = _SHORT if column_sizes & 14 else after_short
        step_first = _FEW if few[column, 0, 1] > 0 else after_few
        for value in range(max(first[column], begin_at), first[column + 1]):
            count = hit_end[value]
            if count + witnesses > hits.shape[0]:
                return value
            start, stop = begin[value], end[value]
            number = 0
            if lengths[column, min(stop - start, LENGTHS - 1)]:
                asked[0], places[0] = table_key(column, WHOLE, whole_hash(data, start, stop - start)), start
                number = 1
            step, place = step_first, start
            while True:
                # The grams that may be those of a witness; then what is behind them, in one place of the code.
                if step == _FEW:
                    place, number = _few_grams(data, place, stop, column, few, asked, places, number)
                elif step == _SHORT:
                    place, number = _short_grams(
                        data, place, stop, column, column_sizes, bitmaps, asked, places, number
                    )
                elif step == _LONG:
                    place, number = _long_grams(data, place, stop, column, stride, bitmaps, asked, places, number)
                for ask in range(number):
                    where = slot(asked[ask], table)
                    if table[where, 0] != asked[ask]:
                        continue
                    bucket = table[where, 1]
                    for entry in range(bucket & 0xFFFFFFFF, bucket >> 32):
                        row = np.uint64(entry)
                        at = places[ask] - entries[row, PLACE]
                        if at < start or (np.int64(word(data, at)) ^ entries[row, HEAD]) & entries[row, MASK]:
                            continue
                        atom = np.uint64(entries[row, ATOM])
                        needle = np.int64(needle_start[atom])
                        size = np.int64(needle_start[atom + np.uint64(1)]) - needle
                        kind = kinds[atom]
                        fits = at + size <= stop and seen[atom] != value
                        fits = fits and (at == start or kind not in (EQUALS, STARTS))
                        fits = fits and (at + size == stop or kind not in (EQUALS, ENDS))
                        if fits and (size <= 8 or same_bytes(data, at + 8, needles, needle + 8, size - 8)):
                            seen[atom] = value
                            hits[count] = atom
                            count += 1
                number = 0
                if step == _DONE:
                    break
                if place >= stop:
                    step = after_few if step == _FEW else after_short if step == _SHORT else _DONE
                    if step == _DONE:
                        break
                    place = start
            hit_end[value + 1] = count
    return first[first.shape[0] - 1]


@inlined
def _few_grams(  # noqa: PLR0917
    data: Bytes, place: int, end: int, column: int, few: Longs, asked: Longs, places: Longs, number: int
) -> tuple[int, int]:
    """Add the table's keys of the grams that are looked for one by one, from a place on, and their places.

    Returns:
        The place at which there was no more room, or the value's end or more; and how many there are.
    """
    while place < end and number + few.shape[1] * BLOCK <= ASKED:
        for index in range(few.shape[1]):
            gram, size = few[column, index, 0], few[column, index, 1]
            if size <= 0:
                break
            last = size - 1
            bits = pair(data, place, np.uint8(gram & 0xFF), np.uint8((gram >> (8 * last)) & 0xFF), last)
            while bits != 0:
                at = place + lowest(bits)
                bits &= bits - np.uint64(1)
                if at + size <= end and np.int64(word(data, at) & np.uint64((1 << (8 * size)) - 1)) == gram:
                    asked[number], places[number] = table_key(column, size, gram_hash(gram)), at
                    number += 1
        place += BLOCK
    return place, number


@inlined
def _short_grams(  # noqa: PLR0917
    data: Bytes,
    place: int,
    end: int,
    column: int,
    sizes: int,
    bitmaps: Bytes,
    asked: Longs,
    places: Longs,
    number: int,
) -> tuple[int, int]:
    """The same of grams of up to three bytes, as far as their first two bytes tell."""
    while place < end and number + 3 <= ASKED:
        three = np.int64(word(data, place) & np.uint64(0xFFFFFF))
        first_two = three & 0xFFFF
        if bitmaps[np.uint64(column), SHORT, np.uint64(first_two >> 3)] & (1 << (first_two & 7)):
            for size in range(1, 4):
                if sizes & (1 << size) and place + size <= end:
                    asked[number] = table_key(column, size, gram_hash(three & ((1 << (8 * size)) - 1)))
                    places[number] = place
                    number += 1
        place += 1
    return place, number


@inlined
def _long_grams(  # noqa: PLR0917
    data: Bytes,
    place: int,
    end: int,
    column: int,
    stride: int,
    bitmaps: Bytes,
    asked: Longs,
    places: Longs,
    number: int,
) -> tuple[int, int]:
    """The same of grams of four bytes that the bitmap has."""
    while place + 4 <= end and number < ASKED:
        hashed = np.uint32(np.uint32(word(data, place)) * np.uint32(_MIX)) >> np.uint32(32 - BITS)
        byte = bitmaps[np.uint64(column), LONG, np.uint64(hashed >> np.uint32(3))]
        if (np.uint32(byte) >> (hashed & np.uint32(7))) & np.uint32(1):
            asked[number] = table_key(column, 4, hashed)
            places[number] = place
            number += 1
        place += stride
    return (end if place + 4 > end else place), number
