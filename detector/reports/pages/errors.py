"""`error_breakdown.html`: what fails, with which code, and who causes it."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from detector.analytics.tables import Tables
from detector.reports.charts import Chart, Column, Grid, bars
from detector.reports.layout import Card, Page, Section
from detector.reports.pages.common import compact, count, grid, rates, share, total
from detector.reports.pages.operations import causes


def page(tables: Tables) -> Page:
    """The page, from `error_breakdown`, `error_sources` and `traffic_hourly`."""
    errors, events = total(tables, "traffic_hourly", "errors"), total(tables, "traffic_hourly", "requests")
    statuses = _statuses(tables)
    faults = statuses.filter(pc.greater_equal(statuses["status_code"], 500))
    cards = [
        Card("Errors", compact(errors), "warn" if errors else "good"),
        Card("Of all events", share(errors, events)),
        Card(
            "Server errors (5xx)", compact(pc.sum(faults["errors"]).as_py() or 0), "bad" if faults.num_rows else "good"
        ),
        Card("Kinds of errors", f"{count(tables, 'error_breakdown'):,}"),
        Card("Addresses with errors", f"{count(tables, 'error_sources'):,}"),
    ]
    return Page(
        "error_breakdown.html",
        "Error breakdown",
        "What fails, with which code, and who causes it. Choose a bar to see some of the events behind it.",
        cards,
        [
            Section("Over time", [rates(tables)]),
            Section("Codes", [_status(tables), _codes(tables)]),
            Section("Sources", [sources(tables), _formats(tables)]),
            causes(tables),
            Section("All kinds", [("Kinds of errors", _kinds(tables))]),
        ],
        short="Errors",
    )


def sources(tables: Tables) -> Chart:
    """The addresses that cause most errors."""
    rows = grid(
        tables,
        "error_sources",
        Column("ip_address", "Address", drill="error source"),
        Column("errors", "Errors", "number"),
        Column("requests", "Events", "number"),
    )
    about = "The addresses that cause most errors."
    missing = "No event with an address failed."
    return bars(
        "error-sources",
        "Top error sources",
        about,
        rows,
        ("ip_address", "errors"),
        colour="$bad",
        drill="error source",
        missing=missing,
    )


def _statuses(tables: Tables) -> pa.Table:
    known = tables["error_breakdown"]
    known = known.filter(pc.is_valid(known["status_code"]))
    return _summed(known, "status_code")


def _summed(table: pa.Table, key: str) -> pa.Table:
    found = table.group_by(key, use_threads=False).aggregate([("errors", "sum")]).rename_columns([key, "errors"])
    return found.sort_by([("errors", "descending"), (key, "ascending")])


def _status(tables: Tables) -> Chart:
    found = _statuses(tables)
    columns = (Column("status_code", "Status", drill="status"), Column("errors", "Errors", "number"))
    colours = {str(each): "$bad" if each >= 500 else "$warn" for each in found["status_code"].to_pylist()}
    return bars(
        "status",
        "By status",
        "Failed web requests by status: the client's errors (4xx) orange, the server's (5xx) red.",
        Grid("error_breakdown", columns, found),
        ("status_code", "errors"),
        colours=colours,
        drill="status",
        missing="No web request failed.",
    )


def _codes(tables: Tables) -> Chart:
    known = tables["error_breakdown"]
    found = _summed(known.filter(pc.is_valid(known["error_code"])), "error_code")
    columns = (Column("error_code", "Error code"), Column("errors", "Errors", "number"))
    about = "Errors by the code that the application or the cloud gave."
    missing = "No event has an error code."
    return bars(
        "codes",
        "By error code",
        about,
        Grid("error_breakdown", columns, found),
        ("error_code", "errors"),
        colour="$c2",
        missing=missing,
    )


def _formats(tables: Tables) -> Chart:
    found = _summed(tables["error_breakdown"], "log_source")
    columns = (Column("log_source", "Log source", drill="error"), Column("errors", "Errors", "number"))
    about = "Errors by the kind of log that tells them."
    return bars(
        "formats",
        "By log source",
        about,
        Grid("error_breakdown", columns, found),
        ("log_source", "errors"),
        colour="$c4",
        drill="error",
        missing="No event failed.",
    )


def _kinds(tables: Tables) -> Grid:
    return grid(
        tables,
        "error_breakdown",
        Column("log_source", "Log source"),
        Column("status_code", "Status"),
        Column("error_code", "Error code"),
        Column("event_type", "Action"),
        Column("errors", "Errors", "number"),
        Column("first_seen", "First seen", "time"),
        Column("last_seen", "Last seen", "time"),
    )
