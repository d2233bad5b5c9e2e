"""From the record with which a correlation becomes true to its alert at a subscriber, in the running service."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson

from detector.kafka.local import LocalKafka
from tests.harness.load import LoadProcess
from tests.harness.service import ServiceProcess
from tests.harness.topics import Topics
from tests.harness.watch import Seen, Watcher

RATE = 5_000
CORRELATIONS = 50
ALERTING = 0.02
"""Share of the records that the correlations take: 100 a second, of one address."""
SECONDS = 60
SHORT_SECONDS = 15
_ID = "00000000-0000-4000-8000-{:012d}"


def crossing_to_alert(seconds: float) -> dict[str, Any]:
    """At 5,000 records a second, with 50 correlations, each of which becomes true once in each second of event time.

    Keys: latency_p50_ms, latency_p99_ms, latency_alerts; latency_of_rules_p50_ms and _p99_ms are those of the alerts of
    detection rules on the same records: what the machine does to all.
    """
    with tempfile.TemporaryDirectory(prefix="detector-bench-") as name, LocalKafka() as node:
        folder = Path(name)
        rules = folder / "rules"
        rules.mkdir()
        (rules / "correlations.yml").write_bytes(b"\n---\n".join(map(orjson.dumps, _documents())))
        topics = Topics.create(node.bootstrap, correlations=True)
        settings = topics.settings(rules={"paths": [str(rules)]}, correlation={"enabled": True})
        service = ServiceProcess(folder, node.bootstrap, settings)
        load = LoadProcess(node.bootstrap, topics.logs, folder / "journal", rate=RATE, alerting=ALERTING)
        watcher = Watcher(node.bootstrap, topics.alerts, topics.dead_letters)
        try:
            service.start()
            service.wait_ready(180)
            watcher.start()
            load.start(seconds)
            load.wait(seconds + 60)
            topics.wait_committed(60)
            service.terminate()
        finally:
            load.close()
            service.close()
            watcher.close()
    ours = {_ID.format(number) for number in range(1, CORRELATIONS + 1)}
    correlated = [seen for seen in watcher.seen if seen.rule in ours]
    assert {seen.rule for seen in correlated} == ours, "not every correlation fired"
    others = [seen for seen in watcher.seen if seen.rule not in ours]
    return {**_quantiles("latency", correlated), **_quantiles("latency_of_rules", others)}


def _quantiles(name: str, alerts: Sequence[Seen]) -> dict[str, Any]:
    latencies = sorted((seen.arrived - seen.recorded) * 1_000 for seen in alerts if seen.recorded)
    return {
        f"{name}_p50_ms": round(latencies[len(latencies) // 2], 1),
        f"{name}_p99_ms": round(latencies[int(len(latencies) * 0.99)], 1),
        f"{name}_alerts": len(latencies),
    }


def _documents() -> Iterator[dict[str, Any]]:
    """A rule that takes the load's attacks, and correlations that count them and their queries up to some number."""
    yield {
        "title": "An attack of the load",
        "id": _ID.format(0),
        "name": "attack",
        "logsource": {"category": "webserver"},
        "detection": {"s": {"cs-uri-query|contains": "UNION"}, "condition": "s"},
        "level": "informational",
    }
    for number in range(1, CORRELATIONS + 1):
        least = 1 + number // 2
        counted = {"gte": least, "field": "cs-uri-query"} if number % 2 else {"gte": least}
        yield {
            "title": f"Attacks, {number}",
            "id": _ID.format(number),
            "correlation": {
                "type": "value_count" if number % 2 else "event_count",
                "rules": ["attack"],
                "group-by": ["source.ip"],
                "timespan": "1s",
                "condition": counted,
            },
            "level": "medium",
        }
