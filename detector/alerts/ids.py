"""The identity of an alert: the same record and rule give the same id, whenever and wherever they are evaluated."""

from __future__ import annotations

import hashlib

import orjson


def alert_id(rule_key: str, source: str, position: int, ordinal: int) -> str:
    """SHA-256, in hex, of the UTF-8 text of the JSON array `[rule_key,source,position,ordinal]` without white space.

    JSON quotes the strings, so no two different tuples share a text. Anyone can compute it again from an alert's
    `rule.key` and `source`; the rule set's hash is no part of it, or each edit of any rule would double all alerts.

    rule_key: the rule's `id`, else what the loader gives it.
    source: where the record lies, of `record_source`.
    position: its place there: the offset, or the byte at which it begins.
    ordinal: the event's place within the record.
    """
    return hashlib.sha256(orjson.dumps([rule_key, source, position, ordinal])).hexdigest()


def record_source(topic: str, partition: int) -> str:
    """`kafka:<topic>:<partition>` (a topic's name holds no colon), or `file:<path or URI>` where there is no partition.

    partition: negative for a record of a file, whose path or URI is then the topic.
    """
    return f"kafka:{topic}:{partition}" if partition >= 0 else f"file:{topic}"
