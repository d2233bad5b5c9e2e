"""What each rule costs on some events, and why: what `detector rules bench` shows.

All rules together share the pass that looks for their texts; what a rule costs by itself is that it runs, on the events
in which its texts were found. That is measured for each rule that runs at all: its own decision code on those events.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from detector.events import Binding, Event, LogSource
from detector.sigma.engine.columns import gather
from detector.sigma.engine.cost import Cost, cost_of
from detector.sigma.engine.program import ROWS, Options, Program
from detector.sigma.fields import EventView
from detector.sigma.nodes import Regex, leaves
from detector.sigma.rule import Rule, runs_on
from detector.sigma.ruleset import RuleSet

_REPEATS = 3
"""Times that a rule is measured; the least counts."""
_OFTEN = 0.1
"""Share of its events from which on a rule runs too often."""
_SAMPLE = 500
"""Events in which its texts are looked for."""
_TEXTS = 3
"""Texts of a witness that are named."""
_ALONE = Options(witnesses=False, guards=False)

_Row = tuple[Event, Binding]


@dataclass(frozen=True, slots=True)
class RuleCost:
    """What a rule costs.

    events: how many it is bound to, once for each log source. runs: on how many of them it ran, because its texts were
    found. matches: how many it matched. seconds: that the runs took. reasons: why it costs what it does, most first.
    """

    rule: Rule
    events: int
    runs: int
    matches: int
    seconds: float
    cost: Cost
    reasons: tuple[str, ...]

    @property
    def nanoseconds(self) -> float:
        """What it adds to an event of its log source, on average."""
        return self.seconds / self.events * 1e9


@dataclass(frozen=True, slots=True)
class Bench:
    """costs: of the rules that are bound to one of the events, the dearest first. seconds: of all rules together."""

    costs: tuple[RuleCost, ...]
    seconds: float


def rule_costs(rules: RuleSet, events: Sequence[Event]) -> Bench:
    """Measure each rule of a set on some events."""
    rows: dict[LogSource, list[_Row]] = {}
    for event in events:
        for binding in event.bindings:
            rows.setdefault(binding.logsource, []).append((event, binding))
    seconds = _least(lambda: rules.matching(events))
    bound = [0] * len(rules.rules)
    runs: list[list[_Row]] = [[] for _ in rules.rules]
    for logsource, its_rows in rows.items():
        numbers = [number for number, rule in enumerate(rules.rules) if runs_on(rule.logsource, logsource)]
        program = rules.engine.program(logsource)
        if program is None:
            continue
        for number in numbers:
            bound[number] += len(its_rows)
        for start in range(0, len(its_rows), ROWS):
            batch = its_rows[start : start + ROWS]
            for row, local in _candidates(program, batch):
                runs[numbers[local]].append(batch[row])
    costs = [_cost(rule, bound[number], runs[number]) for number, rule in enumerate(rules.rules) if bound[number]]
    return Bench(tuple(sorted(costs, key=lambda each: -each.seconds)), seconds)


def _candidates(program: Program, rows: Sequence[_Row]) -> list[tuple[int, int]]:
    columns = gather(rows, program.fields, program.columns)
    found_rows, found_rules = program.candidates(columns, *program.scan(columns))
    return list(zip(found_rows.tolist(), found_rules.tolist(), strict=True))


def _cost(rule: Rule, events: int, rows: list[_Row]) -> RuleCost:
    cost = cost_of(rule.condition)
    matches, seconds = 0, 0.0
    if rows:
        program = Program([rule.condition], _ALONE)
        for start in range(0, len(rows), ROWS):
            batch = rows[start : start + ROWS]
            columns = gather(batch, program.fields, program.columns)
            found = program.scan(columns)  # as its fields, shared with all the other rules
            work = partial(program.judge, columns, *found, _views(batch))
            seconds += _least(work)
            matches += len(np.unique(work()[0]))
    reasons = tuple(_reasons(rule, cost, rows, len(rows) / events))
    return RuleCost(rule, events, len(rows), matches, seconds, cost, reasons)


def _views(rows: Sequence[_Row]) -> Callable[[int], EventView]:
    made: dict[int, EventView] = {}

    def view(row: int) -> EventView:
        if row not in made:
            made[row] = EventView(*rows[row])
        return made[row]

    return view


def _reasons(rule: Rule, cost: Cost, rows: Sequence[_Row], share: float) -> Iterator[str]:
    if cost.witness is None:
        yield "no text is in every event that it matches: it runs on each event"
    elif share >= _OFTEN:
        texts = ", ".join(map(repr, _found(rule, cost.witness, rows[:: len(rows) // _SAMPLE + 1])))
        yield f"its texts are in {share:.0%} of the events" + (f", most often {texts}" if texts else "")
    if cost.regexes:
        only = "nothing but " if all(isinstance(leaf.matcher, Regex) for leaf in leaves(rule.condition)) else ""
        yield f"{only}{cost.regexes} regular expression{'s' if cost.regexes > 1 else ''}"
    if others := cost.plain - cost.regexes:
        yield f"{others} of its comparisons are of numbers, networks, other fields or presence"


def _found(rule: Rule, witness: Sequence[bytes], rows: Sequence[_Row]) -> list[str]:
    """The texts of a witness that are in most of the rows."""
    fields = {leaf.field for leaf in leaves(rule.condition)}
    counts: Counter[str] = Counter()
    for event, binding in rows:
        view = EventView(event, binding)
        values = [value for field in fields for value in view.folded(field)]
        texts = (text.decode(errors="replace") for text in witness)
        counts.update(text for text in texts if any(text in value for value in values))
    return [text for text, _ in counts.most_common(_TEXTS)]


def _least(work: Callable[[], object]) -> float:
    """Seconds of the fastest of some runs."""
    times = []
    for _ in range(_REPEATS):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return min(times)
