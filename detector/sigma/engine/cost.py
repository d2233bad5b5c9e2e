"""What a rule costs, as far as its condition tells."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from detector.sigma.engine.lowering import Lowering, Vocabulary
from detector.sigma.engine.witness import scores, witness
from detector.sigma.nodes import Node, Regex


@dataclass(frozen=True, slots=True)
class Cost:
    """texts: how many texts the condition compares. regexes: how many expressions. plain: of these and of all else,
    what only the plain evaluator decides.

    witness: texts of which one is in every event that the rule matches, in folded case; None: there are none, so that
    the rule runs in full on each event of its log source.
    """

    texts: int
    regexes: int
    plain: int
    witness: tuple[bytes, ...] | None


def cost_of(condition: Node) -> Cost:
    """The cost of a condition."""
    words = Vocabulary()
    tree = Lowering(words).rule(condition)
    atoms = list(words.atoms)
    found = witness(tree, scores(atoms, Counter()))
    return Cost(
        texts=len(atoms),
        regexes=sum(isinstance(matcher, Regex) for _, matcher in words.leaves),
        plain=len(words.leaves),
        witness=None if found is None else tuple(sorted(atoms[index].needle for index in found.atoms)),
    )
