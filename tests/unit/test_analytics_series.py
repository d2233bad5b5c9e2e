"""What the pages draw besides: levels, response times, countries, links, port scans, reputation, samples."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.analytics import samples
from detector.analytics.alerts import SCHEMA
from detector.analytics.series import ALERTS_PER_RULE, SCANNED_PORTS
from detector.analytics.tables import tables
from tests.analytics import START, Row, at, report, totals_of

SECONDS = st.floats(0, 2_000, allow_nan=False)


def alert(rule: str, source: str | None, severity: int = 4, minutes: float = 0) -> dict[str, Any]:
    """An alert of a rule, about a source."""
    given = {"rule": rule, "level": "high", "severity": severity, "entity": source, "time": at(minutes)}
    return given | {"tactics": [], "techniques": []}


def with_alerts(rows: list[dict[str, Any]], found: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """The rows of all tables of a report on events and alerts."""
    made = tables(totals_of(rows), pa.Table.from_pylist(found, SCHEMA))
    return {name: table.to_pylist() for name, table in made.items()}


class TestResponseTimes:
    @settings(max_examples=8)
    @given(st.lists(SECONDS, min_size=1, max_size=30), st.integers(8, 40))
    def test_close(self, seconds: list[float], size: int) -> None:
        """However events are cut into batches: each time is counted once, and percentiles are off by 6 % at most."""
        rows = [{"http.response.status_code": 200, "event.duration": each} for each in seconds]
        found = report(rows, size)
        ordered = sorted(min(max(each * 1_000, 0.1), 1e6) for each in seconds)
        (hour,) = found["response_times_hourly"]

        assert sum(row["requests"] for row in found["response_times"]) == len(seconds) == hour["requests"]
        for name, share in (("p50", 50), ("p95", 95), ("p99", 99)):
            exact = ordered[-(-share * len(ordered) // 100) - 1]
            assert hour[name] == pytest.approx(exact, rel=0.06, abs=0.006)

    def test_units(self) -> None:
        """Seconds and milliseconds are told apart by their names; a connection is no request."""
        web = {"http.response.status_code": 200}
        rows = [web | {"event.duration": 0.5}, web | {"event.duration_ms": 500.0}, web | {"haproxy.total_time": 500.0}]
        found = report([*rows, {"event.duration": 0.5}, web])

        assert [row["requests"] for row in found["response_times"]] == [3]


class TestSources:
    def test_scans(self) -> None:
        """Ports count that an address tried which tried ten or more; others' do not."""
        scan = [{"source.ip": "192.0.2.1", "destination.port": port} for port in range(SCANNED_PORTS)]
        rows = [*scan, scan[3], *({"source.ip": "192.0.2.2", "destination.port": port} for port in range(9))]
        found = report(rows)["port_scans"]

        assert found[0] == {"destination_port": 3, "attempts": 2, "scanners": 1}
        assert sum(row["attempts"] for row in found) == SCANNED_PORTS + 1

    def test_links(self) -> None:
        """An address reaches an address, else a host, a service or a domain."""
        reached: list[Row] = [
            {"destination.ip": "10.0.0.1", "host.name": "h"},
            {"host.name": "h"},
            {"url.domain": "d"},
            {},
        ]
        found = report([{"source.ip": "192.0.2.1"} | each for each in reached])["network_links"]

        assert sorted(row["target"] for row in found) == ["10.0.0.1", "d", "h"]

    def test_places_and_levels(self) -> None:
        """Countries and levels are counted where events have them."""
        rows: list[Row] = [
            {"source.geo.country_iso_code": "DE", "http.response.status_code": 404},
            {"log.level": "error"},
            {},
        ]
        found = report(rows)

        (place,) = found["sources_by_country"]
        assert place == {"country_code": "DE", "country_name": None, "events": 1, "errors": 1}
        assert found["events_by_level"] == [{"level": "error", "events": 1}]

    def test_reputation(self) -> None:
        """100, less the threat score of its alerts, less 30 times the share of errors, five events added."""
        rows = [{"source.ip": "a"}] * 10 + [{"source.ip": "b", "http.response.status_code": 500}] * 5
        found = with_alerts([*rows, {}], [alert("r", "a", 3), alert("r", "a", 4), alert("r", None)])[
            "source_reputation"
        ]

        assert {row["ip_address"]: row["reputation"] for row in found} == {"a": 20.0, "b": 85.0}
        assert {row["ip_address"]: row["threat_score"] for row in found} == {"a": 80, "b": 0}


class TestAlerts:
    def test_hours(self) -> None:
        """Alerts are counted by hour and level."""
        found = with_alerts([], [alert("r", "a", minutes=minutes) for minutes in (0, 59, 60)])["threats_hourly"]

        assert [(row["hour"], row["alerts"]) for row in found] == [(START, 2), (START + timedelta(hours=1), 1)]

    def test_latest(self) -> None:
        """Of each rule, its latest alerts are shown, a few at most."""
        given = [alert("often", "a", minutes=minutes) for minutes in range(9)] + [alert("once", "b")]
        found = with_alerts([], given)["threat_samples"]

        assert Counter(row["rule"] for row in found) == {"often": ALERTS_PER_RULE, "once": 1}
        assert min(row["time"] for row in found if row["rule"] == "often") == at(4)


class TestSamples:
    @settings(max_examples=8)
    @given(st.lists(st.sampled_from([200, 404, 500, None]), max_size=40), st.integers(8, 50))
    def test_real(self, statuses: list[int | None], size: int) -> None:
        """Each value has some of its own events, five at most, each of them once."""
        rows = [
            {"http.response.status_code": status, "log.offset": number, "source.ip": "192.0.2.1"}
            for number, status in enumerate(statuses)
        ]
        found = report(rows, size)["sample_events"]
        shown = Counter((row["kind"], row["value"]) for row in found)

        for row in found:
            status = statuses[row["offset"]]
            assert row["kind"] != "status" or row["value"] == str(status)
            assert row["kind"] not in ("error", "error source") or (status or 0) >= 400
        assert {value for kind, value in shown if kind == "status"} == {str(each) for each in statuses if each}
        assert max(shown.values(), default=0) <= samples.PER_VALUE
        assert len({(row["kind"], row["offset"]) for row in found}) == len(found)

    def test_bounded(self) -> None:
        """Of many values, those that are most frequent in a block have samples."""
        rows = [{"source.ip": f"{number % 300}", "event.outcome": "failure"} for number in range(900)]
        rows += [{"source.ip": "often", "event.outcome": "failure"}] * 50
        found = [row for row in report(rows, 10_000)["sample_events"] if row["kind"] == "error source"]

        assert len({row["value"] for row in found}) == 100
        assert "often" in {row["value"] for row in found}
