"""Suppressions and incidents: the same alerts and incidents however their input comes."""

from __future__ import annotations

from importlib import resources
from itertools import pairwise
from typing import Any

import jsonschema
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.correlation.signals import decode
from tests.alert_world import PARTITIONS, SECOND, World
from tests.correlations import BASES
from tests.sigma import load

HELD = b"""
title: Three a quarter of a minute, of each address
suppression:
  rules: [a]
  group-by: [source.ip]
  timespan: 15s
  first: 2
---
title: Storms
suppression:
  rules: [a, b]
  timespan: 30s
  first: 3
---
title: Often b
id: 21111111-0000-4000-8000-000000000000
level: high
correlation:
  type: event_count
  rules: [b]
  group-by: [source.ip]
  timespan: 20s
  condition: {gte: 4}
  generate: true
---
title: Seldom b
id: 31111111-0000-4000-8000-000000000000
level: low
correlation:
  type: event_count
  rules: [b]
  group-by: [source.ip]
  timespan: 20s
  condition: {lt: 2}
  generate: true
---
title: Not that one
exception:
  rules: any
  reason: A test
  until: 1970-01-01T00:00:50Z
  which:
    source.ip: 192.0.2.3
  condition: which
"""
RULES = load(*BASES, HELD)
EVENT = st.tuples(st.sampled_from("abc"), st.integers(1, 4), st.integers(0, 90), st.integers(0, 9))

Events = list[list[tuple[int, dict[str, Any]]]]


def world() -> World:
    return World(RULES, incident_gap_s=20.0, incident_update_s=5.0)


def split(events: list[tuple[str, int, int, int]]) -> Events:
    """Events of two sources, late by up to nine seconds."""
    sources: Events = [[], []]
    for number, (kind, address, second, _) in enumerate(sorted(events, key=lambda each: each[2] + each[3])):
        fields = {"kind": kind, "source.ip": f"192.0.2.{address}"}
        sources[number % 2].append((second * SECOND + number, fields))
    return sources


def plainly(sources: Events) -> World:
    """Source by source, then fold by fold, without a fault."""
    plain = world()
    for source in (0, 1):
        plain.window(source, 0, sources[source])
    plain.finish([max(1, len(each)) for each in sources])
    return plain


def keyed(messages: list[dict[str, Any]]) -> dict[Any, Any]:
    """What messages say, by what names them: the same one says the same."""
    found: dict[Any, Any] = {}
    for each in messages:
        name = (each["id"], each.get("version", 0))
        of_run = {"detected_at"} | ({"source"} if each.get("format") in ("suppression", "correlation") else set())
        said = {key: value for key, value in each.items() if key not in of_run}
        assert found.setdefault(name, said) == said
    return found


class TestSameAnswer:
    @settings(max_examples=30, deadline=None)
    @given(st.lists(EVENT, max_size=60), st.data())
    def test_any_way(self, events: list[tuple[str, int, int, int]], data: st.DataObject) -> None:
        """Cut into windows, some sent again, folded in any turn, with crashes: the same alerts and incidents."""
        sources = split(events)
        wanted = plainly(sources)

        faulty = world()
        positions = [0, 0]
        while any(positions[source] < len(sources[source]) for source in (0, 1)):
            source = data.draw(st.sampled_from([each for each in (0, 1) if positions[each] < len(sources[each])]))
            start, end = positions[source], min(len(sources[source]), positions[source] + data.draw(st.integers(1, 8)))
            again = max(0, start - data.draw(st.integers(0, 3)))
            for first in {start, again}:
                faulty.window(source, first, sources[source][first:end])
            positions[source] = end
            number = data.draw(st.integers(0, PARTITIONS - 1))
            faulty.step(number, data.draw(st.integers(0, 20)))
            action = data.draw(st.sampled_from([None, faulty.commit, faulty.snapshot, faulty.crash]))
            if action is not None:
                action(number)
        faulty.finish([max(1, len(each)) for each in sources])

        assert keyed(faulty.alerts) == keyed(wanted.alerts)
        assert keyed(faulty.incidents) == keyed(wanted.incidents)

    @settings(max_examples=20, deadline=None)
    @given(st.lists(EVENT, max_size=80))
    def test_nothing_is_silent(self, events: list[tuple[str, int, int, int]]) -> None:
        """Each match is an alert, is counted by a summary, or is excepted: the sums agree."""
        sources = split(events)
        plain = plainly(sources)
        excepted = [
            fields
            for source in sources
            for time_us, fields in source
            if fields["source.ip"] == "192.0.2.3" and time_us < 50 * SECOND
        ]

        singles = [each for each in plain.alerts if "correlation" not in each and "suppression" not in each]
        held = sum(each["suppression"]["held"] for each in plain.alerts if "suppression" in each)
        assert len(singles) + held == len(events) - len(excepted)


class TestSuppression:
    def test_first_pass_and_the_rest_is_told(self) -> None:
        """Of five alerts about an address two pass; the summary counts three, and lists their ids."""
        one = world()
        one.window(0, 0, [(second * SECOND, {"kind": "a", "source.ip": "192.0.2.1"}) for second in range(5)])
        one.finish([5, 0])

        alerts = [each for each in one.alerts if "suppression" not in each]
        (summary,) = (each for each in one.alerts if "suppression" in each)
        assert [each["source"]["offset"] for each in alerts] == [0, 1]
        assert summary["suppression"]["held"] == len(summary["suppression"]["ids"]) == 3
        assert summary["suppression"]["passed"] == 2
        assert summary["rule"]["title"] == "a"
        assert summary["entity"] == {"field": "source.ip", "type": "ip", "value": "192.0.2.1"}
        assert not {each["id"] for each in alerts} & set(summary["suppression"]["ids"])

    def test_each_source_has_its_first(self) -> None:
        """What passes of a partition does not depend on another partition; the summary is about both."""
        one = world()
        for source in (0, 1):
            one.window(source, 0, [(second * SECOND, {"kind": "a", "source.ip": "192.0.2.1"}) for second in range(4)])
        one.finish([4, 4])

        alerts = [each for each in one.alerts if "suppression" not in each]
        (summary,) = (each for each in one.alerts if "suppression" in each)
        assert sorted((each["source"]["partition"], each["source"]["offset"]) for each in alerts) == [
            *((0, 0), (0, 1), (1, 0), (1, 1))
        ]
        assert (summary["suppression"]["passed"], summary["suppression"]["held"]) == (4, 4)

    def test_storm_behind_a_suppression(self) -> None:
        """Many addresses pass the one of each address, and are held by that of the rule."""
        one = world()
        one.window(0, 0, [(number, {"kind": "a", "source.ip": f"192.0.2.{number}"}) for number in range(20, 60)])
        one.finish([40, 0])

        summaries = [each["suppression"] for each in one.alerts if "suppression" in each]
        assert [(each["title"], each["passed"], each["held"]) for each in summaries] == [("Storms", 3, 37)]

    def test_alerts_held_in_the_window_are_never_made(self) -> None:
        """A flood costs entries, not alerts: only the first ones have a body."""
        one = world()
        one.window(0, 0, [(number, {"kind": "b", "source.ip": "192.0.2.9"}) for number in range(50)])

        held = [
            value
            for message in map(decode, one.logs[0] + one.logs[1])
            if message.columns
            for column, value in zip(message.columns[0], message.columns[6], strict=True)
            if message.definitions[column].startswith("~held:")
        ]
        assert len(held) == 50
        assert sum(value is not None for value in held) == 3

    def test_bound(self) -> None:
        """At the bound the oldest bucket is told before its time; nothing is lost."""
        one = World(RULES, max_groups=100)
        events = [(number, {"kind": "a", "source.ip": f"198.51.{number % 200}.1"}) for number in range(1_000)]
        one.window(0, 0, events)
        one.finish([1_000, 0])

        held = sum(each["suppression"]["held"] for each in one.alerts if "suppression" in each)
        singles = sum("suppression" not in each for each in one.alerts)
        assert singles + held == 1_000
        assert all(partition.fold.stage.groups <= 101 for partition in one.partitions)


class TestExceptions:
    def test_until(self) -> None:
        """What it selects is no alert before it expires, and one after it."""
        one = world()
        one.window(0, 0, [(time * SECOND, {"kind": "c", "source.ip": "192.0.2.3"}) for time in (49, 50)])

        assert [each["source"]["offset"] for each in one.alerts] == [1]

    @pytest.mark.parametrize(
        ("section", "message"),
        [
            ({"rules": "any", "until": "2026-12-31"}, "reason"),
            ({"rules": "any", "reason": "x"}, "until"),
            ({"rules": "any", "reason": "x", "until": "tomorrow"}, "until"),
            ({"reason": "x", "until": "2026-12-31"}, "rules"),
            ({"rules": "any", "reason": "x", "until": "2026-12-31", "s": {"f|nonsense": 1}}, "nonsense"),
        ],
    )
    def test_refused(self, section: dict[str, Any], message: str) -> None:
        """An exception without reason, end or rules does not run; the error names file, line and what is missing."""
        document = {"title": "An exception", "exception": {"s": {"f": 1}, "condition": "s"} | section}

        (refused,) = load(orjson.dumps(document)).refused

        assert message in refused.message
        assert refused.code == "S011"
        assert refused.where == "0.yml:1"

    @pytest.mark.parametrize(
        "section",
        [
            {"rules": "any", "timespan": "1y"},
            {"rules": "any", "timespan": "5m", "first": 0},
            {"rules": "any", "timespan": "5m", "groupby": ["a"]},
            {"rules": [], "timespan": "5m"},
            {"rules": "any", "timespan": "5m", "group-by": ["a", "a"]},
        ],
    )
    def test_suppression_refused(self, section: dict[str, Any]) -> None:
        """A suppression that cannot be meant so is refused."""
        (refused,) = load(orjson.dumps({"title": "A suppression", "suppression": section})).refused

        assert refused.code == "S011"


class TestSchemas:
    def test_all_that_is_told_is_valid(self) -> None:
        """Alerts, summaries and incidents are as their JSON Schemas say."""
        events = [(number * SECOND, {"kind": kind, "source.ip": "192.0.2.1"}) for number, kind in enumerate("abc" * 9)]
        one = plainly([events, []])

        for name, messages in (("schema.json", one.alerts), ("incident.schema.json", one.incidents)):
            schema = orjson.loads(resources.files("detector.alerts").joinpath(name).read_bytes())
            jsonschema.Draft202012Validator.check_schema(schema)
            for message in messages:
                jsonschema.validate(message, schema, jsonschema.Draft202012Validator)
        assert {"suppression", "correlation"} <= {key for each in one.alerts for key in each}
        assert {"opened", "closed"} <= {each["change"] for each in one.incidents}


class TestIncidents:
    def incidents(self, events: list[tuple[int, dict[str, Any]]], **settings: Any) -> list[dict[str, Any]]:
        one = World(RULES, incident_gap_s=60.0, incident_update_s=10.0, **settings)
        one.window(0, 0, events)
        one.finish([max(1, len(events)), 0])
        return one.incidents

    def test_one_address_is_one_incident(self) -> None:
        """Opened by the second alert, told at most every update interval, closed once when nothing follows."""
        found = self.incidents([(second * SECOND, {"kind": "c", "source.ip": "192.0.2.1"}) for second in range(25)])

        quiet = [each for each in found if each["change"] != "escalated"]
        assert [each["version"] for each in found] == list(range(1, len(found) + 1))
        assert (quiet[0]["change"], quiet[-1]["change"]) == ("opened", "closed")
        assert {each["change"] for each in quiet[1:-1]} == {"updated"}
        times = [int(each["time"][17:19]) for each in quiet[1:-1]]
        assert all(later - earlier >= 10 for earlier, later in pairwise(times))
        assert (quiet[0]["alerts"], quiet[-1]["alerts"]) == (2, 25)
        assert len({each["id"] for each in found}) == 1
        assert quiet[-1]["last_seen"].endswith("00:00:24.000000Z")
        assert quiet[-1]["time"].endswith("00:01:24.000000Z")

    def test_gap_makes_two(self) -> None:
        """After the gap it is another incident; a single alert is none."""
        seconds = (0, 1, 61, 62, 200)
        found = self.incidents([(second * SECOND, {"kind": "c", "source.ip": "192.0.2.1"}) for second in seconds])

        assert [each["change"] for each in found] == ["opened", "closed", "opened", "closed"]
        assert len({each["id"] for each in found}) == 2

    def test_escalates(self) -> None:
        """Many alerts of one level are together more than each: told at once, when the level rises."""
        found = self.incidents(
            [(number * SECOND, {"kind": kind, "source.ip": "192.0.2.1"}) for number, kind in enumerate("cbcbbbbb")]
        )

        levels = [each["severity"] for each in found]
        assert levels == sorted(levels)
        assert [each["change"] for each in found].count("escalated") == len(set(levels)) - 1 >= 1

    def test_alert_of_a_correlation_belongs_to_it(self) -> None:
        """It is made in another partition of the signals topic, and still part of the address's incident."""
        found = self.incidents([(number, {"kind": "b", "source.ip": "192.0.2.1"}) for number in range(6)])

        assert "Often b" in {rule["title"] for rule in found[-1]["rules"]}

    def test_bounded(self) -> None:
        """A flood of entities forgets those that were never an incident; what is one stays."""
        flood = [(1_000 + number, {"kind": "c", "source.ip": f"198.51.100.{number}"}) for number in range(500)]
        own = [(number, {"kind": "c", "source.ip": "192.0.2.1"}) for number in range(3)]
        last = (5_000, {"kind": "c", "source.ip": "192.0.2.1"})

        found = self.incidents([*own, *flood, last], max_incidents=50)

        assert [each["change"] for each in found if each["entity"]["value"] == "192.0.2.1"][-1] == "closed"
        assert found[-1]["alerts"] == 4
        assert not found[-1]["evicted"]
