"""Correlations of a back-fill: the same however files are cut, and the same as the service's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from detector.backfill import correlate
from detector.config import Config
from detector.config import Correlation as Settings
from detector.correlation.inputs import Entry
from detector.window import Message
from tests.correlations import Seen, oracle, rule_set

MINUTE_US = 60_000_000
HOUR_US = 60 * MINUTE_US
COUNT = {"type": "event_count", "rules": ["a"], "group-by": ["user"], "timespan": "1m", "condition": {"gte": 3}}
CALM = COUNT | {"condition": {"lt": 2}}
EVENTS = st.lists(
    st.tuples(st.integers(0, 2 * HOUR_US // 10_000_000), st.sampled_from("xy"), st.sampled_from("fg")), max_size=25
)
CONFIG = Config(correlation=Settings(enabled=True))


def fired(section: dict[str, Any], events: list[tuple[int, str, str]], folder: Path, cut: int) -> list[Message]:
    """What fires for events (tens of seconds, group, file) that come in chunks of so many."""
    rules = rule_set(section)
    (rule,) = rules.correlations
    placed = [
        (
            correlate.source_name(f"s3://{file}", -1),
            Entry(rule.definition, 0, orjson.dumps([group]).decode(), at * 10_000_000 + HOUR_US, place, 0, None, 0),
        )
        for place, (at, group, file) in enumerate(events)
    ]
    for start in range(0, len(placed), cut):
        correlate.write(placed[start : start + cut], folder, f"{start:06}")
    return list(correlate.fold(CONFIG, rules, folder))


class TestFold:
    @settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(EVENTS, st.sampled_from([COUNT, CALM]), st.integers(1, 9))
    def test_as_the_oracle(
        self, tmp_path_factory: Any, events: list[tuple[int, str, str]], section: dict[str, Any], cut: int
    ) -> None:
        """Groups and windows that fire are those of the definition, whatever the files' order and chunks."""
        messages = fired(section, events, tmp_path_factory.mktemp("fold"), cut)
        alerts = [orjson.loads(message.value or b"") for message in messages if message.topic == "alerts"]
        (rule,) = rule_set(section).correlations
        seen = [
            Seen(orjson.dumps([group]).decode(), at * 10_000_000 + HOUR_US, 0, None, (file, place, 0))
            for place, (at, group, file) in enumerate(events)
        ]

        assert {
            (orjson.dumps(alert["correlation"]["group"]).decode(), alert["correlation"]["start"]) for alert in alerts
        } == oracle(rule, seen)
        assert len({alert["id"] for alert in alerts}) == len(alerts)

    def test_written_again(self, tmp_path: Path) -> None:
        """A chunk that is evaluated again counts once; the same run gives the same alerts."""
        events = [(0, "x", "f"), (1, "x", "g"), (2, "x", "f")]
        first = fired(COUNT, events, tmp_path, 2)
        again = fired(COUNT, events, tmp_path, 2)
        (alert,) = (orjson.loads(message.value or b"") for message in again if message.topic == "alerts")

        assert [message.key for message in first] == [message.key for message in again]
        assert alert["source"]["topic"] == "s3%3A//f"

    def test_nothing(self, tmp_path: Path) -> None:
        """Without entries nothing fires."""
        assert list(correlate.fold(CONFIG, rule_set(COUNT), tmp_path)) == []
