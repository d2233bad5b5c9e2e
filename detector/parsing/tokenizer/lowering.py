"""From the tree of an expression to a program for the kernel.

Code is made from the end to the start, so that each operation knows what may come after it: where that cannot be what a
run consists of, the run never gives anything back; where one byte decides between alternatives, none is kept.

Columns of an operation: kind, a, b, c, d, next, and the set of what it may begin with.
    LITERAL  a, b: start and size in `literals`
    FIXED    a: where the numbers of sets begin, one for each byte; b: how many
    ONE      a: set
    RUN      a: set; b: least; c: most, -1 without limit; d: whether it may have to give back
    LAZY     a: set; b: set of what may follow
    SAVE     a: place in a line's bounds
    SPLIT    a: set of what `next` may begin with; b: the other operation; c: the set of that
    ACCEPT   a: number of the expression
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce
from itertools import groupby
from operator import or_

import numpy as np

from detector.parsing.jit import Bytes, Ints, Words
from detector.parsing.simd import STOPS
from detector.parsing.tokenizer import kernels
from detector.parsing.tokenizer.syntax import (
    ANY,
    END,
    WIDE,
    Accept,
    Chars,
    Choice,
    End,
    Group,
    Literal,
    Node,
    NotLoweredError,
    Repeat,
    Sequence,
)

_MAX_OPERATIONS = 8_192
_MOST_FIXED = 32

Operation = tuple[int, int, int, int, int, int]


@dataclass(frozen=True, slots=True)
class Program:
    """Arguments of `kernels.tokenize`, described there."""

    code: Ints
    entry: int
    sets: Bytes
    stops: Words
    literals: Bytes


def lower(root: Node) -> Program:
    """The program of a tree that ends in Accept nodes. Raises NotLoweredError."""
    coder = _Coder()
    entry = coder.code(_factored(root), -1)
    return coder.program(entry)


@dataclass(frozen=True, slots=True)
class _Run:
    """As many of these as there are, at least one."""

    members: int


@dataclass(frozen=True, slots=True)
class _Fixed:
    """A byte of each of these sets."""

    sets: tuple[int, ...]


class _Coder:
    def __init__(self) -> None:
        self.operations: list[Operation] = []
        self.sets: dict[int, int] = {ANY: kernels.EVERYTHING}
        self.fixed: list[int] = []
        self.literals = bytearray()
        self._viable: list[int] = []  # what each operation may begin with

    def program(self, entry: int) -> Program:
        """What was coded."""
        rows = [
            (*operation, self._set(viable)) for operation, viable in zip(self.operations, self._viable, strict=True)
        ]
        sets = np.zeros((len(self.sets), 1 << kernels.SET_BITS), np.uint8)
        for number, members in enumerate(self.sets):
            sets[number, :257] = [members >> bit & 1 for bit in range(257)]
        left = {
            number: [byte for byte in range(256) if not members >> byte & 1] for members, number in self.sets.items()
        }
        stops = [stops_of(left[row[1]]) if row[0] == kernels.RUN else 0 for row in rows]
        code = np.zeros((len(rows), kernels.COLUMNS), np.int32)
        code[:, :7] = rows
        code[:, 5] *= kernels.COLUMNS
        code[code[:, 0] == kernels.SPLIT, 2] *= kernels.COLUMNS
        code[code[:, 0] == kernels.FIXED, 1] += code.size
        code = np.concatenate([code.reshape(-1), np.array(self.fixed, np.int32)])
        literals = np.frombuffer(bytes(self.literals) or b"\0", np.uint8)
        return Program(code, entry * kernels.COLUMNS, sets.reshape(-1), np.array(stops, np.uint64), literals)

    def code(self, node: Node | _Run | _Fixed, after: int) -> int:  # noqa: PLR0911 -- one for each kind of node
        """The operation at which the code of a node begins, `after` which comes."""
        match node:
            case Literal(text):
                start = len(self.literals)
                self.literals += text
                return self._add(kernels.LITERAL, start, len(text), 0, 0, after, 1 << text[0])
            case Chars(members):
                return self._add(kernels.ONE, self._set(members), 0, 0, 0, after, members)
            case End():
                return self._add(kernels.ENDED, 0, 0, 0, 0, after, END)
            case Accept(number):
                return self._add(kernels.ACCEPT, number, 0, 0, 0, after, END)
            case _Run(members):
                return self._add(kernels.RUN, self._set(members), 1, -1, 0, after, members)
            case Group(number, part):
                after = self._add(kernels.SAVE, 2 * number + 1, 0, 0, 0, after, self._viable[after])
                inner = self.code(part, after)
                return self._add(kernels.SAVE, 2 * number, 0, 0, 0, inner, self._viable[inner])
            case _Fixed(sets):
                start = len(self.fixed)
                self.fixed += map(self._set, sets)
                return self._add(kernels.FIXED, start, len(sets), 0, 0, after, sets[0])
            case Sequence(parts):
                for each in reversed(_with_fixed(parts)):
                    after = self.code(each, after)
                return after
            case Choice(parts):
                second = self.code(parts[-1], after)
                for part in reversed(parts[:-1]):
                    second = self._split(self.code(part, after), second)
                return second
            case Repeat(part, least, most, greedy):
                if isinstance(part, Chars):
                    return self._run(part.members, least, most, after, greedy=greedy)
                return self._loop(part, least, most, after, greedy=greedy)

    def _run(self, members: int, least: int, most: int | None, after: int, *, greedy: bool) -> int:
        if most == 0:
            return after
        follows = self._viable[after]
        begins = members if least else members | follows
        if greedy or most == least:
            gives_back = bool(follows & members) and most != least
            limit = -1 if most is None else most
            return self._add(kernels.RUN, self._set(members), least, limit, int(gives_back), after, begins)
        if most is not None:
            raise NotLoweredError
        lazy = self._add(kernels.LAZY, self._set(members), self._set(follows), 0, 0, after, members | follows)
        if not least:
            return lazy
        return self._add(kernels.RUN, self._set(members), least, least, 0, lazy, members)

    def _loop(self, part: Node, least: int, most: int | None, after: int, *, greedy: bool) -> int:
        first = _begins(part)
        if first is None:  # it may be empty, and expressions do not agree what several empty ones are
            raise NotLoweredError
        if most is None:
            loop = self._add(kernels.SPLIT, 0, 0, 0, 0, -1, first | self._viable[after])
            if isinstance(part, Choice):
                part = self._in_runs(part, after)
            inner = self.code(part, loop)
            ways = (inner, after) if greedy else (after, inner)
            self.operations[loop] = self._way(*ways)
            after = loop
        else:
            out = after
            for _ in range(most - least):
                inner = self.code(part, after)
                after = self._split(inner, out) if greedy else self._split(out, inner)
        for _ in range(least):
            after = self.code(part, after)
        return after

    def _in_runs(self, part: Choice, after: int) -> Choice:
        """Single characters of a loop as runs, where that changes no answer: nothing else in it, and nothing that
        comes after it, begins with one of them.
        """
        parts: list[Node | _Run] = []
        for index, each in enumerate(part.parts):
            if isinstance(each, Chars):
                others = self._viable[after]
                for other in part.parts[:index] + part.parts[index + 1 :]:
                    others |= _begins(other) or 0
                if not others & each.members:
                    parts.append(_Run(each.members))
                    continue
            parts.append(each)
        return Choice(tuple(parts))  # type: ignore[arg-type] # runs are coded as nodes

    def _split(self, first: int, second: int) -> int:
        operation = self._way(first, second)
        return self._add(*operation, self._viable[first] | self._viable[second])

    def _way(self, first: int, second: int) -> Operation:
        return kernels.SPLIT, self._set(self._viable[first]), second, self._set(self._viable[second]), 0, first

    def _add(self, kind: int, a: int, b: int, c: int, d: int, after: int, viable: int) -> int:  # noqa: PLR0917
        if len(self.operations) >= _MAX_OPERATIONS:
            raise NotLoweredError
        self.operations.append((kind, a, b, c, d, after))
        self._viable.append(viable)
        return len(self.operations) - 1

    def _set(self, members: int) -> int:
        return self.sets.setdefault(members, len(self.sets))


def stops_of(others: list[int]) -> int:
    """The bytes that end a run, for `simd.stops_in`; 0 where they are too many."""
    if not 0 < len(others) <= STOPS or others[-1] > 127:
        return 0
    return int.from_bytes(bytes((others * STOPS)[:STOPS]), "little")


def _begins(node: Node) -> int | None:
    """What a node may begin with; None where it may be empty."""
    match node:
        case Literal(text):
            return 1 << text[0]
        case Chars(members):
            return members
        case End() | Accept():
            return None
        case Group(_, part):
            return _begins(part)
        case Sequence(parts):
            begins = 0
            for part in parts:
                first = _begins(part)
                if first is not None:
                    return begins | first
                begins |= _may_begin(part)
            return None
        case Choice(parts):
            firsts = [_begins(part) for part in parts]
            return None if None in firsts else _union(first for first in firsts if first is not None)
        case Repeat(part, least, _, _):
            return _begins(part) if least else None


def _with_fixed(parts: tuple[Node, ...]) -> list[Node | _Fixed]:
    """Parts of a sequence that are always so many ASCII characters as one, where they are several."""
    found: list[Node | _Fixed] = []
    for _, group in groupby(parts, key=lambda part: _bytes_of(part) is not None):
        its = list(group)
        sets = [_bytes_of(part) for part in its]
        if len(its) > 1 and None not in sets:
            found.append(_Fixed(tuple(members for each in sets if each is not None for members in each)))
        else:
            found += its
    return found


def _bytes_of(node: Node) -> tuple[int, ...] | None:
    """The set of each byte of a node that is always so many ASCII characters."""
    match node:
        case Literal(text) if text.isascii():
            return tuple(1 << byte for byte in text)
        case Chars(members) if not members & WIDE:
            return (members,)
        case Repeat(Chars(members), least, most) if least == most and 0 < least <= _MOST_FIXED and not members & WIDE:
            return (members,) * least
        case _:
            return None


def _may_begin(node: Node) -> int:
    """What a node may begin with where it is not empty."""
    match node:
        case Literal() | Chars():
            return _begins(node) or 0
        case End() | Accept():
            return 0
        case Group(_, part) | Repeat(part, _, _, _):
            return _may_begin(part)
        case Sequence(parts):
            begins = 0
            for part in parts:
                begins |= _may_begin(part)
                if _begins(part) is not None:
                    break
            return begins
        case Choice(parts):
            return _union(map(_may_begin, parts))


def _union(sets: Iterable[int]) -> int:
    return reduce(or_, sets, 0)


def _factored(node: Node) -> Node:
    """With alternatives that all begin with texts told apart byte by byte, so that none of them is tried in vain.

    Alternatives that begin with different bytes may change places, for only one of them can match.
    """
    match node:
        case Choice(parts):
            flat = [_factored(part) for part in parts]
            heads = [_head(part) for part in flat]
            if not all(heads):
                return Choice(tuple(flat))
            groups: dict[int, list[Node]] = {}
            for part, head in zip(flat, heads, strict=True):
                groups.setdefault(head[0], []).append(part)
            ways = tuple(_with_prefix(group) if len(group) > 1 else group[0] for group in groups.values())
            return ways[0] if len(ways) == 1 else Choice(ways)
        case Sequence(parts):
            return Sequence(tuple(map(_factored, parts)))
        case Group(number, part):
            return Group(number, _factored(part))
        case Repeat(part, least, most, greedy):
            return Repeat(_factored(part), least, most, greedy)
        case _:
            return node


def _head(node: Node) -> bytes:
    """The text that a node begins with."""
    if isinstance(node, Literal):
        return node.text
    return _head(node.parts[0]) if isinstance(node, Sequence) and node.parts else b""


def _with_prefix(group: list[Node]) -> Node:
    heads = [_head(part) for part in group]
    size = next(size for size in range(min(map(len, heads)), 0, -1) if len({head[:size] for head in heads}) == 1)
    rest = Choice(tuple(_without(part, size) for part in group))
    return Sequence((Literal(heads[0][:size]), _factored(rest)))


def _without(node: Node, size: int) -> Node:
    """A node without so many bytes at its beginning."""
    if isinstance(node, Literal):
        return Literal(node.text[size:]) if len(node.text) > size else Sequence(())
    if not isinstance(node, Sequence):
        raise NotLoweredError
    return Sequence((_without(node.parts[0], size), *node.parts[1:]))
