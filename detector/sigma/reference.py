"""What a rule means: the plain evaluator, one event at a time. Any faster engine must agree with it, always.

A tree becomes a function of an event once, when the rule is loaded; explaining walks the tree itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from operator import eq, ge, gt, le, lt
from typing import Any

from detector.events import JsonValue
from detector.sigma.bank import RegexBank, alternations
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
from detector.sigma.patterns import any_text_test, inside_literal, one_regex, regex_test
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


def compile_test(node: Node, bank: RegexBank | None = None) -> Test:
    """The function of a tree. Raises re2.error where RE2 refuses a pattern.

    bank: where expressions and long lists of texts are looked for together with those of other rules; without it, each
    by itself. It changes no answer.
    """
    return _Compiler(bank).compile(node)[1]


def explain(node: Node, view: EventView) -> tuple[Evidence, ...] | None:
    """The values that make a tree true of an event, at most MAX_EVIDENCE; None where it is false.

    What is true because something is not there (`not`) has no value to show.
    """
    evidence = _explain(node, view)
    return None if evidence is None else tuple(islice(evidence, MAX_EVIDENCE))


class _Compiler:
    """Compiles each node once, however often it stands in the tree; costs are relative, to ask the cheap things first.

    The order changes no answer: nothing that is asked has an effect.
    """

    __slots__ = ("_bank", "_done")

    def __init__(self, bank: RegexBank | None) -> None:
        self._bank = bank
        self._done: dict[int, tuple[int, Test]] = {}

    def compile(self, node: Node) -> tuple[int, Test]:
        done = self._done.get(id(node))
        if done is None:
            done = self._done[id(node)] = self._compile(node)
        return done

    def _compile(self, node: Node) -> tuple[int, Test]:
        if isinstance(node, Leaf) and not isinstance(node.matcher, (Text, Regex)):
            return _COSTS.get(type(node.matcher), 1), _leaf_test(node.field, node.matcher)
        if isinstance(node, Not):
            cost, inner = self.compile(node.node)
            return cost, lambda view: not inner(view)
        if isinstance(node, And):
            return _in_order_of_cost(map(self.compile, node.nodes), _all_test)
        tests: list[tuple[int, Test]] = []
        grouped: dict[tuple[str, bool], list[Text | Regex]] = {}
        for child in (node,) if isinstance(node, Leaf) else node.nodes:
            if isinstance(child, Leaf) and isinstance(child.matcher, (Text, Regex)):
                folded = isinstance(child.matcher, Text) and not child.matcher.cased
                grouped.setdefault((child.field, folded), []).append(child.matcher)
            else:
                tests.append(self.compile(child))
        for (field, folded), matchers in grouped.items():
            tests += self._patterns(field, matchers, folded=folded)
        return _in_order_of_cost(tests, _any_test)

    def _patterns(self, field: str, matchers: Sequence[Text | Regex], *, folded: bool) -> Iterator[tuple[int, Test]]:
        """Tests of one field, of which one must be true: of its texts as they are, or folded."""
        texts = [matcher for matcher in matchers if isinstance(matcher, Text)]
        regexes = [matcher.pattern for matcher in matchers if isinstance(matcher, Regex)]
        if self._bank:
            regexes += [regex for text in texts if (regex := one_regex(text))]
            texts = [text for text in texts if not one_regex(text)]
            inside = [literal for text in texts if (literal := inside_literal(text)) is not None]
            if len(inside) >= _MANY:
                texts = [text for text in texts if inside_literal(text) is None]
                yield _REGEX_COST, self._bank.any_test(field, alternations(inside), folded=folded)
            if regexes:
                yield _REGEX_COST, self._bank.any_test(field, regexes, folded=folded)
        else:
            yield from ((_REGEX_COST, _leaf_test(field, Regex(regex))) for regex in regexes)
        if texts:
            yield len(texts), _texts_test(field, texts, folded=folded)


_COSTS: dict[type[Matcher], int] = {Compare: 4, Cidr: 4, FieldRef: 4}
_REGEX_COST = 12
_MANY = 8
"""Texts from which on RE2 finds them faster than one by one."""


def _in_order_of_cost(
    tests: Iterable[tuple[int, Test]], combine: Callable[[tuple[Test, ...]], Test]
) -> tuple[int, Test]:
    ordered = sorted(tests, key=lambda each: each[0])
    if len(ordered) == 1:
        return ordered[0]
    return sum(cost for cost, _ in ordered), combine(tuple(test for _, test in ordered))


def _all_test(tests: tuple[Test, ...]) -> Test:
    def test(view: EventView) -> bool:
        for each in tests:  # noqa: SIM110 -- a loop costs half of what all() with a generator does
            if not each(view):
                return False
        return True

    return test


def _any_test(tests: tuple[Test, ...]) -> Test:
    def test(view: EventView) -> bool:
        for each in tests:  # noqa: SIM110 -- likewise
            if each(view):
                return True
        return False

    return test


def _texts_test(field: str, patterns: Sequence[Text], *, folded: bool) -> Test:
    holds = any_text_test(patterns)

    def test(view: EventView) -> bool:
        for text in view.folded(field) if folded else view.texts(field):  # noqa: SIM110 -- likewise
            if holds(text):
                return True
        return False

    return test


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
