"""`traffic_patterns.html`: when events come, what is asked for, and by whom."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from detector.analytics.tables import Tables
from detector.reports.charts import Chart, Column, Grid, bars, times
from detector.reports.layout import Card, Page, Section
from detector.reports.pages.common import compact, grid, hourly, total

_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def page(tables: Tables) -> Page:
    """The page, from `traffic_*`, `requests`, `top_urls` and `top_addresses`."""
    hours = tables["traffic_hourly"]
    busiest = hours.sort_by([("requests", "descending"), ("hour", "ascending")]).slice(0, 1).to_pylist()
    cards = [
        Card("Events", compact(total(tables, "traffic_hourly", "requests"))),
        Card("Days", f"{tables['traffic_daily'].num_rows:,}"),
        Card("Busiest hour", f"{busiest[0]['hour']:%m-%d %H:00}" if busiest else "-"),
        Card("Events in it", compact(busiest[0]["requests"]) if busiest else "-"),
        Card("Bytes sent", compact(total(tables, "traffic_hourly", "response_bytes"))),
    ]
    return Page(
        "traffic_patterns.html",
        "Traffic patterns",
        "When events come, hour by hour and day by day, what is asked for, and by whom.",
        cards,
        [
            Section("Over time", [hourly(tables), _daily(tables), _of_day(tables), _week(tables)]),
            Section("What and who", [_requests(tables), _urls(tables), _addresses(tables)]),
        ],
        short="Traffic",
    )


def _daily(tables: Tables) -> Chart:
    rows = grid(
        tables,
        "traffic_daily",
        Column("date", "Day", "time"),
        Column("requests", "Events", "number"),
        Column("errors", "Errors", "number"),
    )
    x = times(rows.table["date"])
    layout = {"xaxis": {"type": "date"}, "barmode": "overlay", "showlegend": True}
    about = "Events of each day, and how many of them failed."
    return Chart("daily", "By day", about, _columns(x, rows.table), rows, layout)


def _of_day(tables: Tables) -> Chart:
    rows = grid(
        tables,
        "traffic_by_hour_of_day",
        Column("hour_of_day", "Hour of the day (UTC)", "number"),
        Column("requests", "Events", "number"),
        Column("errors", "Errors", "number"),
    )
    x = rows.table["hour_of_day"].to_pylist()
    layout = {
        "xaxis": {"range": [-0.5, 23.5], "dtick": 3, "title": {"text": "hour of the day, UTC"}},
        "barmode": "overlay",
        "showlegend": True,
    }
    about = "Events of all days by the hour in which they came."
    return Chart("of-day", "By hour of the day", about, _columns(x, rows.table), rows, layout)


def _columns(x: list[object] | list[str], table: pa.Table) -> list[dict[str, object]]:
    return [
        {
            "type": "bar",
            "name": name,
            "x": x,
            "y": table[column].to_pylist(),
            "marker": {"color": colour},
            "hovertemplate": "%{y:,}",
        }
        for name, column, colour in (("events", "requests", "$c1"), ("errors", "errors", "$bad"))
    ]


def _week(tables: Tables) -> Chart:
    """Day of the week by hour, as a heat map."""
    hours = tables["traffic_hourly"]
    known = pa.table(
        {
            "weekday": pc.day_of_week(hours["hour"]),
            "hour_of_day": pc.hour(hours["hour"]),
            "requests": hours["requests"],
        }
    )
    found = known.group_by(["weekday", "hour_of_day"], use_threads=False).aggregate([("requests", "sum")])
    found = found.rename_columns(["weekday", "hour_of_day", "requests"]).sort_by(
        [("weekday", "ascending"), ("hour_of_day", "ascending")]
    )
    counts = [[0] * 24 for _ in _DAYS]
    for row in found.to_pylist():
        counts[row["weekday"]][row["hour_of_day"]] = row["requests"]
    named = found.set_column(
        0, "weekday", pa.array([_DAYS[each] for each in found["weekday"].to_pylist()], pa.string())
    )
    columns = (
        Column("weekday", "Day"),
        Column("hour_of_day", "Hour (UTC)", "number"),
        Column("requests", "Events", "number"),
    )
    trace = {
        "type": "heatmap",
        "x": list(range(24)),
        "y": [day[:3] for day in _DAYS],
        "z": counts,
        "colorscale": [[0, "$raised"], [1, "$c1"]],
        "xgap": 2,
        "ygap": 2,
        "showscale": False,
        "hovertemplate": "%{y} %{x}:00: %{z:,}<extra></extra>",
    }
    layout = {
        "xaxis": {"dtick": 3, "showgrid": False, "title": {"text": "hour of the day, UTC"}},
        "yaxis": {"type": "category", "autorange": "reversed", "showgrid": False},
        "hovermode": "closest",
    }
    about = "Events by day of the week and hour: the darker or brighter, the more."
    return Chart("week", "The week", about, [trace], Grid("traffic_hourly", columns, named), layout)


def _requests(tables: Tables) -> Chart:
    rows = tables["requests"]
    names = [f"{row['method'] or 'none'} {row['status_code']}" for row in rows.to_pylist()]
    labelled = rows.append_column("request", pa.array(names, pa.string()))
    columns = (
        Column("request", "Method and status"),
        Column("requests", "Requests", "number"),
    )
    about = "Web requests by method and status of the answer."
    missing = "There are no web requests in the lake."
    return bars(
        "requests",
        "Methods and statuses",
        about,
        Grid("requests", columns, labelled),
        ("request", "requests"),
        missing=missing,
    )


def _urls(tables: Tables) -> Chart:
    rows = grid(
        tables,
        "top_urls",
        Column("url", "Path"),
        Column("requests", "Requests", "number"),
        Column("errors", "Errors", "number"),
    )
    about = "The paths that are asked for most."
    return bars("urls", "Top paths", about, rows, ("url", "requests"), missing="There are no web requests in the lake.")


def _addresses(tables: Tables) -> Chart:
    rows = grid(
        tables,
        "top_addresses",
        Column("ip_address", "Address"),
        Column("requests", "Events", "number"),
        Column("errors", "Errors", "number"),
        Column("first_seen", "First seen", "time"),
        Column("last_seen", "Last seen", "time"),
    )
    about = "The addresses that cause most events."
    return bars(
        "addresses", "Top addresses", about, rows, ("ip_address", "requests"), missing="No event has an address."
    )
