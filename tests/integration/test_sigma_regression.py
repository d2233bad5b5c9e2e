"""Each rule of SigmaHQ that comes with events fires on them: from bytes to alerts, recognized by themselves."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.corpora import corpus
from tests.sigmahq import alerts, run

Shape = Callable[[dict[str, Any]], list[dict[str, Any]]]


def _nested(case: dict[str, Any]) -> list[dict[str, Any]]:
    return list(case["events"])


def _flat(case: dict[str, Any]) -> list[dict[str, Any]]:
    return list(case["events_flat"])


def _inner(case: dict[str, Any]) -> list[dict[str, Any]]:
    return [event["Event"] for event in case["events"]]


def _winlogbeat(case: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            "@timestamp": flat["TimeCreated_SystemTime"],
            "ecs": {"version": "8.0.0"},
            "event": {"code": str(flat["EventID"]), "kind": "event"},
            "winlog": {
                "channel": flat["Channel"],
                "event_id": str(flat["EventID"]),
                "computer_name": flat["Computer"],
                "provider_name": flat["Provider_Name"],
                "event_data": event["Event"].get("EventData") or {},
                "user_data": next(iter((event["Event"].get("UserData") or {"": {}}).values())),
            },
        }
        for event, flat in zip(case["events"], case["events_flat"], strict=True)
    ]


class TestRegression:
    @pytest.mark.parametrize(
        "shape", [_nested, _flat, _inner, _winlogbeat], ids=lambda shape: shape.__name__.strip("_")
    )
    def test_fires(self, shape: Shape) -> None:
        """Each rule alerts on its own events as often as it should, with all rules loaded, in each shape."""
        missed = []
        with corpus("05_sigma/regression.jsonl").open() as file:
            cases = list(map(json.loads, file))
        for case in cases:
            result = run(*shape(case))
            fired = alerts(result)[case["rule_id"]]
            if fired < (case["expected_match_count"] or 1) or result.counts.unparsed:
                missed.append((case["rule_id"], case["title"], fired))

        assert missed == []
        assert len(cases) == 110

    def test_harmless(self) -> None:
        """A Windows event of which no rule speaks causes nothing."""
        system = {"Channel": "Application", "EventID": 15, "Computer": "ws1"}

        result = run({"Event": {"System": system, "EventData": {"a": "b"}}})

        assert result.messages == ()
        assert result.counts.events == {"windows_event": 1}
