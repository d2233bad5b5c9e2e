"""`compliance_report.html`: what can be shown to an auditor."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from detector.analytics.tables import Tables
from detector.reports.charts import Chart, Column, Grid, label, times
from detector.reports.layout import Card, Page, Section
from detector.reports.pages.common import count, grid, share, total, whole

_STATUSES = {"pass": "good", "fail": "bad", "review": "warn"}
_MAX_SYSTEMS = 20
_MAX_CELLS = 240


def page(tables: Tables) -> Page:
    """The page, from `compliance_findings`, `audit_*`, `lake_integrity`, `data_access`, `retention`, `log_quality`."""
    findings = _findings(tables)
    statuses = findings.table["status"].to_pylist() if findings.table.num_rows else []
    events, unparsed = total(tables, "log_quality", "events"), total(tables, "log_quality", "unparsed")
    cards = [
        Card("Checks passed", f"{statuses.count('pass'):,}", "good"),
        Card("Checks failed", f"{statuses.count('fail'):,}", "bad" if "fail" in statuses else "good"),
        Card("To be reviewed", f"{statuses.count('review'):,}", "warn" if "review" in statuses else "good"),
        Card("Gaps in the audit trail", f"{count(tables, 'audit_gaps'):,}"),
        Card("Events kept", f"{events:,}"),
        Card("Parsed whole", share(events - unparsed, events)),
    ]
    return Page(
        "compliance_report.html",
        "Compliance",
        "Evidence for an auditor, no certificate: which logs there are, what is missing, and who did what.",
        cards,
        [
            Section("Findings by control", [("Findings by control", findings)]),
            Section(
                "Audit trail",
                [
                    _coverage(tables),
                    ("Coverage by system", whole(tables, "audit_coverage")),
                    ("Gaps", whole(tables, "audit_gaps")),
                ],
            ),
            Section(
                "Integrity and retention",
                [("Files of the lake", whole(tables, "lake_integrity")), ("Retention", whole(tables, "retention"))],
            ),
            Section(
                "Who did what",
                [
                    ("Access to data", whole(tables, "data_access")),
                    ("Privileged actions", whole(tables, "privileged_actions")),
                ],
            ),
            Section("Logs", [("Logs by file", whole(tables, "log_quality"))]),
        ],
    )


def _findings(tables: Tables) -> Grid:
    return grid(
        tables,
        "compliance_findings",
        Column("framework", "Framework"),
        Column("control", "Control"),
        Column("title", "Title"),
        Column("status", "Status"),
        Column("finding", "Finding"),
        tones=_STATUSES,
    )


def _coverage(tables: Tables) -> Chart:
    """Systems by time, as a heat map: an empty field is a time without events."""
    rows = grid(
        tables,
        "audit_coverage_hourly",
        Column("system", "System"),
        Column("hour", "Hour", "time"),
        Column("events", "Events", "number"),
        Column("audit_events", "Of the audit trail", "number"),
    )
    about = "Events of each system over time: an empty field is a gap."
    missing = "No event has a host, service or provider."
    traces = [_heat(rows.table)] if rows.table.num_rows else []
    layout = {
        "xaxis": {"type": "date", "showgrid": False},
        "yaxis": {"type": "category", "autorange": "reversed", "showgrid": False, "automargin": True},
        "height": 90 + 26 * min(_MAX_SYSTEMS, len(pc.unique(rows.table["system"]))) + 60,
        "hovermode": "closest",
    }
    return Chart("coverage", "Coverage over time", about, traces, rows, layout, wide=True, missing=missing)


def _heat(known: pa.Table) -> dict[str, object]:
    by_system = known.group_by("system", use_threads=False).aggregate([("events", "sum")])
    largest = by_system.sort_by([("events_sum", "descending"), ("system", "ascending")]).slice(0, _MAX_SYSTEMS)
    systems = largest["system"].to_pylist()
    span = pc.max(known["hour"]).as_py() - pc.min(known["hour"]).as_py()
    hours = int(span.total_seconds() // 3_600 // _MAX_CELLS) + 1
    floored = pc.floor_temporal(known["hour"], multiple=hours, unit="hour")
    cells = known.set_column(known.column_names.index("hour"), "hour", floored)
    found = cells.group_by(["system", "hour"], use_threads=False).aggregate([("events", "sum")])
    events = {(row["system"], row["hour"]): row["events_sum"] for row in found.to_pylist()}
    moments = pc.unique(floored).sort()
    return {
        "type": "heatmap",
        "x": times(moments),
        "y": [label(system) for system in systems],
        "z": [[events.get((system, moment)) for moment in moments.to_pylist()] for system in systems],
        "colorscale": [[0, "$c7"], [1, "$c1"]],
        "showscale": False,
        "ygap": 3,
        "hovertemplate": "%{y}, %{x}: %{z:,} events<extra></extra>",
    }
