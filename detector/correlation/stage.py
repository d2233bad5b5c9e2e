"""What becomes of alerts on their way: held back or sent, and which incidents they make; a part of the fold.

It goes by the *settled* time: the least of the watermark of the input and of what the other partitions' correlations
have said about theirs (`reading` tells them). Behind it, no alert is to come from anywhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from detector.alerts.ids import alert_id, record_source
from detector.config import Correlation as Settings
from detector.correlation.held import Held, Summary
from detector.correlation.incidents import Alerted, Incidents, Terms, Told
from detector.correlation.outgoing import ALERT, Body
from detector.correlation.signals import topic_of
from detector.suppression.policies import Guard


class Passed(NamedTuple):
    """An alert that its suppressions let pass. time_us: of the event."""

    body: Body
    time_us: int
    timestamp_ms: int


@dataclass(slots=True)
class Output:
    """What the stage has to tell."""

    passed: list[Passed] = field(default_factory=list)
    summaries: list[Summary] = field(default_factory=list)
    incidents: list[Told] = field(default_factory=list)

    def __bool__(self) -> bool:
        """Whether there is anything."""
        return bool(self.passed or self.summaries or self.incidents)


class Stage:
    """The suppressions and incidents of one partition of the signals topic."""

    def __init__(self, settings: Settings) -> None:
        self._held = Held(settings.max_groups)
        self._incidents = Incidents(_terms(settings))
        self.settled_us = -1
        self._output = Output()

    def use(self, guards: Iterable[Guard]) -> None:
        """Run these suppressions from now on."""
        self._held.use(guards)

    def add(  # noqa: PLR0917 -- the columns of an entry
        self, definition: str, score: int, group: str, time_us: int, place: tuple[str, int, int], value: Any, ms: int
    ) -> bool:
        """Take an entry in. False where nothing here knows what to do with it: an alert of another rule set."""
        if definition.startswith(ALERT):
            rule = definition[len(ALERT) :]
            identity = value or alert_id(rule, record_source(*topic_of(place[0])), place[1], place[2])
            self._output.incidents += self._incidents.add(Alerted(time_us, *place, group, rule, score, identity))
            return True
        found = self._held.add(definition, group, max(time_us, self.settled_us), place, value)
        if found is None:
            if value is not None:  # never silence: it is sent, for nobody here knows what to hold it back by
                self._output.passed.append(Passed(value, time_us, ms))
            return False
        passes, summaries = found
        self._output.summaries += summaries
        if passes:
            self._output.passed.append(Passed(value, time_us, ms))
        return True

    def advance(self, settled_us: int) -> None:
        """Nothing before that time is to come."""
        if settled_us > self.settled_us:
            self.settled_us = settled_us
            self._output.summaries += self._held.advance(settled_us)
            self._output.incidents += self._incidents.advance(settled_us)

    def take(self) -> Output:
        """What there is to tell since the last time."""
        taken, self._output = self._output, Output()
        return taken

    def counts(self) -> dict[str, int]:
        """What is worth counting since the last time, by the names of `Tally`."""
        taken = {"held": self._held.held, "late": self._incidents.late, "incidents_evicted": self._incidents.evicted}
        self._held.held = self._incidents.late = self._incidents.evicted = 0
        return taken

    @property
    def groups(self) -> int:
        """Groups of suppressions, and entities of incidents, that are held."""
        return self._held.size + self._incidents.size

    @property
    def open_incidents(self) -> int:
        """Incidents that were told and are not closed."""
        return self._incidents.open

    def dump(self) -> Any:
        """The state as JSON has it."""
        return {"settled": self.settled_us, "held": self._held.dump(), "incidents": self._incidents.dump()}

    def load(self, dumped: Mapping[str, Any]) -> None:
        """Take over a dumped state."""
        self.settled_us = dumped["settled"]
        self._held.load(dumped["held"])
        self._incidents.load(dumped["incidents"])


def _terms(settings: Settings) -> Terms:
    second = 1_000_000
    return Terms(
        gap_us=round(settings.incident_gap_s * second),
        update_us=round(settings.incident_update_s * second),
        least=settings.incident_alerts,
        half_life_us=round(settings.incident_half_life_s * second),
        most=settings.max_incidents,
    )
