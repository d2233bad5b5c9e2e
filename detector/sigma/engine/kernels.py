"""Numba kernels over a batch of rows (an event through one of its log sources) and the distinct values of its columns.

Values are numbered through all columns: column `c` has those from `first[c]` to `first[c + 1]`, and value `v` is
`data[begin[v]:end[v]]`. The numbers of the values of row `r` in column `c` are in `cells` from `ends[c, r]` to
`ends[c, r + 1]`. Atom `a` compares, as `kinds[a]` says, with `needles[needle_start[a]:needle_start[a + 1]]`. All arrays
are our own, made from the rules and from what `columns` gathered, so whatever is in the events, no index is beyond one.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from detector.parsing.jit import Bytes, Ints, Longs, compiled, inlined
from detector.parsing.simd import BLOCK, lowest, pair, word

EQUALS, STARTS, ENDS, CONTAINS, LENGTH, SAME, SAME_START, SAME_END, VALUE, PRESENT, NULL, LEAF, RUN = range(13)
"""`lowering.Kind` as numba takes it."""

IS_PRESENT, IS_NULL, HAS_VALUE = 1, 2, 4
"""Bits of a field's presence."""

WHOLE = 5
"""The place of whole values among the sizes of grams, 1 to 4."""
BITS = 16
"""Bits of a gram's hash: a bitmap of one size and column has 8 KiB."""
ASKED = 256
"""Grams of a value that are looked up at once."""
_MIX, _MIX64 = 2654435761, 0x9E3779B97F4A7C15
_FNV_BASIS, _FNV_PRIME = 2166136261, 16777619


@compiled
def gram_hash(gram: int) -> Any:
    """Of up to four bytes, the first one lowest."""
    return np.int64(np.uint32(np.uint32(gram) * np.uint32(_MIX)) >> np.uint32(32 - BITS))


@compiled
def whole_hash(data: Bytes, start: int, end: int) -> Any:
    """Of a whole value (FNV-1a)."""
    found = np.uint32(_FNV_BASIS)
    for place in range(start, end):
        found = np.uint32((found ^ np.uint32(data[place])) * np.uint32(_FNV_PRIME))
    return np.int64(found ^ (found >> np.uint32(BITS))) & ((1 << BITS) - 1)


@compiled
def slot(key: int, keys: Longs) -> Any:
    """Where in an open hash table, whose length is a power of two and which is never full, a key is or belongs."""
    mask = keys.shape[0] - 1
    place = np.int64((np.uint64(key) * np.uint64(_MIX64)) >> np.uint64(32)) & mask
    while keys[place] != key and keys[place] != -1:
        place = (place + 1) & mask
    return place


@compiled
def table_key(column: int, size: int, hashed: int) -> Any:
    """The key of a gram's hash, or a whole value's, in a column."""
    return (np.int64(column * 8 + size) << BITS) | np.int64(hashed)


@inlined
def _same(data: Bytes, at: int, needles: Bytes, start: int, end: int) -> Any:
    for place in range(start, end):  # noqa: SIM110 -- numba knows no all()
        if data[at + place - start] != needles[place]:
            return False
    return True


@compiled
def scan(  # noqa: PLR0917
    data: Bytes,
    begin: Longs,
    end: Longs,
    first: Longs,
    begin_at: int,
    longest: Ints,
    sizes: Bytes,
    bitmaps: Bytes,
    few: Longs,
    keys: Longs,
    buckets: Ints,
    entries: Ints,
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
        begin_at: number of the first value to scan; `hit_end[begin_at]` says how many hits the ones before it have.
        longest: (columns,) of the texts that a whole value is compared with; -1 where there is none.
        sizes: (columns,) a bit for each size of gram that the column has: 2, 4, 8, 16 for 1 to 4 bytes.
        bitmaps: (columns, 4, 8192) a bit for each hash of a gram.
        few: (columns, 4) the grams of a column that has no more than so many, all of 4 bytes; -1 where there is none.
        keys, buckets, entries: table from `table_key` to rows of (atom, place of the gram in its text).
        seen: (atoms,) scratch, -1 before the first call.
        hits, hit_end: out; the witnesses of value v are in `hits` from `hit_end[v]` to `hit_end[v + 1]`.
        asked, places: scratch of ASKED numbers.

    Returns:
        The number of the value at which `hits` became too small, or that of all values.
    """
    witnesses = seen.shape[0]
    for column in range(first.shape[0] - 1):
        column_sizes = np.int64(sizes[column])
        for value in range(max(first[column], begin_at), first[column + 1]):
            count = hit_end[value]
            if count + witnesses > hits.shape[0]:
                return value
            start, stop = begin[value], end[value]
            number = 0
            if stop - start <= longest[column]:
                asked[0], places[0] = table_key(column, WHOLE, whole_hash(data, start, stop)), start
                number = 1
            place = start if column_sizes else stop
            while True:
                # The grams that may be those of a witness; then what is behind them, in one place of the code.
                if few[column, 0] >= 0:
                    place, number = _few_grams(data, place, stop, column, few, asked, places, number)
                else:
                    place, number = _grams(
                        data, place, stop, column, column_sizes, bitmaps[column], asked, places, number
                    )
                for ask in range(number):
                    where = slot(asked[ask], keys)
                    if keys[where] != asked[ask]:
                        continue
                    for entry in range(buckets[where, 0], buckets[where, 1]):
                        atom = entries[entry, 0]
                        at = places[ask] - entries[entry, 1]
                        from_needle, to_needle = needle_start[atom], needle_start[atom + 1]
                        behind = at + to_needle - from_needle
                        kind = kinds[atom]
                        fits = at >= start and behind <= stop and seen[atom] != value
                        fits = fits and (at == start or kind not in (EQUALS, STARTS))
                        fits = fits and (behind == stop or kind not in (EQUALS, ENDS))
                        if fits and _same(data, at, needles, from_needle, to_needle):
                            seen[atom] = value
                            hits[count] = atom
                            count += 1
                if place >= stop:
                    break
                number = 0
            hit_end[value + 1] = count
    return first[first.shape[0] - 1]


@inlined
def _bit(bitmaps: Bytes, row: int, gram: int) -> Any:
    """Whether a bitmap has a gram: the bit of its size, or none."""
    hashed = np.uint32(np.uint32(gram) * np.uint32(_MIX)) >> np.uint32(32 - BITS)
    byte = bitmaps[row, np.uint64(hashed >> np.uint32(3))]
    return np.int64((np.uint32(byte) >> (hashed & np.uint32(7))) & np.uint32(1)) << (row + 1)


@inlined
def _few_grams(  # noqa: PLR0917
    data: Bytes, place: int, end: int, column: int, few: Longs, asked: Longs, places: Longs, number: int
) -> tuple[int, int]:
    """The same as `_grams` for a column that has few: block by block."""
    while place + 4 <= end and number + 4 * BLOCK <= asked.shape[0]:
        for index in range(few.shape[1]):
            gram = few[column, index]
            if gram < 0:
                break
            bits = pair(data, place, np.uint8(gram & 0xFF), np.uint8((gram >> 8) & 0xFF))
            while bits != 0:
                at = place + lowest(bits)
                bits &= bits - np.uint64(1)
                if at + 4 <= end and np.uint32(word(data, at)) == np.uint32(gram):
                    asked[number], places[number] = table_key(column, 4, gram_hash(gram)), at
                    number += 1
        place += BLOCK
    return (end if place + 4 > end else place), number


@inlined
def _grams(  # noqa: PLR0917
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
    """Add the table's keys of the grams of a value from a place on, that a bitmap has, and their places.

    Returns:
        The place at which there was no more room, or the value's end; and how many there are.
    """
    room = asked.shape[0] - 4
    while place < end and number <= room:
        four = np.uint32(word(data, place))
        left = end - place
        found = _bit(bitmaps, 3, four) if left >= 4 else 0
        if sizes != 16:
            if sizes & 8 and left >= 3:
                found |= _bit(bitmaps, 2, four & np.uint32(0xFFFFFF))
            if sizes & 4 and left >= 2:
                found |= _bit(bitmaps, 1, four & np.uint32(0xFFFF))
            if sizes & 2:
                found |= _bit(bitmaps, 0, four & np.uint32(0xFF))
        if found:
            for size in range(1, 5):
                if found & (1 << size):
                    asked[number] = table_key(column, size, gram_hash(four & np.uint32((1 << (8 * size)) - 1)))
                    places[number] = place
                    number += 1
        place += 1
    return place, number


@compiled
def candidates(  # noqa: PLR0917
    begin_at: int,
    rows: int,
    cells: Ints,
    ends: Longs,
    hits: Ints,
    hit_end: Longs,
    rule_end: Ints,
    rules: Ints,
    always: Ints,
    marked: Ints,
    out_rows: Ints,
    out_rules: Ints,
) -> tuple[int, int]:
    """The rules to run on each row: those of the witnesses that its values have, and `always`.

    Arrays:
        begin_at: the first row.
        rule_end, rules: the rules of witness a are in `rules` from `rule_end[a]` to `rule_end[a + 1]`.
        marked: (rules,) scratch, -1 before the first call.
        out_rows, out_rules: out, the pairs in the order of their rows.

    Returns:
        The row at which the output became too small, or that of all rows; and the number of pairs.
    """
    count = 0
    for row in range(begin_at, rows):
        if count + marked.shape[0] > out_rows.shape[0]:
            return row, count
        for column in range(ends.shape[0]):
            for cell in range(ends[column, row], ends[column, row + 1]):
                value = cells[cell]
                for hit in range(hit_end[value], hit_end[value + 1]):
                    atom = hits[hit]
                    for place in range(rule_end[atom], rule_end[atom + 1]):
                        rule = rules[place]
                        if marked[rule] != row:
                            marked[rule] = row
                            out_rows[count] = row
                            out_rules[count] = rule
                            count += 1
        for rule in always:
            out_rows[count] = row
            out_rules[count] = rule
            count += 1
    return rows, count


@inlined
def _has_run(begin: int, end: int, data: Bytes, needles: Bytes, first: int) -> bool:
    """Whether as many characters of a set are in a row as an atom says (`lowering.Atom`)."""
    count = np.int64(needles[first + 16]) | (np.int64(needles[first + 17]) << 8)
    last = begin + count - 1
    while last < end:
        at = last
        while at > last - count and data[at] < 128 and needles[first + (data[at] >> 3)] & (1 << (data[at] & 7)):
            at -= 1
        if at == last - count:
            return True
        last = at + count
    return False


@inlined
def _holds(  # noqa: PLR0917
    kind: int, first: int, last: int, begin: int, end: int, data: Bytes, needles: Bytes
) -> Any:
    """Whether an atom is true of one value."""
    size = last - first
    length = end - begin
    if kind == RUN:
        return _has_run(begin, end, data, needles, first)
    if kind == EQUALS:
        return length == size and _same(data, begin, needles, first, last)
    if length < size or kind == LENGTH:
        return length >= size
    if kind == STARTS:
        return _same(data, begin, needles, first, last)
    if kind == ENDS:
        return _same(data, end - size, needles, first, last)
    head, tail = needles[first], needles[last - 1]
    for at in range(begin, end - size + 1):
        if data[at] == head and data[at + size - 1] == tail and _same(data, at, needles, first, last):
            return True
    return False


@inlined
def _is_there(kind: int, bits: int) -> bool:
    """Whether the presence of a field is as asked."""
    if kind == VALUE:
        return bits & HAS_VALUE != 0
    if kind == PRESENT:
        return bits & IS_PRESENT != 0
    return bits & IS_PRESENT == 0 or bits & IS_NULL != 0


@compiled
def _same_values(  # noqa: PLR0917
    kind: int, row: int, column: int, other: int, cells: Ints, ends: Longs, data: Bytes, begin: Longs, end: Longs
) -> bool:
    """Whether a value of a column is one of another column, or starts or ends with it."""
    how = EQUALS if kind == SAME else STARTS if kind == SAME_START else ENDS
    for cell in range(ends[column, row], ends[column, row + 1]):
        value = cells[cell]
        for other_cell in range(ends[other, row], ends[other, row + 1]):
            needle = cells[other_cell]
            if _holds(how, begin[needle], end[needle], begin[value], end[value], data, data):
                return True
    return False


@compiled
def run(  # noqa: PLR0917
    pair_rows: Ints,
    pcs: Ints,
    operations: Ints,
    pairs: Ints,
    presence: Bytes,
    cells: Ints,
    ends: Longs,
    data: Bytes,
    begin: Longs,
    end: Longs,
    hits: Ints,
    hit_end: Longs,
    known: Bytes,
    atom_column: Ints,
    needle_start: Ints,
    needles: Bytes,
    asked: Ints,
    answers: Bytes,
) -> None:
    """Run decision code until it ends or needs a leaf that only the plain evaluator decides.

    Arrays:
        pair_rows: the row of each pair of row and rule, ascending.
        pcs: in and out, the operation at which each pair stands; negative at its end.
        operations: (n, 4) kind, index, next if true, next if false.
        pairs: (n, 2) columns that are compared with each other.
        presence: (fields, rows) bits.
        known: (atoms,) whether `hits` tells of the atom, wherever it is true.
        asked: (atoms,) scratch: the row for which `answers` holds; -1 before the first call.
        answers: (atoms,) scratch.
    """
    current = -1
    for each in range(pair_rows.shape[0]):
        row = pair_rows[each]
        if row != current:
            current = row
            for column in range(ends.shape[0]):
                for cell in range(ends[column, row], ends[column, row + 1]):
                    value = cells[cell]
                    for hit in range(hit_end[value], hit_end[value + 1]):
                        asked[hits[hit]] = row
                        answers[hits[hit]] = 1
        pc = pcs[each]
        while pc >= 0:
            kind = operations[pc, 0]
            index = operations[pc, 1]
            if kind == LEAF:
                break
            if kind in (SAME, SAME_START, SAME_END):
                true = _same_values(kind, row, pairs[index, 0], pairs[index, 1], cells, ends, data, begin, end)
            elif kind in (VALUE, PRESENT, NULL):
                true = _is_there(kind, presence[index, row])
            elif asked[index] == row:
                true = answers[index] != 0
            elif known[index]:
                true = False
            else:
                true = False
                column = atom_column[index]
                for cell in range(ends[column, row], ends[column, row + 1]):
                    value = cells[cell]
                    first, last = needle_start[index], needle_start[index + 1]
                    if _holds(kind, first, last, begin[value], end[value], data, needles):
                        true = True
                        break
                asked[index] = row
                answers[index] = 1 if true else 0
            pc = operations[pc, 2] if true else operations[pc, 3]
        pcs[each] = pc
