"""What is new, gone or changed between two reports, table by table."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from detector.analytics.questions import table_of

SHARE = 0.5
"""A count that differs by less than this share of the greater one is no change ..."""
DEVIATIONS = 3.0
"""... nor is one that differs by less than this many standard deviations, as counts of independent events have."""


@dataclass(frozen=True, slots=True)
class _Compared:
    keys: tuple[str, ...]
    count: str


_TABLES: Mapping[str, _Compared] = {
    "threats_by_rule": _Compared(("rule", "threat_level"), "alerts"),
    "threats_by_technique": _Compared(("technique",), "alerts"),
    "threat_sources": _Compared(("source",), "event_count"),
    "error_classes": _Compared(("service_name", "exception", "status_code", "message_template"), "errors"),
    "error_sources": _Compared(("ip_address",), "errors"),
    "events_by_type": _Compared(("log_source", "event_type"), "events"),
    "top_urls": _Compared(("url",), "requests"),
    "top_addresses": _Compared(("ip_address",), "requests"),
    "login_attempts": _Compared(("ip_address",), "attempts"),
    "events_by_region": _Compared(("aws_region",), "events"),
    "failed_api_calls": _Compared(("event_name", "error_code", "user_identity"), "calls"),
    "privileged_actions": _Compared(("user_name", "action", "system"), "actions"),
    "data_access": _Compared(("user_name", "resource"), "accesses"),
    "features_used": _Compared(("feature",), "uses"),
    "searches": _Compared(("query",), "searches"),
}
_RATES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "service_health": ("service_name", ("error_rate", "availability", "response_time_p95", "throughput")),
    "funnel": ("customer_segment", ("conversion_rate", "cart_abandonment_rate", "average_order_value")),
    "resource_utilization": ("host_name", ("mean", "peak")),
}


def compared(before: Mapping[str, pa.Table], after: Mapping[str, pa.Table]) -> dict[str, pa.Table]:
    """`changes`: counts, and `changed_rates`; the greatest changes first."""
    counts: list[dict[str, Any]] = [
        row for name, how in _TABLES.items() for row in _counts(name, how, before[name], after[name])
    ]
    rates = [row for name, (key, columns) in _RATES.items() for row in _rates(name, key, columns, before, after)]
    return {
        "changes": table_of(
            sorted(counts, key=lambda row: (-abs(row["after"] - row["before"]), row["table"], row["subject"])),
            table=pa.string(),
            subject=pa.string(),
            change=pa.string(),
            before=pa.int64(),
            after=pa.int64(),
        ),
        "changed_rates": table_of(
            rates,
            table=pa.string(),
            subject=pa.string(),
            measure=pa.string(),
            before=pa.float64(),
            after=pa.float64(),
            difference=pa.float64(),
        ),
    }


def differ(before: int, after: int) -> str | None:
    """new, gone, rose, fell, or None where it may as well be chance."""
    if not before or not after:
        return None if before == after else "new" if after else "gone"
    difference = abs(after - before)
    if difference < SHARE * max(before, after) or difference < DEVIATIONS * math.sqrt(before + after):
        return None
    return "rose" if after > before else "fell"


def _counts(name: str, how: _Compared, before: pa.Table, after: pa.Table) -> list[dict[str, Any]]:
    old, new = _by_key(how, before), _by_key(how, after)
    found = []
    for key in old.keys() | new.keys():
        was, now = old.get(key, 0), new.get(key, 0)
        if change := differ(was, now):
            subject = " | ".join("-" if part is None else str(part) for part in key)
            found.append({"table": name, "subject": subject, "change": change, "before": was, "after": now})
    return found


def _by_key(how: _Compared, table: pa.Table) -> dict[tuple[Any, ...], int]:
    found: dict[tuple[Any, ...], int] = {}
    for row in table.to_pylist():
        key = tuple(row[name] for name in how.keys)
        found[key] = found.get(key, 0) + row[how.count]
    return found


def _rates(
    name: str, key: str, columns: tuple[str, ...], before: Mapping[str, pa.Table], after: Mapping[str, pa.Table]
) -> list[dict[str, Any]]:
    old = {(row[key], row.get("resource")): row for row in before[name].to_pylist()}
    found = []
    for row in after[name].to_pylist():
        was = old.get((row[key], row.get("resource")))
        for column in columns if was else ():
            first, second = was[column] if was else None, row[column]
            if first is not None and second is not None and first != second:
                subject = " ".join(str(part) for part in (row[key], row.get("resource")) if part is not None)
                found.append(
                    {
                        "table": name,
                        "subject": subject,
                        "measure": column,
                        "before": first,
                        "after": second,
                        "difference": second - first,
                    }
                )
    return found
