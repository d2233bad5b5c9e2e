"""Tables about visitors: sessions, journeys, funnels, features, searches, and what errors cost."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from detector.analytics.commerce import STEPS
from detector.analytics.questions import TIME, renamed, table_of
from detector.analytics.totals import Totals

TOP = 1_000
ALL = "all"
_ADVICE = {
    "view": "visitors leave before they see a product: make the start page lead to products, and faster",
    "add_to_cart": "products are looked at but not taken: check prices, pictures, availability and speed",
    "checkout": "carts are left: show shipping costs early, let guests check out, remind of left carts",
    "purchase": "checkouts break off: check payment errors first, then the number of fields and means of payment",
}
"""What to try where a step loses most, by the step that is not reached."""

Row = dict[str, Any]


def commerce(totals: Totals) -> dict[str, pa.Table]:
    """All tables of this module, by name."""
    sessions = totals.of("sessions").to_pylist()
    features = totals.of("features")
    return {
        "funnel": funnel(sessions),
        "sessions": _sessions(sessions),
        "journeys": _journeys(sessions),
        "features_used": _features(features),
        "searches": _searches(totals.of("searches").to_pylist(), sessions),
        "sales_hourly": renamed(
            totals.of("sales_hours").sort_by("hour"),
            hour="hour",
            purchases="purchase",
            revenue="revenue",
            failed_sales="broken_sale",
            revenue_lost="lost",
        ),
        "revenue_lost": _lost(totals.of("sales_hours").to_pylist(), sessions),
    }


def funnel(sessions: Sequence[Row]) -> pa.Table:
    """How far the sessions of each segment (and of all) come; a step counts if it or a later one was reached."""
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in sessions:
        groups[ALL].append(row)
        if row["max_segment"] is not None:
            groups[row["max_segment"]].append(row)
    found: list[Row] = [_funnel_of(segment, rows) for segment, rows in groups.items()]
    counts = dict.fromkeys(("sessions", "viewed", "added_to_cart", "checked_out", "purchased"), pa.int64())
    rates = dict.fromkeys(("conversion_rate", "cart_abandonment_rate", "average_order_value", "revenue"), pa.float64())
    return table_of(
        sorted(found, key=lambda row: (row["customer_segment"] != ALL, -row["sessions"], row["customer_segment"])),
        customer_segment=pa.string(),
        **counts,
        **rates,
        weakest_step=pa.string(),
        weakest_step_loss=pa.float64(),
        advice=pa.string(),
    )


def _funnel_of(segment: str, sessions: Sequence[Row]) -> Row:
    funnel_steps = ("view", "add_to_cart", "checkout", "purchase")
    reached = {
        step: sum(any(row[later] for later in funnel_steps[place:]) for row in sessions)
        for place, step in enumerate(funnel_steps)
    }
    orders = sum(row["purchase"] for row in sessions)
    revenue = sum(row["revenue"] for row in sessions)
    before = dict(zip(funnel_steps, (len(sessions), *list(reached.values())[:-1]), strict=True))
    losses = {step: 1 - reached[step] / before[step] for step in funnel_steps if before[step]}
    weakest = max(losses, key=lambda step: losses[step])
    loses = losses[weakest] > 0
    return {
        "customer_segment": segment,
        "sessions": len(sessions),
        "viewed": reached["view"],
        "added_to_cart": reached["add_to_cart"],
        "checked_out": reached["checkout"],
        "purchased": reached["purchase"],
        "conversion_rate": reached["purchase"] / len(sessions),
        "cart_abandonment_rate": 1 - reached["purchase"] / reached["add_to_cart"] if reached["add_to_cart"] else None,
        "average_order_value": revenue / orders if orders else None,
        "revenue": revenue,
        "weakest_step": weakest if loses else None,
        "weakest_step_loss": losses[weakest],
        "advice": _ADVICE[weakest] if loses else None,
    }


def _sessions(sessions: Sequence[Row]) -> pa.Table:
    rows: list[dict[str, Any]] = [
        {
            "session_id": row["session"],
            "customer_segment": row["max_segment"],
            "events": row["count"],
            "started": row["first"],
            "duration_seconds": (row["last"] - row["first"]).total_seconds(),
            "journey": _journey(row),
            "purchases": row["purchase"],
            "revenue": row["revenue"],
            "errors": row["failed"],
        }
        for row in sessions[:TOP]
    ]
    return table_of(
        rows,
        session_id=pa.string(),
        customer_segment=pa.string(),
        events=pa.int64(),
        started=TIME,
        duration_seconds=pa.float64(),
        journey=pa.string(),
        purchases=pa.int64(),
        revenue=pa.float64(),
        errors=pa.int64(),
    )


def _journey(row: Row) -> str:
    """The steps of a session in the order in which they first were taken."""
    times = [(row[f"min_{step}_at"], place, step) for place, step in enumerate(STEPS) if row[f"min_{step}_at"]]
    return " > ".join(step for _, _, step in sorted(times)) or "none"


def _journeys(sessions: Sequence[Row]) -> pa.Table:
    counts: Counter[str] = Counter()
    bought: Counter[str] = Counter()
    revenue: dict[str, float] = defaultdict(float)
    for row in sessions:
        journey = _journey(row)
        counts[journey] += 1
        bought[journey] += bool(row["purchase"])
        revenue[journey] += row["revenue"]
    rows: list[dict[str, Any]] = [
        {"journey": journey, "sessions": count, "purchased": bought[journey], "revenue": revenue[journey]}
        for journey, count in sorted(counts.items(), key=lambda each: (-each[1], each[0]))
    ]
    return table_of(rows, journey=pa.string(), sessions=pa.int64(), purchased=pa.int64(), revenue=pa.float64())


def _features(features: pa.Table) -> pa.Table:
    found = features.group_by("feature", use_threads=False).aggregate([("count", "sum"), ([], "count_all")])
    found = found.rename_columns(["feature", "uses", "sessions"])
    return found.sort_by([("uses", "descending"), ("feature", "ascending")]).slice(0, TOP)


def _searches(searches: Sequence[Row], sessions: Sequence[Row]) -> pa.Table:
    """Queries; a purchase follows if the session bought after it had first searched for this."""
    bought = {row["session"]: row["max_purchase_at"] for row in sessions}
    found: dict[str, Row] = {}
    for row in searches:
        own = found.setdefault(row["query"], {"searches": 0, "sessions": 0, "without_result": 0, "followed": 0})
        own["searches"] += row["count"]
        own["sessions"] += row["session"] is not None
        own["without_result"] += row["no_result"]
        last = bought.get(row["session"])
        own["followed"] += last is not None and last >= row["first"]
    rows: list[dict[str, Any]] = [
        {
            "query": query,
            "searches": own["searches"],
            "without_result": own["without_result"],
            "sessions": own["sessions"],
            "followed_by_purchase": own["followed"],
            "conversion_rate": own["followed"] / own["sessions"] if own["sessions"] else None,
        }
        for query, own in sorted(found.items(), key=lambda each: (-each[1]["searches"], each[0]))[:TOP]
    ]
    return table_of(
        rows,
        query=pa.string(),
        searches=pa.int64(),
        without_result=pa.int64(),
        sessions=pa.int64(),
        followed_by_purchase=pa.int64(),
        conversion_rate=pa.float64(),
    )


def _lost(hours: Sequence[Row], sessions: Sequence[Row]) -> pa.Table:
    """Sales that failed, by their value where the log has it, else by the average order."""
    failed = sum(row["broken_sale"] for row in hours)
    orders, revenue = sum(row["purchase"] for row in hours), sum(row["revenue"] for row in hours)
    average = revenue / orders if orders else 0.0
    recovered = sum(_recovered(row) for row in sessions)
    rows: list[dict[str, Any]] = [
        {
            "failed_sales": failed,
            "value_logged": sum(row["lost"] for row in hours),
            "sessions_with_failed_sale": sum(bool(row["broken_sale"]) for row in sessions),
            "sessions_that_bought_still": recovered,
            "average_order_value": average,
            "revenue_lost": sum(_loss(row, average) for row in sessions if row["broken_sale"] and not row["purchase"]),
        }
    ]
    counts = dict.fromkeys(("failed_sales", "sessions_with_failed_sale", "sessions_that_bought_still"), pa.int64())
    values = dict.fromkeys(("value_logged", "average_order_value", "revenue_lost"), pa.float64())
    return table_of(rows if hours else [], **counts, **values)


def _recovered(row: Mapping[str, Any]) -> bool:
    return bool(row["broken_sale"] and row["purchase"])


def _loss(row: Mapping[str, Any], average: float) -> float:
    return float(row["lost"]) / row["broken_sale"] if row["lost"] else average
