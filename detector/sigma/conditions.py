"""The condition of a rule: `selection and not 1 of filter_*` with the selections put in.

pySigma's own parser takes no `-` in patterns, drops what matches nothing, gives no column, and recurses as deep as the
condition is nested.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from detector.sigma.nearest import nearest
from detector.sigma.nodes import And, Node, Not, Or
from detector.sigma.patterns import in_order

MAX_LENGTH = 16_384
"""Characters of a condition."""
MAX_DEPTH = 64
"""Levels of brackets and `not`."""

_TOKEN = re.compile(r"\s*(?:(?P<word>[A-Za-z0-9_*-]+)|(?P<bracket>[()])|(?P<other>\S))")
_REMOVED = "aggregations with `|` were removed from Sigma: write a correlation rule"
_SIGNS = {"||": "write `or`", "|": _REMOVED, "&": "write `and`", "!": "write `not`"}
_CHARACTERS = "names of selections have letters, digits, `_` and `-`"
_CASE = {"AND", "OR", "NOT", "OF", "And", "Or", "Not", "Of"}
_QUANTIFIERS: dict[str, type[And | Or]] = {"1": Or, "any": Or, "all": And}


class ConditionError(Exception):
    """The condition cannot be read; the message says where in it and how to mend it."""


def parse_condition(condition: str, selections: Mapping[str, Node]) -> Node:
    """The tree of a condition over the trees of its selections. Raises ConditionError."""
    if len(condition) > MAX_LENGTH:
        raise ConditionError(f"the condition has {len(condition)} characters: at most {MAX_LENGTH} are allowed")
    parser = _Parser(condition, selections)
    node = parser.any_of()
    parser.end()
    return node


class _Parser:
    __slots__ = ("_depth", "_next", "_selections", "_tokens")

    def __init__(self, condition: str, selections: Mapping[str, Node]) -> None:
        self._selections = selections
        self._tokens: list[tuple[str, int]] = []
        self._next = 0
        self._depth = 0
        for match in _TOKEN.finditer(condition):
            column = match.start(match.lastgroup or 0) + 1
            if match["other"]:
                sign = condition[match.start("other") :][:2]
                hint = f": {_SIGNS.get(sign) or _SIGNS.get(sign[0], _CHARACTERS)}"
                raise ConditionError(f"{match['other']!r} in column {column} has no meaning in a condition{hint}")
            self._tokens.append((match["word"] or match["bracket"], column))

    def any_of(self) -> Node:
        nodes = [self._all_of()]
        while self._take("or"):
            nodes.append(self._all_of())
        return nodes[0] if len(nodes) == 1 else Or(tuple(nodes))

    def end(self) -> None:
        if self._peek():
            raise self._unexpected("`and` or `or`")

    def _all_of(self) -> Node:
        nodes = [self._one()]
        while self._take("and"):
            nodes.append(self._one())
        return nodes[0] if len(nodes) == 1 else And(tuple(nodes))

    def _one(self) -> Node:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise ConditionError(f"the condition is nested more than {MAX_DEPTH} deep")
        if self._take("not"):
            node: Node = Not(self._one())
        elif self._take("("):
            node = self.any_of()
            if not self._take(")"):
                raise self._unexpected("`)`")
        elif self._peek(1) == "of":
            node = self._several()
        else:
            node = self._selection()
        self._depth -= 1
        return node

    def _several(self) -> Node:
        quantifier = self._tokens[self._next][0]
        pattern = self._peek(2)
        if quantifier not in _QUANTIFIERS:
            raise ConditionError(f"`{quantifier} of` is not Sigma: write `1 of`, `any of` or `all of`")
        if pattern in ("", "(", ")"):
            raise ConditionError(f"`{quantifier} of` must name selections: `them`, or a pattern such as `selection_*`")
        self._next += 3
        nodes = tuple(node for name, node in self._selections.items() if _matches(pattern, name))
        if not nodes:
            raise ConditionError(f"`{quantifier} of {pattern}` matches no selection: {self._known()}")
        return nodes[0] if len(nodes) == 1 else _QUANTIFIERS[quantifier](nodes)

    def _selection(self) -> Node:
        name = self._peek()
        if name in ("", ")", "and", "or"):
            raise self._unexpected("the name of a selection")
        if name not in self._selections:
            raise ConditionError(
                f"`{name}` in column {self._tokens[self._next][1]} is no selection: {self._hint(name)}"
            )
        self._next += 1
        return self._selections[name]

    def _hint(self, name: str) -> str:
        if name in _CASE:
            return f"write `{name.lower()}`"
        near = nearest(name, self._selections)
        return f"did you mean `{near}`?" if near else self._known()

    def _known(self) -> str:
        names = list(self._selections)
        return "there are " + ", ".join(f"`{name}`" for name in names[:8]) + (" …" if len(names) > 8 else "")

    def _unexpected(self, wanted: str) -> ConditionError:
        if not self._peek():
            return ConditionError(f"the condition ends where {wanted} must follow")
        word, column = self._tokens[self._next]
        hint = f", {self._hint(word)}" if word in _CASE else ""
        return ConditionError(f"`{word}` in column {column} stands where {wanted} must{hint}")

    def _peek(self, ahead: int = 0) -> str:
        index = self._next + ahead
        return self._tokens[index][0] if index < len(self._tokens) else ""

    def _take(self, word: str) -> bool:
        taken = self._peek() == word
        self._next += taken
        return taken


def _matches(pattern: str, name: str) -> bool:
    """Whether a pattern with `*` stands for a selection; those that begin with `_` must be asked for by a `_`."""
    if name.startswith("_") and not pattern.startswith("_"):
        return False
    if pattern == "them":
        return True
    first, *others = pattern.split("*")
    return in_order(name, first, others[:-1], others[-1]) if others else name == pattern
