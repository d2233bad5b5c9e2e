"""What the loaded rules and the alerts need of the enrichment: only that is looked up."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Self

from detector.enrichment.enricher import Enricher
from detector.enrichment.loading import Loaded, Sources, load
from detector.enrichment.risk import Row
from detector.enrichment.risks import Risks, row_of
from detector.events import Event
from detector.parsing.registry import Parsers
from detector.sigma.nodes import FieldRef, leaves
from detector.sigma.rule import Rule

Seen = tuple[Row, int]
"""What an event tells of its source, and its time."""


class Use:
    """The enrichment of a pipeline: before the rules what they read, and all of it for events that one matched.

    names: that the rules' conditions read and that the enrichment may give.
    risks: what is known against addresses, if that is asked for.
    """

    __slots__ = ("_for_rules", "enricher", "names", "risks")

    def __init__(self, loaded: Loaded, names: Iterable[str]) -> None:
        self.enricher: Enricher = loaded.enricher
        self.risks: Risks | None = loaded.risks
        self.names = frozenset(names) & self.enricher.names.keys()
        self._for_rules = self.enricher.questions(self.names)

    @classmethod
    def of(cls, sources: Sources, rules: Iterable[Rule], parsers: Parsers) -> Self:
        """Of some rules. Raises EnrichmentError."""
        return cls(load(sources), read_by(rules, parsers))

    def for_rules(self, events: Sequence[Event], times_us: Sequence[int]) -> None:
        """Add what the rules' conditions read. times_us: of each event."""
        self.enricher.add(events, times_us, self._for_rules)

    def for_alerts(self, events: Sequence[Event], times_us: Sequence[int]) -> None:
        """Add all that is known: to alerts, and to what correlations are fed with."""
        self.enricher.add(events, times_us, self.enricher.all)

    def weigh(
        self, found: Iterable[tuple[Event, Iterable[tuple[Rule, object]]]], times_us: Iterable[int]
    ) -> list[Seen]:
        """Tell events that rules matched how risky their sources are, if that is asked for; what is to be remembered.

        found: all events, each with its rules.
        """
        seen: list[Seen] = []
        if self.risks is None:
            return seen
        for (event, matches), time_us in zip(found, times_us, strict=True):
            levels = [rule.level for rule, _ in matches]
            if levels:
                self.risks.tell(event, levels, time_us)
            row = row_of(event, levels)
            if row is not None:
                seen.append((row, time_us))
        return seen

    def remember(self, seen: Sequence[Seen]) -> None:
        """What `weigh` gave of a window, once it is over: whatever was evaluated twice counts once."""
        if self.risks is not None and seen:
            self.risks.remember([row for row, _ in seen], max(time_us for _, time_us in seen))


def read_by(rules: Iterable[Rule], parsers: Parsers) -> set[str]:
    """The names that the rules' conditions read, and those that formats let them stand for."""
    names = set[str]()
    for rule in rules:
        for leaf in leaves(rule.condition):
            names.add(leaf.field)
            if isinstance(leaf.matcher, FieldRef):
                names.add(leaf.matcher.field)
    for bindings in parsers.bindings.values():
        for binding in bindings:
            names.update(path for name in names & binding.aliases.keys() for path in binding.aliases[name])
    return names
