"""`compliance_report.html`: what can be shown to an auditor."""

from __future__ import annotations

from detector.analytics.tables import Tables
from detector.reports.charts import Column, Grid
from detector.reports.layout import Card, Page, Section
from detector.reports.pages.common import count, grid, share, total

TABLES = {
    "audit_coverage": "Coverage of the audit trail",
    "audit_gaps": "Gaps in the audit trail",
    "compliance_findings": "Findings by control",
    "data_access": "Who accessed what",
    "privileged_actions": "Privileged actions",
    "retention": "Retention",
    "lake_integrity": "Integrity of the lake",
}
"""Result tables of the area, with their titles."""


def page(tables: Tables) -> Page:
    """The page, from the tables of the compliance area, `log_quality` and `console_access`."""
    quality = grid(
        tables,
        "log_quality",
        Column("source", "File"),
        Column("events", "Events", "number"),
        Column("unparsed", "Not parsed whole", "number"),
        Column("first_seen", "First event", "time"),
        Column("last_seen", "Last event", "time"),
    )
    events, unparsed = total(tables, "log_quality", "events"), total(tables, "log_quality", "unparsed")
    cards = [
        Card("Events kept", f"{events:,}"),
        Card("Parsed whole", share(events - unparsed, events)),
        Card("Files", f"{count(tables, 'log_quality'):,}"),
        Card("Days", f"{count(tables, 'traffic_daily'):,}"),
    ]
    return Page(
        "compliance_report.html",
        "Compliance",
        "What an auditor asks for: which logs there are and from when, who did what, and where something is missing.",
        cards,
        [
            Section("Records", [("Logs by file", quality)]),
            *(Section(title, [(title, whole(tables, name))]) for name, title in TABLES.items()),
        ],
    )


def whole(tables: Tables, name: str) -> Grid:
    """A result table with all its columns, titled by their names."""
    table = tables.get(name)
    fields = [] if table is None else list(table.schema)
    columns = [
        Column(field.name, field.name.replace("_", " ").capitalize(), _kind(str(field.type))) for field in fields
    ]
    return grid(tables, name, *columns)


def _kind(kind: str) -> str:
    if kind.startswith("timestamp"):
        return "time"
    return "number" if kind in ("int64", "int32", "double", "float") else "text"
