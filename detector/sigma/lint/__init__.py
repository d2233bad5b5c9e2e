"""`detector rules check`: what is wrong with rules, or odd about them, beside what the loader refuses."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detector.config import Limits
from detector.documents import Document
from detector.sigma.checks import RESERVED, items_of
from detector.sigma.engine.cost import cost_of
from detector.sigma.fields import KEYWORDS
from detector.sigma.lint.contradictions import Conflict, Contradiction, contradiction
from detector.sigma.lint.fields import Surroundings
from detector.sigma.lint.findings import CHECKS, Check, Finding, Severity
from detector.sigma.lint.metadata import odd_metadata
from detector.sigma.lint.values import Item, odd_values
from detector.sigma.loading import compile_rules, documents_of
from detector.sigma.modifiers import Values, placeholder_values
from detector.sigma.nodes import Leaf, leaves
from detector.sigma.parsing import Filter, parse_filter
from detector.sigma.rule import Rule
from detector.sigma.ruleset import RuleSet
from detector.sigma.selections import Selections
from detector.sigma.source import RuleSource
from detector.suppression.parsing import kind_of, parse_exception, parse_suppression
from detector.suppression.policies import Exemption, Suppression

__all__ = ["CHECKS", "Check", "Finding", "Report", "Severity", "Surroundings", "check_rules"]

_SHOWN = 120
"""Characters of what a leaf asks for in a message."""


@dataclass(frozen=True, slots=True)
class Report:
    """What came of a check: how many rules would run, and what was found, by file and line."""

    rules: int
    findings: tuple[Finding, ...]

    def count(self, severity: Severity) -> int:
        """Number of findings of a severity."""
        return sum(finding.severity is severity for finding in self.findings)


def check_rules(
    sources: Sequence[RuleSource],
    *,
    values: Values | None = None,
    limits: Limits,
    surroundings: Surroundings,
    pipelines: Sequence[RuleSource] = (),
) -> Report:
    """Load the rules of the sources and look at each. Raises nothing for what they hold, as `compile_rules` does."""
    rules = compile_rules(sources, values=values, limits=limits, pipelines=pipelines)
    with placeholder_values(values or {}):
        findings = list(_findings(sources, rules, limits, surroundings))
    return Report(len(rules.rules), tuple(sorted(findings, key=lambda each: (each.path, each.line, each.code))))


def _findings(
    sources: Sequence[RuleSource], rules: RuleSet, limits: Limits, surroundings: Surroundings
) -> Iterator[Finding]:
    for error in rules.refused:
        path, _, line = error.where.rpartition(":")
        yield Finding(path, int(line), error.code, error.message)
    by_place = {(rule.path, rule.document): rule for rule in rules.rules}
    files = {rule.path for rule in rules.rules}
    tested = _tested(sources)
    everyone = (*rules.rules, *(each.about for each in rules.correlations))
    titles: dict[str, str] = {}
    for source in sources:
        for document in documents_of(source, limits, []):
            if isinstance(document.value, dict):
                rule = by_place.get((source.path, document.number))
                yield from _Document(source.path, document, rule, surroundings).findings(everyone, titles)
        if tested and source.path in files - tested:
            yield Finding(source.path, 0, "S108", "the rule has no test")


def _tested(sources: Sequence[RuleSource]) -> set[str]:
    """The rule files that have a test beside them."""
    return {source.path for source in sources if Path(source.path).with_suffix(".test.yml").is_file()}


class _Document:
    """One document of a file, and the rule that it became, if it did."""

    def __init__(self, path: str, document: Document, rule: Rule | None, surroundings: Surroundings) -> None:
        self._path = path
        self._document = document
        self._content: Mapping[str, Any] = document.value
        self._rule = rule
        self._around = surroundings
        self._section = "filter" if "filter" in self._content else "detection"
        title = self._content.get("title")
        self._title = title if isinstance(title, str) else ""

    def findings(self, rules: Sequence[Rule], titles: dict[str, str]) -> Iterator[Finding]:
        """All that is found in the document.

        rules: to see which of them a filter is for. titles: those of the rules before, with their places.
        """
        if (kind := kind_of(self._content)) is not None:
            yield from self._policy(kind, rules)
        elif self._section == "filter":
            yield from self._filter(rules)
        elif "detection" in self._content:
            yield from self._metadata()
        if self._rule is not None:
            place = f"{self._path}:{self._document.line('title')}"
            if (other := titles.setdefault(self._title.casefold(), place)) != place:
                yield self._finding("S106", f"the rule in {other} has the same title", "title")
            yield from self._values()
            yield from self._fields(self._rule)
            yield from self._logic(self._rule)
            if not self._around.is_bound(self._rule.logsource):
                fix = self._around.unbound(self._rule.logsource)
                yield self._finding("S401", "events of no configured format have this log source", "logsource", fix=fix)

    def _metadata(self) -> Iterator[Finding]:
        for code, message, path, fix in odd_metadata(self._content):
            yield self._finding(code, message, *path, fix=fix)

    def _values(self) -> Iterator[Finding]:
        for name, definition in self._content[self._section].items():
            if name not in RESERVED:
                for key, value, path in items_of(definition, (self._section, name)):
                    for code, message, place in odd_values(Item.of(key, value, path)):
                        yield self._finding(code, message, *place)

    def _fields(self, rule: Rule) -> Iterator[Finding]:
        own = self._content[self._section]
        for field, selection in dict.fromkeys((leaf.field, leaf.selection) for leaf in leaves(rule.condition)):
            if field == KEYWORDS or selection not in own:
                continue
            near = self._around.unknown(rule.logsource, field)
            if near is not None:
                fix = f"Did you mean `{near}`?" if near else ""
                message = f"events of this log source have no field `{field}`"
                yield self._finding("S201", message, *self._place_of(field, selection), fix=fix)

    def _logic(self, rule: Rule) -> Iterator[Finding]:
        roots = dict(Selections().roots(rule.condition))
        own = self._content[self._section]
        impossible = False
        for name, node in roots.items():
            if name in own and (found := contradiction(node)):
                impossible = True
                yield self._contradiction(f"the selection `{name}`", found, name)
        if not impossible and (found := contradiction(rule.condition)):
            yield self._contradiction("the condition", found, "condition")
        for name in own:
            if name not in RESERVED and name not in roots:
                yield self._finding("S303", f"the condition does not ask for `{name}`", self._section, name)
        if cost_of(rule.condition).witness is None:
            message = "no text is in every event that it matches: the rule runs in full on each event"
            yield self._finding("S306", message, self._section, "condition")

    def _contradiction(self, what: str, found: Contradiction, name: str) -> Finding:
        never = found.conflict is Conflict.NEVER
        first, second = (_asked(leaf, true) for leaf, true in (found.first, found.second))
        verdict = "can never match" if never else "matches no field of one value"
        message = f"{what} {verdict}: it asks for {first} and for {second}"
        return self._finding("S301" if never else "S302", message, self._section, name)

    def _filter(self, rules: Sequence[Rule]) -> Iterator[Finding]:
        try:
            found: Filter = parse_filter(self._content)
        except Exception:  # noqa: BLE001 -- the loader has said what is wrong with it
            return
        section = self._content["filter"]
        condition = section["condition"]
        if "not" not in str(condition).split() and "(not" not in str(condition):
            message = f"`{condition}` lets through what is selected, and stops all else"
            yield self._finding("S304", message, "filter", "condition")
        if not any(found.is_for(rule) for rule in rules):
            yield self._finding("S305", "none of the rules here is one that the filter is for", "filter", "rules")

    def _policy(self, kind: str, rules: Sequence[Rule]) -> Iterator[Finding]:
        parse = parse_exception if kind == "exception" else parse_suppression
        try:
            found: Exemption | Suppression = parse(self._content)
        except Exception:  # noqa: BLE001 -- the loader has said what is wrong with it
            return
        if isinstance(found, Exemption) and found.until_us <= time.time_ns() // 1_000:
            yield self._finding("S501", "the exception has expired", kind, "until")
        if not any(found.is_for(rule) for rule in rules):
            yield self._finding("S502", f"none of the rules here is one that the {kind} is for", kind, "rules")

    def _place_of(self, field: str, selection: str) -> tuple[str | int, ...]:
        for key, _, path in items_of(self._content[self._section][selection], (self._section, selection)):
            if key.split("|")[0] == field:
                return path
        return self._section, selection

    def _finding(self, code: str, message: str, *path: str | int, fix: str = "") -> Finding:
        return Finding(self._path, self._document.line(*path), code, message, fix, self._title)


def _asked(leaf: Leaf, true: bool) -> str:
    name = "|".join(filter(None, (leaf.field or "keyword", leaf.modifiers)))
    text = f"{name}: {leaf.matcher}"
    return f"{'' if true else 'not '}`{text if len(text) <= _SHOWN else text[:_SHOWN] + '…'}`"
