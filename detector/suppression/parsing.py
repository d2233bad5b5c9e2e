"""One document with `exception` or `suppression`: what it may say, and what of it is refused with its place."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from detector.events import LogSource
from detector.sigma.checks import MAX_DOTS, RESERVED, Refusal
from detector.sigma.nearest import nearest
from detector.sigma.parsing import parse_filter
from detector.suppression.policies import Exemption, Suppression

KINDS = ("exception", "suppression")
MAX_FIELDS = 4
"""Fields to group by."""
MAX_FIRST = 10_000
MAX_TIMESPAN_S = 7 * 86_400
"""What is held back is told when the timespan is over: not later than after a week."""

_TIMESPAN = re.compile(r"([1-9][0-9]{0,6})([smhdw])")
_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_SUPPRESSION = ("rules", "group-by", "timespan", "first")
_ANY_SOURCE = {"category": "any"}


def kind_of(content: Any) -> str | None:
    """Which of `KINDS` a document is."""
    if not isinstance(content, dict) or "action" in content:
        return None
    return next((kind for kind in KINDS if kind in content), None)


def parse_exception(document: Mapping[str, Any]) -> Exemption:
    """The exception in a document. Raises Refusal."""
    section = _section(document, "exception", "`rules`, `reason`, `until`, selections and a `condition`")
    reason, until = section.get("reason"), section.get("until")
    if not isinstance(reason, str) or not reason.strip():
        raise _refusal("an exception needs a `reason`: who asked for it, and why", "exception", "reason")
    if not isinstance(until, str):
        raise _refusal("an exception needs `until`: the day on which it ends, such as 2026-12-31", "exception", "until")
    rules = _rules(section, "exception")
    own = ("reason", "until")
    selections = {name: each for name, each in section.items() if name not in own}
    try:
        parsed = parse_filter(
            {
                **{name: each for name, each in document.items() if name != "exception"},
                "title": _title(document),
                "logsource": document.get("logsource", _ANY_SOURCE),
                "filter": {**selections, "rules": "any"},
            }
        )
    except Refusal as refusal:
        path = tuple("exception" if part == "filter" and not place else part for place, part in enumerate(refusal.path))
        message = refusal.message.replace("`filter`", "`exception`").replace("a filter", "an exception")
        raise Refusal(message, *path, code="S011") from None
    logsource = parsed.logsource if "logsource" in document else LogSource()
    return Exemption(_title(document), reason.strip(), _until(until), rules, logsource, parsed.condition)


def parse_suppression(document: Mapping[str, Any]) -> Suppression:
    """The suppression in a document. Raises Refusal."""
    section = _section(document, "suppression", "`rules` and `timespan`")
    for key in document:
        if key in ("detection", "logsource"):
            raise _refusal(f"a suppression has no `{key}`: it takes the alerts of its `rules`", key)
    for key in section:
        if key not in _SUPPRESSION:
            near = nearest(str(key), _SUPPRESSION)
            hint = f"did you mean `{near}`?" if near else f"there are {', '.join(_SUPPRESSION)}"
            raise _refusal(f"`{key}` is not known here: {hint}", "suppression", key)
    first = section.get("first", 1)
    if not isinstance(first, int) or isinstance(first, bool) or not 1 <= first <= MAX_FIRST:
        raise _refusal(f"`first` must be a number from 1 to {MAX_FIRST}", "suppression", "first")
    return Suppression(
        _title(document), _rules(section, "suppression"), _group_by(section), _timespan(section) * 1_000_000, first
    )


def _refusal(message: str, *path: str | int) -> Refusal:
    return Refusal(message, *path, code="S011")


def _title(document: Mapping[str, Any]) -> str:
    title = document.get("title")
    if not isinstance(title, str) or not title.strip():
        raise _refusal("it needs a `title`", "title")
    return title.strip()


def _section(document: Mapping[str, Any], kind: str, parts: str) -> Mapping[str, Any]:
    section = document[kind]
    if not isinstance(section, dict):
        raise _refusal(f"`{kind}` must be a mapping with {parts}", kind)
    return section


def _rules(section: Mapping[str, Any], kind: str) -> tuple[str, ...] | None:
    given = section.get("rules")
    if given == "any":
        return None
    if not isinstance(given, list) or not given or not all(isinstance(each, str) and each for each in given):
        raise _refusal("`rules` must list the ids or names of rules, or be `any`", kind, "rules")
    return tuple(given)


def _until(text: str) -> int:
    """UTC microseconds of a day's beginning, or of a moment. Raises Refusal."""
    try:
        moment = datetime.fromisoformat(text)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return int(moment.timestamp()) * 1_000_000
    except (ValueError, OverflowError):
        message = f"`until` must be a day such as 2026-12-31, or a time such as 2026-12-31T18:00:00Z, not {text!r}"
        raise _refusal(message, "exception", "until") from None


def _group_by(section: Mapping[str, Any]) -> tuple[str, ...]:
    given = section.get("group-by", [])
    listed = [given] if isinstance(given, str) else given
    if not isinstance(listed, list) or not all(
        isinstance(each, str) and each and each not in RESERVED and each.count(".") <= MAX_DOTS for each in listed
    ):
        raise _refusal("`group-by` must list names of fields", "suppression", "group-by")
    if len(listed) > MAX_FIELDS or len(set(listed)) < len(listed):
        raise _refusal(f"`group-by` lists a field twice, or more than {MAX_FIELDS}", "suppression", "group-by")
    return tuple(listed)


def _timespan(section: Mapping[str, Any]) -> int:
    match = _TIMESPAN.fullmatch(str(section.get("timespan", "")))
    if not match:
        raise _refusal("`timespan` must be a number and s, m, h, d or w, such as `10m`", "suppression", "timespan")
    seconds = int(match[1]) * _SECONDS[match[2]]
    if seconds > MAX_TIMESPAN_S:
        raise _refusal("`timespan` is longer than a week", "suppression", "timespan")
    return seconds
