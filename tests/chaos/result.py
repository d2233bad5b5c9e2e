"""What a run of the fault suite prints, and what of it is a fault."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.chaos.oracle import Verdict
from tests.harness.service import ServiceProcess

RAY_AGENTS = frozenset({"ray::DashboardAgent", "ray::RuntimeEnvAgent"})
"""Ray's own helpers: they sometimes outlive a driver that was killed alone, and do nothing; a pod takes them along."""


@dataclass(slots=True)
class Result:
    """What a run prints: the verdict, and what the harness saw on the way.

    recovery_seconds_max: from a fault to the first alert about a record made after it.
    happened: how often what was done.
    figures: what this fault measures besides.
    orphans_left: names of processes of a killed driver that were still there when the run was over.
    unbalanced: consumed - evaluated - rejected of the last life.
    exit_code: of the last life, after SIGTERM.
    faults: why the run failed, in words.
    """

    obligations: int = 0
    lost: int = 0
    doubled: int = 0
    invented: int = 0
    raw_duplicates: int = 0
    recovery_seconds_max: float = 0.0
    happened: dict[str, int] = field(default_factory=dict)
    figures: dict[str, float] = field(default_factory=dict)
    orphans_left: list[str] = field(default_factory=list)
    unbalanced: int = 0
    exit_code: int = 0
    faults: list[str] = field(default_factory=list)

    def judged(self, verdict: Verdict, failed: int, *, exactly_once: bool) -> None:
        """Add the faults that every run can have; failed: records of the load without an acknowledgement."""
        self.faults += [f"{name}: {count}" for name, count in verdict.faults(exactly_once=exactly_once).items()]
        if not self.obligations:
            self.faults.append("no obligations: the load did nothing, so that this run shows nothing")
        if working := set(self.orphans_left) - RAY_AGENTS:
            self.faults.append(f"processes of a killed driver stayed: {', '.join(sorted(working))}")
        if self.unbalanced:
            self.faults.append(f"consumed - evaluated - rejected = {self.unbalanced}")
        if self.exit_code:
            self.faults.append(f"exit code {self.exit_code} after SIGTERM")
        if failed:
            self.faults.append(f"{failed} records of the load were not acknowledged")


def unbalanced(service: ServiceProcess) -> int:
    """Records of a life that were neither evaluated nor rejected."""
    consumed, evaluated, rejected = (
        service.metric(f"detector_records_{name}_total") for name in ("consumed", "evaluated", "rejected")
    )
    return int(consumed - evaluated - rejected)
