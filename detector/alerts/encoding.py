"""An alert as a message: JSON of `schema.json`, headers of CloudEvents, keyed by its entity.

Bounded by construction: each value is cut to `limits.max_alert_value_bytes` and each part to a multiple of it, so that
an alert is at most about 54 times that plus 110 KiB even if every byte of it has to be escaped: less than a topic
takes by default (1 MiB) with the default limit. An ordinary alert has 2 KiB.
"""

from __future__ import annotations

import base64
import codecs
import contextlib
from datetime import UTC, datetime, timedelta

import orjson

from detector.alerts.ids import alert_id, record_source
from detector.alerts.known import entity_part
from detector.alerts.model import MAX_FIELDS, MAX_MATCHES, MAX_NAME_BYTES, SCHEMA_VERSION, Room, entity_of, threat
from detector.alerts.text import cut, harmless_json, printable
from detector.alerts.threat import threat_part
from detector.config import Limits
from detector.events import Event, JsonValue, LogSource
from detector.sigma.rule import Match, Rule
from detector.window import Message

EVENT_TYPE = "detector.alert.v1"
"""CloudEvents' `type`; the number is the schema's first."""

MAX_RULE_BYTES = 16 << 10
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def encode(
    rule: Rule,
    match: Match,
    event: Event,
    *,
    topic: str,
    partition: int,
    offset: int,
    timestamp_ms: int,
    ruleset_sha: str,
    detected_at_us: int,
    limits: Limits,
) -> Message:
    """Make the alert for an event that a rule matched.

    topic, partition, offset, timestamp_ms: of the record.
    ruleset_sha: hash of the running rule set.
    detected_at_us: when the window was evaluated, UTC microseconds.
    """
    source = record_source(topic, partition)
    identity = alert_id(rule.key, source, offset, event.ordinal)
    entity = entity_of(rule, match, event, topic, partition)
    time, time_source = _time(event.time_us, timestamp_ms, detected_at_us)
    largest = limits.max_alert_value_bytes
    of_rule, of_match, of_event = Room(largest, MAX_RULE_BYTES), Room(largest, 4 * largest), Room(largest, 4 * largest)
    original = _original(event.original, largest)
    alert: dict[str, JsonValue] = {
        "schema_version": SCHEMA_VERSION,
        "id": identity,
        "time": time,
        "time_source": time_source,
        "detected_at": iso_time(detected_at_us),
        "severity": rule.level.severity,
        **threat_part(rule, event.ecs),
        "rule": rule_part(rule, of_rule),
        "threat": threat(rule),
        "entity": entity_part(entity, event.ecs, of_event),
        "matches": _matches(match, of_match),
        "event": _fields(event, of_event),
        "original": original,
        "source": {
            "id": source,
            "topic": topic,
            "partition": partition,
            "offset": offset,
            "ordinal": event.ordinal,
            "record_timestamp": timestamp_ms,
        },
        "logsource": _logsource(match.logsource),
        "format": event.format,
        "flags": list(event.flags),
        "truncated": original["truncated"] or of_rule.cut or of_match.cut or of_event.cut,
        "ruleset_sha": ruleset_sha,
    }
    headers = alert_headers(rule, identity, source, entity.value, time)
    return Message(
        "alerts",
        entity.value.encode(),
        harmless_json(orjson.dumps(alert)),
        headers,
        timestamp_ms,
    )


def alert_headers(rule: Rule, identity: str, source: str, subject: str, time: str) -> tuple[tuple[str, bytes], ...]:
    """The headers of an alert; they tell what can be filtered by without reading it."""
    headers = {
        "ce_specversion": "1.0",
        "ce_id": identity,
        "ce_type": EVENT_TYPE,
        "ce_source": source,
        "ce_subject": printable(subject),
        "ce_time": time,
        "content-type": "application/json",
        "rule_id": rule.key,
        "level": rule.level.value,
    }
    return tuple((name, text.encode()) for name, text in headers.items())


def rule_part(rule: Rule, room: Room) -> dict[str, JsonValue]:
    """What an alert says of its rule."""
    return {
        "id": rule.key,
        "title": room.text(rule.title),
        "level": rule.level.value,
        "status": rule.status,
        "description": rule.description and room.text(rule.description),
        "author": rule.author and room.text(rule.author),
        "date": rule.date,
        "modified": rule.modified,
        "tags": room.value(rule.tags),
        "references": room.value(rule.references),
        "falsepositives": room.value(rule.falsepositives),
        "logsource": _logsource(rule.logsource),
    }


def _logsource(logsource: LogSource) -> dict[str, JsonValue]:
    parts = {"category": logsource.category, "product": logsource.product, "service": logsource.service}
    return {name: part and cut(part, MAX_NAME_BYTES) for name, part in parts.items()}


def _matches(match: Match, room: Room) -> list[JsonValue]:
    room.cut |= len(match.evidence) > MAX_MATCHES
    return [
        {
            "selection": room.text(evidence.selection, MAX_NAME_BYTES),
            "field": room.text(evidence.field, MAX_NAME_BYTES),
            "value": room.value(evidence.value),
            "modifiers": room.text(evidence.modifiers, MAX_NAME_BYTES),
            "pattern": room.text(evidence.pattern),
        }
        for evidence in match.evidence[:MAX_MATCHES]
    ]


def _fields(event: Event, room: Room) -> dict[str, JsonValue]:
    fields: dict[str, JsonValue] = {}
    for name, value in event.ecs.items():
        if len(fields) == MAX_FIELDS or room.left <= 0:
            room.cut = True
            break
        fields[room.text(name, MAX_NAME_BYTES)] = room.value(value)
    return fields


def _original(original: bytes, max_bytes: int) -> dict[str, JsonValue]:
    kept = original[:max_bytes]
    truncated = len(kept) < len(original)
    try:
        # The cut may split a character: what is left of one at the end is no reason for base64.
        text, encoding = codecs.getincrementaldecoder("utf-8")().decode(kept, final=not truncated), "utf-8"
    except UnicodeDecodeError:
        text, encoding = base64.b64encode(kept).decode(), "base64"
    return {"text": text, "encoding": encoding, "bytes": len(original), "truncated": truncated}


def _time(event_us: int | None, record_ms: int, detected_us: int) -> tuple[str, str]:
    """The event's time, else the record's, else (both beyond what a calendar holds) that of detection."""
    for source, us in (("event", event_us), ("record", record_ms * 1_000), ("detection", detected_us)):
        if us is not None and us >= 0:
            with contextlib.suppress(OverflowError):
                return iso_time(us), source
    raise ValueError(f"detected_at_us is no time: {detected_us}")


def iso_time(us: int) -> str:
    """RFC 3339 in UTC, of Unix microseconds. Raises OverflowError beyond what a calendar holds."""
    return (_EPOCH + timedelta(microseconds=us)).isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"
