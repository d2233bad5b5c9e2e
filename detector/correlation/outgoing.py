"""Entries of alerts: what an alert, or one that may be held back, is to the fold.

Their definitions begin with `~`, so that none is taken for a correlation's:

    ~alert:KEY   an alert of the rule KEY that is sent; `rule` is its threat score, `group` its entity's type and value,
                 `value` its id where it is not that of its coordinates
    ~held:HASH   an alert of a rule with suppressions (`Guard.definition`); `group` the values of its fields, `value`
                 the message to send if it may pass, or nothing where it is clear that it may not
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from detector.alerts.model import Entity
from detector.correlation.inputs import Entry, group_of
from detector.suppression.policies import Guard
from detector.window import Message

ALERT = "~alert:"
HELD = "~held:"
ENTITIES = ("ip", "user", "host")
"""Types of the entities that have incidents."""

Body = list[Any]
"""Of an alert that may be sent: key, value, headers (names and values in turn), entity's type, threat score."""


def alert_entry(
    rule_key: str,
    entity: Entity,
    score: int,
    *,
    time_us: int,
    place: tuple[int, int],
    timestamp_ms: int,
    identity: str | None = None,
) -> Entry | None:
    """What an alert is to incidents; None where it is about nobody.

    place: offset and ordinal. identity: where they do not make it.
    """
    if entity.type not in ENTITIES:
        return None
    group = group_of([entity.type, entity.value])
    return Entry(ALERT + rule_key, score, group, time_us, *place, identity, timestamp_ms, group)


def held_entry(
    guard: Guard,
    values: Sequence[str],
    body: Body | None,
    *,
    time_us: int,
    place: tuple[int, int],
    timestamp_ms: int,
) -> Entry:
    """What an alert is to its suppressions. values: of the guard's fields. place: offset and ordinal."""
    group, shard = _names(guard.rule.key, guard.shared, tuple(values))
    return Entry(guard.definition, 0, group, time_us, *place, body, timestamp_ms, shard)


@lru_cache(maxsize=65_536)
def _names(rule_key: str, shared: tuple[int, ...], values: tuple[str, ...]) -> tuple[str, str]:
    """Group and shard: the same for most of a storm."""
    return group_of(values), rule_key + group_of([values[each] for each in shared])


def body_of(message: Message, entity: Entity, score: int) -> Body:
    """An alert as an entry takes it along."""
    headers = [part for name, value in message.headers for part in (name, value.decode())]
    return [(message.key or b"").decode(), (message.value or b"").decode(), headers, entity.type, score]


def message_of(body: Body, timestamp_ms: int) -> Message:
    """The alert of an entry."""
    key, value, headers = body[:3]
    pairs = tuple((name, text.encode()) for name, text in zip(headers[::2], headers[1::2], strict=True))
    return Message("alerts", key.encode(), value.encode(), pairs, timestamp_ms)


def body_bytes(body: Body) -> int:
    """At most what it takes in a message: a JSON text in a JSON text, whose quotes are escaped."""
    return 2 * (len(body[1].encode()) + len(body[0].encode()) + sum(len(text.encode()) for text in body[2])) + 100
