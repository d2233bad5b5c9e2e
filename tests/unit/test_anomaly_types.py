"""What each type of anomaly finds, and what it says."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

import pytest

from detector.correlation.anomalies.past import HOUR_US, WEEK_HOURS
from detector.correlation.anomalies.sketch import ACCURACY, MAX_BUCKETS, bucket_of, halve, merge, quantile
from detector.correlation.anomalies.states import make_anomaly
from detector.correlation.anomalies.travel import distance_km, position_of
from detector.correlation.anomalies.values import MAX_VALUES
from detector.correlation.buckets import Hit
from detector.correlation.slo import BURN_WINDOWS, Objective
from tests.correlations import correlation

SECOND = 1_000_000
MINUTE = 60 * SECOND
DAY = 24 * HOUR_US
Given = tuple[int, Any]
"""Time and value."""


def found(
    section: dict[str, Any], events: Iterable[Given], *, until_us: int = 0, rules: Sequence[int] = ()
) -> list[Hit]:
    """What is found of events of one group; of as many rules as they are given."""
    rule = correlation({"rules": ["a"], **section})
    state = make_anomaly(rule)
    last_us = 0
    for offset, (time_us, value) in enumerate(events):
        state.add('["x"]', time_us, rules[offset] if rules else 0, value, ("logs:0", offset, 0))
        last_us = max(last_us, time_us)
    return state.advance(max(until_us, last_us + 1))


class TestNewValue:
    """A first time."""

    SECTION: ClassVar[dict[str, Any]] = {
        "type": "new_value",
        "timespan": "1h",
        "condition": {"field": "v", "minimum": 3},
    }

    def test_after_learning(self) -> None:
        """Values of the learning period are known; a new one after it is found once."""
        known = [(minute * MINUTE, "DE" if minute % 2 else "AT") for minute in range(60)]
        hits = found(self.SECTION, [*known, (60 * MINUTE, "FR"), (61 * MINUTE, "FR"), (62 * MINUTE, "DE")])

        assert [(each.start_us, each.mark) for each in hits] == [(60 * MINUTE, "FR")]
        assert hits[0].finding is not None
        assert (hits[0].finding.expected, hits[0].finding.seen) == ("AT, DE", "FR")
        assert hits[0].finding.unlikely == pytest.approx(3 / 62)

    def test_too_few_events(self) -> None:
        """A long time alone teaches nothing."""
        assert not found(self.SECTION, [(0, "DE"), (2 * HOUR_US, "FR"), (3 * HOUR_US, "GB")])

    def test_two_at_the_same_time(self) -> None:
        """Each new value is found, told apart by its mark."""
        known = [(0, "DE")] * 3
        hits = found(self.SECTION, [*known, (HOUR_US, "FR"), (HOUR_US, "GB")])

        assert {each.mark for each in hits} == {"FR", "GB"}

    def test_bound(self) -> None:
        """Of more values than are remembered, the one seen longest ago is forgotten."""
        many = [(number * SECOND, str(number)) for number in range(MAX_VALUES)]
        late_us = 2 * HOUR_US
        hits = found(self.SECTION, [*many, (late_us, "1"), (late_us, "x"), (late_us, "0"), (late_us, "1")])

        assert [each.mark for each in hits] == ["x", "0"]


class TestRareValue:
    """Hardly ever."""

    SECTION: ClassVar[dict[str, Any]] = {
        "type": "rare_value",
        "timespan": "1d",
        "condition": {"field": "v", "share": 0.01, "minimum": 500},
    }

    def test_rare(self) -> None:
        """One that makes up less than its share, once in the timespan."""
        usual = [(number, "curl") for number in range(500)]
        hits = found(self.SECTION, [*usual, (600, "nmap"), (700, "nmap"), (DAY + 600, "nmap")])

        assert [each.start_us for each in hits] == [600, DAY + 600]

    def test_values_that_are_all_rare(self) -> None:
        """A field of ever new values says nothing."""
        assert not found(self.SECTION, [(number, str(number)) for number in range(2_000)])[200:]


class TestOutlier:
    """Beyond the quantile."""

    SECTION: ClassVar[dict[str, Any]] = {
        "type": "outlier",
        "timespan": "1m",
        "condition": {"field": "v", "times": 2, "minimum": 100},
    }

    def usual(self, minutes: int) -> list[Given]:
        """100 a minute, from 1 to 100."""
        return [
            (minute * MINUTE + number * SECOND // 2, float(number + 1))
            for minute in range(minutes)
            for number in range(100)
        ]

    def test_beyond(self) -> None:
        """The first one of a timespan; its chance is by those that were as large."""
        hits = found(
            self.SECTION, [*self.usual(5), (5 * MINUTE, 190.0), (5 * MINUTE + 1, 500.0), (5 * MINUTE + 2, 600.0)]
        )

        (hit,) = hits
        assert (hit.value, hit.start_us, hit.time_us) == (500.0, 5 * MINUTE, 5 * MINUTE + 1)
        assert hit.finding is not None
        assert hit.finding.expected == pytest.approx(198, rel=0.02)
        assert hit.finding.unlikely == pytest.approx(1 / 501)

    def test_flood(self) -> None:
        """An attack of many large values does not become the limit."""
        flood = [(minute * MINUTE + number, 1_000.0) for minute in (5, 6, 7) for number in range(200)]

        assert len(found(self.SECTION, self.usual(5) + flood)) == 3

    def test_new_normal(self) -> None:
        """After twelve such timespans it is how things are."""
        flood = [(minute * MINUTE + number, 1_000.0) for minute in range(5, 30) for number in range(200)]

        assert len(found(self.SECTION, self.usual(5) + flood)) == 13


class TestSketch:
    """Quantiles of counts."""

    @pytest.mark.parametrize("share", [0.0, 0.5, 0.9, 0.99, 1.0])
    def test_accuracy(self, share: float) -> None:
        """To one percent, over nine orders of magnitude."""
        values = sorted(1.023**number for number in range(900))
        counts: dict[int, int] = {}
        for value in values:
            merge(counts, {bucket_of(value): 1})

        assert quantile(counts, len(values), share) == pytest.approx(values[int(share * 899)], rel=ACCURACY)

    def test_zero_and_below(self) -> None:
        """They are all the same, and the lowest."""
        assert quantile({bucket_of(0.0): 2, bucket_of(3.0): 1}, 3, 0.5) == 0.0
        assert bucket_of(-5.0) == bucket_of(0.0)
        assert bucket_of(math.nan) == bucket_of(0.0)

    def test_bound(self) -> None:
        """The lowest become one; no value is lost."""
        counts = dict.fromkeys(range(-100, MAX_BUCKETS), 2)
        merge(counts, {})

        assert (len(counts), sum(counts.values())) == (MAX_BUCKETS, 2 * (MAX_BUCKETS + 100))

    def test_halve(self) -> None:
        """What was there once fades."""
        counts = {1: 1, 2: 5}

        assert (halve(counts), counts) == (2, {2: 2})


class TestTravel:
    """Too fast."""

    SECTION: ClassVar[dict[str, Any]] = {"type": "impossible_travel", "timespan": "1h"}
    PARIS, NEW_YORK, VERSAILLES = "48.8566\0002.3522", "40.7128\000-74.006", "48.8049\0002.1204"

    def test_distance(self) -> None:
        """Paris to New York is 5,837 km."""
        a, b = position_of(self.PARIS), position_of(self.NEW_YORK)

        assert a is not None
        assert b is not None
        assert distance_km(a, b) == pytest.approx(5_837, abs=5)

    def test_too_fast(self) -> None:
        """An ocean in ten minutes; the alert has speeds and their relation."""
        (hit,) = found(self.SECTION, [(0, self.PARIS), (10 * MINUTE, self.NEW_YORK)])

        assert hit.finding is not None
        assert hit.finding.seen == "35023 km/h"
        assert hit.finding.unlikely == pytest.approx(1_000 / 35_022, rel=0.01)
        assert hit.finding.text == "5837 km in 10.0 min, from 48.8566, 2.3522 to 40.7128, -74.006"

    def test_possible(self) -> None:
        """By aeroplane, or within a region."""
        assert not found(self.SECTION, [(0, self.PARIS), (8 * HOUR_US, self.NEW_YORK)])
        assert not found(self.SECTION, [(0, self.PARIS), (1, self.VERSAILLES)])

    def test_once_in_a_timespan(self) -> None:
        """Two ways into the net are told of once."""
        events = [(minute * MINUTE, self.NEW_YORK if minute % 2 else self.PARIS) for minute in range(90)]

        assert [each.start_us for each in found(self.SECTION, events)] == [MINUTE, 61 * MINUTE]

    @pytest.mark.parametrize("value", ["", "x\0y", "91\0000", "1\000181", "nan\000nan", "5"])
    def test_no_place(self, value: str) -> None:
        """What is no place is passed over."""
        assert not found(self.SECTION, [(0, self.PARIS), (MINUTE, value), (2 * MINUTE, self.PARIS)])


class TestAbsence:
    """Silence."""

    SECTION: ClassVar[dict[str, Any]] = {"type": "absence", "timespan": "10m", "condition": {"minimum": 3}}

    def test_silent(self) -> None:
        """From the last event on, by the watermark, once."""
        events = [(minute * MINUTE, None) for minute in range(5)]

        assert not found(self.SECTION, events, until_us=14 * MINUTE - 1)
        (hit,) = found(self.SECTION, events, until_us=40 * MINUTE)
        assert (hit.start_us, hit.time_us, hit.place) == (4 * MINUTE, 14 * MINUTE, ("logs:0", 4, 0))
        assert hit.finding is not None
        assert hit.finding.unlikely == pytest.approx(0.1)

    def test_silent_for_a_while(self) -> None:
        """A silence that was over before the watermark came is found, too; then it is watched anew."""
        events = [(minute * MINUTE, None) for minute in (0, 1, 2, 30, 31)]

        assert [each.start_us for each in found(self.SECTION, events, until_us=HOUR_US)] == [2 * MINUTE]


class TestBaseline:
    """More, or less, than usual."""

    SECTION: ClassVar[dict[str, Any]] = {"type": "baseline", "timespan": "5m", "condition": {"minimum": 12}}

    def steady(self, spans: int, number: int, *, first: int = 0) -> list[Given]:
        """So many events in each timespan."""
        return [((first + span) * 5 * MINUTE + each * SECOND, None) for span in range(spans) for each in range(number)]

    def test_burst(self) -> None:
        """Ten times the rate, once, however long it lasts; and what was expected."""
        events = self.steady(24, 10) + self.steady(4, 100, first=24) + self.steady(5, 10, first=28)
        (hit,) = found(self.SECTION, events, until_us=HOUR_US * 3)

        assert (hit.start_us, hit.value) == (24 * 5 * MINUTE, 100)
        assert hit.finding is not None
        assert hit.finding.expected == 10
        assert hit.finding.unlikely == pytest.approx(1 / (1 + 90**2 / 10))

    def test_the_attack_is_not_learned(self) -> None:
        """After it the same again is as odd as before."""
        attack = [self.steady(6, 100, first=first) for first in (24, 36)]
        quiet = self.steady(24, 10) + self.steady(6, 10, first=30)

        assert len(found(self.SECTION, sorted([*quiet, *attack[0], *attack[1]]), until_us=HOUR_US * 5)) == 2

    def test_new_normal(self) -> None:
        """What lasts for as long as it takes to learn is normal."""
        events = self.steady(24, 10) + self.steady(60, 100, first=24)

        assert len(found(self.SECTION, events)) == 1

    def test_down(self) -> None:
        """Timespans without events are zero."""
        section = self.SECTION | {"condition": {"minimum": 12, "direction": "down", "deviations": 4}}
        (hit,) = found(section, self.steady(24, 40), until_us=26 * 5 * MINUTE)

        assert (hit.start_us, hit.value) == (24 * 5 * MINUTE, 0)

    def test_season(self) -> None:
        """A rush at the same hour of each day is expected, elsewhere it is not."""
        section = {"type": "baseline", "timespan": "1h", "condition": {"minimum": 24}}
        events = [
            (day * DAY + hour * HOUR_US + each * SECOND, None)
            for day in range(10)
            for hour in range(24)
            for each in range(400 if hour == 9 else 10)
        ]
        rush = [(10 * DAY + 3 * HOUR_US + each * SECOND, None) for each in range(400)]

        hits = found(section, events + rush, until_us=10 * DAY + 4 * HOUR_US)
        assert [each.start_us // HOUR_US % 24 for each in hits if each.start_us >= 4 * DAY] == [3]
        assert hits[-1].finding is not None
        assert "at this hour" in hits[-1].finding.text

    def test_hour_of_the_week(self) -> None:
        """What is so on Mondays only is expected on Mondays, and its lack is odd."""
        section = {"type": "baseline", "timespan": "1h", "condition": {"minimum": 24, "direction": "down"}}
        events = [
            (hour * HOUR_US + each * SECOND, None)
            for hour in range(5 * WEEK_HOURS)
            for each in range(10 if hour % WEEK_HOURS else 400)
        ]
        events = [each for each in events if each[0] // HOUR_US != 4 * WEEK_HOURS or each[0] % HOUR_US < 10 * SECOND]

        hits = found(section, events)
        assert [(each.start_us // HOUR_US, each.value) for each in hits] == [(4 * WEEK_HOURS, 10)]

    def test_ratio(self) -> None:
        """A share of few events proves little, the same share of many does."""
        condition = {"measure": "ratio", "minimum": 5}
        section = {"type": "baseline", "timespan": "5m", "rules": ["a", "b"], "condition": condition}

        def spans(number: int, bad: int, first: int) -> list[tuple[int, int]]:
            return [(first * 5 * MINUTE + each, each >= number) for each in range(number + bad)]

        usual = [each for span in range(12) for each in spans(200, 2, span)]
        few = usual + spans(4, 1, 12)
        many = usual + spans(200, 40, 12)

        for events, expected in ((few, 0), (many, 1)):
            given = [(time_us, None) for time_us, _ in events]
            rules = [0 if bad else 1 for _, bad in events]
            assert len(found(section, given, until_us=2 * HOUR_US, rules=rules)) == expected

    def test_forgotten(self) -> None:
        """After two weeks without an event nothing is held."""
        rule = correlation({"rules": ["a"], **self.SECTION})
        state = make_anomaly(rule)
        state.add('["x"]', 0, 0, None, ("logs:0", 0, 0))

        state.advance(20 * DAY)

        assert state.size == 0

    def test_long_silence(self) -> None:
        """Years go by at once where nothing is held."""
        events = [*self.steady(3, 10), (30_000 * DAY, None)]

        assert found(self.SECTION, events) == []


class TestSlo:
    """Error budgets."""

    SECTION: ClassVar[dict[str, Any]] = {
        "type": "slo",
        "timespan": "30d",
        "rules": ["a", "b"],
        "condition": {"objective": 99.9},
    }

    def test_rates(self) -> None:
        """Those of the workbook for thirty days."""
        assert [round(each.rate(30 * DAY), 6) for each in BURN_WINDOWS] == [14.4, 6, 1]
        assert [each.long_us // each.short_us for each in BURN_WINDOWS] == [12, 12, 12]

    def burning(self, minutes: int, share: int) -> tuple[list[Given], list[int]]:
        """100 events a minute, `share` of which are bad."""
        events = [(minute * MINUTE + each, each >= 100) for minute in range(minutes) for each in range(100 + share)]
        return [(time_us, None) for time_us, _ in events], [int(bad) for _, bad in events]

    def test_fast(self) -> None:
        """Two percent of errors use the budget up twenty times too fast; each window tells once."""
        events, rules = self.burning(50, 2)
        hits = found(self.SECTION, events, rules=rules, until_us=HOUR_US)

        assert [(each.mark, each.start_us) for each in hits] == [("1h", 0), ("6h", 0), ("3d", 0)]
        assert hits[0].value == pytest.approx(20)
        assert hits[0].finding is not None
        assert hits[0].finding.unlikely == pytest.approx(1 / 20)

    def test_slow(self) -> None:
        """Half of that burns for the longer windows only."""
        events, rules = self.burning(50, 1)

        hits = found(self.SECTION, events, rules=rules, until_us=HOUR_US)
        assert {each.mark for each in hits} == {"6h", "3d"}

    def test_it_is_over(self) -> None:
        """Errors that ended before the short window are told of no more."""
        bad, rules = self.burning(2, 50)
        events = [(40 * MINUTE + second * SECOND, None) for second in range(100)]
        section = self.SECTION | {"condition": {"objective": 99.9, "minimum": 201}}

        hits = found(section, bad + events, rules=rules + [0] * 100, until_us=HOUR_US)
        assert "1h" not in {each.mark for each in hits}

    def test_latency(self) -> None:
        """With `lte` an event is good up to that value."""
        objective = Objective(99.0, lte=0.5)

        assert [objective.counts(0, value) for value in (0.5, 0.6)] == [(1, 0), (1, 1)]
        assert objective.burn(100, 2) == pytest.approx(2)


class TestBounds:
    """What is held, and what is forgotten."""

    def test_new_groups_are_forgotten_first(self) -> None:
        """Made up groups do not push out one that is known."""
        state = make_anomaly(correlation({"rules": ["a"], **TestNewValue.SECTION}))
        for offset in range(10):
            state.add('["known"]', offset * HOUR_US, 0, "DE", ("logs:0", offset, 0))
        for number in range(100):
            state.add(f'["{number}"]', 9 * HOUR_US, 0, "DE", ("logs:0", 10 + number, 0))
        state.advance(9 * HOUR_US + 1)

        assert state.evict(95) == 95
        assert '["known"]' in state.groups

    def test_evicts_of_the_current_timespan(self) -> None:
        """What a baseline counts right now is bounded, too."""
        state = make_anomaly(correlation({"rules": ["a"], **TestBaseline.SECTION}))
        for number in range(100):
            state.add(f'["{number}"]', 0, 0, None, ("logs:0", number, 0))
        state.advance(1)

        assert (state.size, state.evict(40), state.size) == (100, 40, 60)

    def test_waiting(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Beyond the bound of what waits for the watermark events are dropped, and counted."""
        monkeypatch.setattr("detector.correlation.anomalies.ordered.MAX_WAITING", 5)
        state = make_anomaly(correlation({"rules": ["a"], **TestAbsence.SECTION}))
        for offset in range(8):
            state.add('["x"]', offset, 0, None, ("logs:0", offset, 0))

        assert state.dropped == 3
