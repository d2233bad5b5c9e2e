"""Messages of what the stage tells: the summary of what was held back, and incidents."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import orjson

from detector.alerts.encoding import alert_headers, iso_time, rule_part
from detector.alerts.ids import record_source
from detector.alerts.model import MAX_NAME_BYTES, SCHEMA_VERSION, Room, tactic_part, threat
from detector.alerts.text import cut, harmless_json, printable
from detector.alerts.threat import threat_part
from detector.config import Level, Limits
from detector.correlation.alerts import NO_LOGSOURCE, entity_by
from detector.correlation.held import Summary
from detector.correlation.incidents import Told
from detector.events import JsonValue
from detector.sigma.rule import Rule
from detector.window import Message

INCIDENT_TYPE = "detector.incident.v1"
INCIDENT_VERSION = "1.0"
"""Of `incident.schema.json`."""

_MAX_RULE_BYTES = 16 << 10
_LEVELS = list(Level)


def summary_id(summary: Summary) -> str:
    """SHA-256, in hex, of the JSON array `["suppression",rule_key,title,group,start_us]` without white space."""
    group = list(summary.group.values())
    parts = ["suppression", summary.guard.rule.key, summary.suppression.title, group, summary.start_us]
    return hashlib.sha256(orjson.dumps(parts)).hexdigest()


def encode_summary(
    summary: Summary, *, at: tuple[str, int, int], ruleset_sha: str, detected_at_us: int, limits: Limits
) -> Message:
    """Make the alert that tells of alerts that were held back.

    at: topic, partition and offset of the signals with which it was time to tell.
    """
    rule, suppression = summary.guard.rule, summary.suppression
    identity = summary_id(summary)
    entity = entity_by(rule, summary.group)
    topic, partition, offset = at
    source = record_source(topic, partition)
    timestamp_ms = summary.last_us // 1_000
    largest = limits.max_alert_value_bytes
    of_rule, of_event = Room(largest, _MAX_RULE_BYTES), Room(largest, 4 * largest)
    time = iso_time(summary.last_us)
    group = {of_event.text(name, MAX_NAME_BYTES): of_event.text(value) for name, value in summary.group.items()}
    alert: dict[str, JsonValue] = {
        "schema_version": SCHEMA_VERSION,
        "id": identity,
        "time": time,
        "time_source": "event",
        "detected_at": iso_time(detected_at_us),
        "severity": rule.level.severity,
        **threat_part(rule, {}),
        "rule": rule_part(rule, of_rule),
        "threat": threat(rule),
        "entity": {"field": entity.field, "type": entity.type, "value": entity.value},
        "matches": [],
        "event": group,
        "original": {"text": "", "encoding": "utf-8", "bytes": 0, "truncated": False},
        "source": {
            "id": source,
            "topic": topic,
            "partition": partition,
            "offset": offset,
            "ordinal": 0,
            "record_timestamp": timestamp_ms,
        },
        "logsource": NO_LOGSOURCE,
        "format": "suppression",
        "flags": ["summary"],
        "truncated": of_rule.cut or of_event.cut,
        "ruleset_sha": ruleset_sha,
        "suppression": {
            "title": cut(suppression.title, MAX_NAME_BYTES),
            "group": [cut(value, MAX_NAME_BYTES) for value in summary.group.values()],
            "start": summary.start_us,
            "timespan_s": suppression.timespan_us / 1_000_000,
            "passed": summary.passed,
            "held": summary.held,
            "first": iso_time(summary.first_us),
            "last": time,
            "ids": list(summary.ids),
        },
    }
    headers = alert_headers(rule, identity, source, entity.value, time)
    return Message("alerts", entity.value.encode(), harmless_json(orjson.dumps(alert)), headers, None)


def incident_id(group: str, first_us: int) -> str:
    """SHA-256, in hex, of the JSON array `["incident",type,value,first_us]` without white space.

    group: the JSON array of its entity's type and value. first_us: the time of its first alert.
    """
    return hashlib.sha256(orjson.dumps(["incident", *orjson.loads(group), first_us])).hexdigest()


def encode_incident(told: Told, rules: Mapping[str, Rule], *, detected_at_us: int) -> Message:
    """Make the message of an incident.

    rules: those that are loaded, by key; of others the title is not known here.
    """
    incident = told.incident
    kind, value = orjson.loads(told.group)
    identity = incident_id(told.group, incident.first_us)
    level = _LEVELS[incident.level]
    time = iso_time(told.at_us)
    body: dict[str, Any] = {
        "schema_version": INCIDENT_VERSION,
        "id": identity,
        "version": incident.version,
        "change": told.change.value,
        "status": "closed" if told.change.value == "closed" else "open",
        "time": time,
        "detected_at": iso_time(detected_at_us),
        "entity": {"type": kind, "value": value},
        "level": level.value,
        "severity": level.severity,
        "score": incident.score,
        "alerts": incident.count,
        "first_seen": iso_time(incident.first_us),
        "last_seen": iso_time(incident.last_us),
        "rules": [_rule(key, count, first_us, rules.get(key)) for key, (count, first_us) in incident.rules.items()],
        "tactics": _tactics(incident.rules, rules),
        "alert_ids": incident.ids,
        "evicted": told.evicted,
    }
    headers = {
        "ce_specversion": "1.0",
        "ce_id": f"{identity}:{incident.version}",
        "ce_type": INCIDENT_TYPE,
        "ce_source": "detector",
        "ce_subject": printable(value),
        "ce_time": time,
        "content-type": "application/json",
        "change": told.change.value,
        "level": level.value,
    }
    encoded = tuple((name, text.encode()) for name, text in headers.items())
    return Message("incidents", value.encode(), harmless_json(orjson.dumps(body)), encoded, None)


def _rule(key: str, count: int, first_us: int, rule: Rule | None) -> dict[str, Any]:
    return {
        "id": key,
        "title": cut(rule.title, MAX_NAME_BYTES) if rule else None,
        "level": rule.level.value if rule else None,
        "alerts": count,
        "first_seen": iso_time(first_us),
    }


def _tactics(seen: Mapping[str, list[int]], rules: Mapping[str, Rule]) -> list[dict[str, Any]]:
    """The tactics of the rules, each once, in order of when it was first seen."""
    first: dict[str, int] = {}
    for key, (_, first_us) in seen.items():
        for name in rules[key].tactics if key in rules else ():
            first[name] = min(first_us, first.get(name, first_us))
    ordered = sorted(first.items(), key=lambda each: (each[1], each[0]))
    return [tactic_part(name) | {"first_seen": iso_time(time_us)} for name, time_us in ordered]
