"""Why a rule matches an event, or does not, or does not run on it at all: what `detector rules explain` shows.

Each verdict is that of the plain evaluator's own function of the node, so that an explanation cannot say otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from detector.events import Event, JsonValue, LogSource
from detector.sigma.fields import KEYWORDS, EventView
from detector.sigma.nearest import nearest
from detector.sigma.nodes import And, Leaf, Node, Not, leaves
from detector.sigma.reference import Test, compile_parts, explain
from detector.sigma.rule import Rule, runs_on
from detector.sigma.selections import Selections, parts

_CUTOFF = 0.75
"""How alike a name must be to be named as the nearest, as difflib counts."""
_MAX_DEPTH = 8
"""Levels of an event's objects whose names are compared with those of a rule."""


class Kind(StrEnum):
    """What a step asks for."""

    ALL = "all of"
    ANY = "any of"
    NOT = "not"
    ITEM = "item"


@dataclass(frozen=True, slots=True)
class Item:
    """What a leaf asks for, and what is there.

    field: as the rule names it; empty for a keyword. pattern: after the modifiers.
    values: all of the field in the event that are not null. matched: those of them that the leaf is true of.
    nearest: the name of a field of the event that is like the one that is absent, if any is.
    """

    field: str
    modifiers: str
    pattern: str
    present: bool
    null: bool
    values: tuple[JsonValue, ...]
    matched: tuple[JsonValue, ...]
    nearest: str | None


@dataclass(frozen=True, slots=True)
class Step:
    """A node of the condition and its verdict. selection: the name, where the node is the whole of one."""

    kind: Kind
    true: bool
    selection: str | None
    item: Item | None
    parts: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Through:
    """The verdict through one of the event's log sources."""

    logsource: LogSource
    matches: bool
    tree: Step


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a rule says of an event.

    logsources: those of the event. through: one for each that the rule runs on; none: it does not run.
    undeclared: the parts of its log source that the rule names and no event's log source declares together with the
        others, as `category: webserver`.
    missing: fields that the rule asks for and the event lacks, with the nearest that it has, or None.
    """

    logsources: tuple[LogSource, ...]
    through: tuple[Through, ...]
    undeclared: tuple[str, ...]
    missing: tuple[tuple[str, str | None], ...]

    @property
    def matches(self) -> bool:
        """Whether the rule matches the event."""
        return any(each.matches for each in self.through)


def explain_rule(rule: Rule, event: Event) -> Explanation:
    """What a rule says of an event, through each log source that it runs on."""
    logsources = tuple(binding.logsource for binding in event.bindings)
    views = [EventView(event, each) for each in event.bindings if runs_on(rule.logsource, each.logsource)]
    test = compile_parts(rule.condition)
    through = tuple(
        Through(view.binding.logsource, test(rule.condition)(view), _Tracer(view, test).root(rule.condition))
        for view in views
    )
    seen = views or [EventView(event, binding) for binding in event.bindings]
    return Explanation(
        logsources,
        through,
        () if views else _undeclared(rule.logsource, logsources),
        tuple(_missing(rule.condition, seen)),
    )


class _Tracer:
    """Asks each node of a tree of one view."""

    def __init__(self, view: EventView, test: Callable[[Node], Test]) -> None:
        self._view = view
        self._test = test
        self._selections = Selections()
        self._names = tuple(names_of(view))

    def root(self, node: Node) -> Step:
        return self._step(node, None)

    def _step(self, node: Node, around: str | None) -> Step:
        """The step of a node; around: the selection that it is part of."""
        name = around or self._selections.name(node)
        selection = name if around is None else None
        true = self._test(node)(self._view)
        if isinstance(node, Leaf):
            return Step(Kind.ITEM, true, selection, self._item(node), ())
        kind = Kind.NOT if isinstance(node, Not) else Kind.ALL if isinstance(node, And) else Kind.ANY
        return Step(kind, true, selection, None, tuple(self._step(part, name) for part in parts(node)))

    def _item(self, leaf: Leaf) -> Item:
        found = self._view.found(leaf.field)
        evidence = explain(leaf, self._view) or ()
        return Item(
            field=leaf.field,
            modifiers=leaf.modifiers,
            pattern=str(leaf.matcher),
            present=found.present,
            null=found.null,
            values=found.values,
            matched=tuple(each.value for each in evidence if each.value is not None),
            nearest=None if found.present else nearest(leaf.field, self._names, cutoff=_CUTOFF),
        )


def names_of(view: EventView) -> Iterator[str]:
    """The names by which a rule can ask for the fields that an event has."""
    yield from (alias for alias in view.binding.aliases if view.found(alias).present)
    yield from _paths(view.event.raw, "", _MAX_DEPTH)
    yield from view.event.ecs


def _paths(value: JsonValue, before: str, depth: int) -> Iterator[str]:
    if isinstance(value, Mapping) and depth:
        for key, inner in value.items():
            yield before + key
            yield from _paths(inner, f"{before}{key}.", depth - 1)
    elif isinstance(value, list):
        for inner in value[:1]:
            yield from _paths(inner, before, depth)


def _undeclared(rule: LogSource, declared: tuple[LogSource, ...]) -> tuple[str, ...]:
    """The parts that the nearest of the event's log sources does not declare so."""
    wanted = {part: value for part in LogSource.__slots__ if (value := getattr(rule, part)) is not None}
    lacking = ([part for part in wanted if getattr(each, part) != wanted[part]] for each in declared)
    return tuple(f"{part}: {wanted[part]}" for part in min(lacking, key=len, default=list(wanted)))


def _missing(condition: Node, views: list[EventView]) -> Iterator[tuple[str, str | None]]:
    names = list(dict.fromkeys(name for view in views for name in names_of(view)))
    for field in dict.fromkeys(leaf.field for leaf in leaves(condition)):
        if field != KEYWORDS and not any(view.found(field).present for view in views):
            yield field, nearest(field, names, cutoff=_CUTOFF)
