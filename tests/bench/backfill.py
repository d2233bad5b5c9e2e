"""Old logs from files: parse to a lake, alerts of all rules, a report, and the memory of it.

Generated access-log lines on all cores; times are those after Ray's start.
- parse_lines_per_second: text to a lake in Parquet, without rules. parse_ratio_ray_re, _duckdb, _polars: against a
  plain Ray `map_batches` with Python's `re`, as a tutorial would write it, over the first part of the same file, and
  against the regular expressions of DuckDB and polars, to Parquet, over the same file.
- alerts_lines_per_second: the built-in rules, and SigmaHQ's where the corpora are.
- report_events_per_second: the totals of the whole report from the lake, and its tables. report_ratio_duckdb: against
  DuckDB's time for those of the totals that have rows. filter_rows_per_second, aggregate_rows_per_second: Ray Data's
  own filter (status 400 and more) and groupby (status) over the lake. anomaly_events_per_second: the
  totals for anomalies.
- peak_memory_mb: PSS of all processes, with the object store, while alerts are looked for.
"""

from __future__ import annotations

import os
import re
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

import psutil
import pyarrow as pa
import pyarrow.compute as pc

from detector.analytics import alerts as alert_files
from detector.analytics import series, traffic
from detector.analytics.tables import ERROR_RATE_FAILURES, size_above, tables
from detector.analytics.totals import Totals, pack, unpack
from detector.backfill.run import Request
from detector.backfill.run import run as backfill
from detector.config import Config, Rules
from detector.reports import run as reports
from detector.stream import cluster
from tests.bench import backfill_peers as peers
from tests.bench.quality import CORPORA
from tests.sigmahq import sources

LINES = 10_000_000
SHORT_LINES = 1_000_000
PEER_LINES = 500_000
ATTACKS_EVERY = 5_000
MB = 1 << 20

_AGENT = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0 Safari/537.36"
_BLOCK = 100_000
Figures = dict[str, float]


def run(*, short: bool) -> Figures:
    """Measure."""
    lines = SHORT_LINES if short else LINES
    with tempfile.TemporaryDirectory(prefix="bench-backfill-") as name:
        folder = Path(name)
        log, sample = folder / "access.log", folder / "sample.log"
        generate(log, lines)
        generate(sample, min(lines, PEER_LINES))
        figures = _parse(folder, log, lines)
        rate, cores = figures["parse_lines_per_second"], os.cpu_count() or 1
        with cluster.running(Config().ray, readers=max(1, cores - cluster.SPARES)):
            figures["parse_ratio_ray_re"] = round(rate / peers.ray_parse(sample), 2)
        figures["parse_ratio_duckdb"] = round(rate / peers.duckdb_parse(log, folder / "duckdb.parquet", cores), 2)
        figures["parse_ratio_polars"] = round(rate / peers.polars_parse(log, folder / "polars.parquet"), 2)
        return figures | _alerts(folder, log, lines) | _report(folder, lines)


def _parse(folder: Path, log: Path, lines: int) -> Figures:
    config = Config(rules=Rules(builtin=False))
    summary = backfill(config, Request((f"{log}=apache_combined",), folder / "parsed", folder / "lake"))
    assert summary.evaluated == lines
    return {"parse_lines_per_second": round(lines / summary.seconds)}


def _alerts(folder: Path, log: Path, lines: int) -> Figures:
    paths = (_web_rules(folder / "rules"),) if CORPORA.is_dir() else ()
    with memory() as peak:
        summary = backfill(Config(rules=Rules(paths=paths)), Request((f"{log}=apache_combined",), folder / "found"))
    assert sum(summary.alerts.values()) >= lines // ATTACKS_EVERY
    return {"alerts_lines_per_second": round(lines / summary.seconds), "peak_memory_mb": round(peak())}


def _web_rules(folder: Path) -> Path:
    """SigmaHQ's rules for web servers and proxies."""
    folder.mkdir()
    for number, source in enumerate(sources()):
        if re.search(rb"category: *(webserver|proxy)", source.text):
            (folder / f"{number}.yml").write_bytes(source.text)
    return folder


def _report(folder: Path, lines: int) -> Figures:
    figures: Figures = {}
    with cluster.running(Config().ray, readers=max(1, (os.cpu_count() or 1) - cluster.SPARES)):
        started = time.monotonic()
        tables(reports.total(folder / "lake"), alert_files.read(None))
        rate = lines / (time.monotonic() - started)
        figures["report_events_per_second"] = round(rate)
        duckdb = peers.duckdb_totals(folder / "lake", lines, os.cpu_count() or 1)
        figures["report_ratio_duckdb"] = round(rate / duckdb, 2)
        started = time.monotonic()
        assert anomalous(folder / "lake") > 0
        figures["anomaly_events_per_second"] = round(lines / (time.monotonic() - started))
        started = time.monotonic()
        assert filtered(folder / "lake") > 0
        figures["filter_rows_per_second"] = round(lines / (time.monotonic() - started))
        started = time.monotonic()
        assert aggregated(folder / "lake") == lines
        figures["aggregate_rows_per_second"] = round(lines / (time.monotonic() - started))
    return figures


def filtered(lake: Path) -> int:
    """How many responses have status 400 or more, by Ray Data's filter; needs a running Ray."""
    from ray.data.expressions import col

    return int(_statuses(lake).filter(expr=col("status") >= 400).count())


def aggregated(lake: Path) -> int:
    """How many events there are, by Ray Data's groupby of their status; needs a running Ray."""
    return sum(row["count()"] for row in _statuses(lake).groupby("status").count().take_all())


def _statuses(lake: Path) -> Any:
    import ray

    status = ray.data.read_parquet(str(lake), partitioning=None).select_columns(["http.response.status_code"])
    return status.rename_columns({"http.response.status_code": "status"})


def anomalous(lake: Path) -> int:
    """The number of responses above the 99th percentile and of addresses with many errors."""
    import ray

    columns = [name for name in traffic.AREA.columns if name not in series.COLUMNS and name != "url.path"]
    totals = Totals()
    data = ray.data.read_parquet(str(lake), partitioning=None).select_columns(columns)
    for batch in data.map_batches(_outliers, batch_format="pyarrow", batch_size=None).iter_batches(
        batch_format="pyarrow", batch_size=None, prefetch_batches=0
    ):
        for name, part in unpack(batch):
            totals.add(name, part)
    failing = totals.of("addresses").filter(pc.greater(totals.of("addresses")["failed"], ERROR_RATE_FAILURES))
    return size_above(totals.of("sizes"), 0.99)[1] + int(failing.num_rows)


def _outliers(events: pa.Table) -> pa.Table:
    answers = traffic.AREA.answer(events, ("addresses", "sizes"))
    return pack(answers)


def generate(path: Path, lines: int) -> None:
    random = Random(1)
    with path.open("wb") as file:
        for start in range(0, lines, _BLOCK):
            block = [_line(number, random) for number in range(start, min(start + _BLOCK, lines))]
            file.write("".join(block).encode())


def _line(number: int, random: Random) -> str:
    attack = number % ATTACKS_EVERY == ATTACKS_EVERY // 2
    url = "/item?id=1%20UNION%20SELECT%20password%20FROM%20users" if attack else f"/item/{random.randrange(10**6)}"
    time_of_day = f"{number // 3600 % 24:02}:{number // 60 % 60:02}:{number % 60:02}"
    status = 404 if number % 9 == 0 else 200
    return (
        f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255} - - [24/Nov/2026:{time_of_day} +0000] "
        f'"GET {url} HTTP/1.1" {status} {random.randrange(50_000)} "https://shop.example/c/{number % 999}" "{_AGENT}"\n'
    )


@contextmanager
def memory() -> Iterator[Callable[[], float]]:
    """The peak of the memory of this process and all below it, MiB, while it is entered."""
    peak = 0.0
    over = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not over.wait(0.5):
            peak = max(peak, _pss())

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield lambda: peak
    finally:
        over.set()
        thread.join()


def _pss() -> float:
    """Of all processes; shared pages, those of the object store too, count once."""
    total = 0
    own = psutil.Process()
    for process in (own, *own.children(recursive=True)):
        try:
            total += process.memory_full_info().pss
        except psutil.Error:  # it ended while we looked
            continue
    return total / MB
