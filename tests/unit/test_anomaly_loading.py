"""Anomaly rules: what they mean, and what is refused with its line."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from detector.correlation.anomalies.options import (
    AbsenceOptions,
    BaselineOptions,
    Direction,
    Measure,
    NewValueOptions,
    OutlierOptions,
    RareValueOptions,
    TravelOptions,
)
from detector.correlation.slo import Objective
from tests.correlations import BASES, correlation, rule_set
from tests.sigma import load

NEW = {"type": "new_value", "rules": ["a"], "timespan": "7d", "condition": {"field": "v"}}


class TestMeaning:
    """What a document becomes."""

    @pytest.mark.parametrize(
        ("section", "options"),
        [
            (NEW, NewValueOptions(minimum=10)),
            (NEW | {"type": "rare_value"}, RareValueOptions(share=0.001, minimum=1_000)),
            ({"type": "baseline"}, BaselineOptions(Measure.RATE, Direction.UP, 6.0, 24)),
            (
                {"type": "baseline", "condition": {"measure": "sum", "field": "v", "direction": "both"}},
                BaselineOptions(Measure.SUM, Direction.BOTH),
            ),
            ({"type": "outlier", "condition": {"field": "v"}}, OutlierOptions(0.99, 1.0, 1_000)),
            ({"type": "impossible_travel"}, TravelOptions(1_000.0, 500.0)),
            ({"type": "absence"}, AbsenceOptions(10)),
            ({"type": "slo", "rules": ["a", "b"]}, Objective(99.9, 100)),
            (
                {"type": "slo", "condition": {"objective": 99, "field": "v", "lte": 0.5}},
                Objective(99.0, 100, 0.5),
            ),
        ],
    )
    def test_options(self, section: dict[str, Any], options: object) -> None:
        """Each type has options with defaults, and waits for the watermark."""
        found = correlation({"rules": ["a"], "timespan": "30d", **section})

        assert found.options == options
        assert not found.monotone

    @pytest.mark.parametrize(
        ("section", "values", "numeric"),
        [
            (NEW, ("v",), False),
            (NEW | {"condition": {"field": ["v", "w"]}}, ("v", "w"), False),
            ({"type": "baseline"}, (), False),
            ({"type": "baseline", "condition": {"measure": "size", "field": "v"}}, ("v",), True),
            ({"type": "baseline", "condition": {"measure": "distinct", "field": "v"}}, ("v",), False),
            ({"type": "outlier", "condition": {"field": "v"}}, ("v",), True),
            ({"type": "impossible_travel"}, ("source.geo.location.lat", "source.geo.location.lon"), False),
            ({"type": "impossible_travel", "condition": {"field": ["x", "y"]}}, ("x", "y"), False),
            ({"type": "slo", "condition": {"field": "v", "lte": 1}}, ("v",), True),
        ],
    )
    def test_fields(self, section: dict[str, Any], values: tuple[str, ...], *, numeric: bool) -> None:
        """The fields that are looked at, and whether as numbers."""
        found = correlation({"rules": ["a"], "timespan": "30d", **section})

        assert (found.values, found.numeric) == ((values,), numeric)

    def test_signals_need_not_last(self) -> None:
        """What is learned over weeks is in snapshots: it asks for no retention of signals."""
        assert correlation(NEW).replayed_us == 0

    def test_definition(self) -> None:
        """An option that changes begins anew."""
        other = correlation(NEW | {"condition": {"field": "v", "minimum": 11}})

        assert other.definition != correlation(NEW).definition

    def test_one_of_a_correlation(self) -> None:
        """A correlation may take what an anomaly finds, by the fields that it groups by."""
        lower = {"title": "x", "name": "x", "correlation": NEW | {"group-by": ["user"]}}
        both = {"type": "temporal", "rules": ["x", "b"], "group-by": ["user"], "timespan": "1h"}
        rules = load(*BASES, orjson.dumps(lower), orjson.dumps({"title": "y", "correlation": both}))

        assert rules.refused == ()
        assert rules.correlations[1].rules[0] == rules.correlations[0].key


class TestRefusals:
    """What cannot be meant so."""

    @pytest.mark.parametrize(
        ("section", "message"),
        [
            (NEW | {"condition": {}}, "new_value needs the name of a `field`"),
            ({"type": "new_valu"}, "did you mean `new_value`?"),
            (NEW | {"condition": {"field": "v", "gte": 1}}, "`gte` is not known here: the condition of new_value has"),
            (NEW | {"condition": {"field": "v", "minimum": 0}}, "`minimum` must be a number from 1 to 1e+09, not 0"),
            (NEW | {"condition": {"field": "v", "minimum": 1.5}}, "`minimum` must be a whole number, not 1.5"),
            (NEW | {"condition": "v"}, "the condition of new_value is a mapping"),
            ({"type": "baseline", "condition": {"measure": "speed"}}, "`measure` is one of rate, ratio, size, sum"),
            ({"type": "baseline", "condition": {"field": "v"}}, "baseline looks at no `field` here"),
            ({"type": "baseline", "condition": {"measure": "sum"}}, "baseline needs the name of a `field`"),
            ({"type": "baseline", "condition": {"measure": "ratio"}}, "a ratio is of two `rules`"),
            ({"type": "outlier", "condition": {"field": ["v", "w"]}}, "outlier computes with one `field`"),
            ({"type": "outlier", "condition": {"field": "v", "quantile": 99}}, "`quantile` must be a number from 0.5"),
            ({"type": "impossible_travel", "condition": {"field": "v"}}, "needs two fields: latitude and longitude"),
            ({"type": "absence", "condition": {"field": "v"}}, "absence looks at no `field` here"),
            ({"type": "slo"}, "an objective has two `rules`"),
            ({"type": "slo", "rules": ["a", "b"], "condition": {"lte": 1, "field": "v"}}, "has one rule"),
            ({"type": "slo", "rules": ["a", "b"], "timespan": "1d"}, "the period of an objective is at least 7 days"),
        ],
    )
    def test_refused(self, section: dict[str, Any], message: str) -> None:
        """With what is wrong and what would be right."""
        (refused,) = rule_set({"rules": ["a"], "timespan": "30d", **section}).refused

        assert message in refused.message

    def test_line(self) -> None:
        """The place is that of the option."""
        text = b"title: x\ncorrelation:\n  type: outlier\n  rules: [a]\n  timespan: 1h\n  condition:\n    field: v\n"
        (refused,) = load(*BASES, text + b"    quantile: 99\n").refused

        assert refused.where.endswith(":8")
