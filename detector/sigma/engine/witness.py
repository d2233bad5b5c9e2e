"""Witnesses: for each rule a set of atoms, at least one of which is true of every event that the rule matches.

Only rules one of whose witnesses was found are run. A rule without one runs on every event.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from math import log2
from typing import NamedTuple

from detector.sigma.engine.lowering import Atom, Every, Kind, Never, Some, Step, Tree, atoms_of

GRAM = 4
"""Bytes of a text that are looked up at once; shorter texts have shorter grams."""

_LONG = 16
"""Bytes beyond which a text is not rarer for being longer."""
_BONUS = {Kind.EQUALS: 6.0, Kind.STARTS: 2.0, Kind.ENDS: 2.0, Kind.CONTAINS: 0.0}
_SHORT = {0: 2.0, 1: -12.0, 2: -6.0, 3: 0.0}
"""Scores of short texts: one of a byte or two is nearly everywhere, an empty value is not."""
_COMMON, _MANY = 2.0, 0.25
"""What each doubling costs: of how often rules ask for a text, and of the number of texts of a set."""


class Witness(NamedTuple):
    """Atoms of which one is true wherever the tree is; score: how rarely that is so, by estimate."""

    score: float
    atoms: frozenset[int]


def gram_counts(atoms: Sequence[Atom], trees: Iterable[Tree]) -> Counter[tuple[int, bytes]]:
    """How often rules ask for each gram of a column: what many rules look for is common in events, too."""
    asked = Counter(index for tree in trees for index in atoms_of(tree))
    counts: Counter[tuple[int, bytes]] = Counter()
    for index, times in asked.items():
        atom = atoms[index]
        for gram in grams(atom.needle):
            counts[atom.column, gram] += times
    return counts


def grams(needle: bytes) -> list[bytes]:
    """The grams of a text by their place in it."""
    size = min(len(needle), GRAM)
    return [needle[start : start + size] for start in range(len(needle) - size + 1)]


def scores(atoms: Sequence[Atom], counts: Counter[tuple[int, bytes]]) -> list[float]:
    """How rare each atom is in events, by estimate: the higher the rarer."""
    return [_score(atom, counts) if atom.kind in _BONUS else 0.0 for atom in atoms]


def witness(tree: Tree, ratings: Sequence[float]) -> Witness | None:
    """The rarest witness of a tree, None if it has none."""
    match tree:
        case Step(kind, index):
            return Witness(ratings[index], frozenset([index])) if kind <= Kind.CONTAINS else None
        case Never(Never(inner)):
            return witness(inner, ratings)
        case Never():
            return None
        case Every(parts):
            found = [each for part in parts if (each := witness(part, ratings)) is not None]
            return max(found, key=_rank, default=None)
        case Some(parts):
            branches: list[Witness] = []
            for part in parts:
                branch = witness(part, ratings)
                if branch is None:
                    return None
                branches.append(branch)
            atoms = frozenset[int]().union(*(branch.atoms for branch in branches))
            return Witness(min((branch.score for branch in branches), default=0.0), atoms)


def _rank(found: Witness) -> float:
    return found.score - _MANY * log2(max(len(found.atoms), 1))


def _score(atom: Atom, counts: Counter[tuple[int, bytes]]) -> float:
    size = len(atom.needle)
    rarest = min([counts[atom.column, gram] for gram in grams(atom.needle)])
    return _SHORT.get(size, float(min(size, _LONG))) + _BONUS[atom.kind] - _COMMON * log2(max(rarest, 1))
