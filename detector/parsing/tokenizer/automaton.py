"""Which of many expressions the beginning of a line matches first: one automaton, however many they are.

As RE2's sets do it, but in columns: the positions of the expressions (Glushkov) are known, states are sets of positions
that may come next, and are made when a line first leads to them. What most bytes do not change is passed in blocks.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import reduce
from operator import or_

import numpy as np

from detector.parsing.jit import Bytes, Ints, Longs
from detector.parsing.tokenizer.automaton_kernels import SETTLED, UNKNOWN, run
from detector.parsing.tokenizer.kernels import GAVE_UP, NO_MATCH
from detector.parsing.tokenizer.lowering import stops_of
from detector.parsing.tokenizer.syntax import (
    ANY,
    END,
    WIDE,
    Chars,
    Choice,
    End,
    Group,
    Literal,
    Node,
    NotLoweredError,
    Repeat,
    parse,
)
from detector.parsing.tokenizer.syntax import Sequence as Parts

MAX_STATES = 4_096
MAX_NEW = 1_024
"""Steps that one call may learn; lines that need more are given up, so that no text makes it slow."""
_MAX_POSITIONS = 20_000
_CONTINUED = ((1 << 0xC0) - 1) & ~((1 << 0x80) - 1)
"""Bytes within a character beyond ASCII."""

_Part = tuple[bool, int, int]
"""Of a part of an expression: whether it may be empty; the positions that it may begin and end with."""


class Automaton:
    """Tells for each line the number of the first expression that its beginning matches.

    Raises NotLoweredError for an expression that it cannot run.
    """

    __slots__ = (
        "_accepts",
        "_all_accepts",
        "_all_tails",
        "_ends",
        "_final",
        "_follow",
        "_numbers",
        "_reads",
        "_sets",
        "_start",
        "_states",
        "_stops",
        "_table",
        "_tails",
        "classes",
    )

    def __init__(self, expressions: Sequence[str]) -> None:
        self._sets: list[int] = []
        self._follow: list[int] = []
        self._tails: dict[int, int] = {}
        self._accepts: list[int] = []
        first = 0
        for expression in expressions:
            node, _ = parse(expression)
            empty, begins, ends = self._part(node)
            tail, accept = self._position(ANY), self._position(0)  # what follows its match, and that there is one
            self._link(ends | tail, tail | accept)
            first |= begins | (tail | accept if empty else 0)
            self._tails[tail] = len(self._tails)
            self._accepts.append(accept)
        self._all_tails = _all(self._tails)
        self._all_accepts = _all(self._accepts)
        self._ends = self._of(END)
        kinds = sorted({each & ~END for each in self._sets})
        numbers: dict[tuple[int, ...], int] = {}
        by_byte = [numbers.setdefault(tuple(each >> byte & 1 for each in kinds), len(numbers)) for byte in range(256)]
        self.classes = np.array(by_byte, np.uint8)
        self._reads = [self._of(1 << by_byte.index(number)) for number in range(len(numbers))]
        self._start = self._better(first)
        self._begin()

    def _begin(self) -> None:
        self._numbers: dict[int, int] = {}
        self._states: list[int] = []
        self._table = np.full(MAX_STATES * len(self._reads), UNKNOWN, np.int32)
        self._stops = np.zeros(MAX_STATES, np.uint64)
        self._final = np.zeros(MAX_STATES, np.int32)
        self._number(self._start)

    def first(self, data: Bytes, starts: Longs, ends: Longs) -> Ints:
        """The number of each line's expression, NO_MATCH or GAVE_UP. Lines: as `Tokenizer.spans` takes them."""
        out = np.full(len(starts), GAVE_UP, np.int32)
        missing = np.empty(2, np.int64)
        row = 0
        for _ in range(MAX_NEW):
            row = run(
                data,
                starts,
                ends,
                row,
                self.classes,
                self._table,
                len(self._reads),
                self._stops,
                self._final,
                out,
                missing,
            )
            if row == len(starts):
                break
            self._learn(*missing.tolist())
        return out

    def _learn(self, state: int, read: int) -> None:
        """The step from a state with a class of bytes."""
        if len(self._numbers) == MAX_STATES:
            self._begin()
            return
        self._table[state * len(self._reads) + read] = self._number(self._step(self._states[state], self._reads[read]))

    def _number(self, positions: int) -> int:
        number = self._numbers.get(positions)
        if number is None:
            number = self._numbers[positions] = len(self._numbers)
            self._states.append(positions)
            ended, before = positions, 0
            while ended != before:  # one `$` may stand behind another
                ended, before = ended | self._step(ended, self._ends), ended
            found = ended & self._all_accepts
            self._final[number] = self._accepts.index(found & -found) if found else NO_MATCH
            self._stops[number] = self._stops_of(positions)
        return number

    def _stops_of(self, positions: int) -> np.uint64:
        tail = positions & self._all_tails
        if not positions or (tail and positions == tail | self._accepts[self._tails[tail & -tail]]):
            return SETTLED
        left = {
            number
            for number, reading in enumerate(self._reads)
            if not positions & reading or self._step(positions, reading) != positions
        }
        return np.uint64(stops_of([byte for byte, number in enumerate(self.classes.tolist()) if number in left]))

    def _step(self, positions: int, reading: int) -> int:
        """The positions that may come next when those of them that are `reading` are read."""
        active = positions & reading
        found = 0
        while active:
            lowest = active & -active
            found |= self._follow[lowest.bit_length() - 1]
            active ^= lowest
        return self._better(found)

    def _better(self, positions: int) -> int:
        """Without what could only find an expression behind one that is found already."""
        tails = positions & self._all_tails
        if not tails:
            return positions
        tail = tails & -tails  # those of earlier expressions are lower
        place = self._tails[tail]
        earlier = (self._accepts[place - 1] << 1) - 1 if place else 0
        return (positions & earlier) | tail | self._accepts[place]

    def _of(self, members: int) -> int:
        return reduce(or_, (1 << place for place, each in enumerate(self._sets) if each & members), 0)

    def _position(self, members: int) -> int:
        if len(self._sets) >= _MAX_POSITIONS:
            raise NotLoweredError
        self._sets.append(members)
        self._follow.append(0)
        return 1 << (len(self._sets) - 1)

    def _link(self, before: int, behind: int) -> None:
        while before:
            lowest = before & -before
            self._follow[lowest.bit_length() - 1] |= behind
            before ^= lowest

    def _part(self, node: Node) -> _Part:
        match node:
            case Literal(text):
                return self._in_a_row([self._one(1 << byte) for byte in text])
            case Chars(members):
                return self._one(members)
            case End():
                return self._one(END)
            case Group(_, part):
                return self._part(part)
            case Parts(parts):
                return self._in_a_row([self._part(part) for part in parts])
            case Choice(parts):
                found = [self._part(part) for part in parts]
                return any(each[0] for each in found), _all(each[1] for each in found), _all(each[2] for each in found)
            case Repeat(part, least, most, _):
                return self._repeated(part, least, most)
            case _:
                raise NotLoweredError

    def _one(self, members: int, *, repeated: bool = False) -> _Part:
        """One character; one of many in a row may be the bytes that follow its first, whosoever they are."""
        if members & WIDE != WIDE:
            place = self._position(members)
            return False, place, place
        place = self._position(members & ~_CONTINUED)  # a character that has begun ends before another begins
        rest = self._position(members if repeated else _CONTINUED)
        self._link(place | rest, rest)
        return False, place, place | rest

    def _in_a_row(self, parts: list[_Part]) -> _Part:
        empty, begins, ends = True, 0, 0
        for part_empty, part_begins, part_ends in parts:
            self._link(ends, part_begins)
            begins |= part_begins if empty else 0
            ends = part_ends | (ends if part_empty else 0)
            empty = empty and part_empty
        return empty, begins, ends

    def _one_of_many(self, node: Node) -> _Part:
        if isinstance(node, Chars):
            return self._one(node.members, repeated=True)
        if isinstance(node, Choice):
            found = [self._one_of_many(part) for part in node.parts]
            return any(each[0] for each in found), _all(each[1] for each in found), _all(each[2] for each in found)
        return self._part(node)

    def _repeated(self, node: Node, least: int, most: int | None) -> _Part:
        parts = [self._part(node) for _ in range(least - 1 if most is None else most)]
        if most is None:
            parts.append(self._one_of_many(node))
            _, begins, ends = parts[-1]
            self._link(ends, begins)
        return self._in_a_row([(empty or place >= least, *rest) for place, (empty, *rest) in enumerate(parts)])  # type: ignore[misc]


def _all(sets: Iterable[int]) -> int:
    return reduce(or_, sets, 0)
