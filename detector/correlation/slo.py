"""Service level objectives: which share of events must be good, and how fast the rest is used up.

After Google's SRE Workbook, chapter 5, "Multiwindow, Multi-Burn-Rate Alerts": a burn rate of 1 uses the error budget up
exactly within the period. Live alerts and reports share these definitions.
"""

from __future__ import annotations

from dataclasses import dataclass

MINUTE_US = 60_000_000
HOUR_US = 60 * MINUTE_US


@dataclass(frozen=True, slots=True)
class BurnWindow:
    """It burns if both windows do: the long one shows that it matters, the short one that it goes on.

    share: of the period's budget that is gone after the long window at the rate that alerts.
    """

    name: str
    long_us: int
    short_us: int
    share: float

    def rate(self, period_us: int) -> float:
        """The burn rate from which on it alerts: 14.4, 6 and 1 for 30 days."""
        return self.share * period_us / self.long_us


BURN_WINDOWS = (
    BurnWindow("1h", HOUR_US, 5 * MINUTE_US, 0.02),
    BurnWindow("6h", 6 * HOUR_US, 30 * MINUTE_US, 0.05),
    BurnWindow("3d", 72 * HOUR_US, 6 * HOUR_US, 0.10),
)
"""Table 5-8 of the workbook."""


@dataclass(frozen=True, slots=True)
class Objective:
    """What a service promises of its events.

    objective: percent of them that must be good. minimum: events in the long window below which nothing is said.
    lte: a value up to which an event is good; None where a second rule says which are bad.
    """

    objective: float = 99.9
    minimum: int = 100
    lte: float | None = None

    @property
    def numeric(self) -> bool:
        """Whether it looks at a number of each event."""
        return self.lte is not None

    @property
    def budget(self) -> float:
        """The share of events that may be bad."""
        return 1 - self.objective / 100

    def counts(self, rule: int, value: float | None) -> tuple[int, int]:
        """What an event adds to all events, and to the bad ones. rule: 0 for all events, 1 for the bad ones."""
        if self.lte is not None:
            return 1, int(value is not None and value > self.lte)
        return (1, 0) if rule == 0 else (0, 1)

    def burn(self, total: int, bad: int) -> float:
        """How many times faster than allowed the budget is used up."""
        return min(bad / total, 1.0) / self.budget if total else 0.0
