"""Numba kernels that read JSON records without making objects of them.

A record is read in one pass into slots, one for each value that is no container, in the order of the text; and into a
shape, the number of its sequence of keys and kinds of values. Shapes grow as a trie: an edge is a key with a kind.
What RFC 8259 does not allow, and what is rare and hard (numbers with exponents or more than 18 digits), has no shape.

Indexes stay inside: a record ends before `end`, behind which the buffer goes on for a block (`simd.padded`), and each
step that could lead beyond is followed by a comparison with `end`.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from detector.parsing.direct.simd import BLOCK, lowest, special, word
from detector.parsing.direct.slots import ESCAPED, NULL_SIZE, UNICODE

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int32]
Longs = npt.NDArray[np.int64]

STRING, INTEGER, NUMBER, BOOL, NULL, OBJECT, ARRAY, END = range(8)
"""Kinds of values; END closes a container. An INTEGER is a number that is written as its text compares, also 1.5."""


EDGES, NODES, KEY_BYTES, SHAPES = range(4)
"""Places in the trie's counts."""

_TRUE, _FALS, _NULL = (np.uint64(int.from_bytes(name, "little")) for name in (b"true", b"fals", b"null"))

MAX_DEPTH = 32
_MIX = np.uint64(0x9E3779B97F4A7C15)
_MAX_DIGITS = 18
_MAX_EXACT = 15
"""Digits up to which a decimal number is its own shortest form."""


def compiled(function: Any) -> Any:
    """The kernel in machine code, which is kept on disk where there is a place for it."""
    try:
        return numba.njit(cache=True, nogil=True)(function)
    except RuntimeError:  # no folder to cache in: NUMBA_CACHE_DIR, beside this file, or below HOME
        return numba.njit(nogil=True)(function)


def inlined(function: Any) -> Any:
    """The same as a part of what calls it: each array that is handed over takes seven words."""
    return numba.njit(inline="always")(function)


@compiled
def _hex(data: Bytes, at: int) -> Any:
    """The number that four hexadecimal digits are, -1 if they are none."""
    code: Any = 0
    for place in range(at, at + 4):
        byte = np.int64(data[np.uint64(place)])
        if 48 <= byte <= 57:
            digit = byte - 48
        elif 97 <= (byte | 32) <= 102:
            digit = (byte | 32) - 87
        else:
            return -1
        code = code * 16 + digit
    return code


@compiled
def _utf8(data: Bytes, at: int) -> Any:
    """Bytes of the UTF-8 sequence of a character that is not ASCII, 0 if it is malformed (RFC 3629)."""
    first = np.int64(data[np.uint64(at)])
    second = np.int64(data[np.uint64(at + 1)])
    if first < 0xC2 or first > 0xF4 or second & 0xC0 != 0x80:
        return 0
    if first < 0xE0:
        return 2
    if np.int64(data[np.uint64(at + 2)]) & 0xC0 != 0x80:
        return 0
    if first < 0xF0:
        return 0 if (first == 0xE0 and second < 0xA0) or (first == 0xED and second >= 0xA0) else 3
    if np.int64(data[np.uint64(at + 3)]) & 0xC0 != 0x80:
        return 0
    return 0 if (first == 0xF0 and second < 0x90) or (first == 0xF4 and second >= 0x90) else 4


@compiled
def _escape(data: Bytes, at: int, end: int) -> tuple[int, int]:
    """Where the escape that begins at `at` ends, -1 if it is malformed or half a pair of surrogates; and its flags."""
    byte = data[np.uint64(at + 1)]
    if byte in (92, 34, 47, 98, 102, 110, 114, 116):
        return at + 2, ESCAPED
    if byte != 117:
        return -1, 0
    code = _hex(data, at + 2)
    at += 6
    if code < 0xD800 or code > 0xDFFF:
        return at if code >= 0 else -1, ESCAPED | UNICODE if code >= 128 else ESCAPED
    low = _hex(data, at + 2)
    pair = at + 6 <= end and data[np.uint64(at)] == 92 and data[np.uint64(at + 1)] == 117
    if code > 0xDBFF or not pair or low < 0xDC00 or low > 0xDFFF:
        return -1, 0
    return at + 6, ESCAPED | UNICODE


@compiled
def string(data: Bytes, at: int, end: int) -> tuple[int, int]:
    """Where the string that begins at `at` (behind its quote) is closed, -1 if it is malformed; and its flags."""
    flags = 0
    base = at
    bits = special(data, base)
    while True:
        while bits == 0:
            base += BLOCK
            if base >= end:
                return -1, 0
            bits = special(data, base)
        at = base + lowest(bits)
        byte = data[np.uint64(at)]
        if at >= end or byte < 32:
            return -1, 0
        if byte == 34:
            return at, flags
        if byte == 92:
            at, found = _escape(data, at, end)
            flags |= found
        else:
            flags |= UNICODE
            size = _utf8(data, at)
            at = at + size if size else -1
        if at < 0 or at >= end:
            return -1, 0
        if at - base >= BLOCK:
            base = at
            bits = special(data, base)
        else:
            bits &= np.uint64(0xFFFFFFFFFFFFFFFF) << np.uint64(at - base)


@inlined
def _number(data: Bytes, at: int, end: int) -> tuple[int, int]:
    """Where a number ends, -1 if it is malformed or one of those that are rare and hard; and its kind."""
    negative = data[np.uint64(at)] == 45
    if negative:
        at += 1
    begin = at
    while 48 <= data[np.uint64(at)] <= 57:
        at += 1
        if at >= end:
            return -1, 0
    digits = at - begin
    zero = data[np.uint64(begin)] == 48
    if digits == 0 or digits > _MAX_DIGITS or (zero and digits > 1):
        return -1, 0
    kind = NUMBER if zero and negative else INTEGER
    if data[np.uint64(at)] == 46:
        at += 1
        fraction = at
        while 48 <= data[np.uint64(at)] <= 57:
            at += 1
            if at >= end:
                return -1, 0
        if at == fraction:
            return -1, 0
        short = digits + at - fraction <= _MAX_EXACT and data[np.uint64(at - 1)] != 48
        kind = INTEGER if short and (not zero or data[np.uint64(fraction)] != 48) else NUMBER
    if data[np.uint64(at)] | 32 == 101:
        return -1, 0
    return at, kind


@inlined
def _space(data: Bytes, at: int) -> Any:
    """The first place that holds no white space; the buffer ends with zeros."""
    while data[np.uint64(at)] in (32, 10, 13, 9):
        at += 1
    return at


@compiled
def same_bytes(data: Bytes, at: int, other: Bytes, start: int, size: int) -> Any:
    """Whether two texts of the same size are equal, eight bytes at a time."""
    while size >= 8:
        if word(data, at) != word(other, start):
            return False
        at += 8
        start += 8
        size -= 8
    if size == 0:
        return True
    return (word(data, at) ^ word(other, start)) << np.uint64(64 - 8 * size) == 0


@compiled
def text_hash(data: Bytes, at: int, size: int) -> Any:
    """Of a text, eight bytes at a time: 31 bits."""
    found = np.uint64(size) * _MIX
    while size > 0:
        part = word(data, at)
        if size < 8:
            part = part << np.uint64(64 - 8 * size)
        found = (found ^ part) * _MIX
        found ^= found >> np.uint64(29)
        at += 8
        size -= 8
    return np.int64(found >> np.uint64(33))


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
            return size, _space(data, behind + 2)
    behind, _ = string(data, key, end)
    if behind < 0:
        return 0, -1
    at = behind + 1
    if data[np.uint64(at)] != 58:
        at = _space(data, at)
        if at >= end or data[np.uint64(at)] != 58:
            return 0, -1
    return behind - key, _space(data, at + 1)


@inlined
def _value(  # noqa: PLR0917
    data: Bytes, at: int, end: int, slot: int, starts: Ints, sizes: Ints, flags: Bytes
) -> tuple[int, int]:
    """Where a value that is no container ends, -1 if it is malformed; and its kind. Fills its slot."""
    where = np.uint64(slot)
    starts[where] = at
    flags[where] = 0
    first_four = word(data, at) & np.uint64(0xFFFFFFFF)
    if data[np.uint64(at)] == 34:
        starts[where] = at + 1
        behind, found = string(data, at + 1, end)
        sizes[where] = behind - at - 1
        flags[where] = found
        return behind + 1 if behind >= 0 else -1, STRING
    if first_four == _TRUE:
        sizes[where] = 4
        return at + 4, BOOL
    if first_four == _FALS and data[np.uint64(at + 4)] == 101:
        sizes[where] = 5
        return at + 5, BOOL
    if first_four == _NULL:
        sizes[where] = NULL_SIZE
        return at + 4, NULL
    behind, kind = _number(data, at, end)
    sizes[where] = behind - at
    return behind, kind


@compiled
def _read(  # noqa: PLR0917
    data: Bytes,
    at: int,
    end: int,
    stack: Bytes,
    keys: Bytes,
    edges: Ints,
    nodes: Ints,
    counts: Longs,
    slot: int,
    starts: Ints,
    sizes: Ints,
    flags: Bytes,
) -> tuple[int, int]:
    """The node at which one record ends, -1 if it is malformed; and the number of the slot behind its last one."""
    if at >= end or data[np.uint64(at)] != 123:
        return -1, slot
    at += 1
    depth, node = 0, 0
    stack[0] = 125
    first = True
    while True:
        at = _space(data, at)
        if at >= end:
            return -1, slot
        closer = stack[np.uint64(depth)]
        byte = data[np.uint64(at)]
        if byte == closer:
            at += 1
            node = _step(node, END, data, at, 0, keys, edges, nodes, counts)
            depth -= 1
            first = False
            if node < 0 or depth < 0:
                break
            continue
        if not first:
            if byte != 44:
                return -1, slot
            at = _space(data, at + 1)
        key, size = at, 0
        if closer == 125:
            key += 1
            size, at = _key(data, at, end, keys, edges, nodes[np.uint64(node), 0])
        if at < 0 or at >= end:
            return -1, slot
        byte = data[np.uint64(at)]
        if byte in (123, 91):
            kind = OBJECT if byte == 123 else ARRAY
            at += 1
            depth += 1
            if depth >= stack.shape[0]:
                return -1, slot
            stack[np.uint64(depth)] = byte + 2
            first = True
        else:
            at, kind = _value(data, at, end, slot, starts, sizes, flags)
            slot += 1
            first = False
        if at < 0:
            return -1, slot
        node = _step(node, kind, data, key, size, keys, edges, nodes, counts)
        if node < 0:
            return -1, slot
    return node if _space(data, at) >= end else -1, slot


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
) -> None:
    """Read records.

    Arrays:
        data: padded; record r is `data[begin[r]:end[r]]`.
        keys, edges, nodes, counts: the trie, see `shapes.Trie`.
        shapes: (records,) out; -1 for a record without a shape.
        bases: (records + 1,) out; the slots of record r are those from `bases[r]` to `bases[r + 1]`.
        starts, sizes, flags: out; room for half as many slots as there are bytes.
    """
    stack = np.zeros(MAX_DEPTH, np.uint8)
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
            if flags[slot]:
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
