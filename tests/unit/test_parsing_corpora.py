"""The built-in parsers on real logs of others."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
import re2

from detector.events import Event
from tests.corpora import corpus
from tests.parsing import REFERENCE_MS, parse

# An independent reading of the combined format: another expression, strptime, no code of ours.
TWIN = re2.compile(
    r'^(?P<ip>[0-9.]+) - - \[(?P<time>[^\]]*)\] "(?P<method>[A-Z]+) (?P<url>[^ "]+) HTTP/(?P<version>[0-9.]+)" '
    r'(?P<status>[0-9]+) (?P<bytes>[0-9]+|-) "(?P<referrer>[^"]*)" "(?P<agent>[^"]*)"$'
)

LATER_MS = 1_780_000_000_000
"""After all times of the corpora, by less than ten years."""


def rows(path: str) -> Iterator[dict[str, Any]]:
    """The objects of a file of JSON lines."""
    with corpus(path).open("rb") as file:
        for line in file:
            yield json.loads(line)


def first(line: str, timestamp_ms: int = REFERENCE_MS) -> Event:
    """The first event of a line."""
    return parse(line.encode(), timestamp_ms=timestamp_ms).events[0]


class TestAccessLogs:
    @pytest.mark.parametrize("form", ["apache_combined", "auto"])
    def test_elastic(self, form: str) -> None:
        """Every line is one of the combined format, and every value is what the twin reads."""
        lines = corpus("08_access_logs/elastic_apache_10k.log").read_bytes().splitlines()

        parsed = parse(*lines, form=form, timestamp_ms=1_431_900_000_000)

        assert (len(lines), parsed.failures) == (2_000, [])
        for line, event in zip(lines, parsed.events, strict=True):
            match = TWIN.match(line.decode())
            assert match is not None
            expected = {name: text for name, text in match.groupdict().items() if text != "-"}
            moment = datetime.strptime(expected.pop("time"), "%d/%b/%Y:%H:%M:%S %z")
            assert event.format == "apache_combined"
            assert event.time_us == int(moment.timestamp()) * 1_000_000
            found = {
                "ip": event.ecs["source.ip"],
                "method": event.ecs["http.request.method"],
                "url": event.ecs["url.original"],
                "version": event.ecs["http.version"],
                "status": str(event.ecs["http.response.status_code"]),
                "bytes": event.ecs.get("http.response.body.bytes"),
                "referrer": event.ecs.get("http.request.referrer"),
                "agent": event.ecs.get("user_agent.original"),
            }
            assert {name: str(value) for name, value in found.items() if value is not None} == expected

    def test_core_rule_set(self) -> None:
        """Every attack and every harmless request is one of the combined format."""
        formats = Counter(first(row["access_log_line"]).format for row in rows("03_crs/crs_regression.jsonl"))

        assert formats == {"apache_combined": 2_279}

    def test_crowdsec_attacks(self) -> None:
        """Every line of the web attacks is one of an access log, or of syslog that carries one."""
        formats: Counter[str] = Counter()
        for row in rows("09_crowdsec/scenarios.jsonl"):
            if row["log_type"] in ("nginx", "apache2"):
                formats.update(event.format for event in parse(*map(str.encode, row["lines"])).events)

        assert formats == {
            "apache_combined": 241,
            "apache_common": 91,
            "syslog_rfc3164": 14,
            "apache_vhost_combined": 3,
            "nginx_forwarded": 1,
        }

    def test_crowdsec_values(self) -> None:
        """The values of nginx's access log are those that others read."""
        compared = 0
        for row in rows("09_crowdsec/parsers.jsonl"):
            if row["log_type"] != "nginx" or row["meta"].get("log_type") != "http_access-log":
                continue
            event, expected = first(row["line"], LATER_MS), row["meta"]
            compared += 1
            assert event.ecs["source.ip"] == expected["source_ip"]
            assert event.ecs["http.request.method"] == expected["http_verb"]
            assert str(event.ecs["http.response.status_code"]) == expected["http_status"]
            assert event.ecs["url.original"] == expected["http_path"]
            assert event.ecs.get("user_agent.original") in (expected.get("http_user_agent"), "")
            moment = datetime.fromisoformat(expected["timestamp"])
            assert event.time_us == int(moment.timestamp()) * 1_000_000

        assert compared == 39

    def test_grok(self) -> None:
        """The values of the combined format are those that grok's ECS patterns give."""
        names = {
            ("http", "request", "method"): "http.request.method",
            ("http", "request", "referrer"): "http.request.referrer",
            ("http", "response", "status_code"): "http.response.status_code",
            ("http", "response", "body", "bytes"): "http.response.body.bytes",
            ("http", "version"): "http.version",
            ("source", "address"): "source.address",
            ("url", "original"): "url.original",
            ("user", "name"): "user.name",
            ("user_agent", "original"): "user_agent.original",
        }
        compared = 0
        for row in rows("14_grok/logstash_patterns_spec.jsonl"):
            if row["pattern"] == "HTTPD_COMBINEDLOG" and row["mode"] == "ecs-v1":
                event = first(row["line"])
                for path, value in leaves(row["expect"]):
                    compared += 1
                    assert event.ecs[names[path]] == value

        assert compared == 11


class TestSyslog:
    def test_crowdsec_sshd(self) -> None:
        """Address, user, port, host and process of every sshd message are those that others read."""
        names = {
            "sshd_client_ip": "source.ip",
            "sshd_invalid_user": "user.name",
            "sshd_auth_user": "user.name",
            "sshd_client_port": "source.port",
            "sshd_port": "source.port",
            "pid": "process.pid",
            "program": "process.name",
        }
        compared = 0
        for row in rows("09_crowdsec/parsers.jsonl"):
            if row["log_type"] == "syslog" and "sshd" in "".join(row["parsed_by"]):
                event = first(row["line"])
                assert event.ecs["host.name"] == row["meta"]["machine"]
                assert "event.action" in event.ecs
                for name, value in row["fields"].items():
                    if name in names:
                        compared += 1
                        assert str(event.ecs[names[name]]) == value

        assert compared == 126

    def test_crowdsec_syslog(self) -> None:
        """Every line of syslog is recognized, and its program and process are those that others read."""
        formats: Counter[str] = Counter()
        for row in rows("09_crowdsec/parsers.jsonl"):
            if row["log_type"] == "syslog":
                event = first(row["line"])
                formats[event.format] += 1
                fields = row["header_fields"] or row["fields"]
                assert event.ecs.get("process.name") == fields.get("program", event.ecs.get("process.name"))
                assert str(event.ecs.get("process.pid")) == fields.get("pid", str(event.ecs.get("process.pid")))

        assert formats == {"syslog_rfc3164": 145, "syslog_rfc5424": 122}

    def test_grok(self) -> None:
        """A program's name may hold a slash."""
        for row in rows("14_grok/logstash_patterns_spec.jsonl"):
            if row["pattern"] == "SYSLOGLINE" and "program" in row["expect"]:
                assert first(row["line"]).ecs["process.name"] == row["expect"]["program"]


class TestCloudTrail:
    def test_stratus(self) -> None:
        """Every event is recognized, alone and in an array, with the values that it holds."""
        events = [row["event"] for row in rows("11_cloudtrail/stratus_red_team.jsonl")]

        alone = parse(*(json.dumps(event).encode() for event in events), timestamp_ms=LATER_MS)
        together = parse(json.dumps({"Records": events}).encode(), timestamp_ms=LATER_MS)

        assert alone.failures == together.failures == []
        assert [event.ecs for event in alone.events] == [event.ecs for event in together.events]
        for event, raw in zip(together.events, events, strict=True):
            assert event.format == "aws_cloudtrail"
            assert event.raw == raw
            assert event.time_us == int(datetime.fromisoformat(raw["eventTime"]).timestamp()) * 1_000_000
            assert (event.ecs["event.action"], event.ecs["event.provider"]) == (raw["eventName"], raw["eventSource"])
            assert event.ecs["source.address"] == raw["sourceIPAddress"]
            assert event.ecs["event.outcome"] == ("failure" if raw.get("errorCode") else "success")
            assert event.ecs["user.name"]

    def test_panther(self) -> None:
        """Every event with the members that CloudTrail needs is one, and no other is."""
        for row in rows("04_panther/panther_all.jsonl"):
            value = row["event"]
            if row["has_mocks"] or not isinstance(value, dict) or not value:
                continue
            needed = str(value.get("eventSource", "")).endswith(".amazonaws.com") and "eventName" in value

            assert (first(json.dumps(value)).format == "aws_cloudtrail") == needed


def leaves(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """The values of a nested object with their paths."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, (*path, key))
    else:
        yield path, value
