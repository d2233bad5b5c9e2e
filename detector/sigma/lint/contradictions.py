"""Whether a tree can be true of any event.

A search for a set of leaves that can hold together, one branch of each `or`: mostly the first one does. What is not
understood counts as possible, so that a verdict is never wrong, but may be missed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

from detector.sigma.fields import KEYWORDS
from detector.sigma.folding import fold
from detector.sigma.nodes import (
    And,
    Cidr,
    Compare,
    Exists,
    Leaf,
    Matcher,
    Node,
    Not,
    Null,
    Operator,
    Or,
    Text,
    Wildcard,
)
from detector.sigma.patterns import any_text_test
from detector.sigma.values import address_of, number_of

_MAX_STEPS = 10_000


class Conflict(IntEnum):
    """Why leaves cannot hold together: NEVER, or SINGLE: not of one value, but of the values of an array."""

    NONE = 0
    SINGLE = 1
    NEVER = 2


class _Literal(NamedTuple):
    leaf: Leaf
    true: bool


@dataclass(frozen=True, slots=True)
class Contradiction:
    """A tree is true of no event, or of none whose fields have one value; what stands against each other in it."""

    conflict: Conflict
    first: _Literal
    second: _Literal


class _TooLargeError(Exception):
    pass


def contradiction(node: Node) -> Contradiction | None:
    """Why a tree can never be true; None where it can, or where that is not certain."""
    found = _Search(Conflict.NEVER).run(node)
    return found or _Search(Conflict.SINGLE).run(node)


class _Search:
    """Looks for leaves that hold together; those that conflict as much as `least`, or more, do not."""

    def __init__(self, least: Conflict) -> None:
        self._least = least
        self._steps = 0
        self._against: Contradiction | None = None
        self._held: dict[str, list[_Literal]] = {}

    def run(self, node: Node) -> Contradiction | None:
        """What stands against each other in a tree that is never true."""
        try:
            possible = self._possible([(node, True)])
        except (_TooLargeError, RecursionError):
            return None
        return None if possible else self._against

    def _possible(self, waiting: list[tuple[Node, bool]]) -> bool:
        """Whether all nodes can be true (false where the flag is) beside what is held; if so, it stays held."""
        choices: list[tuple[tuple[Node, bool], ...]] = []
        added: list[str] = []
        while waiting:
            self._step()
            node, true = waiting.pop()
            if isinstance(node, Not):
                waiting.append((node.node, not true))
            elif isinstance(node, Leaf):
                if not self._hold(node, true, added):
                    return self._undo(added)
            elif isinstance(node, And) == true:
                waiting.extend((part, true) for part in node.nodes)
            else:
                choices.append(tuple((part, true) for part in node.nodes))
        if not choices:
            return True
        first, *others = sorted(choices, key=len)
        rest = [_as_node(choice) for choice in others]
        return any(self._possible([*rest, option]) for option in first) or self._undo(added)

    def _hold(self, leaf: Leaf, true: bool, added: list[str]) -> bool:
        """Hold a leaf, or say that it conflicts with what is held."""
        literal = _positive(leaf, true=true)
        for other in self._held.get(leaf.field, ()):
            self._step()
            conflict = _conflict(literal, other)
            if conflict >= self._least:
                if self._against is None:
                    self._against = Contradiction(conflict, other, literal)
                return False
        self._held.setdefault(leaf.field, []).append(literal)
        added.append(leaf.field)
        return True

    def _undo(self, added: list[str]) -> bool:
        for field in added:
            self._held[field].pop()
        return False

    def _step(self) -> None:
        self._steps += 1
        if self._steps > _MAX_STEPS:
            raise _TooLargeError


def _conflict(one: _Literal, other: _Literal) -> Conflict:
    """How far two literals of one field conflict."""
    if one.true and other.true:
        return _together(one.leaf, other.leaf)
    if one.true == other.true:
        return Conflict.NONE
    positive, negative = (one, other) if one.true else (other, one)
    return Conflict.NEVER if _implies(positive.leaf.matcher, negative.leaf.matcher) else Conflict.NONE


def _as_node(choice: tuple[tuple[Node, bool], ...]) -> tuple[Node, bool]:
    """A choice as one node again: at least one of its parts is as its flag says."""
    return Or(tuple(part if true else Not(part) for part, true in choice)), True


def _positive(leaf: Leaf, *, true: bool) -> _Literal:
    """`exists` is never negated: it has a value for that."""
    if not true and isinstance(leaf.matcher, Exists):
        return _Literal(Leaf(leaf.field, Exists(not leaf.matcher.present), leaf.modifiers, leaf.selection), True)
    return _Literal(leaf, true)


def _together(one: Leaf, other: Leaf) -> Conflict:
    """Whether two leaves of one field can be true of the same event."""
    first, second = one.matcher, other.matcher
    if isinstance(second, (Exists, Null)):
        first, second = second, first
    if isinstance(first, Exists):
        absent = not first.present
        clash = second.present if isinstance(second, Exists) else not isinstance(second, Null)
        return Conflict.NEVER if absent and clash else Conflict.NONE
    if isinstance(first, Null):
        return Conflict.NONE if isinstance(second, (Exists, Null)) else Conflict.SINGLE
    if one.field == KEYWORDS or _may_be_one_value(first, second):
        return Conflict.NONE
    return Conflict.SINGLE


def _may_be_one_value(first: Matcher, second: Matcher) -> bool:
    """Whether one value can meet both; true where that is not certain."""
    if isinstance(second, Text):
        first, second = second, first
    if isinstance(first, Text):
        if isinstance(second, Text):
            return _may_be_one_text(first, second)
        literal = _literal(first)
        if isinstance(second, Compare) and second.part is None and literal is not None:
            return _is_float(literal) or ((number := number_of(literal)) is not None and _in(number, second))
        if isinstance(second, Cidr) and literal is not None:
            address = address_of(literal)
            return address is not None and address in second.network
        return True
    if isinstance(first, Compare) and isinstance(second, Compare) and first.part == second.part:
        low, high = max(_low(first), _low(second)), min(_high(first), _high(second))
        return low < high or (low == high and all(_in(low[0], each) for each in (first, second)))
    if isinstance(first, Cidr) and isinstance(second, Cidr):
        return first.network.version == second.network.version and first.network.overlaps(second.network)
    return True


def _may_be_one_text(first: Text, second: Text) -> bool:
    one, other = _folded(first), _folded(second)
    if not (first.cased and second.cased):
        first, second = one, other
    for literal, pattern in ((_literal(first), second), (_literal(second), first)):
        if literal is not None:
            return any_text_test([pattern])(literal)
    return _start_together(first, second) and _end_together(first, second)


def _start_together(first: Text, second: Text) -> bool:
    one, other = _start(first), _start(second)
    return one.startswith(other) or other.startswith(one)


def _end_together(first: Text, second: Text) -> bool:
    one, other = _end(first), _end(second)
    return one.endswith(other) or other.endswith(one)


def _implies(first: Matcher, second: Matcher) -> bool:
    """Whether each event of which the first is true makes the second true; false where that is not certain."""
    if first == second:
        return True
    if isinstance(second, Exists):
        return second.present and not isinstance(first, (Null, Exists))
    if isinstance(second, Null):
        return first == Exists(present=False)
    if isinstance(first, Text):
        return _text_implies(first, second)
    if isinstance(first, Compare) and isinstance(second, Compare) and first.part == second.part:
        return _low(second) <= _low(first) and _high(first) <= _high(second)
    if isinstance(first, Cidr) and isinstance(second, Cidr) and first.network.version == second.network.version:
        return first.network.subnet_of(second.network)  # type: ignore[arg-type]
    return False


def _text_implies(first: Text, second: Matcher) -> bool:
    literal = _literal(first)
    if isinstance(second, Text):
        if second.cased and not first.cased:
            return False
        if not second.cased:
            first = _folded(first)
            literal = _literal(first)
        if literal is not None:
            return any_text_test([second])(literal)
        match second.parts:
            case (Wildcard.ANY,):
                return True
            case (str(text), Wildcard.ANY):
                return _start(first).startswith(text)
            case (Wildcard.ANY, str(text)):
                return _end(first).endswith(text)
            case (Wildcard.ANY, str(text), Wildcard.ANY):
                return any(text in part for part in first.parts if isinstance(part, str))
        return False
    if literal is None:
        return False
    if isinstance(second, Compare) and second.part is None:
        number = number_of(literal)
        return number is not None and _in(number, second)
    return isinstance(second, Cidr) and (address := address_of(literal)) is not None and address in second.network


def _folded(text: Text) -> Text:
    return Text(tuple(fold(part) if isinstance(part, str) else part for part in text.parts)) if text.cased else text


def _literal(text: Text) -> str | None:
    """The text itself, where the pattern has no wildcard."""
    return None if any(isinstance(part, Wildcard) for part in text.parts) else "".join(map(str, text.parts))


def _start(text: Text) -> str:
    return text.parts[0] if text.parts and isinstance(text.parts[0], str) else ""


def _end(text: Text) -> str:
    return text.parts[-1] if text.parts and isinstance(text.parts[-1], str) else ""


_Bound = tuple[float, int]
"""A number, and whether the interval begins behind it (1), ends before it (-1), or includes it (0)."""


def _low(compare: Compare) -> _Bound:
    if compare.operator in (Operator.LT, Operator.LTE):
        return -math.inf, 0
    return compare.number, 1 if compare.operator is Operator.GT else 0


def _high(compare: Compare) -> _Bound:
    if compare.operator in (Operator.GT, Operator.GTE):
        return math.inf, 0
    return compare.number, -1 if compare.operator is Operator.LT else 0


def _is_float(literal: str) -> bool:
    """Whether it is how a large float is written: the float compares as a number, the text does not."""
    return "e" in literal or "inf" in literal or "nan" in literal


def _in(number: float, compare: Compare) -> bool:
    return _low(compare) <= (number, 0) <= _high(compare)
