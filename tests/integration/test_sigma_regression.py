"""Each rule of SigmaHQ that comes with events fires on them: from bytes to alerts, recognized by themselves."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from typing import Any

import pyarrow as pa
import pytest

from detector.config import InputTopic, Level, Limits
from detector.parsing.registry import read_sources
from detector.pipeline import Pipeline, Spec
from detector.sigma.source import RuleSource
from detector.window import RECORDS, Span, Window, WindowResult
from tests.corpora import corpus

LATER_MS = 1_790_000_000_000
"""After all times of the corpora."""


@pytest.fixture(scope="module")
def pipeline() -> Pipeline:
    """All rules of SigmaHQ, and a topic that says nothing of what it holds."""
    with gzip.open(corpus("05_sigma/sigmahq_rules.jsonl.gz"), "rt") as file:
        rules = tuple(RuleSource(rule["path"], rule["yaml"].encode()) for rule in map(json.loads, file))
    return Pipeline(
        Spec(
            topics=(InputTopic(name="logs"),),
            limits=Limits(),
            min_level=Level.INFORMATIONAL,
            rules=rules,
            parsers=read_sources(),
            values={},
            sha="",
        )
    )


def cases() -> list[dict[str, Any]]:
    with corpus("05_sigma/regression.jsonl").open() as file:
        return list(map(json.loads, file))


def run(pipeline: Pipeline, events: list[dict[str, Any]]) -> WindowResult:
    rows = [
        {"span": 0, "offset": offset, "timestamp": LATER_MS, "value": json.dumps(event).encode()}
        for offset, event in enumerate(events)
    ]
    span = Span("logs", 0, 0, len(rows), len(rows), len(rows))
    return pipeline.run(Window((span,), pa.RecordBatch.from_pylist(rows, schema=RECORDS)))


def alerts(result: WindowResult) -> Counter[str]:
    """How often each rule alerted."""
    messages = [message for message in result.messages if message.topic == "alerts"]
    return Counter(dict(message.headers)["rule_id"].decode() for message in messages)


class TestRegression:
    @pytest.mark.parametrize("form", ["events", "events_flat"])
    def test_fires(self, pipeline: Pipeline, form: str) -> None:
        """Each rule alerts on its own events as often as it should, nested and flat, with all rules loaded."""
        missed = []
        for case in cases():
            result = run(pipeline, case[form])
            fired = alerts(result)[case["rule_id"]]
            if fired < (case["expected_match_count"] or 1) or result.counts.unparsed:
                missed.append((case["rule_id"], case["title"], fired))

        assert missed == []

    def test_winlogbeat(self, pipeline: Pipeline) -> None:
        """The same events as Winlogbeat writes them."""
        missed = []
        for case in cases():
            events = [
                {
                    "@timestamp": event["Event"]["System"]["TimeCreated"]["#attributes"]["SystemTime"],
                    "winlog": {
                        "channel": event["Event"]["System"]["Channel"],
                        "event_id": str(event["Event"]["System"]["EventID"]),
                        "computer_name": event["Event"]["System"]["Computer"],
                        "provider_name": event["Event"]["System"]["Provider"]["#attributes"]["Name"],
                        "event_data": event["Event"].get("EventData") or {},
                        "user_data": next(iter((event["Event"].get("UserData") or {"": {}}).values())),
                    },
                }
                for event in case["events"]
            ]
            if alerts(run(pipeline, events))[case["rule_id"]] < (case["expected_match_count"] or 1):
                missed.append((case["rule_id"], case["title"]))

        assert missed == []

    def test_harmless(self, pipeline: Pipeline) -> None:
        """A Windows event of which no rule speaks causes nothing."""
        event = {
            "Event": {"System": {"Channel": "Application", "EventID": 15, "Computer": "ws1"}, "EventData": {"a": "b"}}
        }

        result = run(pipeline, [event])

        assert result.messages == ()
        assert result.counts.events == {"windows_event": 1}
