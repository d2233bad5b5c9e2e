"""A loaded correlation rule: which events it takes, by what it groups them, and when it fires."""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from detector.correlation.anomalies.options import Options
from detector.sigma.rule import Rule


class Kind(StrEnum):
    """What a correlation looks at, as its `type` says."""

    EVENT_COUNT = "event_count"
    VALUE_COUNT = "value_count"
    VALUE_SUM = "value_sum"
    VALUE_AVG = "value_avg"
    VALUE_PERCENTILE = "value_percentile"
    VALUE_MEDIAN = "value_median"
    TEMPORAL = "temporal"
    TEMPORAL_ORDERED = "temporal_ordered"
    NEW_VALUE = "new_value"
    RARE_VALUE = "rare_value"
    BASELINE = "baseline"
    OUTLIER = "outlier"
    IMPOSSIBLE_TRAVEL = "impossible_travel"
    ABSENCE = "absence"
    SLO = "slo"

    @property
    def anomaly(self) -> bool:
        """Whether it is no correlation of Sigma's, but compares events with what was before."""
        return self in _ANOMALIES

    @property
    def of_numbers(self) -> bool:
        """Whether it computes with the values of a field."""
        return self in (Kind.VALUE_SUM, Kind.VALUE_AVG, Kind.VALUE_PERCENTILE, Kind.VALUE_MEDIAN)

    @property
    def temporal(self) -> bool:
        """Whether it asks which rules matched, not how often."""
        return self in (Kind.TEMPORAL, Kind.TEMPORAL_ORDERED)


_ANOMALIES = frozenset(
    (
        Kind.NEW_VALUE,
        Kind.RARE_VALUE,
        Kind.BASELINE,
        Kind.OUTLIER,
        Kind.IMPOSSIBLE_TRAVEL,
        Kind.ABSENCE,
        Kind.SLO,
    )
)

MAX_RULES = 32
"""Rules that a correlation may refer to."""

OPERATORS: dict[str, Callable[[float, float], bool]] = {
    "gt": operator.gt,
    "gte": operator.ge,
    "lt": operator.lt,
    "lte": operator.le,
    "eq": operator.eq,
    "neq": operator.ne,
}
_RISING = ("gt", "gte")


@dataclass(frozen=True, slots=True)
class Threshold:
    """A comparison, or the two of a range: `(("gte", 6),)`."""

    bounds: tuple[tuple[str, float], ...]

    def holds(self, value: float) -> bool:
        """Whether a value is in it."""
        return all(OPERATORS[name](value, bound) for name, bound in self.bounds)

    @property
    def least(self) -> int | None:
        """The count from which on it holds; None where more events can end it."""
        if any(name not in _RISING for name, _ in self.bounds):
            return None
        return max(int(bound // 1) + 1 if name == "gt" else -int(-bound // 1) for name, bound in self.bounds)

    def __str__(self) -> str:
        """As the rule has it: `gte 6`."""
        return " and ".join(f"{name} {bound:g}" for name, bound in self.bounds)


@dataclass(frozen=True, slots=True)
class Way:
    """One way for a temporal correlation to be true: these rules matched (in this order), and none of those.

    Rules are given by their place in `Correlation.rules`.
    """

    required: tuple[int, ...]
    forbidden: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Correlation:
    """A correlation that is ready to run; it never changes.

    about: what it says of itself, as of any rule: key, title, level, tags. Nothing matches its condition.
    rules: keys of the rules, or correlations, whose events it takes; names: as it calls them.
    group_by: names of the fields by which events are grouped; fields: what each rule calls them, by rule.
    values: by rule, the fields whose value is counted or computed with; percentile: 0 to 100.
    threshold: of the count or value; None for temporal ones, which have ways, and for anomalies.
    options: what an anomaly takes; None for others.
    generate: whether the events of its rules are alerts, too.
    family: names it together with those that it refers to, or that refer to it, directly or not: all that a group of
        them needs must meet in one place. shared: places in `group_by` of the fields that all of them group by.
    definition: 16 hexadecimal digits that name all that its state depends on.
    """

    about: Rule
    kind: Kind
    rules: tuple[str, ...]
    names: tuple[str, ...]
    group_by: tuple[str, ...]
    fields: tuple[tuple[str, ...], ...]
    values: tuple[tuple[str, ...], ...]
    timespan_us: int
    threshold: Threshold | None
    ways: tuple[Way, ...]
    percentile: float
    generate: bool
    definition: str
    family: str = ""
    shared: tuple[int, ...] = ()
    options: Options | None = None

    @property
    def key(self) -> str:
        """Identifies it in alerts, metrics and state, as a rule's key does."""
        return self.about.key

    @property
    def numeric(self) -> bool:
        """Whether the values of its events are numbers."""
        return self.kind.of_numbers or (self.options is not None and self.options.numeric)

    @property
    def replayed_us(self) -> int:
        """How far back signals are needed to make its state anew; what an anomaly learned is in snapshots alone."""
        return 0 if self.kind.anomaly else self.timespan_us

    @property
    def monotone(self) -> bool:
        """Whether further events of a window can never make it false: it then fires with the event that makes it true.

        All others are judged when the watermark has passed.
        """
        if self.kind.anomaly:
            return False
        if self.kind.temporal:
            return not any(way.forbidden for way in self.ways)
        return not self.kind.of_numbers and self.threshold is not None and self.threshold.least is not None
