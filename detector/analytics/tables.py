"""All tables of the reports, and those of traffic, errors, log-ins, cloud calls and threats.

Each number is computed from the totals and alerts given; no data, no rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from detector.analytics import samples, series
from detector.analytics.capacity import capacity
from detector.analytics.commerce_tables import commerce
from detector.analytics.compliance_tables import CHECKS, INTEGRITY, compliance, findings
from detector.analytics.definitions import DEFAULT_OBJECTIVES, Objective, read_controls
from detector.analytics.networks import internal
from detector.analytics.objectives import objectives as objective_tables
from detector.analytics.operations_tables import operations
from detector.analytics.quality_tables import quality
from detector.analytics.questions import quantile, renamed, table_of
from detector.analytics.totals import Totals

BRUTE_FORCE_FAILURES = 5
"""Failed log-ins of one address beyond which it counts as brute force."""
ERROR_RATE_FAILURES = 5
"""Failed requests of one address beyond which it counts as an anomaly."""
SCORE_PER_SEVERITY = 20
"""`threat_score`: 20 (informational) to 100 (critical)."""

Tables = Mapping[str, pa.Table]


def tables(
    totals: Totals,
    alerts: pa.Table,
    *,
    integrity: pa.Table | None = None,
    objectives: Sequence[Objective] = DEFAULT_OBJECTIVES,
    controls: Path | None = None,
) -> dict[str, pa.Table]:
    """All tables, by name.

    integrity: of `detector.backfill.chain.table`. controls: their file, else the one that comes with the program.
    """
    held = read_controls(controls, CHECKS)
    found = {**_traffic(totals), **_errors(totals), **_log_ins(totals), **_cloud(totals), **_threats(alerts)} | {
        "anomalies": _anomalies(totals),
        "security_summary": _summary(totals),
        "sample_events": samples.table(totals.of(samples.NAME)),
        **_application(totals),
        **operations(totals),
        **objective_tables(totals, objectives),
        "capacity_forecast": capacity(totals),
        **quality(totals),
        **commerce(totals),
        **compliance(totals, held),
        "lake_integrity": table_of([], **INTEGRITY) if integrity is None else integrity,
    }
    found |= series.tables(totals, alerts, found["threat_sources"])
    return found | {"compliance_findings": findings(found, held)}


def size_above(sizes: pa.Table, share: float) -> tuple[int | None, int]:
    """The size below which `share` of the responses lie (to three digits), and how many lie above it."""
    ordered = sizes.sort_by("size")
    values, counts = ordered["size"].to_pylist(), ordered["count"].to_pylist()
    size = quantile(values, counts, share)
    return size, sum(count for value, count in zip(values, counts, strict=True) if size is not None and value > size)


def _application(totals: Totals) -> dict[str, pa.Table]:
    payloads = totals.of("payloads")
    mean = pc.divide(payloads["payload"].cast(pa.float64()), payloads["count"].cast(pa.float64()))
    payloads = payloads.append_column("mean", mean)
    large = payloads.filter(pc.greater(payloads["large"], 0))
    hours = totals.of("hours").sort_by("hour")
    active = hours.filter(pc.greater(pc.add(hours["push"], hours["pull_request"]), 0))
    return {
        "payload_sizes": renamed(
            payloads,
            event_type="event.action",
            events="count",
            mean_payload_size="mean",
            max_payload_size="max_payload",
        ),
        "large_payloads": renamed(
            large.sort_by([("large", "descending"), ("event.action", "ascending")]),
            event_type="event.action",
            events="large",
        ),
        "repository_hourly": renamed(active, hour="hour", pushes="push", pull_requests="pull_request"),
    }


def _traffic(totals: Totals) -> dict[str, pa.Table]:
    hours = totals.of("hours").sort_by("hour")
    hourly = renamed(hours, hour="hour", requests="count", errors="failed", response_bytes="bytes")
    days = hours.append_column("date", pc.floor_temporal(hours["hour"], unit="day"))
    of_day = hours.append_column("hour_of_day", pc.hour(hours["hour"]))
    sums = [("count", "sum"), ("failed", "sum"), ("bytes", "sum")]
    of_sums = ["requests", "errors", "response_bytes"]
    daily = days.group_by("date", use_threads=False).aggregate(sums).rename_columns(["date", *of_sums])
    by_hour = of_day.group_by("hour_of_day", use_threads=False).aggregate(sums)
    types = totals.of("types")
    return {
        "traffic_hourly": hourly,
        "traffic_daily": daily.sort_by("date"),
        "traffic_by_hour_of_day": by_hour.rename_columns(["hour_of_day", *of_sums]).sort_by("hour_of_day"),
        "requests": renamed(
            totals.of("requests"),
            method="http.request.method",
            status_code="http.response.status_code",
            requests="count",
        ),
        "top_urls": renamed(totals.of("paths").slice(0, 1_000), url="url.path", requests="count", errors="failed"),
        "top_addresses": renamed(
            _known(totals.of("addresses"), "source.ip").slice(0, 1_000),
            ip_address="source.ip",
            requests="count",
            errors="failed",
            first_seen="first",
            last_seen="last",
        ),
        "events_by_type": renamed(
            types, log_source="event.format", event_type="event.action", events="count", errors="failed"
        ),
    }


def _errors(totals: Totals) -> dict[str, pa.Table]:
    addresses = _known(totals.of("addresses"), "source.ip")
    failing = addresses.filter(pc.greater(addresses["failed"], 0)).sort_by(
        [("failed", "descending"), ("source.ip", "ascending")]
    )
    return {
        "error_breakdown": renamed(
            totals.of("errors"),
            log_source="event.format",
            status_code="http.response.status_code",
            error_code="error.code",
            event_type="event.action",
            errors="count",
            first_seen="first",
            last_seen="last",
        ),
        "error_sources": renamed(failing.slice(0, 1_000), ip_address="source.ip", errors="failed", requests="count"),
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
        "login_attempts": renamed(logins, **columns),
        "suspicious_logins": renamed(outside, **columns),
        "brute_force": renamed(brute.sort_by([("login_failed", "descending"), ("source.ip", "ascending")]), **columns),
    }


def _cloud(totals: Totals) -> dict[str, pa.Table]:
    return {
        "events_by_region": renamed(totals.of("regions"), aws_region="cloud.region", events="count", errors="failed"),
        "failed_api_calls": renamed(
            totals.of("calls_failed"),
            event_name="event.action",
            error_code="error.code",
            user_identity="user.name",
            source_ip="source.ip",
            calls="count",
            first_seen="first",
            last_seen="last",
        ),
        "console_access": renamed(
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
        "threats_by_rule": renamed(
            rules, rule="rule", threat_level="level", alerts="count", first_seen="first", last_seen="last"
        ),
        "threats_by_level": renamed(levels, threat_level="level", alerts="count"),
        "threats_by_tactic": _listed(alerts, "tactics", "tactic"),
        "threats_by_technique": _listed(alerts, "techniques", "technique"),
        "threat_sources": renamed(
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
    return renamed(
        _grouped(flat, [name]), **{name: name, "alerts": "count", "first_seen": "first", "last_seen": "last"}
    )


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
