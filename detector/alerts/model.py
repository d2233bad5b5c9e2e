"""What an alert is made of besides the record: its entity, its place in ATT&CK, and values cut to a bound."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

import orjson

from detector.alerts.text import cut
from detector.events import Event, JsonValue
from detector.sigma.rule import Match, Rule

SCHEMA_VERSION = "1.2"
"""Of `schema.json`. The second number rises with new fields, the first when a reader would have to change."""

MAX_MATCHES = 32
MAX_FIELDS = 256
MAX_ELEMENTS = 64
MAX_NAME_BYTES = 256
MAX_ENTITY_BYTES = 256

EntityType = Literal["ip", "user", "host", "partition", "other"]

_ENTITIES: dict[str, EntityType] = {"source.ip": "ip", "user.name": "user", "host.name": "host"}

_TECHNIQUE = re.compile(r"T\d{4}(?:\.\d{3})?")
_TACTIC = re.compile(r"[a-z]+(?:-[a-z]+)*")
_TACTIC_IDS = {
    "reconnaissance": "TA0043",
    "resource-development": "TA0042",
    "initial-access": "TA0001",
    "execution": "TA0002",
    "persistence": "TA0003",
    "privilege-escalation": "TA0004",
    "defense-evasion": "TA0005",
    "credential-access": "TA0006",
    "discovery": "TA0007",
    "lateral-movement": "TA0008",
    "collection": "TA0009",
    "exfiltration": "TA0010",
    "command-and-control": "TA0011",
    "impact": "TA0040",
}


@dataclass(frozen=True, slots=True)
class Entity:
    """Whom or what an alert is about; alerts of one entity share a key, so a subscriber sees them in order."""

    field: str
    type: EntityType
    value: str


def entity_of(rule: Rule, match: Match, event: Event, topic: str, partition: int) -> Entity:
    """Name the entity: the rule's own, else the first present of source.ip, user.name, host.name, else where the
    record came from.

    A field that is empty or null is not present; of a list the first element counts.
    """
    if rule.entity and match.entity:
        return Entity(cut(rule.entity, MAX_NAME_BYTES), entity_type(rule.entity), cut(match.entity, MAX_ENTITY_BYTES))
    for name, kind in _ENTITIES.items():
        if text := _first_text(event.ecs.get(name)):
            return Entity(name, kind, cut(text, MAX_ENTITY_BYTES))
    if partition < 0:
        return Entity("log.file.path", "other", cut(topic, MAX_ENTITY_BYTES))
    return Entity("kafka.partition", "partition", f"{topic}-{partition}")


def threat(rule: Rule) -> dict[str, JsonValue]:
    """The ATT&CK part of an alert, from a rule's `attack.` tags.

    Tactics and techniques are lists of their own: Sigma's tags do not say which belongs to which. A tactic that has
    no id here (ATT&CK renames and splits them now and then) has its name only; what has not the form of either is
    left out.
    """
    return {
        "framework": "MITRE ATT&CK",
        "tactics": [tactic_part(name) for name in rule.tactics[:MAX_ELEMENTS] if _TACTIC.fullmatch(name)],
        "techniques": [{"id": name} for name in rule.techniques[:MAX_ELEMENTS] if _TECHNIQUE.fullmatch(name)],
    }


def tactic_part(name: str) -> dict[str, JsonValue]:
    """A tactic by its name, with its id where that is known."""
    return {"name": name} | ({"id": _TACTIC_IDS[name]} if name in _TACTIC_IDS else {})


class Room:
    """Makes values fit for an alert: valid Unicode, each cut, and all together within a number of bytes.

    `cut` is set when something was cut or left out.
    """

    __slots__ = ("cut", "left", "max_value_bytes")

    def __init__(self, max_value_bytes: int, total_bytes: int) -> None:
        self.max_value_bytes = max_value_bytes
        self.left = total_bytes
        self.cut = False

    def text(self, text: str, max_bytes: int | None = None) -> str:
        """Cut one text; at least to what is left."""
        fitted = cut(text, max(0, min(max_bytes or self.max_value_bytes, self.left)))
        self.cut |= len(fitted) < len(text)
        self.left -= len(fitted) if fitted.isascii() else len(fitted.encode())
        return fitted

    def value(self, value: JsonValue) -> JsonValue:
        """Cut one value; objects, and numbers beyond 64 bits, become text."""
        if isinstance(value, str):
            return self.text(value)
        if value is None or isinstance(value, bool | float) or (isinstance(value, int) and -(2**63) <= value < 2**64):
            self.left -= _NUMBER_BYTES
            return value
        if isinstance(value, list | tuple):
            elements = []
            for element in value[:MAX_ELEMENTS]:
                if self.left <= 0:
                    break
                elements.append(self.text(_json(element)) if isinstance(element, list) else self.value(element))
            self.cut |= len(elements) < len(value)
            return elements
        return self.text(_json(value))


_NUMBER_BYTES = 24


def _json(value: JsonValue) -> str:
    try:
        return orjson.dumps(value).decode()
    except TypeError:  # a surrogate, a number beyond 64 bits, nesting beyond orjson's
        return str(value)


def _first_text(value: JsonValue) -> str:
    if isinstance(value, list):
        value = next(iter(value), None)
    return "" if value is None or isinstance(value, dict | list) else str(value)


def entity_type(field: str) -> EntityType:
    """What a field that a rule declares as its entity holds, by its name: ECS, or as a log source has it."""
    name = field.lower()
    if name.endswith(("ip", "ipaddress", "address")):
        return "ip"
    if "user" in name:
        return "user"
    return "host" if "host" in name or "computer" in name else "other"
