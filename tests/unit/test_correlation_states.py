"""The states of correlations against the oracle."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.correlation.rule import Correlation
from detector.correlation.states import State, make_state
from tests.correlations import Seen, correlation, oracle

SECOND = 1_000_000
GROUP = {"group-by": ["g"], "timespan": "10s"}


def _make(section: dict[str, Any]) -> Correlation:
    return correlation({"rules": ["a", "b", "c"], **GROUP, **section})


KINDS = {
    "event_count": _make({"type": "event_count", "condition": {"gte": 4}}),
    "event_count_gt": _make({"type": "event_count", "condition": {"gt": 1}}),
    "event_count_range": _make({"type": "event_count", "condition": {"gte": 2, "lt": 4}}),
    "event_count_eq": _make({"type": "event_count", "condition": {"eq": 1}}),
    "value_count": _make({"type": "value_count", "condition": {"gte": 3, "field": "v"}}),
    "value_count_lt": _make({"type": "value_count", "condition": {"lt": 2, "field": "v"}}),
    "value_sum": _make({"type": "value_sum", "condition": {"gt": 6, "field": "v"}}),
    "value_avg": _make({"type": "value_avg", "condition": {"gte": 2, "field": "v"}}),
    "value_median": _make({"type": "value_median", "condition": {"lt": 2, "field": "v"}}),
    "value_percentile": _make({"type": "value_percentile", "condition": {"gte": 3, "field": "v", "percentile": 90}}),
    "temporal": _make({"type": "temporal"}),
    "temporal_two": _make({"type": "temporal", "condition": {"gte": 2}}),
    "temporal_or": _make({"type": "temporal", "condition": "a and (b or c)"}),
    "temporal_not": _make({"type": "temporal", "condition": "a and not b"}),
    "ordered": _make({"type": "temporal_ordered"}),
    "ordered_two": _make({"type": "temporal_ordered", "condition": "(a and b) or (b and c)"}),
    "ordered_not": _make({"type": "temporal_ordered", "condition": "a and c and not b"}),
}

SEEN = st.builds(
    lambda group, time, rule, value, offset: Seen(group, time * SECOND // 2, rule, value, ("s", offset, 0)),
    st.sampled_from("xy"),
    st.integers(0, 90),
    st.integers(0, 2),
    st.integers(0, 3),
    st.integers(0, 1 << 30),
)
EVENTS = st.lists(SEEN, max_size=40, unique_by=lambda each: each.place)


def valued(kind: str, events: list[Seen]) -> list[Seen]:
    """With texts as values where they are counted: so they come, and so they are written down."""
    return [replace(each, value=str(each.value)) for each in events] if kind.startswith("value_count") else events


def feed(state: State, events: list[Seen]) -> list[tuple[str, int]]:
    """What fires, in order."""
    return [
        (hit.group, hit.start_us)
        for each in events
        for hit in state.add(each.group, each.time_us, each.rule, each.value, each.place) or ()
    ]


@pytest.mark.parametrize("kind", KINDS)
class TestAgreement:
    """Any order gives what the definition says."""

    @settings(max_examples=50, deadline=None)
    @given(events=EVENTS)
    def test_any_order(self, kind: str, events: list[Seen]) -> None:
        """Events in any order: each alert once."""
        events = valued(kind, events)
        state = make_state(KINDS[kind], 1000)

        fired = feed(state, events) + [(hit.group, hit.start_us) for hit in state.advance(1 << 60)]

        assert len(fired) == len(set(fired))
        assert set(fired) == oracle(KINDS[kind], events)

    @settings(max_examples=40, deadline=None)
    @given(events=EVENTS, lateness=st.integers(0, 20), cut=st.integers(0, 40), data=st.data())
    def test_watermarks_and_restarts(
        self, kind: str, events: list[Seen], lateness: int, cut: int, data: st.DataObject
    ) -> None:
        """Events out of order within the lateness, with watermarks between them, and a restart from a snapshot."""
        events = valued(kind, events)
        late_us = lateness * SECOND
        delays = data.draw(st.lists(st.integers(0, late_us), min_size=len(events), max_size=len(events)))
        arrival = [each for _, each in sorted(zip(delays, events, strict=True), key=lambda it: it[0] + it[1].time_us)]
        state = make_state(KINDS[kind], 1000)
        fired: list[tuple[str, int]] = []
        newest = 0

        for index, each in enumerate(arrival):
            if index == cut:
                dumped = orjson.loads(orjson.dumps(state.dump()))
                state = make_state(KINDS[kind], 1000)
                state.load(dumped)
                state.advance(newest - late_us)
            fired += feed(state, [each])
            newest = max(newest, each.time_us)
            fired += [(hit.group, hit.start_us) for hit in state.advance(newest - late_us)]
        fired += [(hit.group, hit.start_us) for hit in state.advance(1 << 60)]

        assert len(fired) == len(set(fired))
        assert set(fired) == oracle(KINDS[kind], events)


class TestBounds:
    """What a state keeps."""

    def test_a_flood_of_one_group(self) -> None:
        """A group that fired keeps no more events than the condition counts."""
        state = make_state(KINDS["event_count"], 1000)

        feed(state, [Seen("x", index * 1000, 0, None, ("s", index, 0)) for index in range(5_000)])

        assert len(orjson.dumps(state.dump())) < 200

    def test_a_flood_of_values(self) -> None:
        """Nor more values than twice those that it counts."""
        state = make_state(KINDS["value_count"], 1000)

        feed(state, [Seen("x", index * 1000, 0, str(index), ("s", index, 0)) for index in range(5_000)])

        assert len(orjson.dumps(state.dump())) < 400

    @pytest.mark.parametrize("kind", ["ordered", "value_sum"])
    def test_events_are_bounded(self, kind: str) -> None:
        """Where all events have to be kept, their number is bounded, and what is left out counted."""
        state = make_state(KINDS[kind], 100)

        feed(state, [Seen("x", index * 1000, 1, 1, ("s", index, 0)) for index in range(300)])

        assert state.dropped == 200

    @pytest.mark.parametrize("kind", KINDS)
    def test_the_past_is_forgotten(self, kind: str) -> None:
        """Behind the watermark nothing is held."""
        state = make_state(KINDS[kind], 100)
        feed(state, [Seen(str(index), index * SECOND, 1, 1, ("s", index, 0)) for index in range(100)])

        state.advance(1 << 60)

        assert state.size == 0

    def test_eviction_spares_who_is_about_to_fire(self) -> None:
        """Groups far from firing go first, however many there are."""
        state = make_state(KINDS["event_count"], 100)
        feed(state, [Seen("target", index, 0, None, ("s", index, 0)) for index in range(3)])
        feed(state, [Seen(f"key {index}", 5, 0, None, ("s", index, 1)) for index in range(100)])

        evicted = state.evict(100)

        assert evicted == 100
        assert feed(state, [Seen("target", 9, 0, None, ("s", 9, 0))]) == [("target", 0)]
