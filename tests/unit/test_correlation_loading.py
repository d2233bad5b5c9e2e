"""Correlation rules: what they mean, and what is refused with its line."""

from __future__ import annotations

from typing import Any

import pytest

from detector.correlation.inputs import silenced
from detector.correlation.rule import Kind, Threshold, Way
from tests.correlations import BASES, correlation, rule_set
from tests.sigma import load

COUNT = {"type": "event_count", "rules": ["a"], "timespan": "5m", "condition": {"gte": 3}}


class TestMeaning:
    """What a document becomes."""

    def test_event_count(self) -> None:
        """Rules by name or id, fields, timespan, threshold."""
        found = correlation(COUNT | {"rules": ["a", "00000000-0000-4000-8000-000000000001"], "group-by": ["x", "y"]})

        assert found.kind is Kind.EVENT_COUNT
        assert found.rules == ("00000000-0000-4000-8000-000000000000", "00000000-0000-4000-8000-000000000001")
        assert found.fields == (("x", "y"), ("x", "y"))
        assert found.timespan_us == 300_000_000
        assert found.threshold == Threshold((("gte", 3.0),))
        assert found.monotone

    @pytest.mark.parametrize(
        ("span", "seconds"),
        [("7s", 7), ("2m", 120), ("1h", 3_600), ("3d", 259_200), ("1w", 604_800), ("1M", 2_629_746)],
    )
    def test_timespan(self, span: str, seconds: int) -> None:
        """All units of the specification and of pySigma; `timeframe` is the same."""
        assert correlation(COUNT | {"timespan": span}).timespan_us == seconds * 1_000_000
        old = {key: value for key, value in COUNT.items() if key != "timespan"}
        assert correlation(old | {"timeframe": span}).timespan_us == seconds * 1_000_000

    @pytest.mark.parametrize(
        ("condition", "least"),
        [
            ({"gt": 5}, 6),
            ({"gte": 5}, 5),
            ({"gt": 4.5}, 5),
            ({"lt": 5}, None),
            ({"eq": 2}, None),
            ({"gt": 1, "lte": 9}, None),
        ],
    )
    def test_least(self, condition: dict[str, float], least: int | None) -> None:
        """Lower bounds are reached once and for all, anything else only at the end of a window."""
        found = correlation(COUNT | {"condition": condition})

        assert found.threshold is not None
        assert found.threshold.least == least
        assert found.monotone == (least is not None)

    def test_aliases(self) -> None:
        """An alias is what each rule says; other fields are the same in all."""
        aliases = {"ip": {"a": "src", "b": "dst"}}
        found = correlation(COUNT | {"rules": ["a", "b"], "group-by": ["ip", "user"], "aliases": aliases})

        assert found.group_by == ("ip", "user")
        assert found.fields == (("src", "user"), ("dst", "user"))

    @pytest.mark.parametrize(
        ("condition", "ways"),
        [
            (None, {((0, 1, 2), ())}),
            ({"gte": 2}, {((0, 1), ()), ((0, 2), ()), ((1, 2), ())}),
            ({"eq": 2}, {((0, 1), (2,)), ((0, 2), (1,)), ((1, 2), (0,))}),
            ("a and (b or c)", {((0, 1), ()), ((0, 2), ())}),
            ("a or (a and b)", {((0,), ())}),
            ("a and not (b or c)", {((0,), (1, 2))}),
            ("not (not a or b)", {((0,), (1,))}),
            ("2 of", None),
        ],
    )
    def test_ways(self, condition: Any, ways: set[Any] | None) -> None:
        """The ways in which a temporal condition becomes true."""
        section = {"type": "temporal", "rules": ["a", "b", "c"], "timespan": "5m"}
        rules = rule_set(section | ({"condition": condition} if condition else {}))

        found = {(way.required, tuple(sorted(way.forbidden))) for each in rules.correlations for way in each.ways}

        assert found == (ways or set())
        assert bool(rules.refused) == (ways is None)

    def test_an_extended_condition_names_its_rules(self) -> None:
        """`rules` may be left out then."""
        found = correlation({"type": "temporal_ordered", "timespan": "5m", "condition": "b and a"})

        assert found.names == ("b", "a")
        assert found.ways == (Way((0, 1)),)

    def test_generate(self) -> None:
        """The events of its rules are no alerts, unless it says so."""
        quiet, loud = correlation(COUNT), correlation(COUNT | {"generate": True})

        assert silenced([quiet]) == {quiet.rules[0]}
        assert silenced([quiet, loud]) == set()

    def test_the_definition_is_the_meaning(self) -> None:
        """State is kept while nothing changes that it depends on."""
        first = correlation(COUNT)

        assert correlation(COUNT, level="high", title="Other").definition == first.definition
        assert correlation(COUNT | {"timespan": "6m"}).definition != first.definition
        assert correlation(COUNT | {"group-by": ["x"]}).definition != first.definition


class TestRefusals:
    """Mistakes, by their line."""

    @pytest.mark.parametrize(
        ("line", "message"),
        [
            ("type: event_counts", "did you mean `event_count`?"),
            ("type: [x]", "kind of correlation"),
            ("rules: [d]", "no rule with the id or name 'd'"),
            ("rules: []", "list the ids"),
            ("rules: [a, a]", "twice"),
            ("rules: 5", "list the ids"),
            ("group-by: [5]", "names of fields"),
            ("group-by: [x, x]", "twice"),
            ("groupby: [x]", "did you mean `group-by`?"),
            ("timespan: 5 minutes", "such as `10m`"),
            ("timespan: 0s", "such as `10m`"),
            ("timespan: 10y", "longer than"),
            ("condition: {gte: '3'}", "without quotes"),
            ("condition: {gte: 3, gt: 5}", "one comparison"),
            ("condition: {lt: 3, eq: 5}", "one comparison"),
            ("condition: {}", "one comparison"),
            ("condition: {more: 3}", "no comparison"),
            ("condition: {gte: 0}", "at least 1"),
            ("condition: {gte: 3, field: x}", "looks at no `field`"),
            ("condition: {gte: 3, percentile: 5}", "value_percentile"),
            ("condition: a and b", "mapping"),
            ("aliases: [x]", "must map"),
            ("aliases: {ip: {c: x}}", "none of the `rules`"),
            ("aliases: {ip: {a: 5}}", "their fields"),
            ("generate: 1", "true or false"),
        ],
    )
    def test_place(self, line: str, message: str) -> None:
        """What is wrong, in the line where it is; the other rules run."""
        key = line.partition(":")[0]
        lines = {
            "type": "type: event_count",
            "rules": "rules: [a]",
            "timespan": "timespan: 5m",
            "condition": "condition: {gte: 3}",
        }
        rest = [text for name, text in lines.items() if name != key]
        text = "title: x\ncorrelation:\n" + "".join(f"  {each}\n" for each in (*rest, line))

        rules = load(*BASES, text)

        (refused,) = rules.refused
        assert message in refused.message
        assert refused.where == f"3.yml:{3 + len(rest)}"
        assert (refused.code, len(rules.rules), rules.correlations) == ("S010", 3, ())

    @pytest.mark.parametrize(
        ("section", "message"),
        [
            ({"type": "value_count", "condition": {"gte": 3}}, "name of a `field`"),
            ({"type": "value_sum", "condition": {"gte": 3, "field": ["x", "y"]}}, "one `field`"),
            ({"type": "value_percentile", "condition": {"gte": 3, "field": "x"}}, "from 0 to 100"),
            ({"type": "temporal", "condition": "not a"}, "true of no event"),
            ({"type": "temporal", "condition": "a and not a"}, "never be true"),
            ({"type": "temporal", "condition": "a and d"}, "`d`"),
            ({"type": "event_count"}, "needs a `condition`"),
        ],
    )
    def test_kinds(self, section: dict[str, Any], message: str) -> None:
        """What a kind needs."""
        rules = rule_set({"rules": ["a", "b"], "timespan": "5m"} | section)

        assert message in rules.refused[0].message

    @pytest.mark.parametrize("key", ["detection", "logsource"])
    def test_no_detection(self, key: str) -> None:
        """A correlation is no detection."""
        assert f"no `{key}`" in rule_set(COUNT, **{key: {"category": "x"}}).refused[0].message

    def test_metadata(self) -> None:
        """What it says of itself is checked as a rule's is."""
        rules = rule_set(COUNT, level="severe")

        assert "severe" in rules.refused[0].message

    def test_the_same_id(self) -> None:
        """An id is a rule's or a correlation's."""
        rules = rule_set(COUNT, id="00000000-0000-4000-8000-000000000000")

        assert rules.refused[0].code == "S007"

    def test_circle(self) -> None:
        """Correlations that lead to each other."""
        text = """\
title: {0}
name: {0}
correlation:
  type: event_count
  rules: [{1}]
  timespan: 5m
  condition: {{gte: 3}}
"""
        rules = load(text.format("one", "two"), text.format("two", "one"))

        assert [each.where for each in rules.refused] == ["0.yml:5", "1.yml:5"]
        assert "circle" in rules.refused[0].message

    def test_a_field_that_the_one_below_has_not(self) -> None:
        """A correlation of correlations knows of their groups, no more."""
        count = "{type: event_count, rules: [a], group-by: [x], timespan: 5m, condition: {gte: 3}}"
        below = f"title: b1\nname: b1\ncorrelation: {count}"
        above = "title: b2\ncorrelation:\n  type: temporal\n  timespan: 5m\n  group-by: [y]\n  rules: [b1, a]"

        (refused,) = load(*BASES, below, above).refused

        assert refused.where == "4.yml:6"
        assert "no field `y`: it groups by ['x']" in refused.message

    def test_an_ambiguous_name(self) -> None:
        """A name that two rules have."""
        double = BASES[0].replace(
            b'"id":"00000000-0000-4000-8000-000000000000"', b'"id":"00000000-0000-4000-8000-00000000000f"'
        )
        text = "title: x\ncorrelation: {type: event_count, rules: [a], timespan: 5m, condition: {gte: 3}}"

        assert "several rules" in load(*BASES, double, text).refused[0].message
