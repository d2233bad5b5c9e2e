"""Incidents as a fold: alerts about one address, user or host within a time are one thing to look at.

Alerts are taken in order of (time, source, offset, ordinal) once the watermark has passed them, so that the incidents,
their versions and scores are the same in whatever order the alerts come.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

from detector.alerts.threat import level_of
from detector.config import Level

MAX_RULES = 64
"""Rules of an incident that are told apart; the alerts of further ones count, too."""
MAX_IDS = 50
"""Ids of alerts that an incident lists: the earliest."""
MAX_PENDING = 200_000
"""Alerts that wait for the watermark; beyond, the earliest do not wait any longer."""

_LEVELS = list(Level)


class Change(StrEnum):
    """Why an incident is told."""

    OPENED = "opened"
    UPDATED = "updated"
    ESCALATED = "escalated"
    CLOSED = "closed"


class Alerted(NamedTuple):
    """An alert, as incidents see it. group: its entity; rule: key; score: its threat score; identity: its id."""

    time_us: int
    source: str
    offset: int
    ordinal: int
    group: str
    rule: str
    score: int
    identity: str


@dataclass(slots=True)
class Incident:
    """What an entity's alerts are so far.

    weight: of the alerts, decayed to last_us. level: number of the highest. rules: by key, how many alerts and when the
    first was. sent_us: when it was told last, -1 before it was opened; grown: since then. version: of what was told.
    """

    first_us: int
    last_us: int
    count: int = 0
    weight: float = 0.0
    level: int = 0
    rules: dict[str, list[int]] = field(default_factory=dict)
    ids: list[str] = field(default_factory=list)
    version: int = 0
    sent_us: int = -1
    grown: bool = False

    @property
    def score(self) -> int:
        """0 to 100: the weight, bent so that it approaches 100."""
        return round(100 * (1 - math.exp(-self.weight / 100)))


class Told(NamedTuple):
    """An incident as it was when it was told. evicted: closed to make room."""

    group: str
    change: Change
    incident: Incident
    at_us: int
    evicted: bool = False


@dataclass(frozen=True, slots=True)
class Terms:
    """When incidents begin and end. gap_us: without an alert for so long it is over. update_us: not told more often.

    least: alerts that open one. half_life_us: after it an alert weighs half. most: incidents that are held.
    """

    gap_us: int
    update_us: int
    least: int
    half_life_us: int
    most: int


_CLOSE, _UPDATE = 0, 1
_Timer = tuple[int, int, str, int]
"""When, `_CLOSE` or `_UPDATE`, of which group, first_us of the incident that it is for."""


class Incidents:
    """Those of all entities. late: alerts that came behind the watermark, since it was last set to 0."""

    def __init__(self, terms: Terms) -> None:
        self._terms = terms
        self._pending: list[Alerted] = []
        self._timers: list[_Timer] = []
        self._of: dict[str, Incident] = {}
        self._done_us = -1
        self.late = self.evicted = 0

    @property
    def size(self) -> int:
        """Entities with alerts that are not over."""
        return len(self._of)

    @property
    def open(self) -> int:
        """Incidents that were told and are not closed."""
        return sum(each.version > 0 for each in self._of.values())

    def add(self, alert: Alerted) -> list[Told]:
        """Take an alert in; it waits for `advance`, unless it is late or too many wait."""
        if alert.time_us < self._done_us:
            self.late += 1
            return self._apply(alert)
        heapq.heappush(self._pending, alert)
        if len(self._pending) <= MAX_PENDING:
            return []
        return self._until(self._pending[0].time_us, first=True)

    def advance(self, settled_us: int) -> list[Told]:
        """No alert before that time is to come."""
        found: list[Told] = []
        while self._pending and self._pending[0].time_us < settled_us:
            found += self._until(self._pending[0].time_us, first=True)
        return found + self._until(settled_us, first=False)

    def dump(self) -> Any:
        """The state as JSON has it."""
        return {
            "done": self._done_us,
            "pending": [list(each) for each in self._pending],
            "timers": self._timers,
            "incidents": {
                group: [getattr(each, name) for name in Incident.__slots__] for group, each in self._of.items()
            },
        }

    def load(self, dumped: Mapping[str, Any]) -> None:
        """Take over a dumped state."""
        self._done_us = dumped["done"]
        self._pending = [Alerted(*each) for each in dumped["pending"]]
        self._timers = [(when, what, group, first_us) for when, what, group, first_us in dumped["timers"]]
        self._of = {group: Incident(*values) for group, values in dumped["incidents"].items()}

    def _until(self, time_us: int, *, first: bool) -> list[Told]:
        """What happens up to a time; first: with the first alert that waits, whose time it is."""
        found: list[Told] = []
        while self._timers and self._timers[0][0] <= time_us:
            found += self._timer(*heapq.heappop(self._timers))
        self._done_us = max(self._done_us, time_us)
        if first:
            found += self._apply(heapq.heappop(self._pending))
        return found

    def _apply(self, alert: Alerted) -> list[Told]:
        terms, time_us = self._terms, alert.time_us
        found = self._bound()
        incident = self._of.get(alert.group)
        if incident is None:
            incident = self._of[alert.group] = Incident(time_us, time_us)
            heapq.heappush(self._timers, (time_us + terms.gap_us, _CLOSE, alert.group, time_us))
        self._count(incident, alert)
        if incident.count < terms.least:
            return found
        level = max(incident.level, _LEVELS.index(level_of(alert.score)), _LEVELS.index(level_of(incident.score)))
        risen, incident.level = level > incident.level, level
        if not incident.version:
            return [*found, self._tell(alert.group, incident, Change.OPENED, time_us)]
        if risen:
            return [*found, self._tell(alert.group, incident, Change.ESCALATED, time_us)]
        if not incident.grown:
            incident.grown = True
            due_us = incident.sent_us + terms.update_us
            heapq.heappush(self._timers, (max(due_us, time_us), _UPDATE, alert.group, incident.first_us))
        return found

    def _count(self, incident: Incident, alert: Alerted) -> None:
        """Add an alert. The n-th of a rule weighs an n-th of its score; all of them halve with time."""
        passed_us = max(0, alert.time_us - incident.last_us)
        incident.weight *= 2 ** (-passed_us / self._terms.half_life_us)
        incident.last_us = max(incident.last_us, alert.time_us)
        incident.count += 1
        rule = incident.rules.get(alert.rule)
        if rule is None:
            rule = [0, alert.time_us]
            if len(incident.rules) < MAX_RULES:
                incident.rules[alert.rule] = rule
        rule[0] += 1
        incident.weight += alert.score / rule[0]
        if incident.count < self._terms.least:  # what it opens with has all of them
            incident.level = max(incident.level, _LEVELS.index(level_of(alert.score)))
        if len(incident.ids) < MAX_IDS:
            incident.ids.append(alert.identity)

    def _timer(self, when_us: int, what: int, group: str, first_us: int) -> list[Told]:
        incident = self._of.get(group)
        if incident is None or incident.first_us != first_us:
            return []
        if what == _UPDATE:
            due_us = incident.sent_us + self._terms.update_us
            if incident.grown and due_us <= when_us:
                return [self._tell(group, incident, Change.UPDATED, when_us)]
            if incident.grown:
                heapq.heappush(self._timers, (due_us, _UPDATE, group, first_us))
            return []
        over_us = incident.last_us + self._terms.gap_us
        if over_us > when_us:
            heapq.heappush(self._timers, (over_us, _CLOSE, group, first_us))
            return []
        del self._of[group]
        return [self._tell(group, incident, Change.CLOSED, over_us)] if incident.version else []

    def _tell(self, group: str, incident: Incident, change: Change, at_us: int, *, evicted: bool = False) -> Told:
        incident.version += 1
        incident.sent_us, incident.grown = at_us, False
        return Told(group, change, _copy(incident), at_us, evicted)

    def _bound(self) -> list[Told]:
        """At the bound, forget a tenth: first what was never told, the oldest first, then what weighs least."""
        if len(self._of) < self._terms.most:
            return []
        wanted = max(1, self._terms.most // 10)
        quiet = [group for group, each in self._of.items() if not each.version][:wanted]
        told = []
        for group in quiet:
            del self._of[group]
        if len(quiet) < wanted:
            lightest = heapq.nsmallest(
                wanted - len(quiet), self._of, key=lambda group: (self._of[group].weight, self._of[group].first_us)
            )
            for group in lightest:
                incident = self._of.pop(group)
                told.append(self._tell(group, incident, Change.CLOSED, incident.last_us, evicted=True))
        self.evicted += wanted
        return told


def _copy(incident: Incident) -> Incident:
    values = {name: getattr(incident, name) for name in Incident.__slots__}
    return Incident(
        **values | {"rules": {key: list(each) for key, each in incident.rules.items()}, "ids": list(incident.ids)}
    )
