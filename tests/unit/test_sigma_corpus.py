"""SigmaHQ: all its rules load, and fire on the events that they are meant for."""

from __future__ import annotations

import gzip
import json
from functools import lru_cache
from typing import Any

import pyarrow as pa

from detector.config import Limits
from detector.events import Binding, Event, LogSource
from detector.parsing.registry import compile_parsers
from detector.parsing.registry import read_sources as read_parser_sources
from detector.resources import builtin
from detector.sigma.fields import EventView
from detector.sigma.loading import RuleSet, compile_rules
from detector.sigma.nodes import Regex, leaves
from detector.sigma.source import RuleSource, read_sources
from detector.sigma.testing import RECORD_TIME_MS, read_test
from detector.window import RECORDS
from tests.corpora import corpus
from tests.sigma import engine_answers

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

    def test_engine_agrees(self) -> None:
        """All rules that are bound to a case's log source, on its events: by the engine and by the plain evaluator."""
        rules = loaded()
        matched = 0
        for case in regression():
            (own,) = compile_rules((RuleSource(case["rule_file"], case["rule_yaml"].encode()),), limits=Limits()).rules
            subjects = events(case, Binding(own.logsource))

            found = [[rule.key for rule, _ in each] for each in rules.matching(subjects)]

            assert found == [
                [rule.key for rule, views in rules.bound_to(subject) if rule.matches(views)] for subject in subjects
            ]
            assert all(own.key in each for each in found) or case["expected_match_count"]
            matched += sum(map(len, found))

        assert matched > len(regression())

    def test_engine_agrees_on_any_rule(self) -> None:
        """All rules on the events of some cases, whatever their log source is."""
        conditions = [rule.condition for rule in loaded().rules]
        subjects = [events(case, Binding(LogSource()))[0] for case in regression()[::10]]

        assert engine_answers(conditions, subjects) == [
            [rule.matches((EventView(subject, subject.bindings[0]),)) for rule in loaded().rules]
            for subject in subjects
        ]


class TestBuiltIn:
    """The built-in rules on their samples."""

    def test_engine_agrees(self) -> None:
        """By the engine as by the plain evaluator."""
        limits = Limits()
        rules = compile_rules(read_sources([builtin("sigma")], limits), limits=limits)
        parsers = compile_parsers(read_parser_sources(), limits=limits)
        samples = [
            sample.record for path in {r.path for r in rules.rules} for sample in read_test(path, limits).samples
        ]
        rows = [
            {"span": 0, "offset": row, "timestamp": RECORD_TIME_MS, "key": None, "value": value, "headers": None}
            for row, value in enumerate(samples)
        ]
        records = pa.RecordBatch.from_pylist(rows, schema=RECORDS)
        subjects = parsers.parse(records, format="auto", logsource=None, limits=limits).events

        found = [[rule.key for rule, _ in each] for each in rules.matching(subjects)]

        assert found == [
            [rule.key for rule, views in rules.bound_to(subject) if rule.matches(views)] for subject in subjects
        ]
        assert {key for each in found for key in each} == {rule.key for rule in rules.rules}
