"""Totals of events, and the tables made of them, against a plain count."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.csv as pcsv
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.analytics import alerts, totals
from detector.analytics.networks import internal
from detector.analytics.tables import size_above, tables
from detector.analytics.totals import Totals, pack, partials, unpack
from detector.errors import ConfigError
from detector.reports.write import summary, write
from tests.alert_samples import alert_message

EVENT: dict[str, Any] = {
    "@timestamp": datetime(2026, 11, 24, 8, tzinfo=UTC),
    "event.format": "x",
    "log.file.path": "/a",
}
EVENTS = st.fixed_dictionaries(
    {
        "@timestamp": st.datetimes(datetime(2026, 11, 24), datetime(2026, 11, 26), timezones=st.just(UTC)),  # noqa: DTZ001
        "event.format": st.sampled_from(["apache_combined", "aws_cloudtrail", "raw"]),
        "log.file.path": st.sampled_from(["/a", "/b"]),
        "source.ip": st.sampled_from([None, "10.0.0.1", "192.0.2.1"]),
        "http.response.status_code": st.sampled_from([None, 200, 404, 500]),
        "http.response.body.bytes": st.sampled_from([None, 0, 7, 123_456]),
        "http.request.method": st.sampled_from([None, "GET", "POST"]),
        "url.path": st.sampled_from([None, "/", "/login", "/blogin"]),
        "event.category": st.sampled_from([None, "authentication", "web"]),
        "event.outcome": st.sampled_from([None, "success", "failure"]),
        "error.code": st.sampled_from([None, "AccessDenied"]),
        "cloud.provider": st.sampled_from([None, "aws"]),
        "cloud.region": st.sampled_from([None, "eu-west-1"]),
        "event.action": st.sampled_from([None, "ConsoleLogin", "GetObject"]),
    }
)


def table(rows: list[dict[str, Any]]) -> pa.Table:
    """Events as a lake has them."""
    kinds = {"@timestamp": pa.timestamp("us", "UTC")} | dict.fromkeys(
        ("http.response.status_code", "http.response.body.bytes"), pa.int64()
    )
    names = list(dict.fromkeys(name for row in rows for name in row)) or list(EVENT)
    return pa.table({name: pa.array([row.get(name) for row in rows], kinds.get(name, pa.string())) for name in names})


def of(rows: list[dict[str, Any]], size: int = 1_000) -> Totals:
    """The totals of events that come in batches."""
    found = Totals()
    for start in range(0, max(1, len(rows)), size):
        for name, part in unpack(pack(partials(table(rows[start : start + size])))):
            found.add(name, part)
    return found


def failed(event: dict[str, Any]) -> bool:
    status: int = event["http.response.status_code"] or 0
    return event["event.outcome"] == "failure" or event["error.code"] is not None or status >= 400


def login(event: dict[str, Any]) -> bool:
    posted = event["http.request.method"] == "POST" and event["url.path"] == "/login"
    return posted or bool(event["event.category"] == "authentication")


class TestTotals:
    @settings(max_examples=40, deadline=None)
    @given(st.lists(EVENTS, max_size=30), st.integers(1, 9))
    def test_as_counted_plainly(self, events: list[dict[str, Any]], size: int) -> None:
        """However the events are cut into batches, the totals are those of a plain loop over them."""
        found = of(events, size)
        logins = [event for event in events if login(event)]
        calls = [event for event in events if event["cloud.provider"] and event["error.code"]]

        assert self.counts(found, "hours", "hour") == Counter(
            event["@timestamp"].replace(minute=0, second=0, microsecond=0) for event in events
        )
        assert self.counts(found, "logins", "source.ip") == Counter(event["source.ip"] for event in logins)
        assert self.sums(found, "logins", "login_failed") == sum(map(failed, logins))
        assert self.sums(found, "addresses", "failed") == sum(map(failed, events))
        assert self.sums(found, "hours", "bytes") == sum(event["http.response.body.bytes"] or 0 for event in events)
        assert self.sums(found, "calls_failed", "count") == len(calls)
        assert self.sums(found, "sources", "unparsed") == sum(event["event.format"] == "raw" for event in events)
        times = [event["@timestamp"] for event in events]
        assert min(found.of("sources")["first"].to_pylist(), default=None) == min(times, default=None)

    @staticmethod
    def counts(found: Totals, name: str, key: str) -> Counter[Any]:
        total = found.of(name)
        return Counter(dict(zip(total[key].to_pylist(), total["count"].to_pylist(), strict=True)))

    @staticmethod
    def sums(found: Totals, name: str, column: str) -> int:
        return sum(found.of(name)[column].to_pylist())

    def test_bounded(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Of too many keys, those with the largest counts are kept, and the rest is told."""
        monkeypatch.setattr(totals, "MAX_KEYS", 3)
        rows = [EVENT | {"source.ip": f"192.0.2.{number}"} for number in range(20) for _ in range(number)]
        found = of(rows, len(rows))

        assert found.of("addresses")["source.ip"].to_pylist() == ["192.0.2.19", "192.0.2.18", "192.0.2.17"]
        assert found.dropped["addresses"] == 16


class TestTables:
    def test_empty(self) -> None:
        """Without events and alerts every table is there, and empty but for zeros and findings without data."""
        found = tables(Totals(), alerts.SCHEMA.empty_table())
        counts = found.pop("security_summary")["count"].to_pylist()
        verdicts = found.pop("compliance_findings")["status"].to_pylist()

        assert counts == [0] * 5
        assert set(verdicts) == {"no data"}
        assert {each.num_rows for each in found.values()} == {0}

    def test_security(self) -> None:
        """Log-ins from outside, brute force beyond five failures, and addresses that cause errors are named."""
        login = EVENT | {"event.category": "authentication", "event.outcome": "failure"}
        rows = [login | {"source.ip": "192.0.2.1"}] * 6 + [login | {"source.ip": "10.0.0.1"}] * 5
        found = tables(of(rows), alerts.SCHEMA.empty_table())

        assert found["suspicious_logins"]["ip_address"].to_pylist() == ["192.0.2.1"]
        assert [(row["ip_address"], row["failed_attempts"]) for row in found["brute_force"].to_pylist()] == [
            ("192.0.2.1", 6)
        ]
        assert [(row["type"], row["subject"]) for row in found["anomalies"].to_pylist()] == [
            ("high_error_rate", "192.0.2.1")
        ]
        assert found["security_summary"].to_pylist()[1] == {
            "metric": "brute-force sources",
            "count": 1,
            "risk_level": "high",
        }

    def test_large_responses(self) -> None:
        """The hundredth part of the responses that is largest is told by the size where it begins."""
        rows = [EVENT | {"http.response.body.bytes": 10_000 if number else 5_000_000} for number in range(100)]
        sizes = of(rows).of("sizes")

        assert size_above(sizes, 0.99) == (10_000, 1)
        assert size_above(sizes.slice(0, 0), 0.99) == (None, 0)


class TestNetworks:
    def test_internal(self) -> None:
        """Networks, not prefixes of text, say what is inside; what is no address is unknown."""
        inside = ["10.1.2.3", "172.31.0.1", "192.168.0.1", "127.0.0.1", "100.64.0.1", "169.254.0.1", "::1", "fd00::1"]
        outside = ["172.32.0.1", "192.0.2.1", "100.128.0.1", "2001:db8::1", "11.0.0.1"]

        assert internal(pa.array([*inside, *outside, "x", None])).to_pylist() == [True] * 8 + [False] * 5 + [None, None]


class TestAlerts:
    def test_read(self, tmp_path: Path) -> None:
        """The alerts of a back-fill are read; another folder is refused."""
        alert = alert_message().value or b""
        with pytest.raises(ConfigError, match="--alerts"):
            alerts.read(tmp_path)
        (tmp_path / "run.json").write_text("{}")
        (tmp_path / "alerts").mkdir()
        (tmp_path / "alerts/a.jsonl").write_bytes(alert + b"\n" + alert + b"\n")
        found = tables(Totals(), alerts.read(tmp_path))

        assert found["threats_by_rule"]["alerts"].to_pylist() == [2]
        assert found["threat_sources"].to_pylist()[0]["source"] == orjson.loads(alert)["entity"]["value"]
        assert found["threats_by_level"]["threat_level"].to_pylist() == [orjson.loads(alert)["rule"]["level"]]


class TestWrite:
    def test_harmless(self, tmp_path: Path) -> None:
        """What strangers wrote runs in no spreadsheet and moves no terminal's cursor; Parquet keeps it as it is."""
        rows = [EVENT | {"url.path": "=cmd|' /C calc'!A0\x1b[2J", "http.response.status_code": 200}]
        found = tables(of(rows), alerts.SCHEMA.empty_table())
        write(found, tmp_path)
        text = pcsv.read_csv(tmp_path / "tables/top_urls.csv")["url"].to_pylist()

        assert text == ["'=cmd|' /C calc'!A0\\x1b[2J"]
        assert found["top_urls"]["url"].to_pylist() == [rows[0]["url.path"]]
        assert summary(found) == (tmp_path / "log_summary.txt").read_text()
        assert "Events processed                   1" in summary(found)
