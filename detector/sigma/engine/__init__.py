"""The columnar engine: all rules on a window's events at once, with the answers of the plain evaluator.

The string conditions of a log source's rules become atoms; each rule has a witness, a set of atoms of which one must
be true (`lowering`, `witness`). One pass over the distinct values of a batch finds the witnesses (`grams`), and only
rules whose witness was found run, as decision code (`code`, `kernels`). What is no comparison of texts is decided by
the plain evaluator where an answer hangs on it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import chain, islice
from weakref import WeakValueDictionary

import numpy as np

from detector.events import Event, LogSource
from detector.parsing.direct.slots import Slots
from detector.parsing.jit import Ints, Longs
from detector.sigma.engine.columns import Row
from detector.sigma.engine.program import ROWS, Options, Program
from detector.sigma.engine.slots import Reading, SlotView
from detector.sigma.engine.slots import gather as gather_slots
from detector.sigma.fields import EventView
from detector.sigma.nodes import Node
from detector.sigma.rule import Rule, runs_on

__all__ = ["Engine", "Matches", "Options"]

Matches = list[tuple[Rule, EventView]]
"""Rules that match an event, in the order of the rule set, each with the first log source through which it does."""

MAX_PROGRAMS = 256
"""Log sources whose programs are kept; parsers know some dozens."""


class Engine:
    """The rules of a rule set, compiled for each log source when its first event comes."""

    __slots__ = ("_by_rules", "_numbers", "_options", "_programs", "_rules")

    def __init__(self, rules: Sequence[Rule], options: Options = Options()) -> None:  # noqa: B008 -- frozen
        self._rules = tuple(rules)
        self._numbers: dict[LogSource, list[int]] = {}
        for number, rule in enumerate(self._rules):
            self._numbers.setdefault(rule.logsource, []).append(number)
        self._options = options
        self._programs: dict[LogSource, Bound | None] = {}
        self._by_rules: dict[tuple[int, ...], Bound] = {}

    def prepare(self) -> None:
        """Compile for the log sources that the rules name, before the first event comes."""
        for logsource in self._numbers:
            self._bound(logsource)

    def remember(self) -> None:
        """Let the next engine in this process have the programs that stay the same, also where none made them here."""
        for bound in self._by_rules.values():
            _known[_key(bound.program.conditions, self._options)] = bound.program

    def matching(self, events: Sequence[Event]) -> list[Matches]:
        """The rules that match each event."""
        found: list[dict[int, tuple[int, EventView]]] = [{} for _ in events]
        rows: dict[int, tuple[Bound, list[tuple[int, int]]]] = {}
        for number, event in enumerate(events):
            for place, binding in enumerate(event.bindings):
                bound = self._bound(binding.logsource)
                if bound is not None:
                    rows.setdefault(id(bound), (bound, []))[1].append((number, place))
        for bound, places in rows.values():
            remaining = iter(places)
            while batch := list(islice(remaining, ROWS)):
                self._run(bound, events, batch, found)
        return [[(self._rules[rule], view) for rule, (_, view) in sorted(each.items())] for each in found]

    def program(self, logsource: LogSource) -> Program | None:
        """What runs on a log source, None where no rule does."""
        bound = self._bound(logsource)
        return bound.program if bound is not None else None

    def bound(self, logsource: LogSource) -> Bound | None:
        """The rules that run on a log source, None where there are none."""
        return self._bound(logsource)

    def _run(
        self,
        bound: Bound,
        events: Sequence[Event],
        batch: list[tuple[int, int]],
        found: list[dict[int, tuple[int, EventView]]],
    ) -> None:
        rows: list[Row] = [(events[number], events[number].bindings[place]) for number, place in batch]
        views: dict[int, EventView] = {}

        def view(row: int) -> EventView:
            made = views.get(row)
            if made is None:
                made = views[row] = EventView(*rows[row])
            return made

        matched_rows, matched_rules = bound.program.run(rows, view)
        for row, local in zip(matched_rows.tolist(), matched_rules.tolist(), strict=True):
            number, place = batch[row]
            rule = bound.rules[local]
            before = found[number].get(rule)
            if before is None or place < before[0]:
                found[number][rule] = place, view(row)

    def _bound(self, logsource: LogSource) -> Bound | None:
        """The program of a log source, None where no rule runs on it."""
        if logsource in self._programs:
            return self._programs[logsource]
        if len(self._programs) >= MAX_PROGRAMS:
            self._programs.clear()
            self._by_rules.clear()
        running = (numbers for named, numbers in self._numbers.items() if runs_on(named, logsource))
        numbers = tuple(sorted(chain.from_iterable(running)))
        bound = self._by_rules.get(numbers)
        if bound is None and numbers:
            bound = self._by_rules[numbers] = Bound(numbers, self._rules, self._options)
        self._programs[logsource] = bound
        return bound


def _program(conditions: tuple[Node, ...], options: Options) -> Program:
    """The program of some conditions; while another rule set has the same, it is that one's."""
    key = _key(conditions, options)
    known = _known.get(key)
    if known is None:
        known = _known[key] = Program(conditions, options)
    return known


def _key(conditions: tuple[Node, ...], options: Options) -> tuple[object, ...]:
    return options, *map(id, conditions)


_known: WeakValueDictionary[tuple[object, ...], Program] = WeakValueDictionary()
"""By the identities of their conditions, which each program keeps, so that no other object can have them."""


class Bound:
    """Some rules of a rule set, by their numbers in it, and their program."""

    __slots__ = ("program", "rules")

    def __init__(self, numbers: tuple[int, ...], rules: Sequence[Rule], options: Options) -> None:
        self.rules = numbers
        self.program = _program(tuple(rules[number].condition for number in numbers), options)

    def match(self, slots: Slots, reading: Reading, records: Ints, views: Ints) -> tuple[Longs, Longs]:
        """The pairs of row and rule that match, by the rules' numbers in the rule set.

        reading: of the program. records, views: of each row; a view is one that `reading` has.
        """
        found: list[tuple[np.ndarray, np.ndarray]] = []
        numbers = np.array(self.rules, np.int64)
        for start in range(0, len(records), ROWS):
            its_records, its_views = records[start : start + ROWS], views[start : start + ROWS]
            columns = gather_slots(slots, reading, its_records, its_views, self.program.columns, self.program.joined)

            @cache
            def view(row: int, records: Ints = its_records, views: Ints = its_views) -> EventView:
                return SlotView(reading, slots, int(records[row]), int(views[row]))

            rows, rules = self.program.match(columns, view)
            found.append((rows.astype(np.int64) + start, numbers[rules]))
        return np.concatenate([rows for rows, _ in found]), np.concatenate([rules for _, rules in found])
