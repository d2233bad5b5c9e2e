"""How long the service takes to start, with the broker up and caches warm."""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from detector.kafka.local import LocalKafka
from tests.harness.load import LoadProcess
from tests.harness.service import ServiceProcess
from tests.harness.topics import Topics
from tests.harness.watch import Watcher


def run(*, short: bool) -> dict[str, Any]:
    """Start it several times, the first of which only warms the caches; medians.

    Keys: ready_seconds (until /readyz says so), first_alert_seconds (until a subscriber reads the first alert).
    """
    ready: list[float] = []
    first: list[float] = []
    with tempfile.TemporaryDirectory(prefix="detector-bench-") as name, LocalKafka() as node:
        folder = Path(name)
        topics = Topics.create(node.bootstrap)
        service = ServiceProcess(folder, node.bootstrap, topics.settings())
        load = LoadProcess(node.bootstrap, topics.logs, folder / "journal", rate=200, alerting=0.1)
        watcher = Watcher(node.bootstrap, topics.alerts, topics.dead_letters)
        try:
            watcher.start()
            load.start()
            for _ in range(2 if short else 4):
                began = time.time()
                service.start()
                ready.append(service.wait_ready())
                alert = watcher.wait_for(lambda seen, since=began: seen.arrived > since, 30)  # type: ignore[misc]
                assert alert is not None, "no alert within 30 s"
                first.append(alert.arrived - began)
                service.terminate()
        finally:
            load.close()
            service.close()
            watcher.close()
    return {
        "ready_seconds": round(statistics.median(ready[1:]), 2),
        "first_alert_seconds": round(statistics.median(first[1:]), 2),
        "cold_ready_seconds": round(ready[0], 2),
    }
