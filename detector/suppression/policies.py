"""Exceptions and suppressions as they are loaded, and what of them is for which rule."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import orjson

from detector.events import LogSource
from detector.sigma.nodes import Node
from detector.sigma.reference import Test, compile_test
from detector.sigma.rule import Rule


@dataclass(frozen=True, slots=True)
class Exemption:
    """An exception: events that it selects cause nothing, until it expires.

    rules: ids or names of the rules that it is for; None: all. logsource: of these rules; its parts that are None do
    not matter. until_us: the first moment of event time at which it is over.
    """

    title: str
    reason: str
    until_us: int
    rules: tuple[str, ...] | None
    logsource: LogSource
    condition: Node

    def is_for(self, rule: Rule) -> bool:
        """Whether it applies to a rule."""
        return _is_named(self.rules, rule) and all(
            mine is None or mine == getattr(rule.logsource, part)
            for part in LogSource.__slots__
            if (mine := getattr(self.logsource, part)) is not None
        )


@dataclass(frozen=True, slots=True)
class Suppression:
    """A bound on the alerts of each rule that it is for: of a group and a timespan, the first ones pass.

    rules: as of an exemption. group_by: fields; none: all alerts of a rule are one group. timespan_us: time is cut into
    pieces of this length. first: how many pass, of each input partition.
    """

    title: str
    rules: tuple[str, ...] | None
    group_by: tuple[str, ...]
    timespan_us: int
    first: int

    def is_for(self, rule: Rule) -> bool:
        """Whether it applies to a rule."""
        return _is_named(self.rules, rule)


@dataclass(frozen=True, slots=True)
class Policies:
    """All exceptions and suppressions of a rule set."""

    exceptions: tuple[Exemption, ...] = ()
    suppressions: tuple[Suppression, ...] = ()


class Excepting(NamedTuple):
    """An exemption that is ready to be asked."""

    until_us: int
    test: Test


@dataclass(frozen=True, slots=True)
class Guard:
    """The suppressions of a rule, those of the smallest groups first: an alert passes if each lets it pass.

    fields: of all of them, which make the group of an entry. places: by suppression, its fields' places there.
    shared: places of the fields that all of them group by. definition: names all that its state depends on.
    """

    rule: Rule
    suppressions: tuple[Suppression, ...]
    fields: tuple[str, ...]
    places: tuple[tuple[int, ...], ...]
    shared: tuple[int, ...]
    definition: str

    @property
    def single(self) -> Suppression | None:
        """The only suppression, if there is but one."""
        return self.suppressions[0] if len(self.suppressions) == 1 else None


def guard_of(rule: Rule, suppressions: Sequence[Suppression]) -> Guard | None:
    """The guard of a rule; None where none of the suppressions is for it."""
    own = sorted(
        (each for each in suppressions if each.is_for(rule)),
        key=lambda each: (-len(each.group_by), each.group_by, each.timespan_us, each.first),
    )
    if not own:
        return None
    fields = tuple(dict.fromkeys(name for each in own for name in each.group_by))
    shared = [name for name in fields if all(name in each.group_by for each in own)]
    meaning = [rule.key, [[each.group_by, each.timespan_us, each.first] for each in own]]
    return Guard(
        rule,
        tuple(own),
        fields,
        tuple(tuple(fields.index(name) for name in each.group_by) for each in own),
        tuple(fields.index(name) for name in shared),
        "~held:" + hashlib.sha256(orjson.dumps(meaning)).hexdigest()[:16],
    )


def guards_of(rules: Sequence[Rule], suppressions: Sequence[Suppression]) -> dict[str, Guard]:
    """The guards of those rules that have one, by key."""
    if not suppressions:
        return {}
    return {rule.key: guard for rule in rules if (guard := guard_of(rule, suppressions)) is not None}


def exceptions_of(rules: Sequence[Rule], exceptions: Sequence[Exemption]) -> dict[str, tuple[Excepting, ...]]:
    """The exceptions of those rules that have some, by key."""
    ready = [(each, Excepting(each.until_us, compile_test(each.condition))) for each in exceptions]
    found = {rule.key: tuple(test for each, test in ready if each.is_for(rule)) for rule in rules if ready}
    return {key: tests for key, tests in found.items() if tests}


def _is_named(rules: tuple[str, ...] | None, rule: Rule) -> bool:
    return rules is None or rule.id in rules or rule.name in rules or rule.key in rules
