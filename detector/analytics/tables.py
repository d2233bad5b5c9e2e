"""The tables of the reports, from totals and alerts. Each number is computed from the data given; no data, no rows."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa
import pyarrow.compute as pc

from detector.analytics import samples, series
from detector.analytics.networks import internal
from detector.analytics.totals import Totals

BRUTE_FORCE_FAILURES = 5
"""Failed log-ins of one address beyond which it counts as brute force."""
ERROR_RATE_FAILURES = 5
"""Failed requests of one address beyond which it counts as an anomaly."""
SCORE_PER_SEVERITY = 20
"""`threat_score`: 20 (informational) to 100 (critical)."""

Tables = Mapping[str, pa.Table]


def tables(totals: Totals, alerts: pa.Table) -> dict[str, pa.Table]:
    """All tables, by name."""
    found = {**_traffic(totals), **_errors(totals), **_log_ins(totals), **_cloud(totals), **_threats(alerts)} | {
        "anomalies": _anomalies(totals),
        "security_summary": _summary(totals),
        "sample_events": samples.table(totals.of(samples.NAME)),
    }
    return found | series.tables(totals, alerts, found["threat_sources"])


def size_above(sizes: pa.Table, share: float) -> tuple[int | None, int]:
    """The size below which `share` of the responses lie (to three digits), and how many lie above it."""
    ordered = sizes.sort_by("size")
    running = pc.cumulative_sum(ordered["count"])
    total = pc.sum(ordered["count"]).as_py() or 0
    for size, upto in zip(ordered["size"].to_pylist(), running.to_pylist(), strict=True):
        if upto >= share * total:
            return size, total - upto
    return None, 0


def _traffic(totals: Totals) -> dict[str, pa.Table]:
    hours = totals.of("hours").sort_by("hour")
    hourly = _named(hours, hour="hour", requests="count", errors="failed", response_bytes="bytes")
    days = hours.append_column("date", pc.floor_temporal(hours["hour"], unit="day"))
    of_day = hours.append_column("hour_of_day", pc.hour(hours["hour"]))
    sums = [("count", "sum"), ("failed", "sum"), ("bytes", "sum")]
    renamed = ["requests", "errors", "response_bytes"]
    daily = days.group_by("date", use_threads=False).aggregate(sums).rename_columns(["date", *renamed])
    by_hour = of_day.group_by("hour_of_day", use_threads=False).aggregate(sums)
    types = totals.of("types")
    return {
        "traffic_hourly": hourly,
        "traffic_daily": daily.sort_by("date"),
        "traffic_by_hour_of_day": by_hour.rename_columns(["hour_of_day", *renamed]).sort_by("hour_of_day"),
        "requests": _named(
            totals.of("requests"),
            method="http.request.method",
            status_code="http.response.status_code",
            requests="count",
        ),
        "top_urls": _named(totals.of("paths").slice(0, 1_000), url="url.path", requests="count", errors="failed"),
        "top_addresses": _named(
            _known(totals.of("addresses"), "source.ip").slice(0, 1_000),
            ip_address="source.ip",
            requests="count",
            errors="failed",
            first_seen="first",
            last_seen="last",
        ),
        "events_by_type": _named(
            types, log_source="event.format", event_type="event.action", events="count", errors="failed"
        ),
        "log_quality": _quality(totals.of("sources")),
    }


def _quality(sources: pa.Table) -> pa.Table:
    grouped = sources.group_by("log.file.path", use_threads=False)
    found = grouped.aggregate([("count", "sum"), ("unparsed", "sum"), ("first", "min"), ("last", "max")])
    found = found.rename_columns(["source", "events", "unparsed", "first_seen", "last_seen"])
    rate = pc.subtract(1.0, pc.divide(found["unparsed"].cast(pa.float64()), found["events"].cast(pa.float64())))
    return found.append_column("parse_rate", rate).sort_by("source")


def _errors(totals: Totals) -> dict[str, pa.Table]:
    addresses = _known(totals.of("addresses"), "source.ip")
    failing = addresses.filter(pc.greater(addresses["failed"], 0)).sort_by(
        [("failed", "descending"), ("source.ip", "ascending")]
    )
    return {
        "error_breakdown": _named(
            totals.of("errors"),
            log_source="event.format",
            status_code="http.response.status_code",
            error_code="error.code",
            event_type="event.action",
            errors="count",
            first_seen="first",
            last_seen="last",
        ),
        "error_sources": _named(failing.slice(0, 1_000), ip_address="source.ip", errors="failed", requests="count"),
    }


def _log_ins(totals: Totals) -> dict[str, pa.Table]:
    logins = _known(totals.of("logins"), "source.ip")
    logins = logins.append_column("is_internal", internal(logins["source.ip"].combine_chunks()))
    columns = {
        "ip_address": "source.ip",
        "attempts": "count",
        "failed_attempts": "login_failed",
        "is_internal": "is_internal",
        "first_seen": "first",
        "last_seen": "last",
    }
    outside = logins.filter(pc.invert(logins["is_internal"]))
    brute = logins.filter(pc.greater(logins["login_failed"], BRUTE_FORCE_FAILURES))
    return {
        "login_attempts": _named(logins, **columns),
        "suspicious_logins": _named(outside, **columns),
        "brute_force": _named(brute.sort_by([("login_failed", "descending"), ("source.ip", "ascending")]), **columns),
    }


def _cloud(totals: Totals) -> dict[str, pa.Table]:
    return {
        "events_by_region": _named(totals.of("regions"), aws_region="cloud.region", events="count", errors="failed"),
        "failed_api_calls": _named(
            totals.of("calls_failed"),
            event_name="event.action",
            error_code="error.code",
            user_identity="user.name",
            source_ip="source.ip",
            calls="count",
            first_seen="first",
            last_seen="last",
        ),
        "console_access": _named(
            totals.of("console"),
            source_ip="source.ip",
            user_identity="user.name",
            outcome="event.outcome",
            events="count",
        ),
    }


def _threats(alerts: pa.Table) -> dict[str, pa.Table]:
    rules = _grouped(alerts, ["rule", "level"])
    levels = _grouped(alerts, ["level", "severity"]).sort_by([("severity", "descending")])
    entities = alerts.group_by("entity", use_threads=False).aggregate([([], "count_all"), ("severity", "max")])
    entities = entities.rename_columns(["entity", "count", "severity"])
    score = pc.multiply(entities["severity"], SCORE_PER_SEVERITY)
    entities = entities.append_column("score", score).sort_by(
        [("score", "descending"), ("count", "descending"), ("entity", "ascending")]
    )
    return {
        "threats_by_rule": _named(
            rules, rule="rule", threat_level="level", alerts="count", first_seen="first", last_seen="last"
        ),
        "threats_by_level": _named(levels, threat_level="level", alerts="count"),
        "threats_by_tactic": _listed(alerts, "tactics", "tactic"),
        "threats_by_technique": _listed(alerts, "techniques", "technique"),
        "threat_sources": _named(
            entities, source="entity", threat_score="score", event_count="count", severity_level="severity"
        ),
    }


def _grouped(alerts: pa.Table, keys: list[str]) -> pa.Table:
    found = alerts.group_by(keys, use_threads=False).aggregate([([], "count_all"), ("time", "min"), ("time", "max")])
    found = found.rename_columns([*keys, "count", "first", "last"])
    return found.sort_by([("count", "descending"), *((key, "ascending") for key in keys)])


def _listed(alerts: pa.Table, column: str, name: str) -> pa.Table:
    lists = alerts[column].combine_chunks()
    parents = pc.list_parent_indices(lists)
    flat = pa.table({name: pc.list_flatten(lists), "time": alerts["time"].take(parents)})
    return _named(_grouped(flat, [name]), **{name: name, "alerts": "count", "first_seen": "first", "last_seen": "last"})


def _anomalies(totals: Totals) -> pa.Table:
    """What is far from the rest. value: the errors, or the size beyond which `count` responses are."""
    threshold, above = size_above(totals.of("sizes"), 0.99)
    addresses = _known(totals.of("addresses"), "source.ip")
    failing = _failing(addresses, ERROR_RATE_FAILURES)
    rows = [
        {"type": "high_error_rate", "severity": "high", "subject": ip, "value": failed, "count": failed}
        for ip, failed in zip(failing["source.ip"].to_pylist(), failing["failed"].to_pylist(), strict=True)
    ]
    if above:
        rows.append(
            {"type": "large_response", "severity": "medium", "subject": None, "value": threshold, "count": above}
        )
    kinds = [("type", pa.string()), ("severity", pa.string()), ("subject", pa.string())]
    return pa.Table.from_pylist(rows, pa.schema([*kinds, ("value", pa.int64()), ("count", pa.int64())]))


def _summary(totals: Totals) -> pa.Table:
    """Metric, count and risk level."""
    logins = _log_ins(totals)
    addresses = _known(totals.of("addresses"), "source.ip")
    outside = pc.sum(pc.invert(internal(addresses["source.ip"].combine_chunks()))).as_py() or 0
    counts = {
        "suspicious log-ins": (_sum(logins["suspicious_logins"], "attempts"), 1, 50),
        "brute-force sources": (logins["brute_force"].num_rows, 1, 1),
        "failed API calls": (_sum(totals.of("calls_failed"), "count"), 1, 100),
        "console access": (_sum(totals.of("console"), "count"), 1, 1_000),
        "external addresses": (outside, 1_000, 100_000),
    }
    rows = [
        {
            "metric": metric,
            "count": count,
            "risk_level": "high" if count >= high else "medium" if count >= medium else "low",
        }
        for metric, (count, medium, high) in counts.items()
    ]
    schema = pa.schema([("metric", pa.string()), ("count", pa.int64()), ("risk_level", pa.string())])
    return pa.Table.from_pylist(rows, schema)


def _failing(addresses: pa.Table, failures: int) -> pa.Table:
    """Addresses with more failures than that, those with the most first."""
    found = addresses.filter(pc.greater(addresses["failed"], failures))
    return found.sort_by([("failed", "descending"), ("source.ip", "ascending")])


def _sum(table: pa.Table, column: str) -> int:
    return int(pc.sum(table[column]).as_py() or 0)


def _known(table: pa.Table, key: str) -> pa.Table:
    return table.filter(pc.is_valid(table[key]))


def _named(table: pa.Table, **columns: str) -> pa.Table:
    return table.select(list(columns.values())).rename_columns(list(columns))
