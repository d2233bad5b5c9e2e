"""`interactive_log_dashboard.html`: everything at a glance."""

from __future__ import annotations

import csv
from functools import lru_cache
from importlib.resources import files

import pyarrow as pa

from detector.analytics.tables import Tables
from detector.reports.charts import Chart, Column, Grid, label
from detector.reports.layout import Card, Page, Section
from detector.reports.pages.common import GEO, compact, count, distribution, health, hourly, levels, rates, share, total


def page(tables: Tables) -> Page:
    """The page, from `traffic_hourly`, `response_times`, `service_health`, `sources_by_country`, levels."""
    events, errors = total(tables, "traffic_hourly", "requests"), total(tables, "traffic_hourly", "errors")
    low = [each for each in tables["service_health"]["availability"].to_pylist() if each <= 0.99]
    cards = [
        Card("Events", compact(events)),
        Card("Success rate", share(events - errors, events)),
        Card("Alerts", compact(total(tables, "threats_by_rule", "alerts"))),
        Card("Services", f"{count(tables, 'service_health'):,}"),
        Card("Below 99 %", f"{len(low):,}", "bad" if low else "good"),
    ]
    return Page(
        "interactive_log_dashboard.html",
        "Dashboard",
        "Volume, errors, response times, services, places and levels. Drag over a chart to look closer.",
        cards,
        [
            Section("Over time", [hourly(tables), rates(tables)]),
            Section("Health", [health(tables), distribution(tables)]),
            Section("Where from, and how grave", [_map(tables), levels(tables)]),
        ],
    )


def _map(tables: Tables) -> Chart:
    """A circle for each country, its area by the number of events."""
    placed = _placed(tables["sources_by_country"])
    rows = Grid(
        "sources_by_country",
        (
            Column("country", "Country"),
            Column("events", "Events", "number"),
            Column("errors", "Failed", "number"),
        ),
        placed,
    )
    found = [row for row in placed.to_pylist() if row["latitude"] is not None]
    most = max((row["events"] for row in found), default=1)
    trace = {
        "type": "scattergeo",
        "lat": [row["latitude"] for row in found],
        "lon": [row["longitude"] for row in found],
        "text": [label(row["country"]) for row in found],
        "customdata": [row["events"] for row in found],
        "marker": {
            "size": [8 + 32 * (row["events"] / most) ** 0.5 for row in found],
            "color": "$c2",
            "opacity": 0.75,
            "line": {"color": "$surface", "width": 1},
        },
        "hovertemplate": "%{text}: %{customdata:,} events<extra></extra>",
    }
    geo = {
        "projection": {"type": "natural earth"},
        "bgcolor": "rgba(0,0,0,0)",
        "showland": True,
        "landcolor": "$land",
        "showcountries": True,
        "countrycolor": "$surface",
        "showcoastlines": False,
        "showframe": False,
        "lataxis": {"range": [-58, 85]},
    }
    layout = {"geo": geo, "height": 320, "margin": {"l": 0, "r": 0, "t": 0, "b": 0}, "hovermode": "closest"}
    about = "Countries of the sources: the larger a circle, the more events."
    return Chart("map", "World map of sources", about, [trace], rows, layout, missing=GEO)


def _placed(table: pa.Table) -> pa.Table:
    """Countries with their names and places, each once; those that are not known have no place."""
    rows: dict[str, dict[str, object]] = {}
    for row in table.to_pylist():
        place = _places().get(str(row["country_code"] or row["country_name"]).casefold())
        name, latitude, longitude = place or (row["country_name"] or row["country_code"], None, None)
        known = rows.setdefault(
            name, {"country": name, "events": 0, "errors": 0, "latitude": latitude, "longitude": longitude}
        )
        known["events"] += row["events"]
        known["errors"] += row["errors"]
    numbers = [("events", pa.int64()), ("errors", pa.int64()), ("latitude", pa.float64()), ("longitude", pa.float64())]
    found = pa.Table.from_pylist(list(rows.values()), pa.schema([("country", pa.string()), *numbers]))
    return found.sort_by([("events", "descending"), ("country", "ascending")])


@lru_cache(maxsize=1)
def _places() -> dict[str, tuple[str, float, float]]:
    """Name, latitude and longitude of the middle of each country, by its code and by its name."""
    lines = files("detector.reports").joinpath("assets/countries.csv").read_text("utf-8").splitlines()
    found = {}
    for row in csv.DictReader(lines):
        place = (row["name"], float(row["latitude"]), float(row["longitude"]))
        found[row["code"].casefold()] = found[row["name"].casefold()] = place
    return found
