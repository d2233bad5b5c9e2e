from __future__ import annotations

import base64
import json
from dataclasses import replace
from importlib import resources
from typing import Any

import jsonschema
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.alerts.ids import alert_id
from detector.alerts.text import printable
from detector.config import Level, Limits
from detector.window import Message
from tests.alert_samples import LINE, MATCH, alert_message, event, evidence, rule

VALIDATOR = jsonschema.Draft202012Validator(
    json.loads(resources.files("detector.alerts").joinpath("schema.json").read_text())
)

TEXTS = st.text(st.characters(), max_size=30)  # surrogates, controls, all of Unicode
SCALARS = TEXTS | st.none() | st.booleans() | st.integers() | st.floats()
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4))


def read(message: Message) -> Any:
    """The alert, checked against the schema."""
    assert message.value is not None
    alert = orjson.loads(message.value)
    VALIDATOR.validate(alert)
    return alert


class TestSchema:
    def test_is_a_schema(self) -> None:
        """The schema itself is valid, and forbids what it does not know on every level."""
        jsonschema.Draft202012Validator.check_schema(VALIDATOR.schema)

        assert not VALIDATOR.is_valid(read(alert_message()) | {"unknown": 1})
        assert not VALIDATOR.is_valid(read(alert_message()) | {"id": "x"})


class TestAlert:
    def test_tells_where_the_record_is_and_when_it_was(self) -> None:
        """Coordinates, the three times, the parser and the rule set."""
        alert = read(alert_message())

        assert alert["source"] == {
            "id": "kafka:web:3",
            "topic": "web",
            "partition": 3,
            "offset": 41,
            "ordinal": 0,
            "record_timestamp": 1_778_846_400_250,
        }
        assert (alert["time"], alert["time_source"]) == ("2026-05-15T12:00:00.000000Z", "event")
        assert alert["detected_at"] == "2026-05-15T12:00:00.281500Z"
        assert (alert["format"], alert["ruleset_sha"]) == ("apache", "8c1f0b5f3a7d2e94")

    def test_has_the_id_of_its_record_and_rule(self) -> None:
        """The id can be computed again from what the alert says."""
        alert = read(alert_message(event=event(ordinal=5)))
        source = alert["source"]

        assert alert["id"] == alert_id(alert["rule"]["id"], source["id"], source["offset"], source["ordinal"])
        assert source["ordinal"] == 5

    def test_does_not_depend_on_when_or_with_what_rule_set_it_was_made(self) -> None:
        """Evaluated again later, with another rule set, it is the same alert."""
        again = read(alert_message(detected_at_us=1, ruleset_sha="other"))

        assert again["id"] == read(alert_message())["id"]

    def test_explains_itself(self) -> None:
        """The matched field, its value and the pattern are there."""
        assert read(alert_message())["matches"] == [
            {
                "selection": "selection",
                "field": "cs-uri-query",
                "value": "id=1 UNION SELECT",
                "modifiers": "contains",
                "pattern": "*union select*",
            }
        ]

    def test_carries_the_rule(self) -> None:
        """All that a subscriber needs to know of the rule, without the rule set."""
        alert = read(alert_message(rule=rule(description=None, author=None)))

        assert alert["rule"]["title"] == "SQL Injection in a Query String"
        assert alert["rule"]["level"] == "high"
        assert alert["rule"]["logsource"] == {"category": "webserver", "product": None, "service": None}
        assert alert["logsource"] == {"category": "webserver", "product": "apache", "service": None}
        assert alert["rule"]["description"] is None

    @pytest.mark.parametrize(("level", "severity"), [*zip(Level, (1, 2, 3, 4, 5), strict=True)])
    def test_counts_the_level(self, level: Level, severity: int) -> None:
        """Levels can be compared as numbers."""
        assert read(alert_message(rule=rule(level=level)))["severity"] == severity


class TestTime:
    @pytest.mark.parametrize(
        ("time_us", "timestamp_ms", "expected"),
        [
            (1_000_001, 5_000, ("1970-01-01T00:00:01.000001Z", "event")),
            (None, 5_000, ("1970-01-01T00:00:05.000000Z", "record")),
            (2**62, 5_000, ("1970-01-01T00:00:05.000000Z", "record")),
            (-1, 5_000, ("1970-01-01T00:00:05.000000Z", "record")),
            (None, -1, ("1970-01-01T00:00:09.000000Z", "detection")),
            (None, 2**62, ("1970-01-01T00:00:09.000000Z", "detection")),
        ],
    )
    def test_is_the_first_possible_one(self, time_us: int | None, timestamp_ms: int, expected: tuple[str, str]) -> None:
        """The event's own, else its record's, else, both being absurd, that of the detection."""
        message = alert_message(event=event(time_us=time_us), timestamp_ms=timestamp_ms, detected_at_us=9_000_000)
        alert = read(message)

        assert (alert["time"], alert["time_source"]) == expected


class TestThreat:
    def test_keeps_tactics_and_techniques_apart(self) -> None:
        """Two lists; a tactic without a known id has its name, and what has no sound form is left out."""
        tactics = ("initial-access", "stealth", "Bad Tactic")
        alert = read(alert_message(rule=rule(tactics=tactics, techniques=("T1190", "T1059.001", "X1"))))

        assert alert["threat"] == {
            "framework": "MITRE ATT&CK",
            "tactics": [{"name": "initial-access", "id": "TA0001"}, {"name": "stealth"}],
            "techniques": [{"id": "T1190"}, {"id": "T1059.001"}],
        }


class TestEntity:
    @pytest.mark.parametrize(
        ("ecs", "expected"),
        [
            ({"host.name": "h", "user.name": "u", "source.ip": "1.2.3.4"}, ("source.ip", "ip", "1.2.3.4")),
            ({"host.name": "h", "user.name": "u", "source.ip": None}, ("user.name", "user", "u")),
            ({"host.name": "h", "user.name": ""}, ("host.name", "host", "h")),
            ({"source.ip": ["1.2.3.4", "5.6.7.8"]}, ("source.ip", "ip", "1.2.3.4")),
            ({"source.ip": []}, ("kafka.partition", "partition", "web-3")),
            ({}, ("kafka.partition", "partition", "web-3")),
        ],
    )
    def test_is_the_first_that_is_present(self, ecs: dict[str, Any], expected: tuple[str, str, str]) -> None:
        """Address, user, host, else topic and partition; empty is not present."""
        message = alert_message(event=event(ecs=ecs))
        alert = read(message)

        assert tuple(alert["entity"].values()) == expected
        assert message.key == expected[2].encode()

    @pytest.mark.parametrize(
        ("field", "kind"),
        [
            ("destination.ip", "ip"),
            ("sourceIPAddress", "ip"),
            ("TargetUserName", "user"),
            ("user.id", "user"),
            ("ComputerName", "host"),
            ("aws.instance", "other"),
        ],
    )
    def test_is_the_rules_own_where_it_declares_one(self, field: str, kind: str) -> None:
        """The rule's setting comes before the order."""
        alert = read(alert_message(rule=rule(entity=field), match=replace(MATCH, entity="value")))

        assert alert["entity"] == {"field": field, "type": kind, "value": "value"}

    def test_falls_back_where_the_event_lacks_the_rules_own(self) -> None:
        """A rule's field that this event does not have leaves the order."""
        assert read(alert_message(rule=rule(entity="x"), match=MATCH))["entity"]["field"] == "source.ip"

    def test_is_cut(self) -> None:
        """A user name of a megabyte makes no key of a megabyte."""
        message = alert_message(event=event(ecs={"user.name": "ü" * 10_000}))

        assert read(message)["entity"]["value"] == "ü" * 128
        assert message.key == b"\xc3\xbc" * 128


class TestOriginal:
    def test_is_the_text_of_the_event(self) -> None:
        """A line as it stood."""
        assert read(alert_message())["original"] == {
            "text": LINE.decode(),
            "encoding": "utf-8",
            "bytes": len(LINE),
            "truncated": False,
        }

    def test_is_base64_where_it_is_not_utf8(self) -> None:
        """Every byte can be had back."""
        raw = b"\xff\xfe\x00 not text"
        original = read(alert_message(event=event(original=raw)))["original"]

        assert original["encoding"] == "base64"
        assert base64.b64decode(original["text"]) == raw

    def test_is_cut_at_the_limit(self) -> None:
        """The full length is told, and a character that the cut splits is left out."""
        alert = read(
            alert_message(event=event(original="€".encode() * 1_000), limits=Limits(max_alert_value_bytes=256))
        )

        assert alert["original"] == {"text": "€" * 85, "encoding": "utf-8", "bytes": 3_000, "truncated": True}
        assert alert["truncated"] is True

    def test_of_exactly_the_limit_is_whole(self) -> None:
        """The limit is the longest that is not cut."""
        alert = read(alert_message(event=event(original=b"x" * 8_192)))

        assert (alert["original"]["truncated"], alert["truncated"]) == (False, False)


class TestHeaders:
    def test_are_those_of_cloudevents(self) -> None:
        """Binary mode of the Kafka binding, and what subscribers filter by."""
        message = alert_message()
        alert = read(message)

        assert {name: value.decode() for name, value in message.headers} == {
            "ce_specversion": "1.0",
            "ce_id": alert["id"],
            "ce_type": "detector.alert.v1",
            "ce_source": "kafka:web:3",
            "ce_subject": "203.0.113.9",
            "ce_time": "2026-05-15T12:00:00.000000Z",
            "content-type": "application/json",
            "rule_id": "5f7e1d3a-9f6c-4f0e-8a55-0d2a2f6f1b11",
            "level": "high",
        }
        assert (message.topic, message.timestamp_ms) == ("alerts", 1_778_846_400_250)

    def test_hold_no_control_characters(self) -> None:
        """CloudEvents forbids them in attributes."""
        message = alert_message(event=event(ecs={"user.name": "a\r\nb\x1b\u202e"}))

        assert dict(message.headers)["ce_subject"] == rb"a\x0d\x0ab\x1b\u202e"


class TestHostileInput:
    @given(VALUES, TEXTS, st.binary(max_size=60))
    def test_any_value_gives_a_valid_alert(self, value: object, text: str, original: bytes) -> None:
        """Surrogates, controls, huge numbers, NaN, nesting: valid JSON of the schema, nothing a terminal obeys."""
        message = alert_message(
            rule=rule(title=text, tags=(text,), entity="f"),
            match=replace(evidence(value, text, pattern=text), entity=text),
            event=event(ecs={text: value, "user.name": value}, original=original, flags=("unparsed",)),
        )
        read(message)

        assert message.value is not None
        assert printable(message.value.decode()) == message.value.decode()

    @pytest.mark.parametrize("char", ["\0", "\x7f", "\x9b", "\u202e", "\U000e0041", '"', "x", "\ud800"])
    def test_size_is_bounded(self, char: str) -> None:
        """The worst that a record and a rule can be is still what a topic takes by default."""
        huge = char * 20_000
        message = alert_message(
            rule=rule(
                title=huge, description=huge, author=huge, tags=(huge,) * 99, references=(huge,) * 99, entity=huge
            ),
            match=replace(evidence(*([huge] * 99), [huge] * 99, pattern=huge), entity=huge),
            event=event(
                ecs={f"{number}{huge}": [huge] * 99 for number in range(300)},
                original=huge.encode(errors="surrogatepass"),
            ),
        )
        alert = read(message)

        assert message.value is not None
        assert len(message.value) + sum(len(name) + len(value) for name, value in message.headers) < 600_000
        assert alert["truncated"] is True

    def test_many_small_fields_are_bounded_too(self) -> None:
        """Numbers, nulls and empty lists take room as well."""
        ecs = {f"f{number}": [None, 1.5, True] * 99 for number in range(9_999)}
        message = alert_message(event=event(ecs=ecs))

        assert message.value is not None
        assert len(message.value) < 60_000
        assert read(message)["truncated"] is True

    def test_objects_become_text(self) -> None:
        """An object, and a number that JSON readers would round, is its text."""
        alert = read(alert_message(event=event(ecs={"a": {"b": [1, {"c": 2}]}, "d": [{"e": 1}, [2]], "f": 2**70})))

        assert alert["event"] == {"a": '{"b":[1,{"c":2}]}', "d": ['{"e":1}', "[2]"], "f": str(2**70)}
