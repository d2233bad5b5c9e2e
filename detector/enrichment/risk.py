"""What is known against an address, as one number from 0 (nothing) to 100, and a level of it.

    score = 100 * (1 - (1 - 0.9 i) (1 - 0.8 a) (1 - 0.3 e) (1 - 0.5 s)), rounded, where each is from 0 to 1:

    i  confidence of threat intelligence in its being bad, in hundredths
    a  1 - 2 ** (-points / 10); points: 1, 3, 10, 30 for each of its alerts that is low, medium, high, critical
    e  failed / events * (1 - 2 ** (-failed / 20)); failed: its events with an error or without success
    s  1 - 2 ** (-missing / 20); missing: its requests for what is not there, and its connections that were refused

Each alone can only raise it, and none can hide another. Counts halve with time (`risk_half_life_s`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from detector.config import Level

Floats = npt.NDArray[np.float64]

POINTS: Mapping[Level, int] = {
    Level.INFORMATIONAL: 0, Level.LOW: 1, Level.MEDIUM: 3, Level.HIGH: 10, Level.CRITICAL: 30,
}  # fmt: skip
WEIGHTS = (0.9, 0.8, 0.3, 0.5)
"""Of intelligence, alerts, errors, scanning."""
LEVELS = ((80, "critical"), (50, "high"), (20, "medium"), (0, "low"))
"""From which score on it is of a level."""
MAX_ADDRESSES = 65_536
"""That are remembered; then the half of them whose counts are least is forgotten."""
_COUNTS = 4
"""Points, events, failed, missing."""

Row = tuple[str, int, int, int, int]
"""An address, points of its alerts, its events, how many failed, how many asked for what is not there."""


def scores(intelligence: Floats, points: Floats, events: Floats, failed: Floats, missing: Floats) -> Floats:
    """The scores of some addresses: the module's formula. intelligence: confidence, 0 to 100."""
    parts = (
        intelligence / 100,
        1 - 2 ** (-points / 10),
        failed / np.maximum(events, 1e-9) * (1 - 2 ** (-failed / 20)),
        1 - 2 ** (-missing / 20),
    )
    harmless = np.ones_like(events)
    for weight, part in zip(WEIGHTS, parts, strict=True):
        harmless *= 1 - weight * np.clip(part, 0, 1)
    return np.round(100 * (1 - harmless))


def level_of(score: float) -> str:
    """The level of a score: low, medium (from 20), high (from 50), critical (from 80)."""
    return next(level for least, level in LEVELS if score >= least)


@dataclass(frozen=True, slots=True)
class Seen:
    """What addresses did in some records: (addresses,) each. points: of alerts. time_us: the latest of an event."""

    addresses: Sequence[str]
    points: Floats
    events: Floats
    failed: Floats
    missing: Floats
    time_us: int

    @classmethod
    def of(cls, rows: Iterable[Row], time_us: int) -> Seen:
        """Of rows, of which several may be of an address."""
        counts: dict[str, list[int]] = {}
        for address, *more in rows:
            mine = counts.setdefault(address, [0] * _COUNTS)
            for place, each in enumerate(more):
                mine[place] += each
        points, events, failed, missing = np.array(list(counts.values()), np.float64).reshape(-1, _COUNTS).T
        return cls(list(counts), points, events, failed, missing, time_us)


class Memory:
    """What addresses did, less and less of it: halved every `half_life_s`, by the time of events."""

    __slots__ = ("_counts", "_half_life_us", "_rows", "_times_us")

    def __init__(self, half_life_s: float) -> None:
        self._half_life_us = half_life_s * 1e6
        self._rows: dict[str, int] = {}
        self._counts = np.zeros((0, _COUNTS))
        self._times_us = np.zeros(0, np.int64)

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, seen: Seen) -> None:
        """Remember what was seen; what comes late counts less at once."""
        if not len(seen.addresses):
            return
        rows = np.array([self._rows.setdefault(each, len(self._rows)) for each in seen.addresses], np.int64)
        lacking = len(self._rows) - len(self._times_us)
        if lacking > 0:
            room = max(lacking, len(self._times_us))
            self._counts = np.concatenate([self._counts, np.zeros((room, _COUNTS))])
            self._times_us = np.concatenate([self._times_us, np.zeros(room, np.int64)])
        fresh = np.stack([seen.points, seen.events, seen.failed, seen.missing], axis=1)
        now = np.maximum(self._times_us[rows], seen.time_us)
        old = self._counts[rows] * self._decay(now - self._times_us[rows])
        self._counts[rows] = old + fresh * self._decay(now - seen.time_us)
        self._times_us[rows] = now
        if len(self._rows) > MAX_ADDRESSES:
            self._forget()

    def score(self, address: str, time_us: int, *, intelligence: int = 0, points: int = 0) -> int:
        """The score of an address at a time. intelligence: confidence in its being bad. points: of alerts of now."""
        counts = np.zeros(_COUNTS)
        row = self._rows.get(address)
        if row is not None:
            age_us = np.array([max(0, time_us - int(self._times_us[row]))])
            counts = self._counts[row] * self._decay(age_us)[0]
        counts[0] += points
        (found,) = scores(np.array([float(intelligence)]), *counts[:, None])
        return int(found)

    def _decay(self, age_us: npt.NDArray[np.int64]) -> Floats:
        return (0.5 ** (age_us / self._half_life_us))[:, None]

    def _forget(self) -> None:
        """Forget those whose counts are least, all brought to the latest time."""
        count = len(self._rows)
        times = self._times_us[:count]
        counts = self._counts[:count] * self._decay(times.max() - times)
        kept = np.sort(np.argsort(counts[:, 0] * _COUNTS + counts[:, 2:].sum(axis=1), kind="stable")[count // 2 :])
        names = list(self._rows)
        self._rows = {names[row]: place for place, row in enumerate(kept.tolist())}
        self._counts, self._times_us = self._counts[kept], self._times_us[kept]
