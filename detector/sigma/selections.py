"""Where the selections of a rule are in its tree."""

from __future__ import annotations

from collections.abc import Iterator

from detector.sigma.nodes import Leaf, Node, Not, leaves


class Selections:
    """The names of selections by the nodes that they became; a node may stand in several places of its tree."""

    __slots__ = ("_names",)

    def __init__(self) -> None:
        self._names: dict[int, str | None] = {}

    def name(self, node: Node) -> str | None:
        """The selection that a node is, or is part of; None for one of the condition's own."""
        if isinstance(node, Leaf):
            return node.selection or None
        if id(node) not in self._names:
            inner = parts(node) if not isinstance(node, Not) or is_neq(node) else ()
            names = {self.name(each) for each in inner}
            self._names[id(node)] = names.pop() if len(names) == 1 else None
        return self._names[id(node)]

    def roots(self, node: Node) -> Iterator[tuple[str, Node]]:
        """The largest nodes that belong to one selection each."""
        name = self.name(node)
        if name is not None:
            yield name, node
        elif not isinstance(node, Leaf):
            for each in parts(node):
                yield from self.roots(each)


def parts(node: Node) -> tuple[Node, ...]:
    """The nodes right below one."""
    if isinstance(node, Leaf):
        return ()
    return (node.node,) if isinstance(node, Not) else node.nodes


def is_neq(node: Not) -> bool:
    """Whether it is the `neq` of an item of a selection, not a `not` in the condition."""
    return not isinstance(node.node, Not) and all("neq" in leaf.modifiers.split("|") for leaf in leaves(node.node))
