"""Correlations in the running service: on a real broker, killed in the middle, in both ways of delivery."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path
from typing import Any

import orjson
import pytest
from confluent_kafka import Producer

from detector.config import Delivery
from tests.conftest import Broker
from tests.harness.service import ServiceProcess
from tests.harness.topics import Topics
from tests.kafka_world import World, wait_until

RULES = """
title: A probe
name: probe
id: 8d2f7a52-5f0e-4c39-9a0b-6a6a6a6a6a6a
logsource:
    category: webserver
detection:
    selection:
        cs-uri-stem|startswith: '/probe/'
    condition: selection
level: high
---
title: Four probes
id: 8d2f7a52-5f0e-4c39-9a0b-6a6a6a6a6a6b
correlation:
    type: event_count
    rules: [probe]
    group-by: [source.ip]
    timespan: 1h
    condition: {gte: 4}
level: high
---
title: Four places
id: 8d2f7a52-5f0e-4c39-9a0b-6a6a6a6a6a6c
correlation:
    type: value_count
    rules: [probe]
    group-by: [source.ip]
    timespan: 1h
    condition: {gte: 4, field: cs-uri-stem}
level: high
"""
FOUR_PROBES, FOUR_PLACES = (f"8d2f7a52-5f0e-4c39-9a0b-6a6a6a6a6a{end}" for end in ("6b", "6c"))
ADDRESSES = 40
READY_S = 180.0

pytestmark = [pytest.mark.kafka, pytest.mark.ray, pytest.mark.timeout(600)]


def line(address: int, probe: int) -> bytes:
    """A probe; all of a run lie in one hour."""
    hour = int(time.time()) // 3600 * 3600
    stamp = time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(hour + probe))
    return f'192.0.2.{address} - - [{stamp}] "GET /probe/{probe} HTTP/1.1" 404 1 "-" "x"'.encode()


def send(bootstrap: str, topic: str, probes: range, addresses: range) -> None:
    """The probes of the addresses, over both partitions in turn."""
    producer = Producer({"bootstrap.servers": bootstrap})
    for probe in probes:
        for address in addresses:
            producer.produce(topic, line(address, probe), partition=(probe + address) % 2)
    assert producer.flush(20) == 0


def alerts(bootstrap: str, topics: Topics) -> list[dict[str, Any]]:
    """What a subscriber can read."""
    world = World(bootstrap, topics.logs, topics.alerts, topics.dead_letters, topics.group)
    return [orjson.loads(value) for value in world.values(topics.alerts)]


def fired(bootstrap: str, topics: Topics) -> set[tuple[str, str]]:
    """Rules and addresses."""
    return {(each["rule"]["id"], each["entity"]["value"]) for each in alerts(bootstrap, topics)}


@pytest.mark.parametrize("delivery", Delivery)
def test_killed_in_the_middle(kafka: Broker, tmp_path: Path, delivery: Delivery) -> None:
    """What was counted before a crash still counts after it; each group fires, once, and no other does."""
    rules = tmp_path / "rules"
    rules.mkdir()
    (rules / "probe.yml").write_text(RULES)
    topics = Topics.create(kafka.bootstrap, correlations=True)
    settings = topics.settings(
        rules={"paths": [str(rules)], "builtin": False},
        output={"delivery": delivery.value},
        correlation={"enabled": True, "snapshot_interval_s": 0.3},
    )
    service = ServiceProcess(tmp_path, kafka.bootstrap, settings)
    try:
        service.start()
        service.wait_ready(READY_S)
        send(kafka.bootstrap, topics.logs, range(2), range(ADDRESSES))
        topics.wait_committed(60)
        time.sleep(1.0)  # for a snapshot
        send(kafka.bootstrap, topics.logs, range(2, 3), range(ADDRESSES))
        service.kill()
        service.start()
        service.wait_ready(READY_S)
        send(kafka.bootstrap, topics.logs, range(3, 4), range(ADDRESSES // 2))
        wait_until(lambda: len(alerts(kafka.bootstrap, topics)) >= 8, 60, 0.3)
        service.kill()
        service.start()
        service.wait_ready(READY_S)
        send(kafka.bootstrap, topics.logs, range(4, 6), range(ADDRESSES // 2))
        topics.wait_committed(60)
        wanted = {(rule, f"192.0.2.{n}") for rule in (FOUR_PROBES, FOUR_PLACES) for n in range(ADDRESSES // 2)}
        wait_until(lambda: fired(kafka.bootstrap, topics) >= wanted, 60, 0.5)
        time.sleep(1.0)
        assert service.terminate() == 0
    finally:
        service.close()

    seen = alerts(kafka.bootstrap, topics)
    times = Counter(each["id"] for each in seen)
    assert {(each["rule"]["id"], each["entity"]["value"]) for each in seen} == wanted
    assert len(times) == len(wanted)
    if delivery is Delivery.EXACTLY_ONCE:
        assert set(times.values()) == {1}
    assert "the state of correlations is back" in service.tail(1 << 20)
