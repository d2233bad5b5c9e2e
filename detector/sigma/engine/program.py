"""The rules of one log source as arrays, and their run over a batch of rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from detector.parsing.jit import Ints, Longs
from detector.parsing.simd import padded
from detector.sigma.engine import grams, kernels, scan_kernels
from detector.sigma.engine.code import TRUE, Coder
from detector.sigma.engine.columns import Columns, Row, gather
from detector.sigma.engine.lowering import Kind, LeafTest, Lowering, Vocabulary
from detector.sigma.engine.witness import gram_counts, scores, witness
from detector.sigma.fields import KEYWORDS, EventView
from detector.sigma.nodes import FieldRef, Node

ROWS = 2048
"""Rows that are evaluated together: enough to be fast, few enough to stay in the cache."""

_HITS_PER_VALUE, _PAIRS_PER_ROW = 4, 32
"""For which there is room at first; more is made where it is needed."""

_MIN_GUARD = 4
"""Bytes of a text before a leaf that is looked for in the pass over all values; shorter ones are everywhere."""

_SOMEWHERE = (Kind.CONTAINS, Kind.RUN, Kind.LENGTH)
"""What may be asked of joined texts. A length is only asked before an expression, which then decides."""

View = Callable[[int], EventView]
"""The view of a row, which may be kept."""


@dataclass(frozen=True, slots=True)
class Options:
    """What tests switch off, to see that it changes no answer."""

    witnesses: bool = True
    in_order_of_cost: bool = True
    guards: bool = True


class Program:
    """The rules that run on the events of one log source.

    fields, columns, joined: what `gather` takes. read: fields whose values are compared, not only their presence.
    """

    def __init__(self, conditions: Sequence[Node], options: Options = Options()) -> None:
        self.conditions = tuple(conditions)
        words = Vocabulary()
        lowering = Lowering(words)
        trees = [lowering.rule(condition) for condition in conditions]
        atoms = list(words.atoms)
        counts = gram_counts(atoms, trees)
        ratings = scores(atoms, counts)
        found = [witness(tree, ratings) if options.witnesses else None for tree in trees]
        used = frozenset[int]().union(*(each.atoms for each in found if each is not None))
        if options.guards:
            used |= {atom for atom in words.guards if len(atoms[atom].needle) >= _MIN_GUARD}
        coder = Coder(used, in_order_of_cost=options.in_order_of_cost)
        self._entries = np.array([coder.add(tree) for tree in trees], np.int32)
        self._operations = np.array(coder.operations, np.int32).reshape(-1, 4)
        self._pairs = np.array(list(words.pairs), np.int32).reshape(-1, 2)
        self.fields = tuple(words.fields)
        self.columns = tuple(words.columns)
        self.joined = _joined(words)
        self._leaves = tuple(LeafTest(name, matcher) for name, matcher in words.leaves)
        referred = {matcher.field for _, matcher in words.leaves if isinstance(matcher, FieldRef)}
        self.read = frozenset(
            (*(self.fields[field] for field, _ in self.columns), *(name for name, _ in words.leaves), *referred)
        )
        self._index = grams.build(atoms, used, len(words.columns), counts)
        self._kinds = np.array([atom.kind for atom in atoms], np.uint8)
        self._atom_column = np.array([atom.column for atom in atoms], np.int32)
        self._needles = padded(np.frombuffer(b"".join(atom.needle for atom in atoms), np.uint8))
        self._needle_start = _offsets([len(atom.needle) for atom in atoms])
        self._known = np.zeros(len(atoms), np.uint8)
        self._known[sorted(used)] = 1
        rules_of: list[list[int]] = [[] for _ in atoms]
        for rule, each in enumerate(found):
            for atom in sorted(each.atoms) if each is not None else ():
                rules_of[atom].append(rule)
        self._rule_end = _offsets(list(map(len, rules_of)))
        self._rules = np.array([rule for rules in rules_of for rule in rules], np.int32)
        self._always = np.array([rule for rule, each in enumerate(found) if each is None], np.int32)

    def run(self, rows: Sequence[Row], view: View) -> tuple[np.ndarray, np.ndarray]:
        """The pairs of row and rule that match, by their numbers; in the order of the rows."""
        return self.match(gather(rows, self.fields, self.columns), view)

    def match(self, columns: Columns, view: View) -> tuple[np.ndarray, np.ndarray]:
        """The same of rows whose columns were gathered in another way."""
        return self.judge(columns, *self.scan(columns), view)

    def judge(self, columns: Columns, hits: Ints, hit_end: Longs, view: View) -> tuple[np.ndarray, np.ndarray]:
        """The same with the witnesses that `scan` found."""
        pair_rows, pair_rules = self.candidates(columns, hits, hit_end)
        pcs = self._entries[pair_rules]
        self._decide(columns, hits, hit_end, pair_rows, pcs, view)
        matched = np.flatnonzero(pcs == TRUE)
        return pair_rows[matched], pair_rules[matched]

    def scan(self, columns: Columns) -> tuple[Ints, Longs]:
        """The witnesses in each value."""
        values = len(columns.begin)
        atoms = len(self._kinds)
        hits = np.empty(values * _HITS_PER_VALUE + atoms, np.int32)
        hit_end = np.zeros(values + 1, np.int64)
        seen = np.full(atoms, -1, np.int64)
        value = 0
        while True:
            value = scan_kernels.scan(
                columns.data, columns.begin, columns.end, columns.first, value, *self._index,
                self._kinds, self._needle_start, self._needles, seen, hits, hit_end,
                np.empty(scan_kernels.ASKED, np.int64), np.empty(scan_kernels.ASKED, np.int64),
            )  # fmt: skip
            if value >= values:
                return hits, hit_end
            hits = np.concatenate([hits, np.empty_like(hits)])

    def candidates(self, columns: Columns, hits: Ints, hit_end: Longs) -> tuple[Ints, Ints]:
        """The pairs of row and rule that may match."""
        rows = columns.presence.shape[1]
        size = rows * _PAIRS_PER_ROW + len(self._entries)
        marked = np.full(len(self._entries), -1, np.int32)
        parts: list[tuple[np.ndarray, np.ndarray]] = []
        row = 0
        while row < rows or not parts:
            out_rows, out_rules = np.empty(size, np.int32), np.empty(size, np.int32)
            row, count = kernels.candidates(
                row, rows, columns.cells, columns.ends, hits, hit_end,
                self._rule_end, self._rules, self._always, marked, out_rows, out_rules,
            )  # fmt: skip
            parts.append((out_rows[:count], out_rules[:count]))
        if len(parts) == 1:
            return parts[0]
        return np.concatenate([part for part, _ in parts]), np.concatenate([part for _, part in parts])

    def _decide(  # noqa: PLR0917
        self,
        columns: Columns,
        hits: Ints,
        hit_end: Longs,
        pair_rows: Ints,
        pcs: Ints,
        view: View,
    ) -> None:
        """Run the pairs to their ends; what the kernel cannot decide is decided in between."""
        operations = self._operations
        asked = np.full(len(self._kinds), -1, np.int32)
        answers = np.zeros(len(self._kinds), np.uint8)
        known: dict[tuple[int, int], bool] = {}
        waiting = np.arange(len(pcs))
        while len(waiting):
            its_rows, its_pcs = pair_rows[waiting], pcs[waiting]
            asked[:] = -1
            kernels.run(
                its_rows, its_pcs, operations, self._pairs, columns.presence, columns.cells, columns.ends,
                columns.data, columns.begin, columns.end, hits, hit_end, self._known, self._atom_column,
                self._needle_start, self._needles, asked, answers,
            )  # fmt: skip
            stopped = np.flatnonzero(its_pcs >= 0)
            for place in stopped.tolist():
                row, pc = int(its_rows[place]), int(its_pcs[place])
                leaf = int(operations[pc, 1])
                true = known.get((row, leaf))
                if true is None:
                    true = known[row, leaf] = self._leaves[leaf].test(view(row))
                its_pcs[place] = operations[pc, 2 if true else 3]
            pcs[waiting] = its_pcs
            waiting = waiting[stopped]


def _joined(words: Vocabulary) -> frozenset[int]:
    """The columns of keywords whose texts may be one: nothing is asked but what is somewhere in one of them."""
    split = {atom.column for atom in words.atoms if atom.kind not in _SOMEWHERE}.union(*words.pairs)
    keywords = words.fields.get(KEYWORDS, -1)
    return frozenset(
        number for (field, _), number in words.columns.items() if field == keywords and number not in split
    )


def _offsets(sizes: Sequence[int]) -> Ints:
    offsets = np.zeros(len(sizes) + 1, np.int32)
    np.cumsum(np.array(sizes, np.int32), out=offsets[1:])
    return offsets
