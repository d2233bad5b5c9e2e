"""Visitors, their sessions and what they buy, against plain counts."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.analytics import Row, at, report

STEPS = ("view", "add_to_cart", "checkout", "purchase")
EVENTS = st.fixed_dictionaries(
    {
        "@timestamp": st.integers(0, 300).map(at),
        "session.id": st.sampled_from(["s1", "s2", "<script>", "=cmd"]),
        "event.action": st.sampled_from([*STEPS, "search", "wave", None]),
        "customer.segment": st.sampled_from([None, "vip"]),
        "order.value": st.sampled_from([None, 10.0, 30.0]),
        "event.outcome": st.sampled_from([None, "failure"]),
    }
)


class TestFunnel:
    @settings(max_examples=10, deadline=None)
    @given(st.lists(EVENTS, min_size=1, max_size=25), st.integers(1, 9))
    def test_as_counted_plainly(self, events: list[Row], size: int) -> None:
        """However the events are cut, sessions, rates and revenue are those of a plain loop over them."""
        found = report(events, size)
        sessions: dict[str, list[Row]] = defaultdict(list)
        for event in events:
            if event["event.action"] in {*STEPS, "search"} or event["customer.segment"]:
                sessions[event["session.id"]].append(event)
        done = {name: [e for e in own if not e["event.outcome"]] for name, own in sessions.items()}
        bought = [e for own in done.values() for e in own if e["event.action"] == "purchase"]
        buyers = {e["session.id"] for e in bought}
        carts = {
            n for n, own in done.items() if {e["event.action"] for e in own} & {"add_to_cart", "checkout", "purchase"}
        }

        assert len(found["sessions"]) == len(sessions)
        if not sessions:
            return
        row = next(row for row in found["funnel"] if row["customer_segment"] == "all")
        assert row["conversion_rate"] == pytest.approx(len(buyers) / len(sessions))
        assert row["cart_abandonment_rate"] == (pytest.approx(1 - len(buyers) / len(carts)) if carts else None)
        assert row["revenue"] == sum(e["order.value"] or 0 for e in bought)
        assert row["average_order_value"] == (pytest.approx(row["revenue"] / len(bought)) if bought else None)

    def test_weakest_step(self) -> None:
        """The step that loses most is named, with what to try."""
        rows = [{"session.id": f"s{i}", "event.action": "view"} for i in range(10)]
        rows += [{"session.id": f"s{i}", "event.action": "add_to_cart"} for i in range(9)]
        rows += [{"session.id": "s0", "event.action": step} for step in ("checkout", "purchase")]
        row = report(rows)["funnel"][0]

        assert (row["weakest_step"], row["weakest_step_loss"]) == ("checkout", pytest.approx(8 / 9))
        assert "shipping costs" in row["advice"]

    def test_paths(self) -> None:
        """Requests of an access log count by their paths, for an address and a day."""
        rows: list[Row] = [
            {"source.ip": "192.0.2.1", "url.path": path, "http.response.status_code": 200}
            for path in ("/products/7", "/cart", "/checkout", "/order/confirmation")
        ]
        (row,) = report(rows)["sessions"]

        assert (row["session_id"], row["journey"]) == (
            "192.0.2.1@2026-11-24",
            "view > add_to_cart > checkout > purchase",
        )


class TestSearches:
    def test_followed_by_purchase(self) -> None:
        """A purchase follows a search if the session buys after it; searches without result are counted."""
        rows: list[dict[str, Any]] = [
            {"session.id": "a", "event.action": "search", "search.query": " Red Shoes", "search.results": 0},
            {"session.id": "b", "event.action": "search", "search.query": "red shoes", "@timestamp": at(5)},
            {"session.id": "b", "event.action": "purchase", "@timestamp": at(6)},
            {"session.id": "c", "event.action": "purchase"},
            {"session.id": "c", "event.action": "search", "search.query": "red shoes", "@timestamp": at(9)},
        ]
        (row,) = report(rows)["searches"]

        assert (row["query"], row["searches"], row["without_result"]) == ("red shoes", 3, 1)
        assert (row["sessions"], row["followed_by_purchase"]) == (3, 1)


class TestRevenueLost:
    def test_lost(self) -> None:
        """A failed sale is lost at its value, or at the average order's, unless the session buys still."""
        rows = [
            {"session.id": "a", "event.action": "purchase", "order.value": 20.0},
            {"session.id": "b", "event.action": "purchase", "order.value": 50.0, "event.outcome": "failure"},
            {"session.id": "c", "event.action": "checkout", "http.response.status_code": 500},
            {"session.id": "d", "event.action": "checkout", "http.response.status_code": 500},
            {"session.id": "d", "event.action": "purchase", "order.value": 20.0, "@timestamp": at(1)},
        ]
        (row,) = report(rows)["revenue_lost"]

        assert (row["failed_sales"], row["sessions_that_bought_still"]) == (3, 1)
        assert row["revenue_lost"] == 70.0


class TestApplication:
    def test_payloads(self) -> None:
        """Payloads are counted by type with mean and maximum, large ones apart; pushes and pull requests by hour."""
        rows = [{"event.action": "PushEvent", "event.payload_bytes": size} for size in (500, 1_000, 1_001, 3_000)]
        rows.append({"event.action": "PullRequestEvent", "event.payload_bytes": 10})
        found = report(rows)

        assert found["payload_sizes"][0] == {
            "event_type": "PushEvent",
            "events": 4,
            "mean_payload_size": 1375.25,
            "max_payload_size": 3_000,
        }
        assert found["large_payloads"] == [{"event_type": "PushEvent", "events": 2}]
        assert found["repository_hourly"] == [{"hour": at(0), "pushes": 4, "pull_requests": 1}]
