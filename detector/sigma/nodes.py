"""The condition of a rule as a tree: what the plain evaluator runs and every faster engine must agree with.

`And`, `Or` and `Not` hold nodes; a `Leaf` asks one thing of one field. Each matcher is true of a field if it is true
of any of its values (an array's elements, an alias's fields), and false of an absent field, but for `Null` and
`Exists`, which ask for the presence itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv4Network, IPv6Network

from detector.sigma.values import TimePart


class Wildcard(Enum):
    """The parts of a pattern that are not text."""

    ANY = "*"
    ONE = "?"


@dataclass(frozen=True, slots=True)
class Text:
    """The whole text of the value is this pattern; never two literals or two `ANY` in a row.

    cased: compare exactly; otherwise both sides are folded, and the literals here already are.
    """

    parts: tuple[str | Wildcard, ...]
    cased: bool = False

    def __str__(self) -> str:
        return "".join(
            part.value if isinstance(part, Wildcard) else part.replace("*", "\\*").replace("?", "\\?")
            for part in self.parts
        )


@dataclass(frozen=True, slots=True)
class Regex:
    """RE2 finds the pattern somewhere in the text of the value; the flags are in the pattern."""

    pattern: str

    def __str__(self) -> str:
        return self.pattern


class Operator(Enum):
    """How a number compares."""

    LT = "<"
    LTE = "<="
    GT = ">"
    GTE = ">="
    EQ = "=="


@dataclass(frozen=True, slots=True)
class Compare:
    """The value is a number (or a decimal string) that compares so; with `part`, that part of a time does."""

    operator: Operator
    number: int | float
    part: TimePart | None = None

    def __str__(self) -> str:
        return f"{self.operator.value} {self.number}"


@dataclass(frozen=True, slots=True)
class Cidr:
    """The value is an address in the network."""

    network: IPv4Network | IPv6Network

    def __str__(self) -> str:
        return str(self.network)


@dataclass(frozen=True, slots=True)
class FieldRef:
    """The text of the value is that of another field, or starts, ends or does both (contains) with it."""

    field: str
    starts: bool = False
    ends: bool = False
    cased: bool = False

    def __str__(self) -> str:
        return self.field


@dataclass(frozen=True, slots=True)
class Null:
    """The field is absent, or null is among its values."""

    def __str__(self) -> str:
        return "null"


@dataclass(frozen=True, slots=True)
class Exists:
    """The field is present, whatever it holds; or it is not."""

    present: bool

    def __str__(self) -> str:
        return str(self.present).lower()


Matcher = Text | Regex | Compare | Cidr | FieldRef | Null | Exists


@dataclass(frozen=True, slots=True)
class Leaf:
    """One matcher on one field (`fields.KEYWORDS`: on the whole event); where in the rule it stands, for alerts."""

    field: str
    matcher: Matcher
    modifiers: str = ""
    selection: str = ""


@dataclass(frozen=True, slots=True)
class And:
    """All are true."""

    nodes: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """At least one is true."""

    nodes: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """It is false."""

    node: Node


Node = Leaf | And | Or | Not


def leaves(node: Node) -> Iterator[Leaf]:
    """The leaves of a tree from left to right; one that stands in several places comes as often."""
    if isinstance(node, Leaf):
        yield node
    elif isinstance(node, Not):
        yield from leaves(node.node)
    else:
        for child in node.nodes:
            yield from leaves(child)


def without_empty(node: Node) -> Node | None:
    """The tree without empty `And` and `Or`, which ask for nothing; None where nothing is left."""
    return _pruned(node, {})


def _pruned(node: Node, done: dict[int, Node | None]) -> Node | None:
    if isinstance(node, Leaf):
        return node
    if id(node) not in done:
        children = (node.node,) if isinstance(node, Not) else node.nodes
        left = tuple(child for each in children if (child := _pruned(each, done)) is not None)
        if not left:
            done[id(node)] = None
        elif isinstance(node, Not):
            done[id(node)] = Not(left[0])
        elif len(left) == 1:
            done[id(node)] = left[0]
        else:
            done[id(node)] = And(left) if isinstance(node, And) else Or(left)
    return done[id(node)]
