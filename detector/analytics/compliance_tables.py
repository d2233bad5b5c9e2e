"""Tables for auditors: coverage and gaps of the audit trail, accesses, privileged actions, retention, findings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from detector.analytics.definitions import Controls
from detector.analytics.questions import TIME, renamed, table_of
from detector.analytics.totals import Totals

HOUR = timedelta(hours=1)
Tables = Mapping[str, pa.Table]
Row = dict[str, Any]
Verdict = tuple[str, str]
"""Status and what was found: pass, fail, review (somebody must look at it) or no data."""
INTEGRITY = {"state": pa.string(), "files": pa.int64(), "example": pa.string()}
"""Columns of `lake_integrity`: how many files are intact, changed, missing, added or unsealed, and one of them."""


def compliance(totals: Totals, controls: Controls) -> dict[str, pa.Table]:
    """The tables of this module that come from events alone, by name."""
    coverage, hourly, gaps = _coverage(totals.of("audit_hours"))
    return {
        "audit_coverage": coverage,
        "audit_coverage_hourly": hourly,
        "audit_gaps": gaps,
        "data_access": renamed(
            totals.of("accesses"),
            user_name="user",
            resource="resource",
            action="action",
            accesses="count",
            failed="failed",
            first_seen="first",
            last_seen="last",
        ),
        "privileged_actions": renamed(
            totals.of("privileged"),
            user_name="user",
            action="action",
            target="target",
            system="system",
            source_ip="address",
            actions="count",
            failed="failed",
            first_seen="first",
            last_seen="last",
        ),
        "retention": _retention(totals.of("days"), controls.retention_days),
    }


def findings(tables: Tables, controls: Controls) -> pa.Table:
    """Each control with the checks that concern it, what they say, and why. tables: all of the report."""
    verdicts = {name: check(tables) for name, check in CHECKS.items()}
    rows = [
        {
            "framework": control.framework,
            "control": control.control,
            "title": control.title,
            "check": check,
            "status": verdicts[check][0],
            "finding": verdicts[check][1],
        }
        for control in controls.controls
        for check in control.checks
    ]
    return table_of(rows, **dict.fromkeys(("framework", "control", "title", "check", "status", "finding"), pa.string()))


def _coverage(hours: pa.Table) -> tuple[pa.Table, pa.Table, pa.Table]:
    """By system, by system and hour, and the hours in which a system that logs before and after is silent."""
    by_system: dict[str, list[Row]] = {}
    for row in hours.sort_by([("system", "ascending"), ("hour", "ascending")]).to_pylist():
        by_system.setdefault(row["system"], []).append(row)
    systems: list[Row] = []
    gaps: list[Row] = []
    for system, rows in by_system.items():
        first, last = rows[0]["hour"], rows[-1]["hour"]
        expected = int((last - first) / HOUR) + 1
        systems.append(
            {
                "system": system,
                "first_hour": first,
                "last_hour": last,
                "hours_expected": expected,
                "hours_with_events": len(rows),
                "coverage": len(rows) / expected,
                "events": sum(row["count"] for row in rows),
                "audit_events": sum(row["audited"] for row in rows),
            }
        )
        for before, after in pairwise(row["hour"] for row in rows):
            if after - before > HOUR:
                silent = int((after - before) / HOUR) - 1
                gaps.append({"system": system, "gap_start": before + HOUR, "gap_end": after, "hours": silent})
    counts = dict.fromkeys(("hours_expected", "hours_with_events"), pa.int64())
    coverage = table_of(
        systems,
        system=pa.string(),
        first_hour=TIME,
        last_hour=TIME,
        **counts,
        coverage=pa.float64(),
        events=pa.int64(),
        audit_events=pa.int64(),
    )
    ordered = hours.sort_by([("system", "ascending"), ("hour", "ascending")])
    hourly = renamed(ordered, system="system", hour="hour", events="count", audit_events="audited")
    return coverage, hourly, table_of(gaps, system=pa.string(), gap_start=TIME, gap_end=TIME, hours=pa.int64())


def _retention(days: pa.Table, required: int) -> pa.Table:
    grouped = days.group_by("source", use_threads=False)
    found = grouped.aggregate([("count", "sum"), ([], "count_all"), ("day", "min"), ("day", "max")])
    found = found.rename_columns(["source", "events", "days_with_events", "first_day", "last_day"]).sort_by("source")
    rows = []
    for row in found.to_pylist():
        held = (row["last_day"] - row["first_day"]).days + 1
        rows.append(row | {"days_held": held, "required_days": required, "enough": held >= required})
    counts = dict.fromkeys(("events", "days_with_events"), pa.int64())
    return table_of(
        rows,
        source=pa.string(),
        **counts,
        first_day=TIME,
        last_day=TIME,
        days_held=pa.int64(),
        required_days=pa.int64(),
        enough=pa.bool_(),
    )


def _log_coverage(tables: Tables) -> Verdict:
    systems, gaps = tables["audit_coverage"], tables["audit_gaps"]
    if not systems.num_rows:
        return "no data", "no system logs anything"
    silent = _sum(gaps, "hours")
    if silent:
        longest = gaps.sort_by([("hours", "descending")]).to_pylist()[0]
        return "fail", (
            f"{silent} hours without events over {_different(gaps, 'system')} of {systems.num_rows} systems; longest: "
            f"{longest['system']}, {longest['hours']} hours from {longest['gap_start']:%Y-%m-%d %H:%M}"
        )
    return "pass", f"{systems.num_rows} systems have events in each hour between their first and last"


def _log_integrity(tables: Tables) -> Verdict:
    states = {row["state"]: row["files"] for row in tables["lake_integrity"].to_pylist()}
    if not states or "unsealed" in states:
        return "no data", "the lake has no hash chain"
    broken = {state: count for state, count in states.items() if state != "intact"}
    if broken:
        return "fail", ", ".join(f"{count} files {state}" for state, count in broken.items())
    return "pass", f"{states['intact']} files are as they were sealed"


def _log_quality(tables: Tables) -> Verdict:
    quality = tables["log_quality"]
    events, unparsed = _sum(quality, "events"), _sum(quality, "unparsed")
    if not events:
        return "no data", "no events"
    rate = 1 - unparsed / events
    return "pass" if rate >= 0.99 else "fail", f"{rate:.2%} of {events:,} events are parsed whole"


def _clock(tables: Tables) -> Verdict:
    quality = tables["log_quality"]
    if not quality.num_rows:
        return "no data", "no events"
    wrong = quality.filter(
        pc.or_(pc.greater(quality["clock_steps_back"], 0), pc.greater(quality["implausible_times"], 0))
    )
    if not wrong.num_rows:
        return "pass", "no file has a clock that steps back by a minute or more, or an implausible time"
    worst = max(wrong["max_clock_skew_seconds"].to_pylist())
    return "review", f"{wrong.num_rows} files have steps back (up to {worst:,.0f} s) or implausible times"


def _held(tables: Tables) -> Verdict:
    retention = tables["retention"]
    short = retention.filter(pc.invert(retention["enough"]))
    if not retention.num_rows:
        return "no data", "no events"
    days = max(retention["required_days"].to_pylist())
    if short.num_rows:
        return "fail", f"{short.num_rows} of {retention.num_rows} sources are held for less than {days} days"
    return "pass", f"all sources are held for {days} days"


def _failed_log_ins(tables: Tables) -> Verdict:
    logins = tables["login_attempts"]
    failed = _sum(logins, "failed_attempts")
    if not logins.num_rows:
        return "no data", "no log-ins are logged"
    return "pass", f"{failed:,} failed of {_sum(logins, 'attempts'):,} log-ins are recorded with their address"


def _brute_force(tables: Tables) -> Verdict:
    if not tables["login_attempts"].num_rows:
        return "no data", "no log-ins are logged"
    sources = tables["brute_force"].num_rows
    return ("fail", f"{sources} addresses with more than 5 failed log-ins") if sources else ("pass", "none found")


def _privileged(tables: Tables) -> Verdict:
    actions = tables["privileged_actions"]
    if not actions.num_rows:
        return "no data", "no privileged actions are logged"
    count, users = _sum(actions, "actions"), _different(actions, "user_name")
    return "review", f"{count:,} privileged actions by {users} users are recorded: compare them with what was approved"


def _accesses(tables: Tables) -> Verdict:
    access = tables["data_access"]
    if not access.num_rows:
        return "no data", "no accesses by named users are logged"
    return "pass", f"{_sum(access, 'accesses'):,} accesses by {_different(access, 'user_name')} users are recorded"


def _personal(tables: Tables) -> Verdict:
    users, addresses = _different(tables["data_access"], "user_name"), tables["top_addresses"].num_rows
    if not users and not addresses:
        return "no data", "no personal data was found"
    return "review", f"the logs hold user names ({users}) and network addresses ({addresses}): name their processing"


def _threats(tables: Tables) -> Verdict:
    levels = {row["threat_level"]: row["alerts"] for row in tables["threats_by_level"].to_pylist()}
    severe = levels.get("high", 0) + levels.get("critical", 0)
    if not levels:
        return "no data", "no alerts were given (--alerts), or there are none"
    return ("review" if severe else "pass"), f"{sum(levels.values()):,} alerts, {severe:,} of them high or critical"


def _errors(tables: Tables) -> Verdict:
    health = tables["service_health"]
    failing = health.filter(pc.greater(health["error_rate"], 0.05))
    if not health.num_rows:
        return "no data", "no events"
    if failing.num_rows:
        return (
            "review",
            f"{failing.num_rows} of {health.num_rows} services have errors in over 5 % of their events",
        )
    return "pass", f"none of {health.num_rows} services has errors in more than 5 % of its events"


def _availability(tables: Tables) -> Verdict:
    slos = tables["slos"]
    missed = slos.filter(pc.invert(slos["met"]))
    if not slos.num_rows:
        return "no data", "no events"
    if missed.num_rows:
        return "fail", f"{missed.num_rows} of {slos.num_rows} objectives are missed"
    return "pass", f"{slos.num_rows} objectives are met"


def _sum(table: pa.Table, column: str) -> int:
    return int(pc.sum(table[column]).as_py() or 0)


def _different(table: pa.Table, column: str) -> int:
    return int(pc.count_distinct(table[column], mode="only_valid").as_py())


CHECKS: Mapping[str, Callable[[Tables], Verdict]] = {
    "log_coverage": _log_coverage,
    "log_integrity": _log_integrity,
    "log_quality": _log_quality,
    "clock_synchronization": _clock,
    "retention": _held,
    "failed_log_ins": _failed_log_ins,
    "brute_force": _brute_force,
    "privileged_actions": _privileged,
    "data_access": _accesses,
    "personal_data": _personal,
    "threats": _threats,
    "service_errors": _errors,
    "availability": _availability,
}
"""What is checked, by the names that a file of controls uses."""
