"""Correlations in a run of the fault suite, and their oracle: from what was acknowledged, which must have fired.

One fires for each alerting record, so that the judge of alerts has it as a second rule. Two count the records of ten
seconds: one fires in each bucket unless events are lost, the other only if some count twice.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import orjson

from detector.resources import builtin
from tests.harness.load import Acknowledged, timestamp_ms
from tests.harness.topics import Topics

EACH = "c3f0a0f2-7c1d-4b57-8b39-52f4b1a00001"
MANY, TOO_MANY = "c3f0a0f2-7c1d-4b57-8b39-52f4b1a00002", "c3f0a0f2-7c1d-4b57-8b39-52f4b1a00003"
COUNTED = frozenset({MANY, TOO_MANY})
SPAN_S = 10
FOLDED_S = 120.0
TOLD_S = 90.0

_RULE = """
title: {title}
id: {id}
correlation:
    type: event_count
    rules: [6ce1dbd4-3a7d-4a5e-9a55-0d2b1a7f6a51]
    group-by: [{field}]
    timespan: {span}s
    condition: {{gte: {least}}}
    generate: true
level: high
"""


def settings(folder: Path, per_second: float) -> dict[str, Any]:
    """Sections of the settings; folder: for the rules. per_second: alerting records of the load."""
    usual = per_second * SPAN_S
    rules = (
        {"title": "Each", "id": EACH, "field": "url.query", "least": 1},
        {"title": "Many", "id": MANY, "field": "source.ip", "least": round(0.7 * usual)},
        {"title": "Too many", "id": TOO_MANY, "field": "source.ip", "least": round(1.15 * usual)},
    )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "correlations.yml").write_text("---".join(_RULE.format(span=SPAN_S, **rule) for rule in rules))
    paths = [str(builtin("sigma") / "web" / "sql_injection_query.yml"), str(folder)]
    return {
        "rules": {"builtin": False, "paths": paths},
        "correlation": {"enabled": True, "snapshot_interval_s": 3.0, "incident_gap_s": 20.0, "incident_update_s": 5.0},
    }


def buckets(records: Iterable[Acknowledged], least: int) -> set[int]:
    """The beginnings (microseconds) of the buckets in which a window ends that holds so many records."""
    seconds = Counter(timestamp_ms(each.token) // 1_000 for each in records if each.kind == "alert")
    found = set()
    for last in seconds:
        if sum(seconds[last - back] for back in range(SPAN_S)) >= least:
            found.add(last // SPAN_S * SPAN_S * 1_000_000)
    return found


def wait_incident(topics: Topics) -> None:
    """Give the watermark time to pass the alerts of a short run; whether it did is judged."""
    deadline = time.monotonic() + TOLD_S
    while not read_values(topics.bootstrap, f"{topics.alerts}.incidents") and time.monotonic() < deadline:
        time.sleep(1.0)


def judge_counted(records: Sequence[Acknowledged], alerts: Sequence[dict[str, Any]], per_second: float) -> list[str]:
    """What is wrong with the alerts of the counting correlations, in words."""
    faults = []
    for rule, share in ((MANY, 0.7), (TOO_MANY, 1.15)):
        wanted = buckets(records, round(share * per_second * SPAN_S))
        fired = [each for each in alerts if each["rule"]["id"] == rule]
        seen = {each["correlation"]["start"] for each in fired}
        identities = {each["id"] for each in fired}
        if wanted - seen:
            faults.append(f"{rule}: {len(wanted - seen)} of {len(wanted)} buckets did not fire")
        if seen - wanted:
            faults.append(f"{rule}: {len(seen - wanted)} buckets fired that must not")
        if len(identities) > len(seen):
            faults.append(f"{rule}: {len(identities) - len(seen)} buckets have two ids")
    return faults


def judge_incidents(messages: Sequence[dict[str, Any]]) -> list[str]:
    """What is wrong with the incidents: a version that says two things, or one that is missing."""
    said: dict[tuple[str, int], dict[str, Any]] = {}
    faults = []
    for each in messages:
        key = (each["id"], each["version"])
        plain = {name: value for name, value in each.items() if name != "detected_at"}
        if said.setdefault(key, plain) != plain:
            faults.append(f"incident {key} says two things")
    versions: dict[str, set[int]] = {}
    for identity, version in said:
        versions.setdefault(identity, set()).add(version)
    faults += [f"incident {name} lacks versions" for name, of in versions.items() if of != set(range(1, len(of) + 1))]
    if not said:
        faults.append("there was no incident")
    return faults


def wait_folded(topics: Topics) -> None:
    """Wait until all signals that are there now are folded, and what they caused is delivered."""
    from confluent_kafka import Consumer, TopicPartition

    name = f"{topics.alerts}.signals"
    consumer = Consumer(
        {"bootstrap.servers": topics.bootstrap, "log_level": 3, "group.id": f"{topics.group}.correlations"}
    )
    try:
        numbers = consumer.list_topics(name, timeout=10).topics[name].partitions
        ends = {
            number: consumer.get_watermark_offsets(TopicPartition(name, number), timeout=10)[1] for number in numbers
        }
        deadline = time.monotonic() + FOLDED_S
        while True:
            committed = consumer.committed([TopicPartition(name, number) for number in numbers], timeout=10)
            if all(each.offset >= ends[each.partition] for each in committed):
                return
            assert time.monotonic() < deadline, "the signals were not folded in time"
            time.sleep(0.3)
    finally:
        consumer.close()


def read_values(bootstrap: str, topic: str) -> list[dict[str, Any]]:
    """What a subscriber of committed messages sees in a topic."""
    from tests.kafka_world import World

    return [orjson.loads(value) for value in World(bootstrap, topic, topic, topic, "unused").values(topic)]
