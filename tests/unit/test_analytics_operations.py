"""Services, their errors and their hosts, against plain counts."""

from __future__ import annotations

from collections import Counter, defaultdict
from itertools import pairwise
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.analytics.definitions import Objective
from detector.analytics.operations import route, template
from detector.analytics.operations_tables import trend
from tests.analytics import Row, at, report

HOSTILE = "<script>alert(1)</script>\x1b[2J"
EVENTS = st.fixed_dictionaries(
    {
        "@timestamp": st.integers(0, 300).map(at),
        "service.name": st.sampled_from([None, "cart", HOSTILE]),
        "http.response.status_code": st.sampled_from([None, 200, 404, 503]),
        "log.level": st.sampled_from([None, "info", "error"]),
        "error.type": st.sampled_from([None, "java.io.IOException"]),
        "message": st.sampled_from([None, "order 7 failed", "order 8 failed", HOSTILE]),
        "event.duration_ms": st.sampled_from([None, 0.0, 12.5, 480.0, -1.0]),
    }
)


def wrong(event: Row) -> bool:
    return (event["http.response.status_code"] or 0) >= 400 or broken(event)


def broken(event: Row) -> bool:
    status = event["http.response.status_code"] or 0
    return status >= 500 or event["log.level"] == "error" or event["error.type"] is not None


def service(event: Row) -> str:
    return event["service.name"] or "x"


class TestHealth:
    @settings(max_examples=10, deadline=None)
    @given(st.lists(EVENTS, min_size=1, max_size=30), st.integers(1, 9))
    def test_as_counted_plainly(self, events: list[Row], size: int) -> None:
        """However the events are cut, health and error classes are those of a plain loop over them."""
        found = report(events, size)
        by_service: dict[str, list[Row]] = defaultdict(list)
        for event in events:
            by_service[service(event)].append(event)

        assert {row["service_name"]: row["events"] for row in found["service_health"]} == {
            name: len(own) for name, own in by_service.items()
        }
        for row in found["service_health"]:
            own = by_service[row["service_name"]]
            durations = [each["event.duration_ms"] for each in own]
            times = [each for each in durations if each is not None and each >= 0]
            assert row["error_rate"] == pytest.approx(sum(map(wrong, own)) / len(own))
            assert row["availability"] == pytest.approx(1 - sum(map(broken, own)) / len(own))
            assert (row["response_time_p99"] is None) == (not times)
            assert row["response_time_p99"] == (max(times) if times else None)
        assert sum(row["errors"] for row in found["error_classes"]) == sum(map(wrong, events))
        texts = Counter(event["message"] for event in events if wrong(event))
        classes: Counter[Any] = Counter()
        for row in found["error_classes"]:
            classes[row["message_template"]] += row["errors"]
        assert classes["order <n> failed"] == texts["order 7 failed"] + texts["order 8 failed"]


class TestErrors:
    def test_classes(self) -> None:
        """Errors are told apart by exception, status and template, each with first, last and trend."""
        rows = [
            {
                "@timestamp": at(i),
                "log.level": "error",
                "service.name": "pay",
                "message": f"KeyError: order {i} of 10.0.0.7",
            }
            for i in range(10, 20)
        ]
        rows.append({"@timestamp": at(0), "service.name": "pay", "message": "fine"})
        (row,) = report(rows)["error_classes"]

        assert (row["exception"], row["message_template"], row["errors"], row["trend"]) == (
            "KeyError",
            "KeyError: order <n> of <address>",
            10,
            "new",
        )
        assert (row["first_seen"], row["last_seen"]) == (at(10), at(19))

    @pytest.mark.parametrize(
        ("before", "after", "expected"),
        [(0, 5, "new"), (5, 0, "gone"), (50, 52, "steady"), (10, 90, "rising"), (90, 10, "falling")],
    )
    def test_trend(self, before: int, after: int, expected: str) -> None:
        """Halves that differ no more than by chance are steady."""
        assert trend(before, after) == expected

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ('user "bob" not found at 10.1.2.3:8080', "user <text> not found at <address>"),
            ("id 550e8400-e29b-41d4-a716-446655440000 took 1.5 s", "id <id> took <n> s"),
            ("mail to a.b@example.com", "mail to <email>"),
            (None, None),
        ],
    )
    def test_template(self, text: str | None, expected: str | None) -> None:
        """What differs from one message to the next is cut out."""
        assert template(pa.array([text], pa.string())).to_pylist() == [expected]

    def test_route(self) -> None:
        """Paths of different things of a kind are one route."""
        found = route(pa.array(["/item/7", "/item/8/reviews", "/", "/a/b"]))

        assert found.to_pylist() == ["/item/*", "/item/*/reviews", "/", "/a/b"]


class TestRootCauses:
    def test_deployment(self) -> None:
        """What rose first is named, with the deployment before it and what followed."""
        calm = [{"@timestamp": at(i), "service.name": name} for i in range(200) for name in ("pay", "web")]
        deployed = {"@timestamp": at(98), "service.name": "pay", "message": "Deployed version v1.2.3"}
        first = [
            {"@timestamp": at(100 + i // 8), "service.name": "pay", "error.type": "NullPointerException"}
            for i in range(80)
        ]
        second = [
            {"@timestamp": at(104 + i // 8), "service.name": "web", "http.response.status_code": 502} for i in range(80)
        ]
        (row,) = report([*calm, deployed, *first, *second])["root_causes"]

        assert (row["service_name"], row["exception"], row["started"]) == ("pay", "NullPointerException", at(100))
        assert (row["followed_by"], row["services_affected"]) == (1, 2)
        assert "2 minutes after a deployment of pay (Deployed version v1.2.3)" in row["likely_cause"]

    def test_steady_errors_are_none(self) -> None:
        """Errors that are always there are no surge."""
        rows = [
            {"@timestamp": at(i / 10), "service.name": "web", "http.response.status_code": 500} for i in range(3000)
        ]

        assert report(rows)["root_causes"] == []


class TestObjectives:
    def test_burn(self) -> None:
        """The burn rate is the share of bad events by the budget, and the budget that is left follows from it."""
        rows = [{"service.name": "web", "http.response.status_code": 500 if i < 2 else 200} for i in range(1_000)]
        (row,) = report(rows, objectives=[Objective(name="a", service="web", percent=99.0)])["slos"]

        assert row["burn_rate"] == pytest.approx(0.2)
        assert row["budget_remaining"] == pytest.approx(0.8)
        assert (row["bad_events"], row["met"]) == (2, True)

    def test_latency(self) -> None:
        """An objective of latency counts the slow ones; a service without times has none."""
        rows: list[Row] = [{"service.name": "web", "event.duration_ms": 900.0 if i < 10 else 5.0} for i in range(100)]
        rows.append({"service.name": "cron"})
        (row,) = report(rows, objectives=[Objective(name="fast", percent=95.0, latency_ms=500.0)])["slos"]

        assert (row["service_name"], row["bad_events"], row["met"]) == ("web", 10, False)


class TestCapacity:
    def test_forecast(self) -> None:
        """A disk that fills by a hundredth a day is full in as many days as hundredths are left, and says so."""
        rows = [
            {"@timestamp": at(60 * i), "host.name": "db", "host.disk.usage": 0.5 + i / 2400, "event.kind": "metric"}
            for i in range(240)
        ]
        found = report(rows)
        (row,) = (row for row in found["capacity_forecast"] if row["resource"] == "disk")

        assert row["trend_per_day"] == pytest.approx(0.01)
        assert row["days_to_limit"] == pytest.approx(30.04, abs=0.1)
        assert row["low_7d"] <= row["forecast_7d"] <= row["high_7d"]
        assert "add capacity" in row["recommendation"] or "plan for it" in row["recommendation"]
        assert found["resource_utilization"][0]["peak"] == pytest.approx(0.5 + 239 / 2400)

    def test_too_little(self) -> None:
        """From two points nobody forecasts."""
        rows = [{"@timestamp": at(60 * i), "host.name": "db", "host.cpu.usage": 0.5} for i in range(2)]
        (row,) = (row for row in report(rows)["capacity_forecast"] if row["resource"] == "cpu")

        assert row["forecast_7d"] is None
        assert row["recommendation"].startswith("too little data")


class TestQuality:
    @settings(max_examples=10, deadline=None)
    @given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 500)), min_size=1, max_size=30), st.randoms())
    def test_order(self, lines: list[tuple[str, int]], random: Any) -> None:
        """Delay and steps back are those of the file's order, in whatever order the lake is read."""
        rows = [{"@timestamp": at(t), "log.file.path": f, "log.offset": i} for i, (f, t) in enumerate(lines)]
        shuffled = list(rows)
        random.shuffle(shuffled)
        found = {row["source"]: row for row in report(shuffled)["log_quality"]}

        for source, row in found.items():
            times = [t for f, t in lines if f == source]
            late = [max(times[: i + 1]) - t for i, t in enumerate(times)]
            assert row["late_events"] == sum(each > 0 for each in late)
            assert row["max_delay_seconds"] == 60 * max(late)
            assert row["clock_steps_back"] == sum(after < before for before, after in pairwise(times))

    def test_gaps(self) -> None:
        """Silence of a source that is otherwise never silent is a gap; that of one that is seldom heard is none."""
        rows = [{"@timestamp": at(i), "log.file.path": "/a"} for i in [*range(60), *range(120, 180)]]
        rows += [{"@timestamp": at(i), "log.file.path": "/b"} for i in range(0, 180, 30)]
        (row,) = report(rows)["log_gaps"]

        assert (row["source"], row["gap_start"], row["gap_end"]) == ("/a", at(60), at(120))
