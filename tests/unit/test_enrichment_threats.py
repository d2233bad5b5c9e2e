"""Threat intelligence: lists of all forms, and what of an event is on them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.config import ThreatList
from detector.enrichment import enricher, feeds, stix
from detector.enrichment.enricher import Enricher
from detector.enrichment.indicators import Indicator, recognized, url
from detector.enrichment.networks import network
from detector.enrichment.ranges import Ranges
from detector.enrichment.threats import Threats
from detector.errors import EnrichmentError
from detector.events import Event
from tests.unit.test_enrichment_networks import ADDRESS, NETWORK

SHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
DAY_US = 86_400_000_000


def read(text: str | bytes, path: str = "bad.txt", **settings: Any) -> list[Indicator]:
    content = text.encode() if isinstance(text, str) else text
    return list(feeds.read(ThreatList(path=Path(path), **settings), content, 1_000.0))


def bundle(*objects: dict[str, Any]) -> str:
    return json.dumps({"type": "bundle", "id": "bundle--1", "objects": list(objects)}, indent=1)


def indicator(pattern: str, **more: Any) -> dict[str, Any]:
    return {
        "type": "indicator",
        "spec_version": "2.1",
        "id": "indicator--7",
        "pattern_type": "stix",
        "pattern": pattern,
        "valid_from": "1970-01-02T00:00:00Z",
    } | more


class TestRanges:
    @given(st.lists(NETWORK, max_size=8), st.lists(ADDRESS, min_size=1, max_size=6))
    def test_narrowest(self, texts: Sequence[str], addresses: Sequence[object]) -> None:
        """An address is in the narrowest of the networks around it, of equal ones in the first."""
        networks = [network(text) for text in texts]
        asked = [str(each) for each in [*addresses, *(edge for each in networks for edge in (each[0], each[-1]))]]

        found = Ranges((each, number) for number, each in enumerate(networks)).look_up(asked)

        for text, number in zip(asked, found, strict=True):
            address = ip_address(text)
            address = getattr(address, "ipv4_mapped", None) or address
            around = [(-each.prefixlen, place) for place, each in enumerate(networks) if address in each]
            assert number == (min(around)[1] if around else None)


class TestRecognized:
    @pytest.mark.parametrize(
        ("text", "found"),
        [
            ("203.0.113.7", ("ip", "203.0.113.7", "ipv4-addr")),
            ("203.0.113.7/24", ("ip", "203.0.113.0/24", "ipv4-addr")),
            ("2001:DB8:0::1", ("ip", "2001:db8::1", "ipv6-addr")),
            ("2001:db8::/32", ("ip", "2001:db8::/32", "ipv6-addr")),
            ("::ffff:203.0.113.7", ("ip", "203.0.113.7", "ipv4-addr")),
            ("203.0.113[.]7", ("ip", "203.0.113.7", "ipv4-addr")),
            ("Evil.Example.", ("domain", "evil.example", "domain-name")),
            ("*.evil.example", ("domain", ".evil.example", "domain-name")),
            ("hxxps://Evil[.]example/Path?q#f", ("url", "https://evil.example/Path?q", "url")),
            (SHA256.upper(), ("hash", SHA256, "file")),
            ("d41d8cd98f00b204e9800998ecf8427e", ("hash", "d41d8cd98f00b204e9800998ecf8427e", "file")),
        ],
    )
    def test_forms(self, text: str, found: tuple[str, str, str]) -> None:
        """What lists hold is told apart by its form, and made comparable."""
        assert recognized(text) == found

    @pytest.mark.parametrize(
        "text", ["", " ", "localhost", "1.2.3", "1.2.3.4.5", "a b.c", "10.0.0.0/33", "..", "x" * 5000]
    )
    def test_nothing(self, text: str) -> None:
        """What is none of these is nothing."""
        assert recognized(text) is None

    @given(st.text(max_size=40))
    def test_url(self, text: str) -> None:
        """What a URL is made to compares as itself."""
        assert url(url("http://" + text)) == url("http://" + text)


class TestLists:
    def test_plain(self) -> None:
        """A value a line; comments, empty lines and what follows a value are no values."""
        found = read("\ufeff# bad ones\n\n203.0.113.7 # scans\n; more\nevil.example\tphishing\r\n", name="mine")

        assert [(each.value, each.description, each.feed, each.confidence) for each in found] == [
            ("203.0.113.7", "scans", "mine", 50),
            ("evil.example", "phishing", "mine", 50),
        ]

    def test_csv(self) -> None:
        """Columns by their headings, in any order; others are passed over."""
        head = 'confidence,ioc,x,expires,first_seen,"description"\n'
        text = head + '90,203.0.113.7,?,1970-01-03,86400,"a, b"\n,evil.example,,,,\n'

        found = read(text, "bad.csv", confidence=20)

        assert [(each.value, each.confidence, each.since_us, each.until_us, each.description) for each in found] == [
            ("203.0.113.7", 90, DAY_US, 2 * DAY_US, "a, b"),
            ("evil.example", 20, None, None, None),
        ]

    def test_columns(self) -> None:
        """A file without headings has those of the settings."""
        (found,) = read("#comment\n1,203.0.113.7\n", "bad.csv", columns=("id", "ip"))

        assert found.value == "203.0.113.7"

    def test_stix(self) -> None:
        """Indicators of a bundle, each alternative of a pattern; what is revoked, of another language or needs more
        than one value is left out.
        """
        found = read(
            bundle(
                {"type": "identity", "id": "identity--1", "name": "ACME"},
                indicator(
                    "[ipv4-addr:value = '203.0.113.7' OR domain-name:value IN ('a.example', 'b.example')]",
                    confidence=80,
                    valid_until="1970-01-03T00:00:00Z",
                    name="C2",
                    created_by_ref="identity--1",
                    external_references=[{"source_name": "x", "url": "https://acme.example"}],
                ),
                indicator(f"[file:hashes.'SHA-256' = '{SHA256}'] OR [ipv6-addr:value ISSUBSET '2001:db8::/32']"),
                indicator("[ipv4-addr:value = '1.1.1.1' AND domain-name:value = 'c.example']"),
                indicator("[ipv4-addr:value = '1.1.1.1'] FOLLOWEDBY [url:value = 'http://c.example']"),
                indicator("[ipv4-addr:value != '1.1.1.1']"),
                indicator("[ipv4-addr:value = '1.1.1.1']", revoked=True),
                indicator("rule x {}", pattern_type="yara"),
            ),
            "bad.json",
        )

        assert [each.value for each in found] == ["203.0.113.7", "a.example", "b.example", SHA256, "2001:db8::/32"]
        first = found[0]
        assert (first.confidence, first.since_us, first.until_us) == (80, DAY_US, 2 * DAY_US)
        assert (first.description, first.provider, first.reference) == ("C2", "ACME", "https://acme.example")

    @given(
        st.text(max_size=60)
        | st.lists(st.sampled_from(["[", "]", "(", ",", ")", "=", "OR", "IN", "'a'", "url:value"])).map(" ".join)
    )
    def test_any_pattern(self, pattern: str) -> None:
        """Whatever a pattern is, it has values or none."""
        assert all(isinstance(each, str) for each in stix.values(pattern))

    @pytest.mark.parametrize(
        ("path", "text", "message"),
        [
            ("a.txt", "203.0.113.7\nwhat is this\n", "a.txt:2: 'what' is no address"),
            ("a.txt", b"203.0.113.7\n\xff\n", "a.txt:2: is not UTF-8"),
            ("a.csv", "a,b\n1,2\n", "a.csv:1: has no heading `indicator`"),
            ("a.csv", "ioc,confidence\nevil.example,200\n", "a.csv:2: a confidence is a number from 0 to 100"),
            ("a.csv", "ioc,expires\n\nevil.example,soon\n", "a.csv:3: 'soon' is no time"),
            ("a.csv", 'ioc,x\n"evil.example\n', "a.csv:2: is not CSV"),
            ("a.csv", "x,ioc\n1,\n", "a.csv:2: a row without an indicator"),
            ("a.json", "{\n]", "a.json:2: is no JSON"),
            ("a.json", '{"type": "x"}', "a.json:1: is no bundle"),
            ("a.json", bundle(indicator("[url:value = 'x']")), "a.json:8: indicator indicator--7: 'x' is no address"),
            ("a.json", bundle(indicator("[url:value = 'http://x.example']", valid_from="?")), "valid_from is no time"),
            (
                "a.json",
                bundle(indicator("[url:value = 'http://x.example']", confidence=True)),
                "confidence is a number",
            ),
        ],
    )
    def test_wrong(self, path: str, text: str | bytes, message: str) -> None:
        """What cannot be read is an error with file and line."""
        with pytest.raises(EnrichmentError) as raised:
            read(text, path)

        assert message in str(raised.value)

    def test_max_age(self) -> None:
        """Indicators that do not say until when count for so long after the file's last change."""
        (found,) = read("203.0.113.7", max_age_s=500)

        assert found.until_us == 1_500_000_000


class TestThreats:
    @pytest.mark.parametrize(
        ("field", "value", "name"),
        [
            ("source.ip", "203.0.113.7", "203.0.113.7"),
            ("destination.ip", "198.51.100.9", "198.51.100.0/24"),
            ("url.domain", "EVIL.example", "evil.example"),
            ("dns.question.name", "a.b.worse.example.", ".worse.example"),
            ("dns.question.name", "worse.example", ".worse.example"),
            ("url.full", "HTTP://evil.example", "http://evil.example/"),
            ("process.hash.sha256", SHA256.upper(), SHA256),
        ],
    )
    def test_fields(self, field: str, value: str, name: str) -> None:
        """Addresses, networks, domains, URLs and hashes are found in the fields that hold such."""
        text = f"203.0.113.7\n198.51.100.0/24\nevil.example\n*.worse.example\nhttp://evil.example\n{SHA256}\n"
        event = _enriched(read(text, name="mine"), {field: value})

        assert {key: each for key, each in event.ecs.items() if key != field} == {
            "threat.indicator.type": recognized(name)[2],  # type: ignore[index]
            "threat.indicator.name": name,
            "threat.indicator.confidence": "Medium",
            "threat.feed.name": "mine",
            "threat.enrichments.matched.field": field,
            "threat.enrichments.matched.atomic": value,
        }

    @pytest.mark.parametrize(
        "value", ["sub.evil.example", "xevil.example", "203.0.113.8", "", "http://evil.example/other"]
    )
    def test_others(self, value: str) -> None:
        """What is only like an indicator is none."""
        indicators = read("203.0.113.7\nevil.example\nhttp://evil.example/\n")
        fields = ("source.ip", "url.domain", "url.original")

        assert all(_enriched(indicators, {field: value}).ecs == {field: value} for field in fields)

    @pytest.mark.parametrize(
        ("time_us", "known"), [(DAY_US - 1, False), (DAY_US, True), (2 * DAY_US - 1, True), (2 * DAY_US, False)]
    )
    def test_expiry(self, time_us: int, known: bool) -> None:
        """An indicator counts from its time on until its end, by the event's time."""
        indicators = read("ioc,valid_from,valid_until\n203.0.113.7,1970-01-02,1970-01-03\n", "a.csv")

        event = _enriched(indicators, {"source.ip": "203.0.113.7"}, time_us)

        assert ("threat.feed.name" in event.ecs) is known

    def test_twice(self) -> None:
        """Of two with the same value the one that is valid longer counts, then the surer."""
        rows = (
            "ioc,valid_until,confidence",
            "evil.example,1970-01-02,90",
            *(f"evil.example,,{n}" for n in (10, 80, 20)),
        )

        event = _enriched(read("\n".join(rows), "a.csv"), {"url.domain": "evil.example"})

        assert event.ecs["threat.indicator.confidence"] == "High"

    def test_never_mixed(self) -> None:
        """An event whose fields are several indicators has one of them whole."""
        indicators = read("ioc,description\n203.0.113.7,\nevil.example,phishing\n", "a.csv")

        event = _enriched(indicators, {"source.ip": "203.0.113.7", "url.domain": "evil.example"})

        assert event.ecs["threat.indicator.name"] == "203.0.113.7"
        assert "threat.indicator.description" not in event.ecs


class TestEnricher:
    @pytest.mark.parametrize("limit", ["MAX_KNOWN", "MAX_KNOWN_CHARACTERS"])
    def test_bounded(self, monkeypatch: pytest.MonkeyPatch, limit: str) -> None:
        """However many values, and however long ones, are looked up, what is kept is bounded, and answers are right."""
        monkeypatch.setattr(enricher, limit, 100)
        made = Enricher([Threats(read("evil.example"))])
        question = next(each for each in made.all if each.field == "url.domain")

        for number in range(200):
            answers = made.look_up(question, [f"{number}.example", "evil.example"])
            assert not answers[f"{number}.example"].fields
            assert answers["evil.example"].fields
            assert len(answers) <= 100


def _enriched(indicators: list[Indicator], fields: dict[str, Any], time_us: int = 0) -> Event:
    event = Event(0, 0, {}, dict(fields), b"", "raw", ())
    made = Enricher([Threats(indicators)])
    made.add([event], [time_us], made.all)
    return event
