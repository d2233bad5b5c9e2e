"""Numba kernels that read JSON records without making objects of them.

A record is read in one pass into slots, one for each value in it, in the order of the text; and into a shape, the
number of its sequence of keys and kinds of values. Shapes grow as a trie: an edge is a key with a kind.
What `value_kernels` refuses has no shape, nor has what is nested deeper than MAX_DEPTH, or has escapes in a key.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from detector.parsing.direct.slots import ESCAPED, ODD, UNICODE
from detector.parsing.direct.text_kernels import same_bytes, text_hash
from detector.parsing.direct.value_kernels import ARRAY, END, NUMBER, OBJECT, space, string, value
from detector.parsing.jit import Bytes, Ints, Longs, compiled, inlined
from detector.parsing.simd import BLOCK

EDGES, NODES, KEY_BYTES, SHAPES = range(4)
"""Places in the trie's counts."""

MAX_DEPTH = 32


@inlined
def _step(  # noqa: PLR0917 -- kernels take arrays and numbers, not objects
    node: int,
    kind: int,
    data: Bytes,
    key: int,
    size: int,
    keys: Bytes,
    edges: Ints,
    nodes: Ints,
    counts: Longs,
) -> Any:
    """The node that an edge leads to; a new one where there is none, -1 where there is no room for it."""
    edge = nodes[np.uint64(node), 0]
    last = -1
    while edge >= 0:
        row = np.uint64(edge)
        if (
            edges[row, 0] == kind
            and edges[row, 2] == size
            and same_bytes(data, key, keys, np.int64(edges[row, 1]), size)
        ):
            return edges[row, 3]
        last = edge
        edge = edges[row, 4]
    edge, target, start = counts[EDGES], counts[NODES], counts[KEY_BYTES]
    if edge >= edges.shape[0] or target >= nodes.shape[0] or start + size + BLOCK > keys.shape[0]:
        return -1
    counts[EDGES], counts[NODES], counts[KEY_BYTES] = edge + 1, target + 1, start + size
    for place in range(size):
        keys[start + place] = data[key + place]
    edges[edge, 0], edges[edge, 1], edges[edge, 2], edges[edge, 3], edges[edge, 4] = kind, start, size, target, -1
    nodes[target, 0], nodes[target, 1] = -1, -1
    if last < 0:
        nodes[node, 0] = edge
    else:
        edges[last, 4] = edge
    return target


@inlined
def _key(data: Bytes, at: int, end: int, keys: Bytes, edges: Ints, edge: int) -> tuple[int, int]:  # noqa: PLR0917
    """The size of the key whose quote is at `at`, and where its value begins; -1 if it is malformed.

    edge: a key that may be expected, which is faster; -1: none.
    """
    if data[np.uint64(at)] != 34:
        return 0, -1
    key = at + 1
    if edge >= 0 and edges[np.uint64(edge), 0] != END:
        size: Any = np.int64(edges[np.uint64(edge), 2])
        behind = key + size
        fits = behind + 1 < end and data[np.uint64(behind)] == 34 and data[np.uint64(behind + 1)] == 58
        if fits and same_bytes(data, key, keys, np.int64(edges[np.uint64(edge), 1]), size):
            return size, space(data, behind + 2)
    behind, found = string(data, key, end)
    if behind < 0 or found & ESCAPED:
        return 0, -1
    at = behind + 1
    if data[np.uint64(at)] != 58:
        at = space(data, at)
        if at >= end or data[np.uint64(at)] != 58:
            return 0, -1
    return behind - key, space(data, at + 1)


@compiled
def _read(  # noqa: PLR0917, C901, PLR0912, PLR0915 -- one pass over the text
    data: Bytes,
    at: int,
    end: int,
    stack: Longs,
    keys: Bytes,
    edges: Ints,
    nodes: Ints,
    counts: Longs,
    slot: int,
    starts: Ints,
    sizes: Ints,
    flags: Bytes,
) -> tuple[int, int]:
    """The node at which one record ends, -1 if it is malformed; and the number of the slot behind its last one.

    stack: (depth, 2) scratch: what closes each object or array around, and its slot.
    """
    if at >= end or data[np.uint64(at)] != 123:
        return -1, slot
    at += 1
    depth, node = 0, 0
    stack[0, 0], stack[0, 1] = 125, -1
    first = True
    odd, unicode = -1, -1  # where such a thing was last
    while True:
        before = at
        at = space(data, at)
        if at >= end:
            return -1, slot
        if at > before:
            odd = at
        closer = stack[np.uint64(depth), 0]
        byte = data[np.uint64(at)]
        if byte == closer:
            at += 1
            node = _step(node, END, data, at, 0, keys, edges, nodes, counts)
            if depth > 0:
                where = np.uint64(stack[np.uint64(depth), 1])
                start = np.int64(starts[where])
                sizes[where] = at - start
                flags[where] = (ODD if odd > start else 0) | (UNICODE if unicode > start else 0)
            depth -= 1
            first = False
            if node < 0 or depth < 0:
                break
            continue
        if not first:
            if byte != 44:
                return -1, slot
            before = at + 1
            at = space(data, before)
            if at > before:
                odd = at
        key, size = at, 0
        if closer == 125:
            key += 1
            size, at = _key(data, at, end, keys, edges, nodes[np.uint64(node), 0])
            if at > key + size + 2:
                odd = at
        if at < 0 or at >= end:
            return -1, slot
        byte = data[np.uint64(at)]
        if byte in (123, 91):
            kind = OBJECT if byte == 123 else ARRAY
            starts[np.uint64(slot)] = at
            at += 1
            depth += 1
            if depth >= stack.shape[0]:
                return -1, slot
            stack[np.uint64(depth), 0], stack[np.uint64(depth), 1] = byte + 2, slot
            first = True
        else:
            at, kind = value(data, at, end, slot, starts, sizes, flags)
            found = flags[np.uint64(slot)]
            if found & ODD or kind == NUMBER:
                odd = at
            if found & UNICODE:
                unicode = at
            first = False
        slot += 1
        if at < 0:
            return -1, slot
        node = _step(node, kind, data, key, size, keys, edges, nodes, counts)
        if node < 0:
            return -1, slot
    return node if space(data, at) >= end else -1, slot


@compiled
def scan(  # noqa: PLR0917
    data: Bytes,
    begin: Longs,
    end: Longs,
    keys: Bytes,
    edges: Ints,
    nodes: Ints,
    counts: Longs,
    shapes: Ints,
    bases: Longs,
    starts: Ints,
    sizes: Ints,
    flags: Bytes,
    stack: Longs,
) -> None:
    """Read records.

    Arrays:
        data: padded; record r is `data[begin[r]:end[r]]`.
        keys, edges, nodes, counts: the trie, see `shapes.Trie`.
        shapes: (records,) out; -1 for a record without a shape.
        bases: (records + 1,) out; the slots of record r are those from `bases[r]` to `bases[r + 1]`.
        starts, sizes, flags: out; room for half as many slots as there are bytes, and MAX_DEPTH more.
        stack: (MAX_DEPTH, 2) scratch.
    """
    slot = 0
    for record in range(begin.shape[0]):
        bases[record] = slot
        node, behind = _read(
            data, begin[record], end[record], stack, keys, edges, nodes, counts, slot, starts, sizes, flags
        )
        if node >= 0:
            slot = behind
            if nodes[node, 1] < 0:
                nodes[node, 1] = counts[SHAPES]
                counts[SHAPES] += 1
        shapes[record] = nodes[node, 1] if node >= 0 else -1
    bases[begin.shape[0]] = slot


@compiled
def classify(  # noqa: PLR0917
    shapes: Ints,
    data: Bytes,
    bases: Longs,
    starts: Ints,
    sizes: Ints,
    flags: Bytes,
    question_end: Ints,
    questions: Ints,
    answers: Ints,
    texts: Bytes,
    text_start: Ints,
    codes: Longs,
) -> None:
    """Tell apart records of one shape that are of different log sources: by which of some texts are in some slots.

    Arrays:
        question_end: (shapes + 1,) the questions of a shape are those up to `question_end[shape + 1]`.
        questions: (n, 3) slot, the number of its set of texts, and how many answers there are.
        answers: (n, 3) open hash table, whose length is a power of two and which is never full: a set, the number of a
            text, and the answer that it is, from 1; a set of -1 where nothing is.
        texts, text_start: the texts, padded.
        codes: (records,) out: the answers as one number; -1 for a record without a shape, or where a slot has escapes.
    """
    mask = answers.shape[0] - 1
    for record in range(shapes.shape[0]):
        shape = shapes[record]
        if shape < 0 or shape + 1 >= question_end.shape[0]:
            codes[record] = -1
            continue
        code = 0
        for question in range(question_end[shape], question_end[shape + 1]):
            slot = bases[record] + questions[question, 0]
            if flags[slot] & ESCAPED:
                code = -1
                break
            wanted, size, start = questions[question, 1], np.int64(sizes[slot]), np.int64(starts[slot])
            where = (text_hash(data, start, size) + wanted * 7919) & mask
            answer = 0
            while answers[where, 0] >= 0:
                text = answers[where, 1]
                begin = np.int64(text_start[text])
                same = answers[where, 0] == wanted and text_start[text + 1] - begin == size
                if same and same_bytes(data, start, texts, begin, size):
                    answer = answers[where, 2]
                    break
                where = (where + 1) & mask
            code = code * questions[question, 2] + answer
        codes[record] = code
