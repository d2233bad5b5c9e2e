"""Numba kernels over a batch of rows (an event through one of its log sources) and the distinct values of its columns.

Values are numbered through all columns: column `c` has those from `first[c]` to `first[c + 1]`, and value `v` is
`data[begin[v]:end[v]]`. The numbers of the values of row `r` in column `c` are in `cells` from `ends[c, r]` to
`ends[c, r + 1]`. Atom `a` compares, as `kinds[a]` says, with `needles[needle_start[a]:needle_start[a + 1]]`. All arrays
are our own, made from the rules and from what `columns` gathered, so whatever is in the events, no index is beyond one.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from detector.parsing.direct.text_kernels import same_bytes
from detector.parsing.jit import Bytes, Ints, Longs, compiled, inlined
from detector.parsing.simd import BLOCK, lowest, pair

EQUALS, STARTS, ENDS, CONTAINS, LENGTH, SAME, SAME_START, SAME_END, VALUE, PRESENT, NULL, LEAF, RUN = range(13)
"""`lowering.Kind` as numba takes it."""

IS_PRESENT, IS_NULL, HAS_VALUE = 1, 2, 4
"""Bits of a field's presence."""


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
        return length == size and same_bytes(data, begin, needles, first, size)
    if length < size or kind == LENGTH:
        return length >= size
    if kind == STARTS:
        return same_bytes(data, begin, needles, first, size)
    if kind == ENDS:
        return same_bytes(data, end - size, needles, first, size)
    # The first byte and another one, block by block.
    apart = min(size, BLOCK) - 1
    head, other = needles[np.uint64(first)], needles[np.uint64(first + apart)]
    at, behind = begin, end - size + 1
    while at < behind:
        bits = pair(data, at, head, other, apart)
        if behind - at < BLOCK:
            bits &= (np.uint64(1) << np.uint64(behind - at)) - np.uint64(1)
        while bits != 0:
            if same_bytes(data, at + lowest(bits), needles, first, size):
                return True
            bits &= bits - np.uint64(1)
        at += BLOCK
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
