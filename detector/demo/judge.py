"""Whether every planted attack was found and nothing else was, and how long it took."""

from __future__ import annotations

import threading
from collections import Counter, OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from detector.demo.lines import Attack

Place = tuple[str, int, int]
"""Topic, partition and offset of a record."""

_REMEMBER = 50_000
"""Planted records that are remembered: hours of them, but no more, because a demo may run for ever."""
_SLOWEST_MS = 60_000


@dataclass(slots=True)
class _Planted:
    attack: Attack
    found: bool = False


@dataclass(slots=True)
class Tally:
    """What came of one kind of attack: records planted and found."""

    planted: int = 0
    found: int = 0


class Latencies:
    """Percentiles at one millisecond, in bounded memory."""

    def __init__(self) -> None:
        self._counts: Counter[int] = Counter()

    def add(self, latency_ms: float) -> None:
        """Count one; beyond a minute it counts as a minute."""
        self._counts[min(_SLOWEST_MS, max(0, round(latency_ms)))] += 1

    def percentile(self, share: float) -> float | None:
        """The smallest latency that this share of all does not exceed, milliseconds; None if there is none."""
        wanted = share * self._counts.total()
        passed = 0
        for latency_ms in sorted(self._counts):
            passed += self._counts[latency_ms]
            if passed >= wanted:
                return float(latency_ms)
        return None


class Judge:
    """Compares alerts with what was planted. Methods may be called from any thread.

    An alert may come before the broker's answer about its record has: it waits until then, and is unexpected only if
    the record turns out to be harmless.
    """

    def __init__(self, allowed: Mapping[Attack, frozenset[str]]) -> None:
        """Begin; `allowed` names the tags of ATT&CK that alerts about a kind of attack may have, one at least."""
        self._allowed = allowed
        self._lock = threading.Lock()
        self._planted: OrderedDict[Place, _Planted] = OrderedDict()
        self._early: dict[Place, list[frozenset[str]]] = {}
        self._ids: OrderedDict[str, None] = OrderedDict()
        self._unexpected = 0
        self.alerts = 0
        self.latencies = Latencies()
        self.tallies = {attack: Tally() for attack in Attack}

    def plant(self, place: Place, attack: Attack) -> None:
        """The broker has a planted record."""
        with self._lock:
            planted = self._planted[place] = _Planted(attack)
            self.tallies[attack].planted += 1
            for tags in self._early.pop(place, ()):
                self._match(planted, tags)
            if len(self._planted) > _REMEMBER:
                self._planted.popitem(last=False)

    def alert(self, identity: str, place: Place, tags: Iterable[str], latency_ms: float) -> bool:
        """An alert came; whether it is new (at-least-once delivery may repeat one)."""
        with self._lock:
            if identity in self._ids:
                return False
            self._ids[identity] = None
            if len(self._ids) > _REMEMBER:
                self._ids.popitem(last=False)
            self.alerts += 1
            self.latencies.add(latency_ms)
            planted = self._planted.get(place)
            if planted is None:
                self._early.setdefault(place, []).append(frozenset(tags))
            else:
                self._match(planted, frozenset(tags))
            return True

    @property
    def unexpected(self) -> int:
        """Alerts about harmless records, or of a rule that is about something else."""
        with self._lock:
            return self._unexpected + sum(len(alerts) for alerts in self._early.values())

    @property
    def missed(self) -> int:
        """Planted records without an alert that is about their kind of attack."""
        with self._lock:
            return sum(tally.planted - tally.found for tally in self.tallies.values())

    def _match(self, planted: _Planted, tags: frozenset[str]) -> None:
        if not tags & self._allowed[planted.attack]:
            self._unexpected += 1
        elif not planted.found:
            planted.found = True
            self.tallies[planted.attack].found += 1
