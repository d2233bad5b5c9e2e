"""How threatening an alert is, as one number from 0 to 100; `docs/incidents.md` has the formula for people.

    base of the rule's level, times the confidence in its status, in percent, rounded down
    + weight of the gravest ATT&CK tactic among its tags
    + LISTED, where threat intelligence knows something about the event
    at most 100

Integers only, and nothing but the rule and the event: the same record gives the same score wherever it is evaluated.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from detector.config import Level
from detector.sigma.rule import Rule

BASE = {Level.INFORMATIONAL: 10, Level.LOW: 30, Level.MEDIUM: 50, Level.HIGH: 70, Level.CRITICAL: 90}
CONFIDENCE = {"stable": 100, "test": 95, "experimental": 85, "deprecated": 60, "unsupported": 60}
UNKNOWN_CONFIDENCE = 95
"""Of a rule without a status, percent."""
TACTICS = {
    "reconnaissance": 0,
    "resource-development": 0,
    "discovery": 2,
    "initial-access": 4,
    "execution": 4,
    "persistence": 4,
    "defense-evasion": 4,
    "collection": 4,
    "privilege-escalation": 6,
    "credential-access": 6,
    "lateral-movement": 8,
    "command-and-control": 8,
    "exfiltration": 10,
    "impact": 10,
}
"""By how far an attack has come where one sees it."""
LISTED = 15
INTELLIGENCE = ("threat.indicator.", "threat.enrichments", "threat.feed.")
"""Beginnings of the ECS fields that threat intelligence adds to an event."""
LEVELS = ((85, Level.CRITICAL), (65, Level.HIGH), (40, Level.MEDIUM), (20, Level.LOW), (0, Level.INFORMATIONAL))
"""From which score on an alert or an incident is of a level."""


def threat_score(rule: Rule, *, listed: bool = False) -> int:
    """The score of an alert of a rule; listed: whether threat intelligence knows its event."""
    score = BASE[rule.level] * CONFIDENCE.get(rule.status or "", UNKNOWN_CONFIDENCE) // 100
    score += max((TACTICS.get(name, 0) for name in rule.tactics), default=0)
    return min(100, score + (LISTED if listed else 0))


def is_listed(fields: Iterable[str]) -> bool:
    """Whether an event with these ECS fields is known to threat intelligence."""
    return any(name.startswith(INTELLIGENCE) for name in fields)


def level_of(score: float) -> Level:
    """The level that a score stands for."""
    return next(level for least, level in LEVELS if score >= least)


def threat_part(rule: Rule, event: Mapping[str, object]) -> dict[str, int | str]:
    """What an alert of a rule about an event says of it."""
    score = threat_score(rule, listed=is_listed(event))
    return {"threat_score": score, "threat_level": level_of(score).value}
