"""An alert as one line for people: time, level, rule, entity, evidence, latency.

What is shown came over a topic that others may write to, and quotes attackers: nothing of it is trusted to have the
right type, and no character of it reaches the terminal that `printable` does not let through.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple, TextIO

from detector.alerts.text import printable

_MAX_EVIDENCE = 2
_MAX_STAGES = 6
_MAX_TEXT = 100

COLORS = {"critical": "1;97;41", "high": "1;31", "medium": "33", "low": "36", "informational": "2"}


class Columns(NamedTuple):
    """What a reader sees of an alert; each text is one line, short and harmless."""

    time: str
    level: str
    title: str
    entity: str
    evidence: str
    latency: str


def columns(alert: Mapping[str, Any], *, latency_ms: float | None = None) -> Columns:
    """Take an alert apart; `latency_ms` replaces the time from the record to its detection."""
    return Columns(
        time=_text(alert, "time").replace("T", " ").removesuffix("Z")[:23],
        level=_text(alert, "rule", "level")[:13],
        title=_text(alert, "rule", "title"),
        entity=f"{_text(alert, 'entity', 'field')}={_text(alert, 'entity', 'value')}",
        evidence=_evidence(alert.get("matches")),
        latency=_duration(_latency_ms(alert) if latency_ms is None else latency_ms),
    )


def line(alert: Mapping[str, Any], *, color: bool, latency_ms: float | None = None) -> str:
    """Render an alert; `color` adds ANSI colours of our own around the level and the rule."""
    parts = columns(alert, latency_ms=latency_ms)
    painted = parts._replace(
        level=_paint(f"{parts.level:13}", COLORS.get(parts.level) if color else None),
        title=_paint(parts.title, "1" if color else None),
    )
    return "  ".join(part for part in painted if part)


def incident_line(incident: Mapping[str, Any], *, color: bool) -> str:
    """Render a message about an incident: time, change, level, score, entity, how much of what."""
    level = _text(incident, "level")[:13]
    rules, tactics = incident.get("rules"), incident.get("tactics")
    titles = [_text(rule, "title") for rule in rules] if isinstance(rules, list) else []
    stages = [_text(tactic, "name") for tactic in tactics] if isinstance(tactics, list) else []
    more = f" (+{len(titles) - _MAX_EVIDENCE})" if len(titles) > _MAX_EVIDENCE else ""
    parts = (
        _text(incident, "time").replace("T", " ").removesuffix("Z")[:23],
        f"{_text(incident, 'change'):9}",
        _paint(f"{level:13}", COLORS.get(level) if color else None),
        f"{_text(incident, 'score'):>3}",
        _paint(f"{_text(incident, 'entity', 'type')}={_text(incident, 'entity', 'value')}", "1" if color else None),
        f"{_text(incident, 'alerts')} alerts: {', '.join(titles[:_MAX_EVIDENCE])}{more}",
        " > ".join(stages[:_MAX_STAGES]),
    )
    return "  ".join(part for part in parts if part)


def use_color(stream: TextIO) -> bool:
    """Whether to paint: a terminal that can, and no NO_COLOR (https://no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _text(alert: Any, *names: str) -> str:
    for name in names:
        alert = alert.get(name) if isinstance(alert, Mapping) else None
    return "-" if alert is None else _short(str(alert))


def _short(text: str) -> str:
    text = printable(text[: _MAX_TEXT + 1])
    return text if len(text) <= _MAX_TEXT else f"{text[: _MAX_TEXT - 1]}…"


def _evidence(matches: Any) -> str:
    if not isinstance(matches, list):
        return ""
    seen = dict.fromkeys(
        f"{_text(match, 'field')}={_text(match, 'value')}" for match in matches if isinstance(match, Mapping)
    )
    more = f" (+{len(seen) - _MAX_EVIDENCE})" if len(seen) > _MAX_EVIDENCE else ""
    return ", ".join(list(seen)[:_MAX_EVIDENCE]) + more


def _latency_ms(alert: Mapping[str, Any]) -> float | None:
    """From the record's timestamp to its detection."""
    source = alert.get("source")
    try:
        record_ms = int(source["record_timestamp"]) if isinstance(source, Mapping) else -1
        detected = datetime.fromisoformat(str(alert["detected_at"])).timestamp()
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
    return detected * 1_000 - record_ms if record_ms >= 0 else None


def _duration(ms: float | None) -> str:
    if ms is None:
        return ""
    return f"{ms:.0f} ms" if ms < 10_000 else f"{ms / 1_000:,.0f} s"


def _paint(text: str, code: str | None) -> str:
    return f"\033[{code}m{text}\033[0m" if code else text
