"""How fast the whole service works a backlog of access-log lines off, from Kafka to alerts.

All web rules of SigmaHQ run beside our own where the corpora are there. The broker is on the same machine, and every
line is different. Time runs from the first records that count as evaluated to the last.
"""

from __future__ import annotations

import gzip
import json
import tempfile
import time
from pathlib import Path
from random import Random
from typing import Any

import yaml

from detector.demo.lines import Stamp
from detector.demo.web import Web
from detector.kafka.local import LocalKafka
from tests.bench.memory import usage
from tests.corpora import ROOT
from tests.harness.load import alerting_line, find_token, token
from tests.harness.service import ServiceProcess
from tests.harness.topics import Topics
from tests.harness.watch import read_all

LINES = 10_000_000
SHORT_LINES = 500_000
ALERTING_EVERY = 5_000
_RULES = ROOT / "05_sigma" / "sigmahq_rules.jsonl.gz"


def run(*, short: bool) -> dict[str, Any]:
    """Measure once.

    Keys: lines_per_second, lost (attacks without an alert), memory_growth_mb (driver and workers, after the first
    quarter), rules.
    """
    lines = SHORT_LINES if short else LINES
    with tempfile.TemporaryDirectory(prefix="detector-bench-") as name, LocalKafka() as node:
        folder = Path(name)
        rules = folder / "rules"
        rules.mkdir()
        topics = Topics.create(node.bootstrap)
        settings = topics.settings(rules={"paths": [str(rules)]}, output={"min_level": "low"})
        _write_rules(rules)
        attacks = _fill(topics, lines)
        service = ServiceProcess(folder, node.bootstrap, settings)
        try:
            service.start()
            service.wait_ready()
            figures = _work_off(service, lines)
            topics.wait_committed(60)
            figures["rules"] = int(service.metric("detector_rules_loaded"))
            service.terminate()
        finally:
            service.close()
        seen = {one.token for one in read_all(node.bootstrap, topics.alerts, topics.dead_letters)}
    return figures | {"lost": len(attacks - seen), "lines": lines}


def _work_off(service: ServiceProcess, lines: int) -> dict[str, Any]:
    done, began, first = 0.0, 0.0, 0.0
    settled = most = 0.0
    deadline = time.monotonic() + 600
    while done < lines:
        assert time.monotonic() < deadline, f"{done:,.0f} of {lines:,} lines within 600 s:\n{service.tail()}"
        time.sleep(0.1)
        done = service.metric("detector_records_evaluated_total")
        now = time.monotonic()
        if done and not began:
            began, first = now, done
        if done > lines / 4:
            use = usage(service)
            most = max(most, use.driver_mb + use.workers_mb)
            settled = settled or most
    seconds = now - began
    return {
        "lines_per_second": round((lines - first) / seconds) if seconds else None,
        "memory_growth_mb": round(most - settled, 1),
        "seconds": round(seconds, 2),
    }


def _write_rules(folder: Path) -> None:
    if not _RULES.exists():
        return
    with gzip.open(_RULES, "rt") as file:
        for number, line in enumerate(file):
            text = json.loads(line)["yaml"]
            source = next(yaml.safe_load_all(text)).get("logsource", {})
            if source.get("category") == "webserver" or source.get("service") in ("apache", "nginx"):
                (folder / f"{number}.yml").write_text(text)


def _fill(topics: Topics, lines: int) -> set[str]:
    """Write the backlog; the tokens of the attacks in it."""
    from confluent_kafka import Producer

    producer = Producer(
        {"bootstrap.servers": topics.bootstrap, "compression.type": "lz4", "linger.ms": 50, "log_level": 3}
        | {"queue.buffering.max.messages": 1_000_000}
    )
    web, stamp, attacks = Web(Random(0)), Stamp(), set()
    begin = time.time_ns() // 1_000
    for number in range(lines):
        if number % ALERTING_EVERY:
            stamp.set(begin + number * 100)
            line = web.line(stamp).encode()
        else:
            line = alerting_line(token(number, begin // 1_000), begin // 1_000_000)
            attacks.add(str(find_token(line)))
        while True:
            try:
                producer.produce(topics.logs, line, partition=number // 1_000 % 2)
                break
            except BufferError:
                producer.poll(0.05)
    if producer.flush(120):
        raise RuntimeError("the broker did not acknowledge all lines")
    return attacks
