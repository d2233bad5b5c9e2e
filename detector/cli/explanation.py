"""An explanation as a tree for people: one line for each step, and for each field that is asked for.

matches: Login to the Shop's Administration from Outside [2f0c4f0e-…]
record 1 (apache_combined), through webserver/-/-
yes  all of
yes  page: all of
yes  cs-uri-stem|startswith: /admin*
is '/admin/'
yes  sc-status: 200 or 302
is 200
yes  not
no   office, c-ip|cidr: 10.0.0.0/8
is '198.51.100.7'
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from detector.cli.rule_files import shown

if TYPE_CHECKING:
    from detector.config import Level
    from detector.events import Event, JsonValue
    from detector.sigma.explanation import Explanation, Item, Kind, Step
    from detector.sigma.rule import Rule

_SHOWN = 6
"""Patterns, values and names that are shown of more."""
_TEXT = 200
"""Characters of a value or a pattern."""


def text_of(rule: Rule, events: Sequence[tuple[Event, Explanation]], hint: str, min_level: Level) -> Iterator[str]:
    """The lines. hint: what may be wrong with the rule's log source. min_level: from which on a match is an alert."""
    yield f"{rule.title} [{rule.key}]  {rule.path}"
    if not events:
        yield "no event: the records are empty"
    for event, explanation in events:
        verdict = "matches" if explanation.matches else "does not match" if explanation.through else "does not run"
        place = f"record {event.record + 1}" + (f", event {event.ordinal + 1}" if event.ordinal else "")
        yield f"{place} ({event.format}): {verdict}"
        if explanation.matches and rule.level.severity < min_level.severity:
            yield f"  it is no alert: {rule.level.value} is below output.min_level ({min_level.value})"
        if explanation.through:
            shown_trees = [each for each in explanation.through if each.matches][:1] or explanation.through
            for each in shown_trees:
                yield f"  through {shown(each.logsource)}"
                yield from _steps([each.tree], None, "  ")
        else:
            yield from _not_run(rule, explanation, hint)


def _not_run(rule: Rule, explanation: Explanation, hint: str) -> Iterator[str]:
    declared = ", ".join(map(shown, explanation.logsources)) or "none"
    yield f"  the rule is for {shown(rule.logsource)}, the event's log sources are: {declared}"
    yield f"  not declared: {', '.join(explanation.undeclared)}"
    if hint:
        yield f"  no configured format has that log source. {hint}"
    elif not explanation.logsources:
        yield "  name the parser by --format, or the topic's log source by --logsource (in settings: `logsource:`)"
    for field, near in explanation.missing:
        if near:
            yield f"  the event has no field {field}; the nearest is {near}"
    others = [field for field, near in explanation.missing if not near]
    if others:
        yield f"  the event has no field {_several(others)}"


def _steps(steps: Sequence[Step], around: Kind | None, indent: str) -> Iterator[str]:
    """The lines of steps that stand side by side; what they ask of one field is one item."""
    for key, group in groupby(steps, _key):
        members = list(group)
        first = members[0]
        if isinstance(key, tuple):
            yield from _item(members, first.selection, around, indent)
        elif first.kind != "not" and len({_key(part) for part in first.parts}) == 1 < len(first.parts):
            yield from _item(first.parts, first.selection, first.kind, indent)
        else:
            label = f"{first.selection}: " if first.selection else ""
            yield f"{indent}{_mark(first.true)}{label}{first.kind.value}"
            yield from _steps(first.parts, first.kind, indent + "  ")


def _key(step: Step) -> tuple[str | None, str, str] | int:
    """What is the same for the leaves of one item; inner steps stand alone."""
    if step.item is None:
        return id(step)
    return step.selection, step.item.field, step.item.modifiers


def _item(steps: Sequence[Step], selection: str | None, around: Kind | None, indent: str) -> Iterator[str]:
    item = steps[0].item
    assert item is not None
    joint = " and " if around == "all of" else " or "
    true = (all if around == "all of" else any)(step.true for step in steps)
    label = f"{selection}, " if selection else ""
    name = "|".join(filter(None, (item.field or "keyword", item.modifiers)))
    yield f"{indent}{_mark(true)}{label}{name}: {_patterns(steps, joint, true=true)}"
    matched = [value for step in steps if step.item is not None for value in step.item.matched]
    yield f"{indent}       {_values(item, matched)}"


def _patterns(steps: Sequence[Step], joint: str, *, true: bool) -> str:
    """The patterns that decided: those that are true of an item that is, else those that are not."""
    deciding = [_short(step.item.pattern) for step in steps if step.item is not None and step.true is true]
    text = _several(deciding, joint)
    rest = len(steps) - len(deciding)
    more = f" ({len(deciding)} of {len(steps)})" if rest or len(deciding) > _SHOWN else ""
    return text + more


def _values(item: Item, matched: Sequence[JsonValue]) -> str:
    """What the field is, the values first that decided."""
    if not item.present:
        return "is absent" + (f"; the event has {item.nearest}" if item.nearest else "")
    first = sorted(item.values, key=lambda value: value not in matched)
    texts = list(dict.fromkeys(_short(repr(value)) for value in first)) + (["null"] if item.null else [])
    return f"is {_several(texts)}" if texts else "is an empty list"


def _mark(true: bool) -> str:
    return "yes  " if true else "no   "


def _several(texts: Sequence[str], joint: str = ", ") -> str:
    return joint.join(texts[:_SHOWN]) + (" …" if len(texts) > _SHOWN else "")


def _short(text: str) -> str:
    return text if len(text) <= _TEXT else f"{text[:_TEXT]}…"
