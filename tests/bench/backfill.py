"""Old logs from files: parse to a lake, alerts of all rules, a report, and the memory of it.

Generated access-log lines on all cores; times are those after Ray's start.
- parse_lines_per_second: text to a lake in Parquet, without rules; parse_ratio_ray_re: against a plain Ray
  `map_batches` with Python's `re`, as a tutorial would write it, over the first part of the same file.
- alerts_lines_per_second: the built-in rules, and SigmaHQ's where the corpora are.
- report_events_per_second: the whole report from the lake. filter_rows_per_second, aggregate_rows_per_second: Ray
  Data's own filter (status 400 and more) and groupby (status) over the lake.
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

from detector.backfill.run import Request
from detector.backfill.run import run as backfill
from detector.config import Config, Rules
from detector.reports import run as reports
from detector.stream import cluster
from tests.bench.quality import CORPORA
from tests.sigmahq import sources

LINES = 10_000_000
SHORT_LINES = 200_000
PEER_LINES = 500_000
ATTACKS_EVERY = 5_000
MB = 1 << 20

_AGENT = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0 Safari/537.36"
_BLOCK = 100_000
_COMBINED = re.compile(
    r'(?P<ip>\S+) (?P<ident>\S+) (?P<user>\S+) \[(?P<time>[^\]]+)\] "(?P<method>\S+) (?P<url>\S+) (?P<protocol>[^"]+)" '
    r'(?P<status>\d{3}) (?P<size>\d+|-) "(?P<referrer>[^"]*)" "(?P<agent>[^"]*)"'
)

Figures = dict[str, float]


def run(*, short: bool) -> Figures:
    """Measure."""
    lines = SHORT_LINES if short else LINES
    with tempfile.TemporaryDirectory(prefix="bench-backfill-") as name:
        folder = Path(name)
        log, sample = folder / "access.log", folder / "sample.log"
        _generate(log, lines)
        _generate(sample, min(lines, PEER_LINES))
        figures = _parse(folder, log, lines)
        figures["parse_ratio_ray_re"] = round(figures["parse_lines_per_second"] / _tutorial(sample), 2)
        return figures | _alerts(folder, log, lines) | _report(folder, lines)


def _parse(folder: Path, log: Path, lines: int) -> Figures:
    config = Config(rules=Rules(builtin=False))
    summary = backfill(config, Request((f"{log}=apache_combined",), folder / "parsed", folder / "lake"))
    assert summary.evaluated == lines
    return {"parse_lines_per_second": round(lines / summary.seconds)}


def _alerts(folder: Path, log: Path, lines: int) -> Figures:
    paths = (_web_rules(folder / "rules"),) if CORPORA.is_dir() else ()
    with _memory() as peak:
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
    import ray
    from ray.data.expressions import col

    figures: Figures = {}
    with cluster.running(Config().ray, readers=max(1, (os.cpu_count() or 1) - cluster.SPARES)):
        started = time.monotonic()
        reports.total(folder / "lake")
        figures["report_events_per_second"] = round(lines / (time.monotonic() - started))
        status = ray.data.read_parquet(str(folder / "lake"), partitioning=None).select_columns(
            ["http.response.status_code"]
        )
        status = status.rename_columns({"http.response.status_code": "status"})
        started = time.monotonic()
        assert status.filter(expr=col("status") >= 400).count() > 0
        figures["filter_rows_per_second"] = round(lines / (time.monotonic() - started))
        started = time.monotonic()
        assert sum(row["count()"] for row in status.groupby("status").count().take_all()) == lines
        figures["aggregate_rows_per_second"] = round(lines / (time.monotonic() - started))
    return figures


def _tutorial(log: Path) -> float:
    """Lines a second of what a tutorial would write."""
    import ray

    def parse(batch: dict[str, Any]) -> dict[str, Any]:
        found = [match.groupdict() for text in batch["text"] if (match := _COMBINED.match(text))]
        return {name: [row[name] for row in found] for name in _COMBINED.groupindex}

    with cluster.running(Config().ray, readers=max(1, (os.cpu_count() or 1) - cluster.SPARES)):
        started = time.monotonic()
        count = ray.data.read_text(str(log)).map_batches(parse).count()
        return float(count / (time.monotonic() - started))


def _generate(path: Path, lines: int) -> None:
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
def _memory() -> Iterator[Callable[[], float]]:
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
