"""Parts of the pages on services: health, objectives, bottlenecks, resources, capacity, causes of errors."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from detector.analytics.tables import Tables
from detector.reports.charts import Chart, Column, Grid, Trace, bars, label, line, times
from detector.reports.layout import Section
from detector.reports.pages.common import grid, whole

_MAX_LINES = 8
_PALETTE = ("$c1", "$c2", "$c3", "$c4", "$c5", "$c6", "$c7", "$c8")
_RESOURCES = "No event tells how busy a host is: metrics of the host can be logged as events."


def services(tables: Tables) -> Section:
    """How services do, and what takes their time."""
    return Section(
        "Services",
        [
            ("Health of services", whole(tables, "service_health")),
            ("Objectives", whole(tables, "slos")),
            _burn(tables),
            _bottlenecks(tables),
        ],
    )


def resources(tables: Tables) -> Section:
    """How full hosts are, and when they will be."""
    return Section(
        "Resources and capacity",
        [
            _utilization(tables),
            ("Utilization", whole(tables, "resource_utilization")),
            ("Forecast", whole(tables, "capacity_forecast", "subject", "resource", "recommendation")),
        ],
    )


def causes(tables: Tables) -> Section:
    """What fails in which way, and what changed first."""
    return Section(
        "Classes and causes",
        [
            (
                "Episodes of rising errors, with their likely cause",
                whole(tables, "root_causes", "started", "service_name", "likely_cause"),
            ),
            ("Classes of errors", whole(tables, "error_classes")),
            ("Deployments", whole(tables, "deployments")),
        ],
    )


def _bottlenecks(tables: Tables) -> Chart:
    rows = whole(tables, "bottlenecks")
    known = rows.table
    if known.num_rows:
        names = [
            " ".join(str(row[name]) for name in ("service_name", "method", "route") if row[name])
            for row in known.select(["service_name", "method", "route"]).to_pylist()
        ]
        percent = pc.round(pc.multiply(known["share_of_time"], 100.0), ndigits=2)
        known = known.append_column("name", pa.array(names, pa.string())).append_column("percent", percent)
    shown = Grid("bottlenecks", rows.columns, known)
    about = "Routes by their share of the time that all requests took, in percent."
    missing = "No event tells how long it took."
    return bars(
        "bottlenecks", "Bottlenecks", about, shown, ("name", "percent"), colour="$c2", missing=missing, wide=True
    )


def _burn(tables: Tables) -> Chart:
    rows = grid(
        tables,
        "slo_burn_hourly",
        Column("slo", "Objective"),
        Column("service_name", "Service"),
        Column("hour", "Hour", "time"),
        Column("burn_rate", "Burn rate", "number"),
    )
    about = "How fast the services that burn most use up their error budget: at 1, it lasts exactly for the period."
    traces = _lines(rows.table, ("slo", "service_name"), "burn_rate")
    layout = _timed("burn rate")
    return Chart("burn", "Burn rate", about, traces, rows, layout, wide=True, missing="No service has events.")


def _utilization(tables: Tables) -> Chart:
    rows = grid(
        tables,
        "resource_hourly",
        Column("host_name", "Host"),
        Column("resource", "Resource"),
        Column("hour", "Hour", "time"),
        Column("mean", "Mean", "share"),
        Column("peak", "Peak", "share"),
    )
    about = "Mean utilization by hour of the resources that are used most; 1 is full."
    traces = _lines(rows.table, ("host_name", "resource"), "mean")
    layout = _timed("of 1")
    return Chart("resources", "Utilization over time", about, traces, rows, layout, wide=True, missing=_RESOURCES)


def _timed(title: str) -> dict[str, object]:
    axis = {"rangemode": "tozero", "title": {"text": title}}
    return {"xaxis": {"type": "date"}, "yaxis": axis, "showlegend": True}


def _lines(table: pa.Table, keys: tuple[str, str], value: str) -> list[Trace]:
    """A line for each pair of keys, of those with the largest values."""
    if not table.num_rows:
        return []
    largest = table.group_by(list(keys), use_threads=False).aggregate([(value, "max")])
    order = [(f"{value}_max", "descending"), *((key, "ascending") for key in keys)]
    found = []
    for row, colour in zip(largest.sort_by(order).slice(0, _MAX_LINES).to_pylist(), _PALETTE, strict=False):
        one, other = keys
        of_pair = table.filter(pc.and_(pc.equal(table[one], row[one]), pc.equal(table[other], row[other])))
        drawn = of_pair.sort_by("hour")
        drawn = drawn.slice(max(0, drawn.num_rows - 700))  # a month, so that eight lines stay small
        values = pc.round(drawn[value], ndigits=4).to_pylist()
        name = f"{label(row[one])} {label(row[other])}"
        found.append(line(name, times(drawn["hour"]), values, colour, hovertemplate="%{y}"))
    return found
