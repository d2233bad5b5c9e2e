"""The rules that run together, by the log sources that they run on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Self

from detector.correlation.rule import Correlation
from detector.errors import RuleError
from detector.events import Event, LogSource
from detector.sigma.engine import Engine, Matches
from detector.sigma.fields import EventView
from detector.sigma.rule import Rule, runs_on
from detector.suppression.policies import Policies

_MAX_CACHED = 4096
"""Combinations of log sources that are remembered; parsers know some dozens."""

Plan = tuple[tuple[tuple[int, ...], tuple[Rule, ...]], ...]
"""The rules in their order, by the indexes of the log sources that they run on."""


@dataclass(frozen=True, slots=True)
class RuleSet:
    """All rules of some sources; it never changes.

    refused: what could not be loaded, with the place; everything else runs.
    correlations: what is asked of the rules' matches together. policies: what keeps them from being alerts.
    sha: 16 hexadecimal digits that name it: of the paths and texts of its sources and the placeholders' values.
    """

    rules: tuple[Rule, ...]
    refused: tuple[RuleError, ...]
    sha: str
    correlations: tuple[Correlation, ...] = ()
    policies: Policies = field(default_factory=Policies)
    _plans: dict[tuple[LogSource, ...], Plan] = field(default_factory=dict, init=False, repr=False, compare=False)
    _engine: list[Engine] = field(default_factory=list, init=False, repr=False, compare=False)

    def with_engine(self, engine: Engine) -> Self:
        """This rule set, with its engine, which has been made before."""
        self._engine.append(engine)
        return self

    @property
    def engine(self) -> Engine:
        """The engine of the rules, made when it is first asked for."""
        if not self._engine:
            self._engine.append(Engine(self.rules))
        return self._engine[0]

    def matching(self, events: Sequence[Event]) -> list[Matches]:
        """The rules that match each event, by the engine."""
        return self.engine.matching(events)

    def bound_to(self, event: Event) -> Iterator[tuple[Rule, tuple[EventView, ...]]]:
        """The rules that run on an event, each once, with the views to give to `matches` and `explain`.

        A rule runs if one log source of the event declares each part of a log source that the rule names.
        """
        bindings = event.bindings
        plan = self._plan(tuple(binding.logsource for binding in bindings))
        if not plan:
            return
        views = tuple(EventView(event, binding) for binding in bindings)
        for places, rules in plan:
            seen = tuple(views[place] for place in places)
            for rule in rules:
                yield rule, seen

    def _plan(self, logsources: tuple[LogSource, ...]) -> Plan:
        plan = self._plans.get(logsources)
        if plan is None:
            by_places = groupby(self.rules, lambda rule: _places(rule, logsources))
            plan = tuple((places, tuple(rules)) for places, rules in by_places if places)
            if len(self._plans) >= _MAX_CACHED:
                self._plans.clear()
            self._plans[logsources] = plan
        return plan


def _places(rule: Rule, logsources: tuple[LogSource, ...]) -> tuple[int, ...]:
    return tuple(place for place, logsource in enumerate(logsources) if runs_on(rule.logsource, logsource))
