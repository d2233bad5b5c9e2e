"""What auditors ask: coverage, accesses, privileged actions, retention, findings, and personal data masked."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from detector.analytics.compliance_tables import CHECKS
from detector.analytics.definitions import read_controls, read_objectives
from detector.analytics.masking import masked
from detector.errors import ConfigError
from tests.analytics import Row, at, report

SUDO: Row = {"user.name": "alice", "process.name": "sudo", "process.command_line": "/bin/id", "host.name": "web1"}


class TestCoverage:
    def test_gaps(self) -> None:
        """Hours in which a system is silent between two in which it is not are its gaps."""
        rows = [{"@timestamp": at(60 * hour), "host.name": "web1"} for hour in (0, 1, 4)]
        found = report([*rows, {"host.name": "web2"}])

        assert [(row["system"], row["coverage"]) for row in found["audit_coverage"]] == [("web1", 0.6), ("web2", 1.0)]
        assert found["audit_gaps"] == [{"system": "web1", "gap_start": at(120), "gap_end": at(240), "hours": 2}]


class TestActions:
    @pytest.mark.parametrize(
        "event",
        [
            SUDO,
            {"user.name": "bob", "event.action": "StopLogging"},
            {"user.name": "bob", "event.action": "AttachUserPolicy"},
            {"user.name": "bob", "user.effective.name": "root"},
            {"user.name": "bob", "event.category": "iam", "event.action": "org.update_member"},
        ],
    )
    def test_privileged(self, event: Row) -> None:
        """The use of special rights is named with its user."""
        (row,) = report([event])["privileged_actions"]

        assert (row["user_name"], row["actions"]) == (event["user.name"], 1)

    def test_ordinary(self) -> None:
        """Reading an object, a log-in and a request are nothing special."""
        rows: list[Row] = [
            {"user.name": "bob", "event.action": "GetObject"},
            {"user.name": "bob", "event.action": "ConsoleLogin", "event.category": "authentication"},
            {"user.name": "root", "url.path": "/"},
        ]

        assert report(rows)["privileged_actions"] == []

    def test_accesses(self) -> None:
        """Who accessed what is counted by user, resource and action, failures apart."""
        row: Row = {"user.name": "bob", "file.path": "=cmd|' /C calc'", "event.action": "read"}
        (found,) = report([row, row | {"event.outcome": "failure"}, {"file.path": "/x"}])["data_access"]

        assert (found["user_name"], found["resource"], found["accesses"], found["failed"]) == (
            "bob",
            "=cmd|' /C calc'",
            2,
            1,
        )


class TestFindings:
    def test_built_in(self) -> None:
        """Every framework has findings, each with a status and its reason."""
        rows = [SUDO | {"@timestamp": at(60 * hour)} for hour in (0, 3)]
        found = report(rows)["compliance_findings"]
        coverage = next(row for row in found if row["check"] == "log_coverage")

        assert {row["framework"] for row in found} == {"PCI DSS 4.0", "SOC 2", "ISO 27001:2022", "HIPAA", "GDPR"}
        assert coverage["status"] == "fail"
        assert "web1, 2 hours from 2026-11-24 09:00" in coverage["finding"]
        assert {row["status"] for row in found if row["check"] == "retention"} == {"fail"}

    def test_own_file(self, tmp_path: Path) -> None:
        """A file of one's own says which control a check speaks for, and how long logs are to be held."""
        path = tmp_path / "c.yml"
        path.write_text("retention_days: 1\ncontrols: [{framework: Own, control: 7, title: Held, checks: [retention]}]")
        (row,) = report([{}], controls=path)["compliance_findings"]

        assert (row["framework"], row["control"], row["status"]) == ("Own", "7", "pass")

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("controls: [{framework: a, control: b, title: c, checks: [moon]}]", "no check moon"),
            ("controls: []\nx: 1", r":2: x: Extra"),
            ("controls: [", r":2: not YAML"),
            ("a: 1\n---\na: 1", "2 documents"),
        ],
    )
    def test_wrong_files(self, tmp_path: Path, text: str, message: str) -> None:
        """A wrong file is an error that names the place."""
        path = tmp_path / "c.yml"
        path.write_text(text)

        with pytest.raises(ConfigError, match=message):
            read_controls(path, CHECKS)

    def test_objectives(self, tmp_path: Path) -> None:
        """Objectives are read from YAML; one of 100 % is none."""
        path = tmp_path / "s.yml"
        path.write_text("objectives: [{name: fast, service: web, percent: 95, latency_ms: 300}]")
        (found,) = read_objectives(path)
        path.write_text("objectives: [{name: all, percent: 100}]")

        assert (found.service, found.latency_ms, found.period_days) == ("web", 300.0, 30)
        with pytest.raises(ConfigError, match="percent"):
            read_objectives(path)


TABLES = {
    "a": pa.table({"user_name": ["bob", None], "message_template": ["for bob@x.org at 10.0.0.7", "fe80::1 left"]}),
    "threat_sources": pa.table({"source": ["bob"], "event_count": [1]}),
}


class TestMasking:
    def test_masked(self) -> None:
        """Users and addresses are pseudonyms, the same in all tables; addresses are cut from texts."""
        found = masked(TABLES)
        user = found["a"]["user_name"].to_pylist()

        assert user[0].startswith("id-")
        assert user[1] is None
        assert found["threat_sources"]["source"].to_pylist() == user[:1]
        assert found["a"]["message_template"].to_pylist() == ["for <masked> at <masked>", "<masked> left"]
        assert found["threat_sources"]["event_count"].to_pylist() == [1]
        assert "bob" not in str({name: table.to_pydict() for name, table in found.items()})

    def test_keys(self) -> None:
        """The same key gives the same pseudonyms, another others."""
        first, same, other = (masked(TABLES, key)["a"]["user_name"][0].as_py() for key in (b"1", b"1", b"2"))

        assert first == same != other
