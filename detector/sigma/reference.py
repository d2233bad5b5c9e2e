"""What a rule means: the plain evaluator, one event at a time. Any faster engine must agree with it, always.

A tree becomes a function of an event once, when the rule is loaded; explaining walks the tree itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain, islice
from operator import eq, ge, gt, le, lt
from typing import Any

from detector.events import JsonValue
from detector.sigma.fields import EventView
from detector.sigma.nodes import (
    And,
    Cidr,
    Compare,
    Exists,
    FieldRef,
    Leaf,
    Matcher,
    Node,
    Not,
    Null,
    Operator,
    Regex,
    Text,
    Wildcard,
)
from detector.sigma.patterns import any_text_test, regex_test
from detector.sigma.values import address_of, number_of, time_part

Test = Callable[[EventView], bool]
"""Whether a tree is true of an event."""

MAX_EVIDENCE = 32
"""Matched values that an explanation lists."""

_OPERATORS: dict[Operator, Callable[[Any, Any], bool]] = {
    Operator.LT: lt,
    Operator.LTE: le,
    Operator.GT: gt,
    Operator.GTE: ge,
    Operator.EQ: eq,
}


@dataclass(frozen=True, slots=True)
class Evidence:
    """A value that made a rule match.

    field: as the rule names it; empty for a keyword.
    value: as it stands in the event; None where the rule asks for an absent field.
    modifiers: as the rule writes them, "contains|all".
    pattern: what the value was compared with, after the modifiers.
    selection: the name of the selection; that of a filter has the filter's title before it.
    """

    field: str
    value: JsonValue
    modifiers: str
    pattern: str
    selection: str


def compile_test(node: Node) -> Test:
    """The function of a tree. Raises re2.error where RE2 refuses a pattern."""
    return _compile(node, {})


def compile_parts(node: Node) -> Callable[[Node], Test]:
    """The function of each node of a tree: those that the tree's own function is made of."""
    done: dict[int, Test] = {}
    _compile(node, done)
    return lambda part: done[id(part)]


def explain(node: Node, view: EventView) -> tuple[Evidence, ...] | None:
    """The values that make a tree true of an event, at most MAX_EVIDENCE; None where it is false.

    What is true because something is not there (`not`) has no value to show.
    """
    evidence = _explain(node, view)
    return None if evidence is None else tuple(islice(evidence, MAX_EVIDENCE))


def _compile(node: Node, done: dict[int, Test]) -> Test:
    """Compile a node once, however often it stands in its tree."""
    test = done.get(id(node))
    if test is None:
        test = done[id(node)] = _test(node, done)
    return test


def _test(node: Node, done: dict[int, Test]) -> Test:
    if isinstance(node, Leaf):
        return _leaf_test(node.field, node.matcher)
    if isinstance(node, Not):
        inner = _compile(node.node, done)
        return lambda view: not inner(view)
    tests = [_compile(child, done) for child in node.nodes]
    if isinstance(node, And):
        return lambda view: all(test(view) for test in tests)
    return lambda view: any(test(view) for test in tests)


def _leaf_test(field: str, matcher: Matcher) -> Test:
    if isinstance(matcher, Exists):
        return lambda view: view.found(field).present == matcher.present
    if isinstance(matcher, Null):
        return lambda view: _is_null(field, view)
    if isinstance(matcher, FieldRef):
        return lambda view: any(map(_field_ref_test(matcher, view), _values(field, matcher, view)))
    holds = _value_test(matcher)
    return lambda view: any(map(holds, _values(field, matcher, view)))


def _is_null(field: str, view: EventView) -> bool:
    found = view.found(field)
    return found.null or not found.present


def _values(field: str, matcher: Matcher, view: EventView) -> tuple[Any, ...]:
    """The field's values in the form that the matcher takes, in the order of `view.found(field).values`."""
    if isinstance(matcher, Regex):
        return view.encoded(field)
    if isinstance(matcher, Compare):
        return view.found(field).values
    if isinstance(matcher, Cidr) or matcher.cased:  # type: ignore[union-attr]
        return view.texts(field)
    return view.folded(field)


def _value_test(matcher: Matcher) -> Callable[[Any], bool]:
    if isinstance(matcher, Text):
        return any_text_test([matcher])
    if isinstance(matcher, Regex):
        return regex_test(matcher.pattern)
    if isinstance(matcher, Compare):
        return _compare_test(matcher)
    if isinstance(matcher, Cidr):
        network = matcher.network
        return lambda text: (address := address_of(text)) is not None and address in network
    raise TypeError(f"{matcher} asks for no single value")


def _compare_test(matcher: Compare) -> Callable[[JsonValue], bool]:
    compare, number, part = _OPERATORS[matcher.operator], matcher.number, matcher.part

    def holds(value: JsonValue) -> bool:
        found = number_of(value) if part is None else time_part(value, part)
        return found is not None and compare(found, number)

    return holds


def _field_ref_test(matcher: FieldRef, view: EventView) -> Callable[[str], bool]:
    """Whether a text is that of the other field, or holds it where the modifiers say, in any of its values."""
    before, after = [Wildcard.ANY] * matcher.ends, [Wildcard.ANY] * matcher.starts
    others = view.texts(matcher.field) if matcher.cased else view.folded(matcher.field)
    return any_text_test(Text((*before, other, *after)) for other in others)


def _explain(node: Node, view: EventView) -> list[Evidence] | None:
    if isinstance(node, Leaf):
        return _explain_leaf(node, view)
    if isinstance(node, Not):
        return [] if _explain(node.node, view) is None else None
    parts = [_explain(child, view) for child in node.nodes]
    true = [part for part in parts if part is not None]
    if len(true) < (len(parts) if isinstance(node, And) else 1):
        return None
    return list(chain.from_iterable(true))


def _explain_leaf(leaf: Leaf, view: EventView) -> list[Evidence] | None:
    field, matcher = leaf.field, leaf.matcher
    if isinstance(matcher, (Exists, Null)):
        values: list[JsonValue] = [None] if _leaf_test(field, matcher)(view) else []
    else:
        holds = _field_ref_test(matcher, view) if isinstance(matcher, FieldRef) else _value_test(matcher)
        pairs = zip(view.found(field).values, _values(field, matcher, view), strict=True)
        values = [value for value, form in pairs if holds(form)]
    return [Evidence(field, value, leaf.modifiers, str(matcher), leaf.selection) for value in values] or None
