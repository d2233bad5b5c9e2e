"""The tests' own reader of PromQL."""

import pytest

from tests.promql import used


class TestUsed:
    @pytest.mark.parametrize(
        ("expression", "metrics"),
        [
            ("up", {"up"}),
            ('rate(a_total{x="b_total", y=~"c"}[5m]) / 2e3', {"a_total"}),
            ("sum by (topic) (a) / on (topic) group_left (x) b offset 5m", {"a", "b"}),
            ("histogram_quantile(0.99, sum by (le) (rate(h_bucket[$__rate_interval]))) > bool 1", {"h_bucket"}),
            ("a and on (job) b or vector(0) unless c == inf", {"a", "b", "c"}),
            ("a[1h30m:5m] @ start() # b", {"a"}),
            ("time() - (a > 0)", {"a"}),
        ],
    )
    def test_metrics(self, expression: str, metrics: set[str]) -> None:
        """Metrics are told from functions, keywords, labels, strings, durations and comments."""
        assert used(expression).metrics == metrics

    def test_labels(self) -> None:
        """Labels are found in selectors, with their metric, and in lists."""
        found = used('sum by (topic, level) (a{x="1", y!~"2"}) / sum without (z) (b{q="}"})')

        assert found.matched == [("a", "x"), ("a", "y"), ("b", "q")]
        assert found.grouped == {"topic", "level", "z"}

    def test_no_token(self) -> None:
        """What is no PromQL is an error."""
        with pytest.raises(ValueError, match="no token"):
            used("a ; b")
