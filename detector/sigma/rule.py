"""A loaded rule, and what it says of an event."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from detector.config import Level
from detector.events import LogSource
from detector.sigma.fields import EventView
from detector.sigma.nodes import Node
from detector.sigma.reference import Evidence, Test, compile_test, explain


@dataclass(frozen=True, slots=True)
class Match:
    """Why a rule matched an event.

    logsource: the one of the event's log sources that the rule matched through.
    entity: the text of the field that the rule declares as its entity, if it does and the event has it.
    """

    evidence: tuple[Evidence, ...]
    logsource: LogSource
    entity: str | None


@dataclass(frozen=True, slots=True)
class Rule:
    """A Sigma rule that is ready to run; it never changes.

    key: identifies the rule in alerts, metrics and state: its `id`, else a hash of its path and document number.
    level: as the rule says; MEDIUM for one that does not.
    techniques, tactics: out of the tags: "T1059.001", "initial-access".
    fields: those that the rule's author finds of interest in an event that matches.
    entity: the field that names whom an alert is about, from the rule's own key `detector: {entity: NAME}`.
    date, modified: ISO 8601.
    path, document: where it was loaded from; documents count from 1.
    condition: the tree, filters included.
    """

    key: str
    id: str | None
    name: str | None
    title: str
    level: Level
    status: str | None
    description: str | None
    author: str | None
    date: str | None
    modified: str | None
    tags: tuple[str, ...]
    techniques: tuple[str, ...]
    tactics: tuple[str, ...]
    references: tuple[str, ...]
    falsepositives: tuple[str, ...]
    fields: tuple[str, ...]
    logsource: LogSource
    entity: str | None
    path: str
    document: int
    condition: Node
    _test: list[Test] = field(default_factory=list, init=False, repr=False, compare=False)

    def __getstate__(self) -> list[object]:
        return [getattr(self, name) if name != "_test" else [] for name in self.__slots__]

    def __setstate__(self, state: list[object]) -> None:
        for name, value in zip(self.__slots__, state, strict=True):
            object.__setattr__(self, name, value)

    def matches(self, views: Sequence[EventView]) -> bool:
        """Whether the rule is true of an event, seen through any of the log sources that it runs on.

        By the plain evaluator, which is compiled when it is first asked.
        """
        if not self._test:
            self._test.append(compile_test(self.condition))
        return any(map(self._test[0], views))

    def explain(self, views: Sequence[EventView]) -> Match:
        """Why it is. Raises ValueError if it is not."""
        for view in views:
            evidence = explain(self.condition, view)
            if evidence is not None:
                entity = view.texts(self.entity)[:1] if self.entity else ()
                return Match(evidence, view.binding.logsource, entity[0] if entity else None)
        raise ValueError(f"the rule {self.key} does not match: there is nothing to explain")


def runs_on(rule: LogSource, event: LogSource) -> bool:
    """Whether each part that the rule's log source names is declared with the same value by the event's."""
    return all(
        wanted is None or wanted == declared
        for wanted, declared in (
            (rule.category, event.category),
            (rule.product, event.product),
            (rule.service, event.service),
        )
    )
