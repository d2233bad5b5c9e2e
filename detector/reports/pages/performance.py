"""`performance_dashboard.html`: response times and throughput."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from detector.analytics.questions import quantile
from detector.analytics.tables import Tables
from detector.reports.charts import Chart, Column, Grid, bars, coarser, line, times, without_gaps
from detector.reports.layout import Card, Page, Section
from detector.reports.pages.common import TIMED, compact, distribution, grid, health, total
from detector.reports.pages.operations import resources, services


def page(tables: Tables) -> Page:
    """The page, from `response_times*`, `traffic_hourly`, `service_health` and `log_quality`."""
    bins = tables["response_times"]
    values, counts = bins["response_ms"].to_pylist(), bins["requests"].to_pylist()
    hours = tables["traffic_hourly"]
    peak = pc.max(hours["requests"]).as_py() or 0
    mean = total(tables, "traffic_hourly", "requests") / max(1, hours.num_rows)
    cards = [
        *(Card(f"{name} response time", _ms(quantile(values, counts, at))) for name, at in _SHARES),
        Card("Events per hour, mean", compact(mean)),
        Card("Events in the busiest hour", compact(peak)),
    ]
    return Page(
        "performance_dashboard.html",
        "Performance",
        "How long requests take, how many there are, and which services answer.",
        cards,
        [
            Section("Response times", [_percentiles(tables), distribution(tables), health(tables)]),
            services(tables),
            resources(tables),
            Section("Throughput", [_throughput(tables), _sources(tables)]),
        ],
    )


_SHARES = (("Median", 0.5), ("95th percentile", 0.95), ("99th percentile", 0.99))


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:,.1f} ms" if value < 100 else f"{value:,.0f} ms"


def _percentiles(tables: Tables) -> Chart:
    rows = grid(
        tables,
        "response_times_hourly",
        Column("hour", "Hour", "time"),
        Column("requests", "Requests", "number"),
        Column("p50", "Median, ms", "number"),
        Column("p95", "95th percentile, ms", "number"),
        Column("p99", "99th percentile, ms", "number"),
    )
    known = rows.table.slice(max(0, rows.table.num_rows - 1_500))  # percentiles do not add up: the last two months
    x = times(known["hour"])
    traces = [
        line(name, x, known[column].to_pylist(), colour, hovertemplate="%{y:,} ms")
        for name, column, colour in (("median", "p50", "$c3"), ("95th", "p95", "$c2"), ("99th", "p99", "$bad"))
    ]
    layout = {
        "xaxis": {"type": "date"},
        "yaxis": {"title": {"text": "milliseconds"}, "rangemode": "tozero"},
        "showlegend": True,
    }
    about = (
        "Of the requests of each hour, half took less than the median; five in a hundred more than the 95th percentile."
    )
    return Chart("percentiles", "Response times over time", about, traces, rows, layout, wide=True, missing=TIMED)


def _throughput(tables: Tables) -> Chart:
    sums = ("requests", "response_bytes")
    hours = coarser(without_gaps(tables["traffic_hourly"], "hour", sums), "hour", sums)
    columns = (
        Column("hour", "Hour", "time"),
        Column("requests", "Events", "number"),
        Column("response_bytes", "Bytes", "number"),
    )
    x = times(hours["hour"])
    megabytes = pc.divide(hours["response_bytes"].cast(pa.float64()), 1e6)
    traces = [
        line("events", x, hours["requests"].to_pylist(), "$c1", fill="tozeroy"),
        line("MB sent", x, pc.round(megabytes, ndigits=2).to_pylist(), "$c2", yaxis="y2"),
    ]
    layout = {
        "xaxis": {"type": "date"},
        "yaxis": {"title": {"text": "events"}, "rangemode": "tozero"},
        "yaxis2": {
            "title": {"text": "MB"},
            "overlaying": "y",
            "side": "right",
            "showgrid": False,
            "rangemode": "tozero",
            "automargin": True,
            "tickmode": "auto",
            "nticks": 6,
        },
        "showlegend": True,
    }
    about = "Events, and megabytes that were sent in answer, hour by hour."
    return Chart("throughput", "Throughput", about, traces, Grid("traffic_hourly", columns, hours), layout, wide=True)


def _sources(tables: Tables) -> Chart:
    quality = tables["log_quality"]
    rows = Grid(
        "log_quality",
        (
            Column("source", "File"),
            Column("events", "Events", "number"),
            Column("parsed", "Parsed whole", "percent"),
            Column("first_seen", "First event", "time"),
            Column("last_seen", "Last event", "time"),
        ),
        quality.append_column("parsed", pc.multiply(quality["parse_rate"], 100.0)).sort_by(
            [("events", "descending"), ("source", "ascending")]
        ),
    )
    return bars("sources", "Events by file", "How many events each file holds.", rows, ("source", "events"), wide=True)
