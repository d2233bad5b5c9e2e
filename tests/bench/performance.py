"""The stages of a back-fill and a report, on one core and on two: throughput and memory.

`python -m tests.docs.performance` puts the figures into `docs/performance.md`.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from detector.analytics import alerts as alert_files
from detector.analytics.tables import tables
from detector.backfill.run import Request
from detector.backfill.run import run as backfill
from detector.config import Backfill, Config, Rules
from detector.reports import run as reports
from tests.bench import backfill as bench

LINES = 1_000_000
SHORT_LINES = 20_000
CORES = (1, 2)
STAGES = ("ingestion", "parsing", "detection", "filtering", "aggregation", "anomalies", "report")


def run(*, short: bool) -> dict[str, float]:
    """Measure: `STAGE_CORES_per_second` and `STAGE_CORES_mb` (the peak of all processes with the object store)."""
    lines = SHORT_LINES if short else LINES
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="bench-performance-") as name:
        folder = Path(name)
        log = folder / "access.log"
        bench.generate(log, lines)
        for cores in CORES:
            for stage, seconds, memory in _stages(folder / str(cores), log, cores):
                figures[f"{stage}_{cores}_per_second"] = round(lines / seconds)
                figures[f"{stage}_{cores}_mb"] = round(memory)
    return figures


def _stages(folder: Path, log: Path, cores: int) -> list[tuple[str, float, float]]:
    own = Backfill(concurrency=cores)
    parsing = Config(rules=Rules(builtin=False), backfill=own)
    source = (f"{log}=apache_combined",)
    folder.mkdir()
    import ray

    lake = folder / "lake"
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, set(sorted(allowed)[:cores]))  # processes that Ray starts inherit it
    # With a single slot, the task that lists files keeps out those that read them.
    ray.init(
        address="local", num_cpus=cores + 1, include_dashboard=False, object_store_memory=256 << 20, log_to_driver=False
    )
    try:  # what is connected already is what a back-fill and a report use
        return [
            _filled("ingestion", parsing, Request(source, folder / "read")),
            _filled("parsing", parsing, Request(source, folder / "parsed", lake)),
            _filled("detection", Config(backfill=own), Request(source, folder / "found")),
            _timed("filtering", lambda: bench.filtered(lake)),
            _timed("aggregation", lambda: bench.aggregated(lake)),
            _timed("anomalies", lambda: bench.anomalous(lake)),
            _timed("report", lambda: tables(reports.total(lake), alert_files.read(None))),
        ]
    finally:
        ray.shutdown()
        os.sched_setaffinity(0, allowed)


def _filled(stage: str, config: Config, request: Request) -> tuple[str, float, float]:
    with bench.memory() as peak:
        summary = backfill(config, request)
    return stage, summary.seconds, peak()


def _timed(stage: str, work: Callable[[], object]) -> tuple[str, float, float]:
    with bench.memory() as peak:
        started = time.monotonic()
        work()
        seconds = time.monotonic() - started
    return stage, seconds, peak()
