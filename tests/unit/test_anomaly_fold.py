"""Anomalies in the fold: whatever way the same events come, the same is found."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.correlation.inputs import Entry, group_of
from detector.correlation.rule import Correlation
from tests.anomalies import oracle
from tests.correlations import SOURCES, Replica, Seen, correlation, window

SECOND = 1_000_000
STEP = 20 * SECOND
LATE_US = 10 * STEP
END_US = 100 * STEP
PLACES = ("48.86\0002.35", "48.7\0002.1", "40.71\000-74.01", "-33.87\000151.21")


def baseline(measure: str, deviations: float, rules: str = "abc", **condition: Any) -> dict[str, Any]:
    """One of minutes, which begins soon."""
    options = {"measure": measure, "deviations": deviations, "minimum": 2, **condition}
    return {"type": "baseline", "timespan": "1m", "rules": list(rules), "condition": options}


SECTIONS: tuple[dict[str, Any], ...] = (
    {"type": "new_value", "timespan": "3m", "condition": {"field": "v", "minimum": 2}},
    {"type": "rare_value", "timespan": "2m", "condition": {"field": "v", "share": 0.3, "minimum": 4}},
    {"type": "outlier", "timespan": "2m", "condition": {"field": "v", "quantile": 0.6, "minimum": 4}},
    {"type": "outlier", "timespan": "1m", "condition": {"field": "v", "quantile": 0.5, "times": 1.5, "minimum": 2}},
    {"type": "impossible_travel", "timespan": "2m"},
    {"type": "absence", "timespan": "90s", "condition": {"minimum": 2}},
    {"type": "slo", "timespan": "7d", "rules": ["a", "b"], "condition": {"objective": 80, "minimum": 3}},
    {
        "type": "slo",
        "timespan": "7d",
        "rules": ["a"],
        "condition": {"objective": 80, "minimum": 3, "field": "v", "lte": 2},
    },
    baseline("rate", 1.5),
    baseline("rate", 1, direction="both"),
    baseline("rate", 1, direction="down"),
    baseline("ratio", 1, "ab"),
    baseline("distinct", 1, field="v"),
    baseline("sum", 2, field="v"),
    baseline("size", 2, field="v"),
)
RULES = [
    correlation(
        {"rules": ["a", "b", "c"], "group-by": ["g"], **section}, id=f"{number:08d}-0000-4000-8000-000000000000"
    )
    for number, section in enumerate(SECTIONS, start=1)
]

Drawn = tuple[str, int, int, int, int]
EVENTS = st.lists(
    st.tuples(st.sampled_from(["x", "y"]), st.integers(0, 60), st.integers(0, 2), st.integers(0, 3), st.integers(0, 9)),
    max_size=60,
)


def value_of(rule: Correlation, value: int) -> str | float:
    """A drawn value as the rule counts it."""
    if rule.kind == "impossible_travel":
        return PLACES[value]
    return float(value**3) if rule.numeric else str(value)


def found_any_way(rule: Correlation, events: list[Drawn], data: st.DataObject) -> tuple[list[Any], set[Any]]:
    """What a replica finds of events that come late, cut into windows, repeated, with restarts; and the oracle."""
    arrival = sorted(events, key=lambda each: each[1] + each[4])
    seen: list[list[Seen]] = [[], []]
    for number, (group, step, kind, value, _) in enumerate(arrival):
        source = number % 2
        place = (SOURCES[source], len(seen[source]), 0)
        of_rule = kind % len(rule.rules)
        seen[source].append(Seen(group_of([group]), step * STEP, of_rule, value_of(rule, value), place))
    replica = Replica([rule], LATE_US)
    positions = [0, 0]
    while any(positions[source] < len(seen[source]) for source in (0, 1)):
        source = data.draw(st.sampled_from([each for each in (0, 1) if positions[each] < len(seen[each])]))
        start = positions[source]
        end = min(len(seen[source]), start + data.draw(st.integers(1, 8)))
        for first in {start, max(0, start - data.draw(st.integers(0, 3)))}:
            part = seen[source][first:end]
            entries = [
                Entry(rule.definition, each.rule, each.group, each.time_us, first + index, 0, each.value, 0)
                for index, each in enumerate(part)
            ]
            replica.take(window(source, first, end, entries, max(each.time_us for each in part)))
        positions[source] = end
        if data.draw(st.booleans()):
            replica.snapshot(0)
        if data.draw(st.booleans()):
            replica.restart(0)
    for source in (0, 1):
        replica.take(window(source, positions[source], positions[source] + 1, [], END_US + LATE_US))
    fired = [(each.hit.group, each.hit.start_us, each.hit.mark) for each in replica.fired]
    return fired, oracle(rule, seen[0] + seen[1], END_US)


class TestSameAnswer:
    """The promise of correlations holds for each type of anomaly."""

    @pytest.mark.parametrize("rule", RULES, ids=lambda rule: str(rule.kind))
    @settings(max_examples=20, deadline=None)
    @given(events=EVENTS, data=st.data())
    def test_any_way(self, rule: Correlation, events: list[Drawn], data: st.DataObject) -> None:
        """Events late by less than the lateness, over two sources, cut into windows, some sent again, with restarts."""
        fired, wanted = found_any_way(rule, events, data)

        assert len(fired) == len(set(fired))
        assert set(fired) == wanted

    @pytest.mark.parametrize("rule", RULES, ids=lambda rule: str(rule.kind))
    def test_something_is_found(self, rule: Correlation) -> None:
        """The events that are drawn can make each of these rules fire, so that agreement means something."""
        steady = [("x", step, step % 3, 1, 0) for step in range(24)]
        burst = [("x", 40, int(number == 0), (number + 3) % 4, 0) for number in range(9)]
        events = [
            Seen(group_of([group]), step * STEP, kind % len(rule.rules), value_of(rule, value), (SOURCES[0], offset, 0))
            for offset, (group, step, kind, value, _) in enumerate(steady + burst)
        ]

        assert oracle(rule, events, END_US)
