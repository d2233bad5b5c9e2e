"""`index.html`: where the report begins."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

from detector.analytics.tables import Tables
from detector.reports.layout import Card, Page, Section
from detector.reports.markup import Html, tag
from detector.reports.pages.common import compact, count, share, total


def index(pages: Sequence[Page], tables: Tables) -> Page:
    """The page that leads to the others, the picture, the summary and the tables."""
    events, errors = total(tables, "traffic_hourly", "requests"), total(tables, "traffic_hourly", "errors")
    brute = count(tables, "brute_force")
    cards = [
        Card("Events", compact(events)),
        Card("Failed", share(errors, events)),
        Card("Alerts", compact(total(tables, "threats_by_rule", "alerts"))),
        Card("Threat sources", f"{count(tables, 'threat_sources'):,}"),
        Card("Brute-force sources", f"{brute:,}", "bad" if brute else "good"),
    ]
    more = [
        (
            "network_security_analysis.png",
            "Network security picture",
            "Topology, kill chain, reputation and port scans.",
        ),
        ("log_summary.txt", "Summary as text", "The same in a page of plain text."),
    ]
    leads = [(page.file, page.title, page.about) for page in pages]
    return Page(
        "index.html",
        "Overview",
        "What the logs come to.",
        cards,
        [
            Section("Pages", [_links([*leads, *more])]),
            Section("Tables", [_tables(tables)]),
        ],
    )


def _links(leads: Sequence[tuple[str, str, str]]) -> Html:
    items = [tag("li", tag("a", title, href=file), tag("p", about)) for file, title, about in leads]
    return tag("ul", items, class_="links wide", role="list")


def _tables(tables: Tables) -> Html:
    items = [
        tag("li", tag("a", name, href=f"tables/{quote(name)}.csv"), f" {table.num_rows:,}")
        for name, table in sorted(tables.items())
    ]
    return tag(
        "div",
        tag("p", "All results as CSV, with their rows; as Parquet beside."),
        tag("ul", items, class_="files"),
        class_="panel wide",
    )
