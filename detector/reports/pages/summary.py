"""`security_summary.html`: metric, count and risk level."""

from __future__ import annotations

from detector.analytics.tables import Tables
from detector.reports.charts import Column, bars
from detector.reports.layout import Card, Page, Section
from detector.reports.pages.common import RISKS, grid


def page(tables: Tables) -> Page:
    """The page, from `security_summary`, `failed_api_calls`, `console_access` and `suspicious_logins`."""
    rows = grid(
        tables,
        "security_summary",
        Column("metric", "Metric"),
        Column("count", "Count", "number"),
        Column("risk_level", "Risk level"),
        tones=RISKS,
    )
    found = rows.table.to_pylist()
    cards = [
        Card(row["metric"][:1].upper() + row["metric"][1:], f"{row['count']:,}", RISKS[row["risk_level"]])
        for row in found
    ]
    about = "How often each was seen, coloured by its risk level."
    colours = {row["metric"]: f"${RISKS[row['risk_level']]}" for row in found}
    suspicious = grid(
        tables,
        "suspicious_logins",
        Column("ip_address", "Address"),
        Column("attempts", "Attempts", "number"),
        Column("failed_attempts", "Failed", "number"),
        Column("first_seen", "First seen", "time"),
        Column("last_seen", "Last seen", "time"),
    )
    calls = grid(
        tables,
        "failed_api_calls",
        Column("event_name", "Call"),
        Column("error_code", "Error"),
        Column("user_identity", "Identity"),
        Column("source_ip", "Address"),
        Column("calls", "Calls", "number"),
    )
    console = grid(
        tables,
        "console_access",
        Column("user_identity", "Identity"),
        Column("source_ip", "Address"),
        Column("outcome", "Outcome"),
        Column("events", "Events", "number"),
    )
    return Page(
        "security_summary.html",
        "Security summary",
        "What to look at first: suspicious log-ins, failed API calls, console access and external addresses.",
        cards,
        [
            Section(
                "Risks",
                [
                    ("Metrics", rows),
                    bars("metrics", "Counts", about, rows, ("metric", "count"), colours=colours, wide=True),
                ],
            ),
            Section(
                "Behind the numbers",
                [
                    ("Suspicious log-ins: from outside", suspicious),
                    ("Failed API calls", calls),
                    ("Console access", console),
                ],
            ),
        ],
        short="Summary",
    )
