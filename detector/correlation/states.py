"""The state that a correlation needs."""

from __future__ import annotations

from typing import Any, Protocol

from detector.correlation.anomalies.states import make_anomaly
from detector.correlation.buckets import Hit, Place
from detector.correlation.counts import EventCount, ValueCount
from detector.correlation.judged import Judged
from detector.correlation.rule import Correlation, Kind
from detector.correlation.temporal import Ordered, Temporal


class State(Protocol):
    """All groups of a correlation."""

    dropped: int

    def add(self, group: str, time_us: int, rule: int, value: Any, place: Place) -> list[Hit] | None:
        """Take an event of a group in. Gives what fires because of it; None is nothing.

        rule: place of its rule in `Correlation.rules`. value: as `signals.Input.value_of` gives it.
        """

    def holds(self, group: str, time_us: int) -> bool:
        """Whether an event of that time can still be taken in."""

    def settled(self, watermark_us: int) -> list[Hit]:
        """What fired on arrival before the watermark, as other correlations take it; before `advance`."""

    def advance(self, watermark_us: int) -> list[Hit]:
        """No event before the watermark is to come: judge what waits for that, forget what is over."""

    @property
    def size(self) -> int:
        """How many groups there are; for some kinds each counts once for each timespan."""

    def evict(self, number: int) -> int:
        """Forget so many groups, those far from firing first. Gives how many there were."""

    def dump(self) -> Any:
        """The state as JSON has it."""

    def load(self, dumped: Any) -> None:
        """Take over a state that was dumped, and belongs to this object alone from now on."""


def make_state(correlation: Correlation, max_events: int, *, feeds: bool = False) -> State:
    """An empty state.

    max_events: of a group, where it has to remember them all. feeds: whether another correlation takes what fires.
    """
    if correlation.kind.anomaly:
        return make_anomaly(correlation)
    if not correlation.monotone:
        return Judged(correlation, max_events)
    if correlation.kind is Kind.TEMPORAL:
        return Temporal(correlation.timespan_us, correlation.ways, feeds=feeds)
    if correlation.kind is Kind.TEMPORAL_ORDERED:
        return Ordered(correlation.timespan_us, correlation.ways, max_events, feeds=feeds)
    least = correlation.threshold.least if correlation.threshold else None
    assert least is not None, "it is monotone"
    kind = EventCount if correlation.kind is Kind.EVENT_COUNT else ValueCount
    return kind(correlation.timespan_us, least, feeds=feeds)
