"""Anomaly rules for tests, and the oracle: a full list of events, judged by the definitions of `docs/anomalies.md`."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from statistics import median

from detector.correlation.anomalies.options import (
    AbsenceOptions,
    BaselineOptions,
    Direction,
    Measure,
    NewValueOptions,
    OutlierOptions,
    RareValueOptions,
    TravelOptions,
)
from detector.correlation.anomalies.sketch import bucket_of, value_of
from detector.correlation.anomalies.travel import distance_km, position_of
from detector.correlation.rule import Correlation, Kind
from detector.correlation.slo import BURN_WINDOWS, MINUTE_US, Objective
from tests.correlations import Seen

Found = tuple[int, str]
"""Beginning and mark."""


def oracle(rule: Correlation, events: Sequence[Seen], end_us: int) -> set[tuple[str, int, str]]:
    """What is found of these events once the watermark is at `end_us`: group, beginning, mark."""
    found = set()
    for group in {event.group for event in events}:
        own = sorted((each for each in events if each.group == group), key=lambda each: (each.time_us, each.place))
        found |= {(group, *each) for each in _ORACLES[rule.kind](rule, own, end_us)}
    return found


def _new_value(rule: Correlation, own: Sequence[Seen], _: int) -> Iterator[Found]:
    assert isinstance(rule.options, NewValueOptions)
    for index, each in enumerate(own):
        before = own[:index]
        if len(before) < rule.options.minimum or each.time_us - own[0].time_us < rule.timespan_us:
            continue
        if each.value not in [other.value for other in before]:
            yield each.time_us, each.value


def _rare_value(rule: Correlation, own: Sequence[Seen], _: int) -> Iterator[Found]:
    options = rule.options
    assert isinstance(options, RareValueOptions)
    values = [each.value for each in own]
    rare = [
        index >= options.minimum and values[:index].count(value) + 1 < options.share * (index + 1)
        for index, value in enumerate(values)
    ]
    told: dict[str, int] = {}
    for index, each in enumerate(own):
        usual = (sum(rare[:index]) + 1) / (index + 2) >= 10 * options.share
        if not rare[index] or usual or each.time_us - told.get(each.value, -(1 << 62)) < rule.timespan_us:
            continue
        told[each.value] = each.time_us
        yield each.time_us, each.value


def _outlier(rule: Correlation, own: Sequence[Seen], _: int) -> Iterator[Found]:
    options = rule.options
    assert isinstance(options, OutlierOptions)
    spans = sorted({each.time_us // rule.timespan_us for each in own})
    past: list[float] = []
    limit, floods = math.inf, 0
    for span in spans:
        values = [each.value for each in own if each.time_us // rule.timespan_us == span]
        over = sum(value > limit for value in values)
        if over:
            yield span * rule.timespan_us, ""
        if over > max(10 * (1 - options.quantile) * len(values), 5) and floods < 12:
            floods += 1
            continue
        floods = 0
        past = sorted(past + values)
        if len(past) >= options.minimum:
            limit = options.times * value_of(bucket_of(past[int(options.quantile * (len(past) - 1))]))


def _travel(rule: Correlation, own: Sequence[Seen], _: int) -> Iterator[Found]:
    options = rule.options
    assert isinstance(options, TravelOptions)
    told_us = -(1 << 62)
    for before, each in pairwise(own):
        a, b = position_of(before.value), position_of(each.value)
        assert a is not None
        assert b is not None
        kilometres = distance_km(a, b)
        hours = max(each.time_us - before.time_us, 1_000_000) / 3_600_000_000
        possible = kilometres < options.distance_km or kilometres / hours <= options.speed_kmh
        if not possible and each.time_us - told_us >= rule.timespan_us:
            told_us = each.time_us
            yield each.time_us, ""


def _absence(rule: Correlation, own: Sequence[Seen], end_us: int) -> Iterator[Found]:
    assert isinstance(rule.options, AbsenceOptions)
    number = 0
    for each, following in zip(own, [*(other.time_us for other in own[1:]), end_us], strict=True):
        number += 1
        if following - each.time_us >= rule.timespan_us:
            if number >= rule.options.minimum:
                yield each.time_us, ""
            number = 0


def _baseline(rule: Correlation, own: Sequence[Seen], end_us: int) -> Iterator[Found]:
    """Within an hour, so that there is no season."""
    options = rule.options
    assert isinstance(options, BaselineOptions)
    recent: list[float] = []
    residuals: list[float] = []
    flagged = 0
    for span in range(own[0].time_us // rule.timespan_us, end_us // rule.timespan_us):
        inside = [each for each in own if each.time_us // rule.timespan_us == span]
        value, floor = _value(options.measure, inside, median(recent) if recent else 0)
        if value is None:
            continue
        expected = median(recent) if recent else 0
        spread = max(1.4826 * median(residuals) if residuals else 0, floor)
        difference = value - expected
        if options.direction is not Direction.UP:
            difference = abs(difference) if options.direction is Direction.BOTH else -difference
        if len(recent) >= options.minimum and difference >= options.deviations * spread:
            flagged += 1
            if flagged > options.minimum:
                recent, residuals, flagged = [], [], 0
            elif flagged == 1:
                yield span * rule.timespan_us, ""
            continue
        flagged = 0
        residuals += [abs(value - expected)] if recent else []
        recent.append(value)


def _value(measure: Measure, inside: Sequence[Seen], expected: float) -> tuple[float | None, float]:
    """What is compared, and the least deviation."""
    if measure is Measure.RATE:
        return len(inside), math.sqrt(max(expected, 1))
    if measure is Measure.DISTINCT:
        return len({each.value for each in inside}), math.sqrt(max(expected, 1))
    if measure is Measure.RATIO:
        whole = sum(each.rule != 0 for each in inside)
        if not whole:
            return None, 0
        share = (len(inside) - whole) / whole
        return share, math.sqrt(max(expected * (1 - expected), 1 / whole) / whole)
    floor = max(0.05 * expected, 1e-9)
    total = float(sum(each.value for each in inside))
    if measure is Measure.SUM:
        return total, floor
    return (total / len(inside) if inside else None), floor


def _slo(rule: Correlation, own: Sequence[Seen], end_us: int) -> Iterator[Found]:
    """Within six hours, as buckets of half hours are for windows beyond."""
    objective = rule.options
    assert isinstance(objective, Objective)
    told: dict[str, int] = {}
    for minute in sorted({each.time_us // MINUTE_US for each in own}):
        minute_end_us = (minute + 1) * MINUTE_US
        if minute_end_us > end_us:
            break
        for window in BURN_WINDOWS:
            if window.name in told and minute_end_us - told[window.name] < window.long_us:
                continue
            burns = []
            for span_us in (window.long_us, window.short_us):
                inside = [each for each in own if minute_end_us - span_us <= each.time_us < minute_end_us]
                kinds = Counter(objective.counts(each.rule, each.value) for each in inside)
                total = sum(number * each[0] for each, number in kinds.items())
                bad = sum(number * each[1] for each, number in kinds.items())
                enough = total >= objective.minimum or span_us == window.short_us
                burns.append(min(bad / total, 1) / objective.budget if total and enough else 0)
            if min(burns) >= window.rate(rule.timespan_us):
                told[window.name] = minute_end_us
                yield minute * MINUTE_US, window.name


_ORACLES: dict[Kind, Callable[[Correlation, Sequence[Seen], int], Iterator[Found]]] = {
    Kind.NEW_VALUE: _new_value,
    Kind.RARE_VALUE: _rare_value,
    Kind.OUTLIER: _outlier,
    Kind.IMPOSSIBLE_TRAVEL: _travel,
    Kind.ABSENCE: _absence,
    Kind.BASELINE: _baseline,
    Kind.SLO: _slo,
}
