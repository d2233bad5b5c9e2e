"""Suppressions as a fold: the first alerts of a group pass, the others are held back and counted.

Time is cut into buckets as long as a suppression's timespan. In each bucket and group the first alerts of each source,
in the order of its offsets, pass on arrival; which these are depends on no other source, so it is the same whatever
replica reads which partition. What is held back is told when the watermark has passed the bucket.
"""

from __future__ import annotations

import heapq
from bisect import insort
from collections.abc import Callable, Iterable, Mapping
from operator import itemgetter
from typing import Any, NamedTuple

import orjson

from detector.alerts.ids import alert_id, record_source
from detector.correlation.signals import topic_of
from detector.suppression.policies import Guard, Suppression

MAX_IDS = 50
"""Ids of alerts that were held back that a summary lists: the earliest."""

_Key = tuple[int, str, int]
"""A bucket's end, the guard's definition, the number of the suppression among its own."""

Cell = list[Any]
"""What a group has in a bucket: by source (its number), how many passed; how many are held; the times of the first and
last of these; [time, source, offset, ordinal, id] of the earliest. While one source has passed some and nothing is
held, it is just a number: passed << 20 | source."""

_SOURCE_BITS = 20


class Summary(NamedTuple):
    """What a suppression held back of a group in a bucket, which begins at start_us."""

    guard: Guard
    suppression: Suppression
    group: dict[str, str]
    start_us: int
    passed: int
    held: int
    first_us: int
    last_us: int
    ids: tuple[str, ...]


class Held:
    """The buckets of all guards. held: alerts held back since it was last set to 0."""

    def __init__(self, max_groups: int) -> None:
        """Begin empty. max_groups: held at most; then the oldest buckets are told before their time."""
        self._max_groups = max_groups
        self._guards: dict[str, Guard] = {}
        self._sources: list[str] = []
        self._numbers: dict[str, int] = {}
        self._buckets: dict[_Key, dict[str, Cell | int]] = {}
        self._ends: list[_Key] = []
        self.size = 0
        self.held = 0

    def use(self, guards: Iterable[Guard]) -> None:
        """Run these from now on; those before them stay as long as they hold something."""
        busy = {definition for _, definition, _ in self._buckets}
        kept = {name: guard for name, guard in self._guards.items() if name in busy}
        self._guards = kept | {guard.definition: guard for guard in guards}

    def add(
        self, definition: str, group: str, time_us: int, place: tuple[str, int, int], body: Any
    ) -> tuple[bool, list[Summary]] | None:
        """Take an alert in: whether it passes, and what had to make room. None where the guard is not known here.

        time_us: not before the last `advance`. body: the alert; without one it cannot pass.
        """
        guard = self._guards.get(definition)
        if guard is None:
            return None
        values: list[str] = orjson.loads(group)
        for number, (suppression, places) in enumerate(zip(guard.suppressions, guard.places, strict=True)):
            end_us = (time_us // suppression.timespan_us + 1) * suppression.timespan_us
            bucket = self._bucket((end_us, definition, number))
            name = group if len(places) == len(values) else orjson.dumps([values[each] for each in places]).decode()
            passes = self._admit(bucket, name, self._number(place[0]), suppression.first)
            if not passes or (body is None and number == len(guard.suppressions) - 1):
                cell = bucket[name]
                if isinstance(cell, int):
                    cell = bucket[name] = _whole(cell)
                self._hold(cell, time_us, place, lambda: _identity(guard, place, body))
                return False, self._bound()
        return True, self._bound()

    def advance(self, settled_us: int) -> list[Summary]:
        """Nothing before that time is to come: tell what was held back in the buckets that are over."""
        found: list[Summary] = []
        while self._ends and self._ends[0][0] <= settled_us:
            found += self._close(heapq.heappop(self._ends))
        return found

    def dump(self) -> Any:
        """The state as JSON has it."""
        return {"sources": self._sources, "buckets": [[*key, cells] for key, cells in self._buckets.items()]}

    def load(self, dumped: Mapping[str, Any]) -> None:
        """Take over a dumped state: what it has of guards that run here."""
        self._sources = dumped["sources"]
        self._numbers = {name: number for number, name in enumerate(self._sources)}
        for end_us, definition, number, cells in dumped["buckets"]:
            if definition in self._guards:
                self._bucket((end_us, definition, number)).update(cells)
                self.size += len(cells)

    def _bucket(self, key: _Key) -> dict[str, Cell | int]:
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = {}
            heapq.heappush(self._ends, key)
        return bucket

    def _number(self, source: str) -> int:
        number = self._numbers.get(source)
        if number is None:
            number = self._numbers[source] = len(self._sources)
            self._sources.append(source)
        return number

    def _admit(self, bucket: dict[str, Cell | int], name: str, source: int, first: int) -> bool:
        """Whether a source may send another alert of a group; if so, it counts."""
        cell = bucket.get(name)
        if cell is None:
            self.size += 1
            bucket[name] = 1 << _SOURCE_BITS | source
            return True
        if isinstance(cell, int):
            passed, owner = cell >> _SOURCE_BITS, cell & ((1 << _SOURCE_BITS) - 1)
            if owner == source:
                if passed >= first:
                    return False
                bucket[name] = cell + (1 << _SOURCE_BITS)
                return True
            cell = bucket[name] = _whole(cell)
        passed = cell[0].get(str(source), 0)
        if passed >= first:
            return False
        cell[0][str(source)] = passed + 1
        return True

    def _hold(self, cell: Cell, time_us: int, place: tuple[str, int, int], identity: Callable[[], str]) -> None:
        self.held += 1
        cell[1] += 1
        cell[2] = time_us if cell[1] == 1 else min(cell[2], time_us)
        cell[3] = max(cell[3], time_us)
        kept = cell[4]
        if len(kept) < MAX_IDS or [time_us, *place] < kept[-1]:
            insort(kept, [time_us, *place, identity()])
            del kept[MAX_IDS:]

    def _close(self, key: _Key) -> list[Summary]:
        end_us, definition, number = key
        cells = self._buckets.pop(key)
        self.size -= len(cells)
        guard = self._guards[definition]
        suppression = guard.suppressions[number]
        found = []
        for name, cell in sorted(cells.items(), key=itemgetter(0)):
            if isinstance(cell, int) or not cell[1]:
                continue
            passed, held, first_us, last_us, kept = cell
            group = dict(zip(suppression.group_by, orjson.loads(name), strict=True))
            start_us = end_us - suppression.timespan_us
            ids = tuple(each[4] for each in kept)
            total = sum(passed.values())
            found.append(Summary(guard, suppression, group, start_us, total, held, first_us, last_us, ids))
        return found

    def _bound(self) -> list[Summary]:
        found: list[Summary] = []
        while self.size > self._max_groups and self._ends:
            found += self._close(heapq.heappop(self._ends))
        return found


def _whole(cell: int) -> Cell:
    return [{str(cell & ((1 << _SOURCE_BITS) - 1)): cell >> _SOURCE_BITS}, 0, 0, 0, []]


def _identity(guard: Guard, place: tuple[str, int, int], body: Any) -> str:
    """The id of an alert: its own where it was made, else by its coordinates."""
    if body is not None:
        headers = body[2]
        return str(headers[headers.index("ce_id") + 1])
    return alert_id(guard.rule.key, record_source(*topic_of(place[0])), place[1], place[2])
