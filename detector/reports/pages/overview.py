"""`log_analytics_dashboard.html`: application events, regions, activity, error sources."""

from __future__ import annotations

import pyarrow as pa

from detector.analytics.tables import Tables
from detector.reports.charts import Chart, Column, Grid, bars, pie
from detector.reports.layout import Card, Page, Section
from detector.reports.pages.commerce import applications, shop
from detector.reports.pages.common import CLOUD, compact, count, grid, hourly, levels, share, total
from detector.reports.pages.errors import sources


def page(tables: Tables) -> Page:
    """The page, from `events_by_type`, `events_by_region`, `traffic_hourly` and `error_sources`."""
    events, errors = total(tables, "traffic_hourly", "requests"), total(tables, "traffic_hourly", "errors")
    cards = [
        Card("Events", compact(events)),
        Card("Kinds of events", f"{count(tables, 'events_by_type'):,}"),
        Card("Failed", share(errors, events)),
        Card("Alerts", compact(total(tables, "threats_by_rule", "alerts"))),
        Card("Regions", f"{count(tables, 'events_by_region'):,}"),
    ]
    return Page(
        "log_analytics_dashboard.html",
        "Log analytics",
        "What applications report, where security events come from, and who causes errors.",
        cards,
        [
            Section(
                "At a glance",
                [
                    hourly(tables, "activity", "Hourly activity"),
                    _types(tables),
                    _regions(tables),
                    sources(tables),
                    levels(tables),
                ],
            ),
            applications(tables),
            shop(tables),
        ],
    )


def _types(tables: Tables) -> Chart:
    known = tables["events_by_type"]
    names = [_name(row["log_source"], row["event_type"]) for row in known.to_pylist()]
    columns = (
        Column("name", "Event"),
        Column("log_source", "Log source", drill="type"),
        Column("events", "Events", "number"),
        Column("errors", "Failed", "number"),
    )
    rows = Grid("events_by_type", columns, known.append_column("name", pa.array(names, pa.string())))
    about = "The kinds of events that there are most of: the log source, and what was done."
    return bars("types", "Application events", about, rows, ("name", "events"), colour="$c3")


def _name(source: str, action: str | None) -> str:
    return f"{action} ({source})" if action else source


def _regions(tables: Tables) -> Chart:
    rows = grid(
        tables,
        "events_by_region",
        Column("aws_region", "Region"),
        Column("events", "Events", "number"),
        Column("errors", "Failed", "number"),
    )
    about = "Cloud audit events by the region in which they happened."
    return pie("regions", "Security events by region", about, rows, ("aws_region", "events"), missing=CLOUD)
