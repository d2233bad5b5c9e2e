from __future__ import annotations

import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.alerts.follow import Filter
from detector.alerts.render import line, use_color
from detector.alerts.text import printable
from detector.config import Level
from tests.alert_samples import alert_message, evidence

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)
KEYS = ["time", "rule", "entity", "matches", "source", "detected_at", "severity"]
ALERTS = st.dictionaries(st.sampled_from(KEYS), JSON | st.fixed_dictionaries({"title": JSON, "value": JSON}))


def sample(**changes: Any) -> dict[str, Any]:
    """The sample alert as a subscriber reads it."""
    value = alert_message(**changes).value
    assert value is not None
    alert: dict[str, Any] = json.loads(value)
    return alert


class TestLine:
    def test_tells_what_matters(self) -> None:
        """Time, level, rule, entity, evidence, latency."""
        assert line(sample(), color=False) == (
            "2026-05-15 12:00:00.000  high           SQL Injection in a Query String  source.ip=203.0.113.9  "
            "cs-uri-query=id=1 UNION SELECT  32 ms"
        )

    def test_takes_a_latency_that_was_measured(self) -> None:
        """Whoever knows when the alert arrived replaces the time to its detection."""
        assert line(sample(), color=False, latency_ms=99.6).endswith("  100 ms")

    @pytest.mark.parametrize(("ms", "shown"), [(9_999.4, "9999 ms"), (10_000, "10 s"), (86_400_000, "86,400 s")])
    def test_tells_a_long_latency_in_seconds(self, ms: float, shown: str) -> None:
        """What was read again after a day is not a row of digits."""
        assert line(sample(), color=False, latency_ms=ms).endswith(f"  {shown}")

    def test_counts_the_evidence_that_it_leaves_out(self) -> None:
        """Two values are enough for a line."""
        assert "  f=a, f=b (+2)  " in line(sample(match=evidence("a", "b", "c", "d", "a")), color=False)

    def test_cuts_long_values(self) -> None:
        """A value of kilobytes does not fill the terminal."""
        assert len(line(sample(match=evidence("x" * 5_000)), color=False)) < 300

    def test_paints_with_its_own_colours_only(self) -> None:
        """Without the colours, a painted line is the plain one."""
        painted = line(sample(), color=True)

        assert painted.replace("\033[1;31m", "").replace("\033[1m", "").replace("\033[0m", "") == line(
            sample(), color=False
        )
        assert painted != line(sample(), color=False)

    @given(ALERTS)
    def test_shows_any_object_as_one_harmless_line(self, alert: dict[str, Any]) -> None:
        """Nothing on the topic is trusted to be an alert of ours."""
        shown = line(alert, color=False)

        assert shown == printable(shown)


class TestUseColor:
    @pytest.mark.parametrize(
        ("terminal", "env", "expected"),
        [
            (True, {"TERM": "xterm"}, True),
            (False, {"TERM": "xterm"}, False),
            (True, {"TERM": "xterm", "NO_COLOR": "1"}, False),
            (True, {"TERM": "xterm", "NO_COLOR": ""}, True),
            (True, {"TERM": "dumb"}, False),
        ],
    )
    def test_needs_a_terminal_and_no_veto(
        self, terminal: bool, env: dict[str, str], expected: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Pipes and NO_COLOR get plain text."""
        monkeypatch.delenv("NO_COLOR", raising=False)
        for name, value in env.items():
            monkeypatch.setenv(name, value)
        stream = io.StringIO()
        monkeypatch.setattr(stream, "isatty", lambda: terminal)

        assert use_color(stream) is expected


class TestFilter:
    @pytest.mark.parametrize(
        ("wanted", "accepted"),
        [
            (Filter(), True),
            (Filter(level=Level.HIGH), True),
            (Filter(level=Level.CRITICAL), False),
            (Filter(rule="sql INJECTION"), True),
            (Filter(rule="5F7E1D3A-9f6c-4f0e-8a55-0d2a2f6f1b11"), True),
            (Filter(rule="5f7e1d3a"), False),
            (Filter(entity="203.0.113.9"), True),
            (Filter(entity="203.0.113"), False),
            (Filter(level=Level.LOW, rule="sql", entity="1.1.1.1"), False),
        ],
    )
    def test_lets_through_what_meets_every_part(self, wanted: Filter, accepted: bool) -> None:
        """Each part that is set must hold."""
        assert wanted.accepts(sample()) is accepted

    @given(ALERTS)
    def test_judges_any_object(self, alert: dict[str, Any]) -> None:
        """Foreign shapes pass no filter by accident, and raise nothing."""
        assert Filter().accepts(alert)
        assert not Filter(rule="\0 no title has this").accepts(alert)
