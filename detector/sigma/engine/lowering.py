"""From the condition of a rule to a tree of steps that the kernels take.

A step is an atom (one text compared in one way with the values of a field), a look at a field's presence, or a leaf
that only the plain evaluator decides. Such a leaf stands behind the atoms without which it is false, so that it is
asked only where they are true: `leaf` and `atoms and leaf` are the same.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import IntEnum
from functools import cached_property

from detector.sigma.engine.literals import Run, required
from detector.sigma.folding import fold
from detector.sigma.nodes import And, Exists, FieldRef, Leaf, Matcher, Node, Not, Null, Or, Regex, Text, Wildcard
from detector.sigma.reference import Test, compile_test

MAX_NEEDLE = 64
"""Bytes of a text that a kernel looks for anywhere in a value.

It compares at each place, so the product of both lengths bounds what a hostile value costs. Of a longer text it looks
for the beginning, and the plain evaluator for all of it.
"""


MAX_RUN = 1_000
"""Characters in a row that are looked for; RE2 repeats nothing more often."""


class Kind(IntEnum):
    """What a step asks; the numbers are those in the decision code."""

    EQUALS = 0
    STARTS = 1
    ENDS = 2
    CONTAINS = 3
    LENGTH = 4
    SAME = 5
    SAME_START = 6
    SAME_END = 7
    VALUE = 8
    PRESENT = 9
    NULL = 10
    LEAF = 11
    RUN = 12


@dataclass(frozen=True, slots=True)
class Step:
    """A question: `index` is that of an atom (up to LENGTH, and RUN), of two columns (SAME and its like), of a field,
    or of a leaf of the plain evaluator.
    """

    kind: Kind
    index: int


@dataclass(frozen=True, slots=True)
class Every:
    """All parts are true."""

    parts: tuple[Tree, ...]


@dataclass(frozen=True, slots=True)
class Some:
    """At least one part is true."""

    parts: tuple[Tree, ...]


@dataclass(frozen=True, slots=True)
class Never:
    """The part is false."""

    part: Tree


Tree = Step | Every | Some | Never


@dataclass(frozen=True, slots=True)
class Atom:
    """A text in UTF-8 and how it compares with the values of a column.

    For LENGTH, the needle is as long as a value must be, whatever its bytes are. For RUN, it has a bit for each ASCII
    character (16 bytes), and how many of these must be there in a row (4 bytes, the lowest first).
    """

    column: int
    kind: Kind
    needle: bytes


@dataclass(slots=True)
class Vocabulary:
    """What the rules of a program ask for, each once.

    fields: their names. columns: index of the field, and whether its texts are as they stand, not folded.
    guards: atoms before leaves. pairs: columns that are compared with each other.
    """

    fields: dict[str, int] = field(default_factory=dict)
    columns: dict[tuple[int, bool], int] = field(default_factory=dict)
    atoms: dict[Atom, int] = field(default_factory=dict)
    guards: set[int] = field(default_factory=set)
    pairs: dict[tuple[int, int], int] = field(default_factory=dict)
    leaves: dict[tuple[str, Matcher], int] = field(default_factory=dict)

    def field(self, name: str) -> int:
        """The index of a field."""
        return self.fields.setdefault(name, len(self.fields))

    def step(self, kind: Kind, name: str) -> Step:
        """A look at a field's presence."""
        return Step(kind, self.field(name))

    def atom(self, name: str, kind: Kind, text: str, *, cased: bool) -> Step:
        """A comparison with the values of a field."""
        atom = Atom(self._column(name, cased=cased), kind, encode(text))
        return Step(kind, self.atoms.setdefault(atom, len(self.atoms)))

    def run(self, name: str, run: Run) -> Step:
        """A look for characters in a row in the folded values of a field."""
        bits = sum(1 << ord(char) for char in run.chars)
        needle = bits.to_bytes(16, "little") + min(run.times, MAX_RUN).to_bytes(4, "little")
        atom = Atom(self._column(name, cased=False), Kind.RUN, needle)
        return Step(Kind.RUN, self.atoms.setdefault(atom, len(self.atoms)))

    def same(self, kind: Kind, name: str, other: str, *, cased: bool) -> Step:
        """A comparison of two fields' values."""
        pair = self._column(name, cased=cased), self._column(other, cased=cased)
        return Step(kind, self.pairs.setdefault(pair, len(self.pairs)))

    def _column(self, name: str, *, cased: bool) -> int:
        return self.columns.setdefault((self.field(name), cased), len(self.columns))

    def leaf(self, leaf: Leaf) -> Step:
        """What only the plain evaluator decides."""
        return Step(Kind.LEAF, self.leaves.setdefault((leaf.field, leaf.matcher), len(self.leaves)))


def encode(text: str) -> bytes:
    """UTF-8, which keeps apart what differs and together what is equal, also where a surrogate is alone."""
    return text.encode("utf-8", "surrogatepass")


class LeafTest:
    """A leaf by the plain evaluator, compiled when it is first asked."""

    def __init__(self, name: str, matcher: Matcher) -> None:
        self._leaf = Leaf(name, matcher)

    def __getstate__(self) -> Leaf:
        return self._leaf  # what was compiled is no value

    def __setstate__(self, leaf: Leaf) -> None:
        self._leaf = leaf

    @cached_property
    def test(self) -> Test:
        """Whether it is true of an event."""
        return compile_test(self._leaf)


class Lowering:
    """Lowers conditions into one vocabulary; what stands in several places of a condition stays one object."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._words = vocabulary
        self._done: dict[int, Tree] = {}

    def rule(self, condition: Node) -> Tree:
        """The tree of a rule."""
        self._done.clear()
        return self._lower(condition)

    def _lower(self, node: Node) -> Tree:
        done = self._done.get(id(node))
        if done is None:
            done = self._done[id(node)] = self._node(node)
        return done

    def _node(self, node: Node) -> Tree:
        match node:
            case And():
                return Every(tuple(map(self._lower, node.nodes)))
            case Or():
                return Some(tuple(map(self._lower, node.nodes)))
            case Not():
                return Never(self._lower(node.node))
            case Leaf():
                return self._leaf(node)

    def _leaf(self, leaf: Leaf) -> Tree:
        match leaf.matcher:
            case Exists(present):
                step = self._words.step(Kind.PRESENT, leaf.field)
                return step if present else Never(step)
            case Null():
                return self._words.step(Kind.NULL, leaf.field)
            case Text() as text:
                return self._text(leaf, text)
            case Regex(pattern):
                needs = required(pattern)
                long = (
                    [self._words.atom(leaf.field, Kind.LENGTH, "\0" * needs.least, cased=False)] if needs.least else []
                )
                if needs.run:
                    long.append(self._words.run(leaf.field, needs.run))
                return self._guarded(leaf, *long, *(self._folded(leaf, choice) for choice in needs.choices))
            case FieldRef(other, starts, ends, cased):
                if starts and ends:  # to look for one value in another takes the product of their lengths
                    return self._guarded(leaf, self._words.step(Kind.VALUE, other))
                kind = Kind.SAME_START if starts else Kind.SAME_END if ends else Kind.SAME
                return self._words.same(kind, leaf.field, other, cased=cased)
            case _:
                return self._guarded(leaf)

    def _text(self, leaf: Leaf, text: Text) -> Tree:
        parts, cased = text.parts, text.cased
        if Wildcard.ONE in parts:  # RE2 decides those
            literals = [part if cased else fold(part) for part in parts if isinstance(part, str)]
            return self._guarded(leaf, *(self._folded(leaf, [fold(literal)]) for literal in literals))
        match parts:
            case ():
                return self._words.atom(leaf.field, Kind.EQUALS, "", cased=cased)
            case (Wildcard.ANY,):
                return self._words.step(Kind.VALUE, leaf.field)
            case (str(literal),):
                return self._words.atom(leaf.field, Kind.EQUALS, literal, cased=cased)
            case (str(literal), Wildcard.ANY):
                return self._words.atom(leaf.field, Kind.STARTS, literal, cased=cased)
            case (Wildcard.ANY, str(literal)):
                return self._words.atom(leaf.field, Kind.ENDS, literal, cased=cased)
            case (Wildcard.ANY, str(literal), Wildcard.ANY) if len(encode(literal)) <= MAX_NEEDLE:
                return self._words.atom(leaf.field, Kind.CONTAINS, literal, cased=cased)
            case _:
                return self._guarded(leaf, *self._in_order(leaf, parts, cased=cased))

    def _in_order(self, leaf: Leaf, parts: tuple[str | Wildcard, ...], *, cased: bool) -> list[Tree]:
        """Each literal of a pattern, at the beginning, at the end, or anywhere."""
        steps: list[Tree] = []
        for index, part in enumerate(parts):
            if isinstance(part, str):
                kind = Kind.STARTS if index == 0 else Kind.ENDS if index == len(parts) - 1 else Kind.CONTAINS
                steps.append(self._words.atom(leaf.field, kind, _beginning(part, kind), cased=cased))
        return steps

    def _folded(self, leaf: Leaf, choice: Iterable[str]) -> Tree:
        """That one of some folded texts is in a value, as far as this follows from RE2 having found it there."""
        # To RE2, a surrogate without its other half is a question mark.
        pieces = {max(text.split("?"), key=len) for text in choice}
        if not all(pieces) or any(map(_has_surrogate, pieces)):
            return self._words.step(Kind.VALUE, leaf.field)
        steps = (
            self._words.atom(leaf.field, Kind.CONTAINS, _beginning(piece, Kind.CONTAINS), cased=False)
            for piece in sorted(pieces)
        )
        return Some(tuple(steps))

    def _guarded(self, leaf: Leaf, *needs: Tree) -> Tree:
        """A leaf of the plain evaluator behind what it needs; it is false of a field without a value."""
        for need in needs:
            self._words.guards |= atoms_of(need)
        return Every((self._words.step(Kind.VALUE, leaf.field), *needs, self._words.leaf(leaf)))


def atoms_of(tree: Tree) -> set[int]:
    """The atoms of a tree that texts are looked for with."""
    match tree:
        case Step(kind, index):
            return {index} if kind <= Kind.CONTAINS else set()
        case Never(part):
            return atoms_of(part)
        case Every(parts) | Some(parts):
            return set().union(*map(atoms_of, parts))


def _beginning(text: str, kind: Kind) -> str:
    """As much of a text as a kernel may look for."""
    if kind is not Kind.CONTAINS:
        return text
    return text if len(encode(text)) <= MAX_NEEDLE else text[: MAX_NEEDLE // 4]


def _has_surrogate(text: str) -> bool:
    return any("\ud800" <= char <= "\udfff" for char in text)
