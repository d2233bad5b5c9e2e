"""Tables about services: health, errors and what began them, bottlenecks, utilization."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from detector.analytics.questions import TIME, quantile, renamed, sums, table_of
from detector.analytics.totals import Totals

CLASS = ("service", "exception", "status", "template")
PARTS = 100
"""The time of the data is cut into so many parts, of a minute at least, to see when errors rise."""
SURGE = 3.0
"""A part with so many times the usual errors of a class, and with at least SURGE_MINIMUM, begins a surge."""
SURGE_MINIMUM = 5
EPISODE = timedelta(minutes=15)
"""Surges that begin within this time (or two parts) of the one before belong together."""
MINUTE = timedelta(minutes=1)
BEFORE = timedelta(minutes=30)
"""A deployment so long before the first surge of an episode is named with it."""

Row = dict[str, Any]
Period = tuple[datetime, datetime]


def operations(totals: Totals) -> dict[str, pa.Table]:
    """All tables of this module, by name."""
    return {
        "service_health": health(totals.of("service_hours"), totals.of("durations")),
        "service_hourly": _hourly(totals.of("service_hours")),
        "error_classes": _classes(totals.of("error_minutes"), totals.of("service_hours")),
        "root_causes": root_causes(totals.of("error_minutes"), totals.of("deployments"), _period(totals)),
        "deployments": renamed(
            totals.of("deployments").sort_by([("minute", "ascending"), ("service", "ascending")]),
            time="minute",
            service_name="service",
            deployment="deployment",
            events="count",
        ),
        "bottlenecks": _bottlenecks(totals.of("operations")),
        "resource_utilization": _utilization(totals.of("resources")),
        "resource_hourly": resource_hours(totals.of("resources")),
    }


def health(services: pa.Table, durations: pa.Table) -> pa.Table:
    """How each service does; response times in milliseconds, throughput in events a second while there were any."""
    times: dict[str | None, list[tuple[int, int]]] = defaultdict(list)
    for row in durations.sort_by("duration").to_pylist():
        times[row["service"]].append((row["duration"], row["count"]))
    rows: list[Row] = []
    for row in sums(services, ["service"], ["count", "wrong", "broken", "timed", "micros"]).to_pylist():
        values, counts = zip(*times.get(row["service"], []), strict=True) if row["service"] in times else ((), ())
        quantiles = {
            f"response_time_p{percent}": _milliseconds(quantile(values, counts, percent / 100))
            for percent in (50, 90, 95, 99)
        }
        seconds = max(1.0, (row["last"] - row["first"]).total_seconds())
        rows.append(
            {
                "service_name": row["service"],
                "events": row["count"],
                "error_rate": row["wrong"] / row["count"],
                "availability": 1 - row["broken"] / row["count"],
                "response_time_mean": row["micros"] / row["timed"] / 1_000 if row["timed"] else None,
                **quantiles,
                "throughput": row["count"] / seconds,
                "first_seen": row["first"],
                "last_seen": row["last"],
            }
        )
    times_of = dict.fromkeys(
        ("response_time_mean", *(f"response_time_p{percent}" for percent in (50, 90, 95, 99))), pa.float64()
    )
    return table_of(
        sorted(rows, key=lambda row: (-row["events"], row["service_name"] or "")),
        service_name=pa.string(),
        events=pa.int64(),
        error_rate=pa.float64(),
        availability=pa.float64(),
        **times_of,
        throughput=pa.float64(),
        first_seen=TIME,
        last_seen=TIME,
    )


def root_causes(minutes: pa.Table, deployments: pa.Table, period: Period | None) -> pa.Table:
    """Episodes of rising errors, each with what rose first and the deployments before it."""
    part = max(MINUTE, (period[1] - period[0]) // PARTS // MINUTE * MINUTE) if period else MINUTE
    surges = sorted(_surges(minutes, period, part), key=lambda row: (row["start"], str(row)))
    episodes: list[list[Row]] = []
    for surge in surges:
        if not episodes or surge["start"] - episodes[-1][-1]["start"] > max(EPISODE, 2 * part):
            episodes.append([])
        episodes[-1].append(surge)
    changes = deployments.sort_by("minute").to_pylist()
    rows: list[dict[str, Any]] = []
    for episode in episodes:
        first = episode[0]
        near = [each for each in changes if first["start"] - BEFORE <= each["minute"] <= first["start"]]
        named = "; ".join(f"{each['minute']:%H:%M} {each['service']}: {each['deployment']}" for each in near[-5:])
        rows.append(
            {
                "started": first["start"],
                "service_name": first["service"],
                "exception": first["exception"],
                "status_code": first["status"],
                "message_template": first["template"],
                "errors_per_minute": first["peak"] / (part / MINUTE),
                "usual_per_minute": first["usual"] / (part / MINUTE),
                "deployments_before": named or None,
                "followed_by": len(episode) - 1,
                "services_affected": len({each["service"] for each in episode}),
                "likely_cause": _cause(first, near),
            }
        )
    return table_of(
        rows,
        started=TIME,
        service_name=pa.string(),
        exception=pa.string(),
        status_code=pa.int64(),
        message_template=pa.string(),
        errors_per_minute=pa.float64(),
        usual_per_minute=pa.float64(),
        deployments_before=pa.string(),
        followed_by=pa.int64(),
        services_affected=pa.int64(),
        likely_cause=pa.string(),
    )


def resource_hours(resources: pa.Table) -> pa.Table:
    """Utilization (0 to 1) by host, resource and hour."""
    rows: list[dict[str, Any]] = [
        {
            "host_name": row["host"],
            "resource": name,
            "hour": row["hour"],
            "samples": row[f"{name}_samples"],
            "mean": row[name] / row[f"{name}_samples"],
            "peak": row[f"max_{name}"],
        }
        for row in resources.to_pylist()
        for name in ("cpu", "memory", "disk")
        if row[f"{name}_samples"]
    ]
    return table_of(
        sorted(rows, key=lambda row: (row["host_name"] or "", row["resource"], row["hour"])),
        host_name=pa.string(),
        resource=pa.string(),
        hour=TIME,
        samples=pa.int64(),
        mean=pa.float64(),
        peak=pa.float64(),
    )


def _utilization(resources: pa.Table) -> pa.Table:
    found: dict[tuple[str, str], Row] = {}
    for row in resource_hours(resources).to_pylist():
        own = found.setdefault(
            (row["host_name"], row["resource"]), {"samples": 0, "sum": 0.0, "peak": 0.0, "latest": None}
        )
        own["samples"] += row["samples"]
        own["sum"] += row["mean"] * row["samples"]
        own["peak"] = max(own["peak"], row["peak"])
        own["latest"] = row["mean"]
    rows: list[dict[str, Any]] = [
        {
            "host_name": host,
            "resource": name,
            "samples": own["samples"],
            "mean": own["sum"] / own["samples"],
            "peak": own["peak"],
            "latest": own["latest"],
        }
        for (host, name), own in found.items()
    ]
    return table_of(
        sorted(rows, key=lambda row: (-row["peak"], row["host_name"] or "", row["resource"])),
        host_name=pa.string(),
        resource=pa.string(),
        samples=pa.int64(),
        mean=pa.float64(),
        peak=pa.float64(),
        latest=pa.float64(),
    )


def _hourly(services: pa.Table) -> pa.Table:
    ordered = services.sort_by([("service", "ascending"), ("hour", "ascending")])
    micros, timed = ordered["micros"].cast(pa.float64()), ordered["timed"].cast(pa.float64())
    mean = pc.if_else(
        pc.greater(timed, 0.0), pc.divide(pc.divide(micros, pc.max_element_wise(timed, 1.0)), 1_000.0), None
    )
    found = renamed(ordered, service_name="service", hour="hour", events="count", errors="wrong", failures="broken")
    return found.append_column("response_time_mean", mean)


def _classes(minutes: pa.Table, services: pa.Table) -> pa.Table:
    """Errors by class; trend compares the second half of the time in which its service has events with the first."""
    middle = {
        row["service"]: row["first"] + (row["last"] - row["first"]) / 2
        for row in sums(services, ["service"], []).to_pylist()
    }
    after: dict[tuple[Any, ...], int] = defaultdict(int)
    for row in minutes.to_pylist():
        if row["minute"] >= middle[row["service"]]:
            after[_class(row)] += row["count"]
    rows: list[dict[str, Any]] = [
        {
            "service_name": row["service"],
            "exception": row["exception"],
            "status_code": row["status"],
            "message_template": row["template"],
            "errors": row["count"],
            "first_seen": row["first"],
            "last_seen": row["last"],
            "trend": trend(row["count"] - after[_class(row)], after[_class(row)]),
        }
        for row in sums(minutes, CLASS, ["count"]).to_pylist()
    ]
    return table_of(
        sorted(rows, key=lambda row: -row["errors"]),
        service_name=pa.string(),
        exception=pa.string(),
        status_code=pa.int64(),
        message_template=pa.string(),
        errors=pa.int64(),
        first_seen=TIME,
        last_seen=TIME,
        trend=pa.string(),
    )


def trend(before: int, after: int) -> str:
    """new, rising, steady, falling or gone: steady while the halves differ by less than two standard deviations."""
    if not before or not after:
        return "new" if after else "gone"
    if abs(after - before) <= 2 * math.sqrt(before + after):
        return "steady"
    return "rising" if after > before else "falling"


def _surges(minutes: pa.Table, period: Period | None, part: timedelta) -> list[Row]:
    """The first surge of each class: a part of the time with far more of its errors than there usually are."""
    if period is None:
        return []
    start = period[0].replace(second=0, microsecond=0)
    length = (period[1] - start) // part + 1
    counts: dict[tuple[Any, ...], dict[int, int]] = defaultdict(lambda: defaultdict(int))
    begin: dict[tuple[Any, ...], dict[int, datetime]] = defaultdict(dict)
    for row in minutes.sort_by("minute").to_pylist():
        key, place = _class(row), (row["minute"] - start) // part
        counts[key][place] += row["count"]
        begin[key].setdefault(place, row["minute"])
    found = []
    for key, by_part in counts.items():
        usual = _median(list(by_part.values()), length)
        threshold = max(SURGE_MINIMUM, SURGE * usual + 3 * math.sqrt(usual))
        risen = [place for place, count in sorted(by_part.items()) if count >= threshold]
        if risen and length > 1:
            row = dict(zip(CLASS, key, strict=True))
            found.append(row | {"start": begin[key][risen[0]], "usual": usual, "peak": max(by_part.values())})
    return found


def _median(values: Sequence[int], length: int) -> float:
    """Of parts, those without errors among them."""
    ordered = [0] * (length - len(values)) + sorted(values)
    return float(ordered[length // 2])


def _cause(first: Row, near: Sequence[Row]) -> str:
    what = first["exception"] or (f"status {first['status']}" if first["status"] is not None else "errors")
    said = f' "{first["template"]}"' if first["template"] else ""
    text = f"{what}{said} in {first['service']} rose first, at {first['start']:%Y-%m-%d %H:%M}"
    own = [each for each in near if each["service"] == first["service"]] or list(near)
    if own:
        minutes = int((first["start"] - own[-1]["minute"]) / timedelta(minutes=1))
        text += f", {minutes} minutes after a deployment of {own[-1]['service']} ({own[-1]['deployment']})"
    return text


def _bottlenecks(operations: pa.Table) -> pa.Table:
    """Where the time goes: operations by the sum of their response times (milliseconds)."""
    total = pc.sum(operations["micros"]).as_py() or 0
    rows: list[dict[str, Any]] = [
        {
            "service_name": row["service"],
            "method": row["method"],
            "route": row["route"],
            "requests": row["count"],
            "response_time_mean": row["micros"] / row["count"] / 1_000,
            "response_time_max": row["max_micros"] / 1_000,
            "share_of_time": row["micros"] / total if total else 0.0,
        }
        for row in operations.to_pylist()
    ]
    return table_of(
        sorted(rows, key=lambda row: -row["share_of_time"])[:1_000],
        service_name=pa.string(),
        method=pa.string(),
        route=pa.string(),
        requests=pa.int64(),
        response_time_mean=pa.float64(),
        response_time_max=pa.float64(),
        share_of_time=pa.float64(),
    )


def _period(totals: Totals) -> Period | None:
    hours = totals.of("hours")
    return (pc.min(hours["first"]).as_py(), pc.max(hours["last"]).as_py()) if hours.num_rows else None


def _class(row: Row) -> tuple[Any, ...]:
    return tuple(row[name] for name in CLASS)


def _milliseconds(micros: int | None) -> float | None:
    return None if micros is None else micros / 1_000
