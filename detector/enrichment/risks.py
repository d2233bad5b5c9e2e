"""The risk of the source of an alert, from what its address did in the records before."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from detector.config import Level
from detector.enrichment.names import RISK
from detector.enrichment.risk import POINTS, Memory, Row, Seen, level_of
from detector.enrichment.threats import Threats
from detector.events import Event

SCORE, LEVEL = RISK
PLAIN_SCORE, PLAIN_LEVEL = "reputation_score", "risk_level"
_SOURCE = "source.ip"
_STATUS = "http.response.status_code"
_NOT_FOUND = 404
_FAILED = 400
_REFUSED = frozenset(("blocked", "block", "denied", "deny", "dropped", "drop", "rejected", "reject"))
FIELDS = (_SOURCE, _STATUS, "event.outcome", "event.action")
"""What of an event counts."""


class Risks:
    """Remembers what addresses did, and tells alerts; not to rules, for their answers must not depend on the past."""

    __slots__ = ("_memory", "_threats")

    def __init__(self, half_life_s: float, threats: Threats | None) -> None:
        self._memory = Memory(half_life_s)
        self._threats = threats

    def tell(self, event: Event, levels: Iterable[Level], time_us: int) -> None:
        """Add score and level to an event. levels: of the rules that match it, which count already."""
        address = event.ecs.get(_SOURCE)
        if not isinstance(address, str):
            return
        score = self._memory.score(
            address, time_us, intelligence=self._intelligence(address, time_us), points=_points(levels)
        )
        event.ecs |= {SCORE: score, PLAIN_SCORE: score, LEVEL: level_of(score), PLAIN_LEVEL: level_of(score)}

    def remember(self, rows: Sequence[Row], time_us: int) -> None:
        """What happened, up to that time."""
        self._memory.add(Seen.of(rows, time_us))

    def _intelligence(self, address: str, time_us: int) -> int:
        if self._threats is None:
            return 0
        (found,) = self._threats.indicators("ip", [address])
        return found.confidence if found is not None and found.valid_at(time_us) else 0


def row_of(event: Event, levels: Iterable[Level]) -> Row | None:
    """What an event tells of its source; levels: of the rules that match it."""
    ecs = event.ecs
    address = ecs.get(_SOURCE)
    if not isinstance(address, str):
        return None
    failed, missing = judged(ecs.get(_STATUS), ecs.get("event.outcome"), ecs.get("event.action"))
    return address, _points(levels), 1, failed, missing


def judged(status: object, outcome: object, action: object) -> tuple[bool, bool]:
    """Whether an event failed, and whether it asked for what is not there, by its fields, numbers also as texts."""
    number = int(status) if isinstance(status, int) or (isinstance(status, str) and status.isdecimal()) else 0
    refused = str(action).lower() in _REFUSED
    return outcome == "failure" or number >= _FAILED or refused, number == _NOT_FOUND or refused


def _points(levels: Iterable[Level]) -> int:
    return sum(POINTS[level] for level in levels)
