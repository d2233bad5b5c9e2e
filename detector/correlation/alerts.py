"""The alert of a correlation: as of any rule (`detector/alerts/schema.json`), with what it counted in `correlation`."""

from __future__ import annotations

import hashlib

import orjson

from detector.alerts.encoding import alert_headers, iso_time, rule_part
from detector.alerts.ids import record_source
from detector.alerts.model import MAX_ENTITY_BYTES, MAX_NAME_BYTES, SCHEMA_VERSION, Entity, Room, entity_type, threat
from detector.alerts.text import cut, harmless_json
from detector.alerts.threat import threat_part
from detector.config import Limits
from detector.correlation.buckets import Hit
from detector.correlation.fold import Fired
from detector.correlation.rule import Correlation
from detector.correlation.signals import topic_of
from detector.events import JsonValue
from detector.sigma.rule import Rule
from detector.window import Message

NO_LOGSOURCE = {"category": None, "product": None, "service": None}
_MAX_RULE_BYTES = 16 << 10
_KINDS = ("ip", "user", "host")


def correlation_id(rule_key: str, group: str, start_us: int, mark: str = "") -> str:
    """SHA-256, in hex, of the JSON array `[rule_key,group,start_us]` without white space; with `mark`, if there is one.

    group: the JSON array of its values, as an array, not a text. The same events give the same id, in whatever order
    they come and however often.
    """
    return hashlib.sha256(orjson.dumps([rule_key, orjson.loads(group), start_us, *([mark] * bool(mark))])).hexdigest()


def encode_fired(
    fired: Fired, *, at: tuple[str, int, int], ruleset_sha: str, detected_at_us: int, limits: Limits
) -> Message:
    """Make the alert of a correlation that fired.

    at: topic, partition and offset of the signals with which it did; they stand for the event where that is one of
        another correlation.
    """
    rule, hit = fired.correlation, fired.hit
    identity = correlation_id(rule.key, hit.group, hit.start_us, hit.mark)
    values: list[str] = orjson.loads(hit.group)
    group = dict(zip(rule.group_by, values, strict=True))
    entity = entity_by(rule.about, group)
    topic, partition, offset, ordinal = *at, 0
    if hit.place[0]:
        (topic, partition), offset, ordinal = topic_of(hit.place[0]), hit.place[1], hit.place[2]
    source = record_source(topic, partition)
    timestamp_ms = hit.time_us // 1000 if fired.timestamp_ms is None else fired.timestamp_ms
    largest = limits.max_alert_value_bytes
    of_rule, of_event = Room(largest, _MAX_RULE_BYTES), Room(largest, 4 * largest)
    alert: dict[str, JsonValue] = {
        "schema_version": SCHEMA_VERSION,
        "id": identity,
        "time": iso_time(hit.time_us),
        "time_source": "event",
        "detected_at": iso_time(detected_at_us),
        "severity": rule.about.level.severity,
        **threat_part(rule.about, {}),
        "rule": {**rule_part(rule.about, of_rule), "logsource": NO_LOGSOURCE},
        "threat": threat(rule.about),
        "entity": {"field": entity.field, "type": entity.type, "value": entity.value},
        "matches": [
            {
                "selection": rule.kind.value,
                "field": of_event.text(",".join(rule.values[0]), MAX_NAME_BYTES),
                "value": _seen(hit, of_event),
                "modifiers": "",
                "pattern": of_event.text(_pattern(rule, hit)),
            }
        ],
        "event": {of_event.text(name, MAX_NAME_BYTES): of_event.text(value) for name, value in group.items()},
        "original": {"text": "", "encoding": "utf-8", "bytes": 0, "truncated": False},
        "source": {
            "id": source,
            "topic": topic,
            "partition": partition,
            "offset": offset,
            "ordinal": ordinal,
            "record_timestamp": timestamp_ms,
        },
        "logsource": NO_LOGSOURCE,
        "format": "correlation",
        "flags": [],
        "truncated": of_rule.cut or of_event.cut,
        "ruleset_sha": ruleset_sha,
        "correlation": {
            "type": rule.kind.value,
            "rules": list(rule.rules),
            "group": values,
            "start": hit.start_us,
            "timespan_s": rule.timespan_us / 1_000_000,
            "value": hit.value,
        },
    }
    if hit.finding is not None:
        finding = hit.finding
        alert["anomaly"] = {
            "expected": of_event.value(finding.expected),
            "seen": of_event.value(finding.seen),
            "unlikely": finding.unlikely,
            "text": of_event.text(finding.text),
            "mark": of_event.text(hit.mark),
        }
        alert["truncated"] = of_rule.cut or of_event.cut
    headers = alert_headers(rule.about, identity, source, entity.value, iso_time(hit.time_us))
    return Message("alerts", entity.value.encode(), harmless_json(orjson.dumps(alert)), headers, timestamp_ms)


def _seen(hit: Hit, room: Room) -> JsonValue:
    return hit.value if hit.finding is None else room.value(hit.finding.seen)


def _pattern(rule: Correlation, hit: Hit) -> str:
    """What the value was compared with."""
    if hit.finding is not None:
        expected = hit.finding.expected
        return f"expected {expected:.6g}" if isinstance(expected, float) else f"expected {expected}"
    return str(rule.threshold or "rules that matched")


def entity_by(rule: Rule, group: dict[str, str]) -> Entity:
    """Whom it is about: the rule's own field, if it groups by it, else an address, user or host that it groups by."""
    own = rule.entity
    ranked = sorted(group, key=lambda name: (name != own, _rank(name)))
    for name in ranked:
        if group[name]:
            return Entity(cut(name, MAX_NAME_BYTES), entity_type(name), cut(group[name], MAX_ENTITY_BYTES))
    return Entity("rule.id", "other", rule.key)


def _rank(name: str) -> int:
    kind = entity_type(name)
    return _KINDS.index(kind) if kind in _KINDS else len(_KINDS)
