"""A storm of alerts: every record matches 100 rules, and each is about another address."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path
from typing import Any

from detector.alerts.ids import alert_id
from tests.bench.memory import usage
from tests.chaos.correlated import read_values, wait_folded
from tests.chaos.result import Result, unbalanced
from tests.harness.service import ServiceProcess
from tests.harness.topics import Topics

RULES = 100
FIRST = 5
MINUTES = 3
PARTITIONS = 2
RECORDS, SHORT_RECORDS = 1_000_000, 2_000
DRAINED_S = 3_600.0
TOLD_S = 120.0
READY_S = 300.0
GROWTH_SERIES = 50
"""Series that may appear while the service runs: kinds of outcomes that it had not met before."""

_RULE = """
title: Whatever is asked for, {number}
id: 5b0f7a10-0000-4000-8000-{number:012d}
logsource:
    category: webserver
detection:
    selection:
        cs-uri-stem|startswith: '/'
    condition: selection
level: medium
"""
_MORE = f"""
title: Storm control
suppression:
    rules: any
    timespan: 1m
    first: {FIRST}
---
title: Two of one address
id: 5b0f7a10-0000-4000-8000-999999999999
correlation:
    type: event_count
    rules: [5b0f7a10-0000-4000-8000-000000000000]
    group-by: [source.ip]
    timespan: 1m
    condition: {{gte: 2}}
    generate: true
level: high
"""


def run(bootstrap: str, folder: Path, delivery: str, *, short: bool) -> Result:
    """Let it storm, wait until all is committed and told, and count."""
    rules = folder / "rules"
    rules.mkdir()
    (rules / "all.yml").write_text("---".join(_RULE.format(number=number) for number in range(RULES)))
    (rules / "more.yml").write_text(_MORE)
    topics = Topics.create(bootstrap, PARTITIONS, correlations=True)
    settings = topics.settings(
        output={"delivery": delivery},
        rules={"builtin": False, "paths": [str(rules)]},
        correlation={"enabled": True, "lateness_s": 5.0, "snapshot_interval_s": 10.0},
    )
    service = ServiceProcess(folder, bootstrap, settings)
    records = SHORT_RECORDS if short else RECORDS
    result = Result(happened={"records": records, "matches": records * RULES})
    try:
        service.start()
        service.wait_ready(READY_S)
        series, memory = _series(service), usage(service)
        begin = int(time.time()) // 60 * 60 + 60  # what is older than an idle source's watermark would be late
        produced = time.monotonic()
        _produce(topics, range(records), begin, MINUTES * 60)
        topics.wait_committed(DRAINED_S)
        wait_folded(topics)
        result.figures["drain_records_per_second"] = round(records / (time.monotonic() - produced), 1)
        # One record more in each partition, behind the last minute and the lateness: the minutes before it are over
        _produce(topics, range(records, records + PARTITIONS), begin + MINUTES * 60 + 20, 1)
        topics.wait_committed(DRAINED_S)
        _wait_told(topics, records)
        after = usage(service)
        result.figures["driver_growth_mb"] = round(after.driver_mb - memory.driver_mb, 1)
        result.figures["series_growth"] = _series(service) - series
        result.figures["suppressed"] = service.metric("detector_alerts_suppressed_total")
        result.unbalanced = unbalanced(service)
        result.exit_code = service.terminate()
    finally:
        service.close()
    _judge(result, topics, read_values(bootstrap, topics.alerts), records)
    if result.figures["series_growth"] > GROWTH_SERIES:
        result.faults.append(f"the service shows {result.figures['series_growth']} series more than before")
    if result.unbalanced or result.exit_code:
        result.faults.append(f"consumed - evaluated - rejected = {result.unbalanced}, exit code {result.exit_code}")
    return result


def _judge(result: Result, topics: Topics, alerts: list[dict[str, Any]], records: int) -> None:
    """Each match is an alert, or counted by a summary: for each rule, the sum is the number of records."""
    once = {each["id"]: each for each in alerts}
    sent, held, passed = Counter[str](), Counter[str](), Counter[str]()
    for each in once.values():
        rule = each["rule"]["id"]
        if "suppression" not in each:
            sent[rule] += 1
            continue
        held[rule] += each["suppression"]["held"]
        passed[rule] += each["suppression"]["passed"]
    result.obligations = records * RULES
    result.raw_duplicates = len(alerts) - len(once)
    keys = [f"5b0f7a10-0000-4000-8000-{number:012d}" for number in range(RULES)]
    last = PARTITIONS  # the records behind the last minute pass, and nothing of their minute is held
    differences = {key: records + last - sent[key] - held[key] for key in keys}
    result.lost = sum(each for each in differences.values() if each > 0)
    result.invented = -sum(each for each in differences.values() if each < 0) + len(set(sent) - set(keys))
    result.figures["alerts"] = sum(sent.values())
    result.figures["summaries"] = sum("suppression" in each for each in once.values())
    most = FIRST * PARTITIONS * MINUTES + last
    if wrong := [key for key in keys if sent[key] > most or sent[key] - last != passed[key]]:
        result.faults.append(f"{len(wrong)} rules sent more alerts than may pass, or others than the summaries say")
    listed = {identity for each in once.values() for identity in each.get("suppression", {}).get("ids", ())}
    if listed & set(once):
        result.faults.append("a summary lists alerts that were sent")
    possible = {
        alert_id(keys[0], f"kafka:{topics.logs}:{number}", offset, 0)
        for number in range(PARTITIONS)
        for offset in range(records)
    }
    summaries = [
        each["suppression"] for each in once.values() if "suppression" in each and each["rule"]["id"] == keys[0]
    ]
    if not {identity for each in summaries for identity in each["ids"]} <= possible:
        result.faults.append("a summary lists ids that no record has")
    wrong_counts = (("lost", result.lost), ("invented", result.invented))
    result.faults += [f"{name}: {value}" for name, value in wrong_counts if value]


def _wait_told(topics: Topics, records: int) -> None:
    """Wait until what was held back is told, or for so long that it never will be."""
    deadline = time.monotonic() + TOLD_S
    while time.monotonic() < deadline:
        alerts = {each["id"]: each for each in read_values(topics.bootstrap, topics.alerts)}.values()
        held = sum(each["suppression"]["held"] for each in alerts if "suppression" in each)
        if held + sum("suppression" not in each for each in alerts) >= (records + PARTITIONS) * RULES:
            return
        time.sleep(2.0)


def _series(service: ServiceProcess) -> int:
    text = service.get("/metrics") or ""
    return sum(not line.startswith("#") for line in text.splitlines())


def _produce(topics: Topics, numbers: range, begin: int, seconds: int) -> None:
    """Records over so many seconds, in order of time, each of an address of its own."""
    from confluent_kafka import Producer

    producer = Producer({"bootstrap.servers": topics.bootstrap, "linger.ms": 20, "compression.type": "lz4"})
    for index, number in enumerate(numbers):
        at = begin + index * seconds // len(numbers)
        stamp = time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(at))
        address = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
        line = f'{address} - - [{stamp}] "GET /{number} HTTP/1.1" 404 1 "-" "x"'.encode()
        while True:
            try:
                producer.produce(topics.logs, line, partition=number % PARTITIONS)
                break
            except BufferError:
                producer.poll(0.1)
    assert producer.flush(120) == 0
