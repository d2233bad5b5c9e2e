"""What several pages take from the tables."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa
import pyarrow.compute as pc

from detector.analytics.tables import Tables
from detector.reports.charts import Chart, Column, Grid, coarser, distinct, label, line, pie, times, without_gaps

RISKS = {"low": "good", "medium": "warn", "high": "bad"}
SEVERITIES = {"low": "good", "medium": "warn", "high": "bad", "critical": "bad", "informational": ""}
GEO = "Name a GeoIP database in the settings of the enrichment, and back-fill again."
TIMED = "No event tells how long it took: let the web server log the request's time."
ALERTS = "Name the folder of a back-fill's alerts with --alerts, or it found none."
CLOUD = "There are no cloud audit logs (CloudTrail) in the lake."

_LEVELS = {
    "emergency": "$critical",
    "alert": "$critical",
    "critical": "$critical",
    "fatal": "$critical",
    "error": "$bad",
    "warning": "$warn",
    "warn": "$warn",
    "notice": "$c7",
    "informational": "$c1",
    "info": "$c1",
    "debug": "$muted",
    "trace": "$line",
}


def grid(tables: Tables, name: str, *columns: Column, tones: Mapping[str, str] | None = None) -> Grid:
    """A result table as rows for people; one that was not made has none."""
    table = tables.get(name)
    if table is None:
        table = pa.table({column.key: pa.array([], pa.string()) for column in columns})
    return Grid(name, columns, table, tones or {})


def total(tables: Tables, name: str, column: str) -> int:
    """The sum of a column."""
    table = tables.get(name)
    return 0 if table is None else int(pc.sum(table[column]).as_py() or 0)


def count(tables: Tables, name: str) -> int:
    """How many rows a table has."""
    table = tables.get(name)
    return 0 if table is None else int(table.num_rows)


def compact(number: float) -> str:
    """A number in four characters or so: 12.3 M."""
    for size, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(number) >= size:
            return f"{number / (1e3 if unit == 'k' else size):.1f} {unit}"
    return f"{number:,.0f}"


def share(part: float, whole: float) -> str:
    """A part in percent."""
    return f"{100 * part / whole:.1f} %" if whole else "-"


def hourly(tables: Tables, name: str = "volume", title: str = "Volume over time") -> Chart:
    """Events and errors by hour."""
    rows = grid(
        tables,
        "traffic_hourly",
        Column("hour", "Hour", "time"),
        Column("requests", "Events", "number"),
        Column("errors", "Errors", "number"),
        Column("response_bytes", "Bytes", "number"),
    )
    drawn = coarser(without_gaps(rows.table, "hour", ["requests", "errors"]), "hour", ["requests", "errors"])
    x = times(drawn["hour"])
    traces = [
        line("events", x, drawn["requests"].to_pylist(), "$c1", fill="tozeroy"),
        line("errors", x, drawn["errors"].to_pylist(), "$bad"),
    ]
    layout = {"xaxis": {"type": "date"}, "yaxis": {"rangemode": "tozero"}, "showlegend": True}
    return Chart(name, title, "Events and failed events, hour by hour.", traces, rows, layout, None, True)


def rates(tables: Tables) -> Chart:
    """Error and success rate, each with an axis of its own: the one is near 0, the other near 100."""
    known = tables["traffic_hourly"]
    drawn = coarser(known, "hour", ["requests", "errors"])
    drawn = drawn.filter(pc.greater(drawn["requests"], 0))
    wrong = pc.multiply(pc.divide(drawn["errors"].cast(pa.float64()), drawn["requests"].cast(pa.float64())), 100.0)
    wrong = pc.round(wrong, ndigits=2)
    right = pc.round(pc.subtract(100.0, wrong), ndigits=2)
    table = pa.table({"hour": drawn["hour"], "error_rate": wrong, "success_rate": right})
    columns = (
        Column("hour", "Hour", "time"),
        Column("error_rate", "Error rate", "percent"),
        Column("success_rate", "Success rate", "percent"),
    )
    x = times(table["hour"])
    traces = [
        line("error rate", x, wrong.to_pylist(), "$bad", hovertemplate="%{y:.2f} %"),
        line("success rate", x, right.to_pylist(), "$good", hovertemplate="%{y:.2f} %", yaxis="y2"),
    ]
    layout = {
        "xaxis": {"type": "date"},
        "yaxis": {"title": {"text": "error rate, %"}, "rangemode": "tozero"},
        "yaxis2": {
            "title": {"text": "success rate, %"},
            "overlaying": "y",
            "side": "right",
            "showgrid": False,
            "automargin": True,
            "tickmode": "auto",
            "nticks": 6,
        },
        "showlegend": True,
    }
    about = "Share of failed events on the left axis, of the others on the right one."
    return Chart(
        "rates", "Error and success rate", about, traces, Grid("traffic_hourly", columns, table), layout, wide=True
    )


def distribution(tables: Tables) -> Chart:
    """How long requests took."""
    rows = grid(
        tables,
        "response_times",
        Column("response_ms", "Milliseconds", "number"),
        Column("requests", "Requests", "number"),
    )
    trace = {
        "type": "bar",
        "x": rows.table["response_ms"].to_pylist(),
        "y": rows.table["requests"].to_pylist(),
        "marker": {"color": "$c3"},
        "hovertemplate": "about %{x:,} ms: %{y:,} requests<extra></extra>",
    }
    if rows.table.num_rows:
        trace["width"] = [each * 0.11 for each in rows.table["response_ms"].to_pylist()]  # of a bin, 20 per decade
    layout = {
        "xaxis": {"type": "log", "title": {"text": "milliseconds"}},
        "yaxis": {"title": {"text": "requests"}},
        "hovermode": "closest",
    }
    about = "Requests by the time they took, on a logarithmic scale."
    return Chart("distribution", "Response times", about, [trace], rows, layout, missing=TIMED)


def health(tables: Tables) -> Chart:
    """Availability of each service: green above 99, orange above 95, else red."""
    rows = whole(tables, "service_health")
    top = rows.table.slice(0, 20)
    values = [round(100 * each, 3) for each in top["availability"].to_pylist()]
    names = distinct([label(each) for each in top["service_name"].to_pylist()])
    trace = {
        "type": "bar",
        "orientation": "h",
        "y": names,
        "x": values,
        "marker": {"color": [health_colour(each) for each in values]},
        "text": [f"{each:.2f} % {health_word(each)}" for each in values],
        "textposition": "auto",
        "insidetextfont": {"color": "$onbar"},
        "hovertemplate": "%{y}: %{x:.3f} %<extra></extra>",
    }
    layout = {
        "xaxis": {"range": [0, 100], "title": {"text": "answered without a fault, %"}},
        "yaxis": {"type": "category", "autorange": "reversed", "automargin": True},
        "height": max(220, 100 + 28 * len(names)),
        "hovermode": "closest",
    }
    about = "Share of events without a fault of the service: green above 99 %, orange above 95 %, red below."
    return Chart(
        "health", "Service health", about, [trace], rows, layout, missing="No event names a service or a request."
    )


def health_colour(availability: float) -> str:
    """By the thresholds of 99 and 95 percent."""
    return "$good" if availability > 99 else "$warn" if availability > 95 else "$bad"


def health_word(availability: float) -> str:
    """The colour in a word, for those who do not see it."""
    return "good" if availability > 99 else "degraded" if availability > 95 else "failing"


def levels(tables: Tables) -> Chart:
    """Events by level."""
    rows = grid(tables, "events_by_level", Column("level", "Level"), Column("events", "Events", "number"))
    about = "Events by the level that the application gave them."
    missing = "No event has a level."
    return pie("levels", "Log levels", about, rows, ("level", "events"), colours=_LEVELS, missing=missing)


def whole(tables: Tables, name: str, *first: str) -> Grid:
    """A result table with all its columns, titled by their names; some of them first."""
    table = tables.get(name)
    fields = [] if table is None else sorted(table.schema, key=lambda each: each.name not in first)
    return grid(tables, name, *(Column(each.name, _title(each.name), _kind(each.name, each.type)) for each in fields))


_SHARES = frozenset(
    (
        "availability",
        "cart_abandonment_rate",
        "conversion_rate",
        "coverage",
        "error_rate",
        "latest",
        "mean",
        "parse_rate",
        "peak",
        "share_of_time",
    )
)
"""Columns whose values are between 0 and 1."""


def _title(name: str) -> str:
    words = name.replace("_", " ").replace("response time p", "response time, percentile ")
    return words[:1].upper() + words[1:]


def _kind(name: str, kind: pa.DataType) -> str:
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return "time"
    if pa.types.is_floating(kind) and name in _SHARES:
        return "share"
    return "number" if pa.types.is_integer(kind) or pa.types.is_floating(kind) else "text"
