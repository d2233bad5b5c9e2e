"""Structured logs: recognized by their keys among all formats, on real events of others and on anything."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.parsing.definition import JsonDefinition
from tests.corpora import corpus
from tests.parsing import BUILTIN, event, parse, parsers_of, sources
from tests.sigmahq import LATER_MS

FORMATS = {
    "AWS.GuardDuty": {"aws_guardduty"},
    "AWS.S3ServerAccess": {"aws_s3_access_json"},
    "AWS.VPCDns": {"dns_json"},
    "AWS.VPCFlow": {"aws_vpc_flow_json"},
    "AWS.WAFWebACL": {"aws_waf"},
    "Amazon.EKS.Audit": {"kubernetes_audit"},
    "Azure.Audit": {"azure"},
    "Azure.MonitorActivity": {"azure", "azure_activity_rest"},
    "CiscoUmbrella.DNS": {"dns_json"},
    "Cloudflare.Firewall": {"web_json"},
    "Cloudflare.HttpRequest": {"web_json"},
    "Crowdstrike.FDREvent": {"crowdstrike_fdr"},
    "Duo.Administrator": {"cisco_duo_admin"},
    "Duo.Authentication": {"cisco_duo"},
    "GCP.AuditLog": {"gcp_audit"},
    "GCP.HTTPLoadBalancer": {"web_json"},
    "GSuite.ActivityEvent": {"google_workspace"},
    "GitHub.Audit": {"github_audit"},
    "GitHub.Webhook": {"github_webhook"},
    "Microsoft365.Audit.AzureActiveDirectory": {"microsoft365"},
    "Microsoft365.Audit.SharePoint": {"microsoft365"},
    "MicrosoftDefenderXDR.AdvancedHunting": {"azure"},
    "MicrosoftIntune.AuditLogs": {"azure"},
    "Okta.SystemLog": {"okta"},
    "OneLogin.Events": {"onelogin"},
    "Osquery.Differential": {"osquery"},
}
"""Log type of the corpus -> the formats that its events may be."""

BARE = {"AWS.VPCFlow": 1, "Cloudflare.HttpRequest": 2, "Crowdstrike.FDREvent": 2, "GCP.AuditLog": 4}
BARE |= {"GSuite.ActivityEvent": 1, "GitHub.Audit": 1, "Okta.SystemLog": 2}
"""Events of a log type that lack what tells it: no more than one member, or only what another product has added."""


class TestPanther:
    def test_recognized(self) -> None:
        """Every event of the log types that are known is recognized, and no event of another is taken for one."""
        found: defaultdict[str, Counter[str]] = defaultdict(Counter)
        with corpus("04_panther/panther_all.jsonl").open() as file:
            for row in map(json.loads, file):
                value = row["event"]
                types = row["log_types"] or []
                name = types[0] if len(types) == 1 else isinstance(value, dict) and value.get("p_log_type")
                if name and value and not row["has_mocks"]:
                    (parsed, *_) = parse(orjson.dumps(value), timestamp_ms=LATER_MS).events
                    found[name][parsed.format] += 1

        for name, formats in found.items():
            known = FORMATS.get(name, set())
            assert formats.keys() <= known | {"json", "aws_cloudtrail"}, name
            if known:
                assert formats["json"] == BARE.get(name, 0), name
        assert sum(found[name].total() for name in FORMATS) > 600


class TestCrowdsec:
    def test_values(self) -> None:
        """Suricata's and laurel's events have the addresses and processes that others read."""
        compared = 0
        with corpus("09_crowdsec/parsers.jsonl").open() as file:
            for row in map(json.loads, file):
                if row["log_type"] == "suricata-evelogs":
                    found, raw = event(row["line"].encode(), timestamp_ms=LATER_MS), json.loads(row["line"])
                    assert (found.format, found.ecs.get("source.ip")) == ("suricata_eve", raw.get("src_ip"))
                    compared += 1
                elif row["log_type"] == "laurel":
                    found = event(row["line"].encode(), timestamp_ms=LATER_MS)
                    assert found.format == "laurel"
                    assert found.ecs["process.executable"] == row["meta"]["exe"]
                    assert str(found.ecs["process.pid"]) == row["meta"]["pid"]
                    compared += 1

        assert compared >= 10


class TestRecognition:
    def test_first_key(self) -> None:
        """Formats of a priority are not asked where one of a higher takes the object; then the most demanding wins."""
        parsers = parsers_of(
            "name: low\ntitle: L\njson: {priority: -1, keys: [a, b, c]}\n---\n"
            "name: some\ntitle: S\njson: {keys: [a]}\n---\n"
            "name: more\ntitle: M\njson: {keys: [a, b]}\n---\n"
            "name: either\ntitle: E\njson: {keys: ['x|y.z'], values: {kind: '^k'}}\n---\n"
            "name: one\ntitle: O\njson: {any: [p, q.r]}\n"
        )

        def form(value: dict[str, Any]) -> str:
            return event(orjson.dumps(value), parsers=parsers).format

        assert form({"a": 1}) == "some"
        assert form({"a": 1, "b": 1, "c": 1}) == "more"
        assert form({"y": {"z": 1}, "kind": "k1"}) == "either"
        assert form({"y.z": 1, "kind": "k1"}) == "either"
        assert form({"x": 1, "kind": 7}) == form({"y": 1, "kind": "k1"}) == "raw"
        assert form({"p": None}) == form({"q": {"r": 1}}) == "one"

    def test_records_of_one(self) -> None:
        """Several formats may have the same member for their arrays: the first element tells."""
        signin = {"createdDateTime": "2024-05-17T10:05:03Z", "userPrincipalName": "a", "clientAppUsed": "b"}

        found = parse(orjson.dumps({"value": [signin, signin]})).events

        assert [each.format for each in found] == ["entra_signin", "entra_signin"]

    def test_values_of_arrays(self) -> None:
        """A condition on an array holds if one of its elements is among the values."""
        parsers = parsers_of(
            "name: a\ntitle: A\njson: {keys: [k]}\nlogsources:\n"
            "  - {logsource: {product: p}, when: {k: [x, y]}}\n  - {logsource: {product: q}, when: {k: '*'}}\n"
        )

        def products(value: Any) -> set[str | None]:
            return {product for _, product, _ in sources(event(orjson.dumps({"k": value}), parsers=parsers))}

        assert products(["z", "y"]) == products("x") == {"p", "q"}
        assert products(["z"]) == products(0) == {"q"}
        assert products([]) == products(None) == set()


KEYS = sorted(
    {
        key
        for definition in BUILTIN.definitions.values()
        if isinstance(definition, JsonDefinition)
        for path in (*definition.json_shape.keys, *definition.json_shape.any, *definition.json_shape.lift)
        for way in path.split("|")
        for key in (way, *way.split("."))
    }
    | {"EventData", "Data", "Name", "#text", "records", "value", "items"}
)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 63), (1 << 63) - 1)
    | st.text(max_size=8)
    | st.sampled_from(["1", "2024-05-17T10:05:03Z", "{}"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=12,
)


class TestAnything:
    @settings(max_examples=150, deadline=None)
    @given(st.dictionaries(st.sampled_from(KEYS), VALUES, min_size=1, max_size=6))
    def test_any_object(self, value: dict[str, Any]) -> None:
        """Whatever stands under the keys that formats ask for: one event or more, and nothing raises."""
        assert parse(orjson.dumps(value)).events

    @settings(max_examples=25, deadline=None)
    @given(st.dictionaries(st.sampled_from(KEYS), VALUES, min_size=1, max_size=6))
    def test_every_format(self, value: dict[str, Any]) -> None:
        """Nor does it under a format that a topic names."""
        record = orjson.dumps(value)

        for name, definition in BUILTIN.definitions.items():
            if isinstance(definition, JsonDefinition):
                assert parse(record, form=name).events
