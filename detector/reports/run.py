"""Compute a report: Ray Data reads the lake, each block gives partial totals, the driver adds them up."""

from __future__ import annotations

import logging
import os
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as ds
import ray
from ray.data import DataContext
from ray.exceptions import RayError

from detector.alerts.text import printable
from detector.analytics import alerts
from detector.analytics.compliance_tables import CHECKS, INTEGRITY
from detector.analytics.definitions import read_controls, read_objectives
from detector.analytics.masking import masked
from detector.analytics.questions import table_of
from detector.analytics.tables import tables
from detector.analytics.totals import COLUMNS, Totals, pack, partials, unpack
from detector.backfill.chain import Verified, verify
from detector.backfill.run import Request
from detector.backfill.run import run as backfill
from detector.config import Config
from detector.errors import ConfigError, DetectorError, UnreadableError
from detector.reports import site
from detector.reports.compare import compared
from detector.reports.write import describe_changes, summary, write, write_tables
from detector.stream import cluster


@dataclass(frozen=True, slots=True)
class Report:
    """What was computed. text: the summary. dropped: rows of totals that were too many, by question."""

    text: str
    dropped: dict[str, int]


@dataclass(frozen=True, slots=True)
class Options:
    """What a report is held against, and how it is shown.

    slos, controls: YAML files, None: the usual ones. mask: no person is named. pages: whether to write pages beside the
    tables. single_file: each page with all that it needs.
    """

    slos: Path | None = None
    controls: Path | None = None
    mask: bool = False
    pages: bool = True
    single_file: bool = False


DEFAULT = Options()


@dataclass(frozen=True, slots=True)
class Period:
    """A lake, or its days from `first` to `last` (both within)."""

    lake: Path
    first: date | None = None
    last: date | None = None

    @classmethod
    def of(cls, text: str) -> Period:
        """`LAKE` or `LAKE@2026-11-01..2026-11-07`. Raises ConfigError."""
        path, found, days = text.rpartition("@")
        if not found or Path(text).exists():
            return cls(Path(text))
        first, _, last = days.partition("..")
        try:
            return cls(Path(path), date.fromisoformat(first), date.fromisoformat(last or first))
        except ValueError:
            raise ConfigError(f"{printable(text)}: write a period like LAKE@2026-11-01..2026-11-07") from None

    def files(self) -> list[str] | None:
        """Its files; None: all of the lake. Raises ConfigError if there are none."""
        if self.first is None or self.last is None:
            return None
        found = [
            str(path)
            for day in self.lake.glob("day=*")
            if self.first.isoformat() <= day.name.removeprefix("day=") <= self.last.isoformat()
            for path in sorted(day.rglob("*.parquet"))
            if not path.name.startswith((".", "_"))
        ]
        if not found:
            raise ConfigError(f"{printable(str(self.lake))} has no events from {self.first} to {self.last}")
        return found


def run(
    config: Config,
    lake: Path | Period,
    out: Path,
    alerts_of: Path | None = None,
    options: Options = DEFAULT,
) -> Report:
    """Write the report on a lake (of `detector backfill --events`) and, if given, on the alerts of a back-fill.

    pages: whether to write pages beside the tables. single_file: each page with all that it needs.

    Raises:
        ConfigError: there is no such lake or folder, a file of `options` is none, or the packages for pages miss.
        DetectorError: the lake cannot be read.
    """
    if options.pages:
        site.check()
    whole, dropped = compute(config, lake, alerts_of, options)
    write(whole, out)
    if options.pages:
        site.write_site(whole, out, single_file=options.single_file)
    return Report(summary(whole), dropped)


def run_sources(config: Config, sources: Sequence[str], out: Path, alerts_of: Path | None, options: Options) -> Report:
    """Report on a lake, or on what a back-fill, which then runs first, reads (into `out/lake` and `out/backfill`)."""
    if len(sources) == 1 and is_lake((period := Period.of(sources[0])).lake):
        return run(config, period, out, alerts_of, options)
    found = backfill(config, Request(tuple(sources), out / "backfill", out / "lake"))
    report = run(config, out / "lake", out, out / "backfill", options)
    if found.unreadable:
        raise UnreadableError("\n".join(f"{each.name}: {each.reason}" for each in found.unreadable))
    return report


def run_comparison(config: Config, pair: tuple[str, str], out: Path, options: Options) -> Report:
    """Write the reports on two lakes or periods into `out/before` and `out/after`, what differs into `out`."""
    key = secrets.token_bytes(32)  # a pseudonym stands for the same on both sides
    sides: list[dict[str, pa.Table]] = []
    dropped: dict[str, int] = {}
    for name, text in zip(("before", "after"), pair, strict=True):
        whole, left_out = compute(config, Period.of(text), None, options, key)
        write(whole, out / name)
        dropped |= {f"{name} {question}": count for question, count in left_out.items()}
        sides.append(whole)
    changes = compared(*sides)
    write_tables(changes, out)
    return Report(describe_changes(changes), dropped)


def compute(
    config: Config, lake: Path | Period, alerts_of: Path | None, options: Options, key: bytes | None = None
) -> tuple[dict[str, pa.Table], dict[str, int]]:
    """The tables of a lake, and the rows that its totals left out, by question; raises as `run` does.

    key: of the pseudonyms, if persons are masked.
    """
    period = lake if isinstance(lake, Period) else Period(lake)
    found = alerts.read(alerts_of)
    objectives = read_objectives(options.slos)
    read_controls(options.controls, CHECKS)
    with cluster.running(config.ray, readers=max(1, _concurrency(config) - cluster.SPARES)):
        totals = total(period.lake, period.files())
    whole = tables(
        totals,
        found,
        integrity=integrity(verify(period.lake)),
        objectives=objectives,
        controls=options.controls,
    )
    dropped = {name: count for name, count in totals.dropped.items() if count}
    return (masked(whole, key) if options.mask else whole), dropped


def integrity(verified: Verified) -> pa.Table:
    """`lake_integrity`."""
    if not verified.sealed:
        states: dict[str, list[str]] = {"unsealed": verified.added}
    else:
        states = {name: getattr(verified, name) for name in ("intact", "changed", "missing", "added")}
        if verified.broken is not None:
            states["chain broken"] = [f"line {verified.broken}"]
    rows = [{"state": state, "files": len(files), "example": files[0]} for state, files in states.items() if files]
    return table_of(rows, **INTEGRITY)


def total(lake: Path, files: Sequence[str] | None = None) -> Totals:
    """The totals of a lake, or of some of its files; needs a running Ray."""
    totals = Totals()
    columns = _columns(lake)
    context = DataContext.get_current().copy()
    context.enable_progress_bars = False
    context.enable_auto_log_stats = False
    logging.getLogger("ray.data._internal.progress").setLevel(logging.ERROR)  # "progress bars disabled"
    with DataContext.current(context):
        data = ray.data.read_parquet(str(lake) if files is None else list(files), partitioning=None).select_columns(
            columns
        )
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


def is_lake(path: Path) -> bool:
    """Whether a folder holds events that a back-fill wrote."""
    try:
        _columns(path)
    except ConfigError:
        return False
    return True


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
