"""Service level objectives over old events: how much of the error budget is used, and how fast.

A burn rate of 1 uses the budget up exactly within the objective's period (Google, The Site Reliability Workbook,
chapter 5).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from detector.analytics.definitions import Objective
from detector.analytics.questions import TIME, sums, table_of
from detector.analytics.totals import Totals

HOUR = timedelta(hours=1)


def objectives(totals: Totals, defined: Sequence[Objective]) -> dict[str, pa.Table]:
    """`slos`, a row for each objective and service, and `slo_burn_hourly` of those about failures."""
    services, durations = totals.of("service_hours"), totals.of("durations")
    names = [row["service"] for row in sums(services, ["service"], ["count"]).to_pylist() if row["service"]]
    pairs = [(each, name) for each in defined for name in names if each.service in {"*", name}]
    hours: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    for row in services.sort_by("hour").to_pylist():
        if row["service"] in hours:
            hours[row["service"]].append(row)
    rows: list[dict[str, Any]] = []
    hourly: list[dict[str, Any]] = []
    rates: dict[str, float | None]
    for each, name in pairs:
        if each.latency_ms is None:
            own = _of_period(hours[name], each.period_days)
            events, bad = sum(row["count"] for row in own), sum(row["broken"] for row in own)
            hourly += [
                {
                    "slo": each.name,
                    "service_name": name,
                    "hour": row["hour"],
                    "burn_rate": each.burn(row["count"], row["broken"]),
                }
                for row in own
            ]
            rates = {f"burn_rate_{length}h": _recent(each, own, length) for length in (1, 6)}
        else:
            events, bad = _slow(durations, name, each.latency_ms * 1_000)
            rates = {"burn_rate_1h": None, "burn_rate_6h": None}
            if not events:
                continue
        used = bad / (events * each.budget)
        rows.append(
            {
                "slo": each.name,
                "service_name": name,
                "objective": each.percent,
                "period_days": each.period_days,
                "events": events,
                "bad_events": bad,
                "achieved": 100 * (1 - bad / events),
                "burn_rate": each.burn(events, bad),
                **rates,
                "budget_remaining": 1 - used,
                "met": used <= 1,
            }
        )
    numbers = dict.fromkeys(("burn_rate", "burn_rate_1h", "burn_rate_6h", "budget_remaining"), pa.float64())
    return {
        "slos": table_of(
            rows,
            slo=pa.string(),
            service_name=pa.string(),
            objective=pa.float64(),
            period_days=pa.int64(),
            events=pa.int64(),
            bad_events=pa.int64(),
            achieved=pa.float64(),
            **numbers,
            met=pa.bool_(),
        ),
        "slo_burn_hourly": table_of(
            hourly, slo=pa.string(), service_name=pa.string(), hour=TIME, burn_rate=pa.float64()
        ),
    }


def _of_period(rows: Sequence[dict[str, Any]], days: int) -> list[dict[str, Any]]:
    """The hours of the last period that the data has."""
    return [row for row in rows if row["hour"] > rows[-1]["hour"] - timedelta(days=days)]


def _recent(each: Objective, rows: Sequence[dict[str, Any]], length: int) -> float:
    last = [row for row in rows if row["hour"] > rows[-1]["hour"] - length * HOUR]
    return each.burn(sum(row["count"] for row in last), sum(row["broken"] for row in last))


def _slow(durations: pa.Table, service: str, micros: float) -> tuple[int, int]:
    own = durations.filter(pc.equal(durations["service"], service))
    slow = own.filter(pc.greater(own["duration"], micros))
    return int(pc.sum(own["count"]).as_py() or 0), int(pc.sum(slow["count"]).as_py() or 0)
