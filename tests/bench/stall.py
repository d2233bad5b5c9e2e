"""What piles up while the broker acknowledges no alerts: it must be little, and it must go on soon after."""

from __future__ import annotations

import itertools
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import psutil

from detector.kafka.local import LocalKafka, free_port
from tests.bench.memory import usage
from tests.harness.load import LoadProcess, timestamp_ms
from tests.harness.proxy import Proxy
from tests.harness.service import ServiceProcess
from tests.harness.topics import Topics
from tests.harness.watch import Seen, Watcher

SECONDS = 60
SHORT_SECONDS = 15
WARM_SECONDS = 10
LINGER_MS = 100
_SAME_WINDOW_S = 0.04
"""Alerts of a partition that were detected closer together than this are of one window: readers linger longer."""


def run(*, short: bool) -> dict[str, Any]:
    """Hold back what the service produces, on its way to the broker, while reading goes on.

    Every window of the load causes alerts, and each says when its window was evaluated: so the windows that were read
    during the stall can be counted afterwards, from outside.

    Keys: windows_ahead_max (of the reader with most), driver_growth_mb, driver_cpu (cores, meanwhile),
    seconds_to_resume (until the first alert), seconds_to_catch_up (until one about a record that was made after the
    stall).
    """
    seconds = SHORT_SECONDS if short else SECONDS
    port = free_port()
    with (
        tempfile.TemporaryDirectory(prefix="detector-bench-") as name,
        Proxy(port, "detector-") as proxy,
        LocalKafka(port=port, advertised_listeners=f"PLAINTEXT://127.0.0.1:{proxy.port}") as node,
    ):
        folder = Path(name)
        topics = Topics.create(node.bootstrap)
        service = ServiceProcess(folder, node.bootstrap, topics.settings(input={"linger_ms": LINGER_MS}))
        load = LoadProcess(node.bootstrap, topics.logs, folder / "journal", rate=400, alerting=0.25)
        watcher = Watcher(node.bootstrap, topics.alerts, topics.dead_letters)
        try:
            service.start()
            service.wait_ready()
            watcher.start()
            load.start()
            time.sleep(WARM_SECONDS)
            before = usage(service).driver_mb
            busy = _cpu_seconds(service)
            proxy.hold()
            stalled = time.time()
            most = before
            while time.time() < stalled + seconds:
                most = max(most, usage(service).driver_mb)
                time.sleep(1)
            proxy.release()
            resumed = time.time()
            busy = _cpu_seconds(service) - busy
            first = watcher.wait_for(lambda seen: seen.arrived > resumed, 60)
            caught_up = watcher.wait_for(
                lambda seen: seen.token is not None and timestamp_ms(seen.token) > resumed * 1_000, 60
            )
            assert first, f"no alerts within 60 s after the stall:\n{service.tail()}"
            assert caught_up, f"not caught up within 60 s after the stall:\n{service.tail()}"
            load.stop()
            service.terminate()
        finally:
            load.close()
            service.close()
            watcher.close()
    ahead = windows_between(watcher.seen, stalled, resumed)
    return {
        "windows_ahead_max": max(ahead.values(), default=0),
        "driver_growth_mb": round(most - before, 2),
        "driver_cpu": round(busy / (resumed - stalled), 2),
        "seconds_to_resume": round(first.arrived - resumed, 2),
        "seconds_to_catch_up": round(caught_up.arrived - resumed, 2),
    }


def _cpu_seconds(service: ServiceProcess) -> float:
    assert service.process is not None
    times = psutil.Process(service.process.pid).cpu_times()
    return float(times.user + times.system)


def windows_between(seen: Iterable[Seen], begin: float, end: float) -> dict[int, int]:
    """Windows that were evaluated in that time, by partition, of which each has a reader of its own."""
    times: dict[int, list[float]] = defaultdict(list)
    for alert in seen:
        if begin < alert.detected < end:
            times[alert.partition].append(alert.detected)
    return {partition: _clusters(sorted(each)) for partition, each in times.items()}


def _clusters(times: list[float]) -> int:
    return 1 + sum(later - earlier > _SAME_WINDOW_S for earlier, later in itertools.pairwise(times))
