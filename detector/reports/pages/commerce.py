"""Parts of the pages on applications and shops: payloads, repositories, funnel, searches, sales."""

from __future__ import annotations

import pyarrow.compute as pc

from detector.analytics.tables import Tables
from detector.reports.charts import Chart, Column, bars, line, times
from detector.reports.layout import Section
from detector.reports.pages.common import grid, whole

_SHOP = "There are no events of a shop (views, carts, checkouts, purchases) in the lake."
_STEPS = ("sessions", "viewed", "added_to_cart", "checked_out", "purchased")


def applications(tables: Tables) -> Section:
    """What applications send, and what happens in repositories."""
    return Section(
        "Applications",
        [
            _payloads(tables),
            _repositories(tables),
            ("Payloads by kind of event", whole(tables, "payload_sizes")),
            ("Events above 1,000 bytes", whole(tables, "large_payloads")),
        ],
    )


def shop(tables: Tables) -> Section:
    """Sessions, funnel, searches, and what errors cost."""
    return Section(
        "Sessions and sales",
        [
            _funnel(tables),
            _searches(tables),
            (
                "Funnel by segment, and what to try",
                whole(tables, "funnel", "customer_segment", "weakest_step", "advice"),
            ),
            ("Journeys", whole(tables, "journeys")),
            ("Features", whole(tables, "features_used")),
            ("Searches", whole(tables, "searches")),
            ("Revenue lost to errors", whole(tables, "revenue_lost")),
        ],
    )


def _payloads(tables: Tables) -> Chart:
    rows = whole(tables, "payload_sizes")
    about = "The largest payload of each kind of event, in bytes."
    missing = "There are no events in JSON."
    return bars(
        "payloads", "Payload sizes", about, rows, ("event_type", "max_payload_size"), colour="$c7", missing=missing
    )


def _repositories(tables: Tables) -> Chart:
    rows = grid(
        tables,
        "repository_hourly",
        Column("hour", "Hour", "time"),
        Column("pushes", "Pushes", "number"),
        Column("pull_requests", "Pull requests", "number"),
    )
    drawn = rows.table.slice(max(0, rows.table.num_rows - 1_500))
    traces = []
    if drawn.num_rows:
        x = times(drawn["hour"])
        traces = [
            line(name, x, drawn[column].to_pylist(), colour)
            for name, column, colour in (("pushes", "pushes", "$c1"), ("pull requests", "pull_requests", "$c4"))
        ]
    layout = {"xaxis": {"type": "date"}, "yaxis": {"rangemode": "tozero"}, "showlegend": True}
    about = "Pushes and pull requests by hour."
    missing = "There are no events of a repository (GitHub) in the lake."
    return Chart("repositories", "Repositories", about, traces, rows, layout, missing=missing)


def _funnel(tables: Tables) -> Chart:
    """Sessions that reached each step, of all segments together."""
    rows = grid(
        tables,
        "funnel",
        Column("customer_segment", "Segment"),
        *(Column(step, step.replace("_", " ").capitalize(), "number") for step in _STEPS),
        Column("conversion_rate", "Conversion", "share"),
        Column("weakest_step", "Weakest step"),
    )
    whole_shop = rows.table.filter(pc.equal(rows.table["customer_segment"], "all")).to_pylist()
    traces = [
        {
            "type": "funnel",
            "y": [step.replace("_", " ") for step in _STEPS],
            "x": [row[step] for step in _STEPS],
            "textinfo": "value+percent initial",
            "marker": {"color": ["$c1", "$c7", "$c3", "$c6", "$good"]},
            "insidetextfont": {"color": "$onbar"},
            "hovertemplate": "%{y}: %{x:,}<extra></extra>",
        }
        for row in whole_shop
    ]
    about = "Sessions that reached each step on the way to a purchase."
    return Chart("funnel", "Funnel", about, traces, rows, {"hovermode": "closest"}, missing=_SHOP)


def _searches(tables: Tables) -> Chart:
    rows = whole(tables, "searches")
    about = "What was searched for most."
    missing = "There are no searches in the lake."
    return bars("searches", "Top searches", about, rows, ("query", "searches"), colour="$c6", missing=missing)
