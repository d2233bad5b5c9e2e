"""Capacity: where utilization and load are heading, how sure that is, and what to do about it."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta

import numpy as np
import pyarrow as pa

from detector.analytics.operations_tables import resource_hours
from detector.analytics.questions import sums, table_of
from detector.analytics.totals import Totals

LIMIT = 0.9
"""Utilization at which a host is full."""
MINIMUM_HOURS = 6
"""Hours of data below which nothing is forecast."""
AHEAD = timedelta(days=7)
_NORMAL_975 = 1.959964
"""The 97.5th percentile of the normal distribution, for an interval that holds 95 %."""


def capacity(totals: Totals) -> pa.Table:
    """A row for each host and resource (a share of 1), and one for the events of all services (an hour).

    A straight line through the means of the hours; low and high bound 95 % of what a single hour may then be.
    """
    series: dict[tuple[str | None, str], list[tuple[datetime, float]]] = defaultdict(list)
    for row in resource_hours(totals.of("resources")).to_pylist():
        series[row["host_name"], row["resource"]].append((row["hour"], row["mean"]))
    load = sums(totals.of("service_hours"), ["hour"], ["count"]).to_pylist()[1:-1]  # the first and last hour are parts
    if load:
        series[None, "events_per_hour"] = [(row["hour"], float(row["count"])) for row in load]
    rows = [_row(subject, resource, points) for (subject, resource), points in series.items()]
    numbers = (
        "current",
        "trend_per_day",
        "forecast_7d",
        "low_7d",
        "high_7d",
        "days_to_limit",
        "days_to_limit_earliest",
    )
    return table_of(
        sorted(rows, key=lambda row: (str(row["resource"]), str(row["subject"] or ""))),
        subject=pa.string(),
        resource=pa.string(),
        hours=pa.int64(),
        **dict.fromkeys(numbers, pa.float64()),
        recommendation=pa.string(),
    )


def line(days: np.ndarray, values: np.ndarray, at: float) -> tuple[float, float, float, float]:
    """Slope, value and standard error of a prediction at `at`, and standard error of the slope: ordinary least squares.

    Formulas: Draper & Smith, Applied Regression Analysis, chapter 1.
    """
    count, middle = len(days), float(days.mean())
    spread = float(((days - middle) ** 2).sum())
    slope = float(((days - middle) * values).sum()) / spread
    start = float(values.mean()) - slope * middle
    residual = values - start - slope * days
    variance = float((residual**2).sum()) / max(1, count - 2)
    error = math.sqrt(variance * (1 + 1 / count + (at - middle) ** 2 / spread))
    return slope, start + slope * at, error, math.sqrt(variance / spread)


def _row(subject: str | None, resource: str, points: Sequence[tuple[datetime, float]]) -> dict[str, object]:
    row: dict[str, object] = {"subject": subject, "resource": resource, "hours": len(points), "current": points[-1][1]}
    if len(points) < MINIMUM_HOURS:
        return row | {"recommendation": f"too little data: {len(points)} hours, at least {MINIMUM_HOURS} are needed"}
    first, last = points[0][0], points[-1][0]
    days = np.array([(hour - first) / timedelta(days=1) for hour, _ in points])
    values = np.array([value for _, value in points])
    now, then = (last - first) / timedelta(days=1), (last - first + AHEAD) / timedelta(days=1)
    slope, value, error, slope_error = line(days, values, then)
    level = line(days, values, now)[1]
    share = resource != "events_per_hour"
    steepest = slope + _NORMAL_975 * slope_error
    row |= {
        "trend_per_day": slope,
        "forecast_7d": max(0.0, value),
        "low_7d": max(0.0, value - _NORMAL_975 * error),
        "high_7d": max(0.0, value + _NORMAL_975 * error),
        "days_to_limit": _days(level, slope) if share else None,
        "days_to_limit_earliest": _days(level, steepest) if share else None,
    }
    certain = abs(slope) > _NORMAL_975 * slope_error
    return row | {"recommendation": _utilization(row, level, certain) if share else _load(row, level, certain)}


def _days(level: float, slope: float) -> float | None:
    if level >= LIMIT:
        return 0.0
    return (LIMIT - level) / slope if slope > 0 else None


def _utilization(row: dict[str, object], level: float, certain: bool) -> str:
    days, earliest = row["days_to_limit"], row["days_to_limit_earliest"]
    if level >= LIMIT:
        return f"full: {level:.0%} in use, add capacity or move load now"
    if certain and isinstance(days, float) and days <= 30:
        return f"{LIMIT:.0%} is reached in about {days:.0f} days (earliest {earliest:.0f}): add capacity before"
    if certain and isinstance(days, float):
        return f"growing slowly: {LIMIT:.0%} is reached in about {days:.0f} days, plan for it"
    if level < 0.2 and float(str(row["high_7d"])) < 0.5:
        return f"{level:.0%} in use and not growing: it could be smaller"
    return "no clear growth: nothing to do, look again next week"


def _load(row: dict[str, object], level: float, certain: bool) -> str:
    change = float(str(row["forecast_7d"])) / level - 1 if level > 0 else -1.0
    if certain and change > 0.1:
        return f"load will be {change:.0%} higher in 7 days: check that the services have as much to spare"
    if certain and change < -0.1:
        return f"load will be {-change:.0%} lower in 7 days: replicas could be fewer"
    return "load shows no clear trend: keep what is there"
