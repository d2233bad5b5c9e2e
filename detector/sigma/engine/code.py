"""Decision code: a tree as steps that each name where to go next, so that nothing is asked that changes no answer."""

from __future__ import annotations

from detector.sigma.engine.lowering import Every, Kind, Never, Some, Step, Tree

TRUE, FALSE = -1, -2
"""Where the code ends."""

Operation = tuple[int, int, int, int]
"""Kind, index, and the next operation where the answer is yes, and where it is no."""

_COSTS = {
    Kind.EQUALS: 1.0,
    Kind.STARTS: 1.0,
    Kind.ENDS: 1.0,
    Kind.CONTAINS: 3.0,
    Kind.LENGTH: 0.3,
    Kind.RUN: 1.0,
    Kind.SAME: 1.0,
    Kind.SAME_START: 1.0,
    Kind.SAME_END: 1.0,
    Kind.VALUE: 0.1,
    Kind.PRESENT: 0.1,
    Kind.NULL: 0.1,
    Kind.LEAF: 1000.0,
}
"""Relative, to ask the cheap things first; the order changes no answer."""


class Coder:
    """Appends the code of trees to one list of operations."""

    def __init__(self, witnesses: frozenset[int] = frozenset(), *, in_order_of_cost: bool = True) -> None:
        self.operations: list[Operation] = []
        self._witnesses = witnesses
        self._in_order_of_cost = in_order_of_cost
        self._done: dict[tuple[int, int, int], int] = {}
        self._costs: dict[int, float] = {}

    def add(self, tree: Tree) -> int:
        """The operation at which a tree's code begins, or its end if there is nothing to ask."""
        self._done.clear()
        self._costs.clear()
        return self._code(tree, TRUE, FALSE)

    def _code(self, tree: Tree, yes: int, no: int) -> int:
        if isinstance(tree, Never):
            return self._code(tree.part, no, yes)
        key = id(tree), yes, no
        start = self._done.get(key)
        if start is None:
            start = self._done[key] = self._new(tree, yes, no)
        return start

    def _new(self, tree: Step | Every | Some, yes: int, no: int) -> int:
        if isinstance(tree, Step):
            self.operations.append((int(tree.kind), tree.index, yes, no))
            return len(self.operations) - 1
        parts = sorted(tree.parts, key=self._cost) if self._in_order_of_cost else tree.parts
        start = yes if isinstance(tree, Every) else no
        for part in reversed(parts):
            start = self._code(part, start, no) if isinstance(tree, Every) else self._code(part, yes, start)
        return start

    def _cost(self, tree: Tree) -> float:
        if isinstance(tree, Step):
            known = tree.kind <= Kind.CONTAINS and tree.index in self._witnesses
            return 0.2 if known else _COSTS[tree.kind]
        if isinstance(tree, Never):
            return self._cost(tree.part)
        cost = self._costs.get(id(tree))
        if cost is None:
            cost = self._costs[id(tree)] = sum(map(self._cost, tree.parts))
        return cost
