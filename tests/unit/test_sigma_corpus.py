"""SigmaHQ: all its rules load, and fire on the events that they are meant for."""

from __future__ import annotations

import gzip
import json
from functools import lru_cache
from typing import Any

from detector.config import Limits
from detector.events import Binding, Event
from detector.sigma.fields import EventView
from detector.sigma.loading import RuleSet, compile_rules
from detector.sigma.nodes import Regex, leaves
from detector.sigma.reference import compile_test
from detector.sigma.source import RuleSource
from tests.corpora import corpus

RULES = "05_sigma/sigmahq_rules.jsonl.gz"
REGRESSION = "05_sigma/regression.jsonl"


@lru_cache
def sigmahq() -> tuple[RuleSource, ...]:
    with gzip.open(corpus(RULES), "rt") as file:
        return tuple(RuleSource(rule["path"], rule["yaml"].encode()) for rule in map(json.loads, file))


@lru_cache
def loaded() -> RuleSet:
    return compile_rules(sigmahq(), limits=Limits())


@lru_cache
def regression() -> tuple[dict[str, Any], ...]:
    with corpus(REGRESSION).open() as file:
        return tuple(map(json.loads, file))


def events(case: dict[str, Any], binding: Binding) -> list[Event]:
    """The events of a case as Sigma's taxonomy names their fields: without the spaces that Windows puts in."""
    found = ({name.replace(" ", ""): value for name, value in each.items()} for each in case["events_flat"])
    return [Event(0, ordinal, raw, {}, b"", "test", (binding,)) for ordinal, raw in enumerate(found)]


class TestSigmaHQ:
    """Rules that others wrote."""

    def test_all_load(self) -> None:
        """All but those whose placeholders nobody filled, which the specification demands."""
        rules = loaded()

        assert len(sigmahq()) == len(rules.rules) + len(rules.refused)
        assert len(rules.rules) == 3752
        assert [error.message.partition(":")[0] for error in rules.refused] == [
            "the placeholder %known_cdcs% has no values",
            "the placeholder %known_cdcs% has no values",
        ]

    def test_placeholders(self) -> None:
        """With values, those load too."""
        asked = {error.where.partition(":")[0] for error in loaded().refused}
        sources = [source for source in sigmahq() if source.path in asked]

        rules = compile_rules(sources, values={"known_cdcs": ["cdc1", "cdc2"]}, limits=Limits())

        assert (len(rules.rules), rules.refused) == (2, ())

    def test_every_rule_can_run(self) -> None:
        """Each has a key of its own, a log source, and a condition that an empty event does not crash."""
        empty = Event(0, 0, {}, {}, b"", "test", ())

        for rule in loaded().rules:
            rule.matches((EventView(empty, Binding(rule.logsource)),))

        assert len({rule.key for rule in loaded().rules}) == 3752

    def test_expressions_mean_the_same_to_python(self) -> None:
        """Where Python's `re` takes an expression, it agrees with RE2 on the texts of the events."""
        import re

        texts = sorted({str(value) for case in regression() for each in case["events_flat"] for value in each.values()})
        patterns = {
            leaf.matcher.pattern
            for rule in loaded().rules
            for leaf in leaves(rule.condition)
            if isinstance(leaf.matcher, Regex)
        }
        view = EventView(Event(0, 0, {"f": texts}, {}, b"", "test", ()), Binding(loaded().rules[0].logsource))
        from detector.sigma.patterns import regex_test

        different = [
            pattern
            for pattern in sorted(patterns)
            if [regex_test(pattern)(data) for data in view.encoded("f")]
            != [re.search(pattern, text, re.ASCII) is not None for text in texts]
        ]

        assert len(patterns) > 100
        assert different == []


class TestRegression:
    """Rules on real events."""

    def test_all_fire(self) -> None:
        """Each rule matches its own events as often as SigmaHQ says, and explains them."""
        silent = []
        for case in regression():
            (rule,) = compile_rules((RuleSource(case["rule_file"], case["rule_yaml"].encode()),), limits=Limits()).rules
            binding = Binding(rule.logsource)
            views = [(EventView(each, binding),) for each in events(case, binding)]
            matched = [view for view in views if rule.matches(view)]
            if len(matched) < (case["expected_match_count"] or 1):
                silent.append(case["rule_file"])
            assert all(rule.explain(view).evidence for view in matched)

        assert silent == []

    def test_searching_together_changes_nothing(self) -> None:
        """All rules on the events of some cases: with the bank and by themselves."""
        rules = loaded().rules
        alone = [compile_test(rule.condition) for rule in rules]

        for case in regression()[::6]:
            binding = Binding(rules[0].logsource)
            subject = events(case, binding)[0]
            together_view, alone_view = EventView(subject, binding), EventView(subject, binding)

            found = {rule.key for rule in rules if rule.matches((together_view,))}

            assert found == {rule.key for rule, test in zip(rules, alone, strict=True) if test(alone_view)}
            assert found
