"""Whether anything grows: over many short epochs, and within one long one."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from detector.kafka.local import LocalKafka
from tests.bench.memory import Usage, usage
from tests.harness.load import LoadProcess
from tests.harness.service import ServiceProcess
from tests.harness.topics import Topics

EPOCHS = 40
SETTLE = 10
"""The first epochs do not count: caches fill."""
WINDOWS = 10_000
SHORT_EPOCHS, SHORT_WINDOWS = 12, 500
_EDGE = 5
"""Samples at either end whose medians are compared."""


def run(*, short: bool) -> dict[str, Any]:
    """Measure short epochs, then a long one.

    Keys: driver_growth_mb, gcs_growth_mb, workers_growth_mb, open_files_growth, threads_growth (from the 11th to the
    last short epoch); long_epoch_driver_mb (growth from the 500th window to the end), long_epoch_returned_mb (of it,
    what is free again in the next epoch).
    """
    with LocalKafka() as node:
        return _short_epochs(node, SHORT_EPOCHS if short else EPOCHS) | _long_epoch(
            node, SHORT_WINDOWS if short else WINDOWS
        )


def _short_epochs(node: LocalKafka, epochs: int) -> dict[str, Any]:
    with _service(node, {"max_age_s": 1.0}) as service:
        samples: list[Usage] = []
        for number in range(1, epochs + 1):
            _wait_for_epoch(service, number)
            if number > min(SETTLE, epochs // 2):
                samples.append(usage(service))
    first, last = samples[:_EDGE], samples[-_EDGE:]

    def growth(name: str) -> float:
        before, after = (statistics.median(float(getattr(sample, name)) for sample in part) for part in (first, last))
        return round(after - before, 2)

    return {
        "driver_growth_mb": growth("driver_mb"),
        "gcs_growth_mb": growth("gcs_mb"),
        "workers_growth_mb": growth("workers_mb"),
        "open_files_growth": growth("open_files"),
        "threads_growth": growth("threads"),
        "short_epochs": epochs,
    }


def _long_epoch(node: LocalKafka, windows: int) -> dict[str, Any]:
    with _service(node, {"max_age_s": 3_600.0, "max_windows": windows}) as service:
        before = _driver(service, 3)
        began = time.monotonic()
        last = before
        while not service.metric("detector_epochs_total"):
            last = usage(service).driver_mb
            time.sleep(1.0)
        seconds = time.monotonic() - began
        after = _driver(service, 10)
    return {
        "long_epoch_driver_mb": round(last - before, 2),
        "long_epoch_returned_mb": round(last - after, 2),
        "long_epoch_windows": windows,
        "long_epoch_seconds": round(seconds, 1),
    }


@contextmanager
def _service(node: LocalKafka, epochs: dict[str, Any]) -> Iterator[ServiceProcess]:
    with tempfile.TemporaryDirectory(prefix="detector-bench-") as name:
        folder = Path(name)
        topics = Topics.create(node.bootstrap)
        service = ServiceProcess(folder, node.bootstrap, topics.settings(epochs=epochs))
        load = LoadProcess(node.bootstrap, topics.logs, folder / "journal", rate=500, alerting=0.02)
        try:
            load.start()
            service.start()
            service.wait_ready()
            yield service
            load.stop()
            service.terminate()
        finally:
            load.close()
            service.close()


def _wait_for_epoch(service: ServiceProcess, number: int) -> None:
    deadline = time.monotonic() + 30
    while service.metric("detector_epochs_total") < number:
        assert time.monotonic() < deadline, f"epoch {number} did not end within 30 s:\n{service.tail()}"
        time.sleep(0.1)


def _driver(service: ServiceProcess, seconds: int) -> float:
    """The driver's memory: the smallest of some seconds, since a collection of garbage may be due."""
    samples = []
    for _ in range(seconds):
        time.sleep(1.0)
        samples.append(usage(service).driver_mb)
    return min(samples)
