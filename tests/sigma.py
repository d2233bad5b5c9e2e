"""Rules and events for tests, in few words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from detector.config import Limits
from detector.events import Binding, Event, LogSource
from detector.sigma.engine.program import Options, Program
from detector.sigma.engine.warm import warm
from detector.sigma.fields import EventView
from detector.sigma.loading import RuleSet, compile_rules
from detector.sigma.nodes import Node
from detector.sigma.reference import compile_test, explain
from detector.sigma.rule import Rule
from detector.sigma.source import RuleSource

warm()  # the deadline of a generated example is no place to compile in

LIMITS = Limits()
LOGSOURCE = LogSource("test")
HEAD = "title: Test\nlogsource:\n  category: test\n"


def load(*texts: str | bytes, values: Mapping[str, list[str]] | None = None, limits: Limits = LIMITS) -> RuleSet:
    """The rule set of some files, named `0.yml`, `1.yml` …"""
    sources = (RuleSource(f"{n}.yml", t.encode() if isinstance(t, str) else t) for n, t in enumerate(texts))
    return compile_rules(tuple(sources), values=values, limits=limits)


def rule_text(detection: Mapping[str, Any], **keys: Any) -> bytes:
    """A rule file (JSON is YAML) with these selections; the condition is `s` unless they say so."""
    rule = {"title": "Test", "logsource": {"category": "test"}, "detection": {"condition": "s", **detection}}
    return orjson.dumps(rule | keys)


def rule(detection: Mapping[str, Any], *, values: Mapping[str, list[str]] | None = None, **keys: Any) -> Rule:
    """A rule that must load."""
    rules = load(rule_text(detection, **keys), values=values)
    assert rules.refused == ()
    return rules.rules[0]


def refusal(detection: Mapping[str, Any], **keys: Any) -> str:
    """Why a rule is refused, which it must be."""
    rules = load(rule_text(detection, **keys))
    assert not rules.rules
    return rules.refused[0].message


def event(
    raw: Mapping[str, Any] | None = None,
    *,
    ecs: Mapping[str, Any] | None = None,
    line: str | bytes | None = None,
    aliases: Mapping[str, tuple[str, ...]] | None = None,
    logsources: Sequence[LogSource] = (LOGSOURCE,),
) -> Event:
    """An event; with `line`, one of a text format."""
    original = line.encode() if isinstance(line, str) else line
    bindings = tuple(Binding(logsource, aliases or {}) for logsource in logsources)
    return Event(0, 0, raw or {}, dict(ecs or {}), original or b"{}", "test", bindings, text=line is not None)


def matches(detection: Mapping[str, Any] | Rule, of: Mapping[str, Any] | Event, **keys: Any) -> bool:
    """Whether a rule matches an event; all ways of asking must agree."""
    tested = detection if isinstance(detection, Rule) else rule(detection, **keys)
    subject = of if isinstance(of, Event) else event(of)
    view = EventView(subject, subject.bindings[0])
    plain = tested.matches((view,))
    alone = compile_test(tested.condition)(EventView(subject, subject.bindings[0]))
    explained = explain(tested.condition, view) is not None
    by_engine = engine_matches(tested.condition, subject)
    assert plain == alone == explained == by_engine
    return plain


def engine_matches(condition: Node, subject: Event, options: Options = Options()) -> bool:  # noqa: B008 -- frozen
    """Whether a tree is true of an event through its first log source, by the engine."""
    return engine_answers([condition], [subject], options)[0][0]


def engine_answers(
    conditions: Sequence[Node],
    subjects: Sequence[Event],
    options: Options = Options(),  # noqa: B008 -- frozen
) -> list[list[bool]]:
    """Which trees are true of which events, by the engine."""
    rows = [(subject, subject.bindings[0]) for subject in subjects]
    matched_rows, matched = Program(conditions, options).run(rows, lambda row: EventView(*rows[row]))
    pairs = set(zip(matched_rows.tolist(), matched.tolist(), strict=True))
    return [[(row, number) in pairs for number in range(len(conditions))] for row in range(len(rows))]


def asks(item: str, value: Any, of: Any, **keys: Any) -> bool:
    """Whether `f|…: value` matches an event whose field `f` is `of`; without `of` (`...`) the field is absent."""
    return matches({"s": {f"f{item}": value}}, {} if of is ... else {"f": of}, **keys)
