"""Compute a report: Ray Data reads the lake, each block gives partial totals, the driver adds them up."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as ds
import ray
from ray.data import DataContext
from ray.exceptions import RayError

from detector.alerts.text import printable
from detector.analytics import alerts
from detector.analytics.tables import tables
from detector.analytics.totals import COLUMNS, Totals, pack, partials, unpack
from detector.config import Config
from detector.errors import ConfigError, DetectorError
from detector.reports import site
from detector.reports.write import summary, write
from detector.stream import cluster


@dataclass(frozen=True, slots=True)
class Report:
    """What was computed. text: the summary. dropped: rows of totals that were too many, by question."""

    text: str
    dropped: dict[str, int]


def run(
    config: Config,
    lake: Path,
    out: Path,
    alerts_of: Path | None = None,
    *,
    pages: bool = True,
    single_file: bool = False,
) -> Report:
    """Write the report on a lake (of `detector backfill --events`) and, if given, on the alerts of a back-fill.

    pages: whether to write pages beside the tables. single_file: each page with all that it needs.

    Raises:
        ConfigError: there is no such lake or folder, or the packages for pages are missing.
        DetectorError: the lake cannot be read.
    """
    if pages:
        site.check()
    found = alerts.read(alerts_of)
    with cluster.running(config.ray, readers=max(1, _concurrency(config) - cluster.SPARES)):
        totals = total(lake)
    whole = tables(totals, found)
    write(whole, out)
    if pages:
        site.write_site(whole, out, single_file=single_file)
    return Report(summary(whole), {name: count for name, count in totals.dropped.items() if count})


def total(lake: Path) -> Totals:
    """The totals of a lake; needs a running Ray."""
    totals = Totals()
    columns = _columns(lake)
    context = DataContext.get_current().copy()
    context.enable_progress_bars = False
    context.enable_auto_log_stats = False
    logging.getLogger("ray.data._internal.progress").setLevel(logging.ERROR)  # "progress bars disabled"
    with DataContext.current(context):
        data = ray.data.read_parquet(str(lake), partitioning=None).select_columns(columns)
        batches = data.map_batches(_partials, batch_format="pyarrow", batch_size=None)
    try:
        for batch in batches.iter_batches(batch_format="pyarrow", batch_size=None, prefetch_batches=0):
            for name, part in unpack(batch):
                totals.add(name, part)
    except RayError as error:
        reason = str(error).strip().rpartition("\n")[2]
        raise DetectorError(f"the lake {lake} cannot be read ({reason[:500]})") from error
    return totals


def _partials(events: pa.Table) -> pa.Table:
    return pack(partials(events))


def _columns(lake: Path) -> list[str]:
    try:
        names = ds.dataset(lake, format="parquet", exclude_invalid_files=False).schema.names
    except (OSError, ValueError) as error:
        raise ConfigError(f"{printable(str(lake))} is no lake: {str(error).splitlines()[0]}") from error
    if "event.format" not in names:
        raise ConfigError(f"{printable(str(lake))} is no lake: write one with `detector backfill SOURCE --events DIR`")
    return [name for name in COLUMNS if name in names]


def _concurrency(config: Config) -> int:
    return config.backfill.concurrency or os.cpu_count() or 1
