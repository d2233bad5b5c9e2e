"""The direct lane: the rules on records, without a Python object for a record that none of them matches.

What it cannot decide takes the way over parser and events, which is always right; what matched takes it for its alert.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, NamedTuple, Protocol, TypeVar

import numpy as np
import pyarrow as pa

from detector.config import InputTopic, Limits
from detector.enrichment.enricher import Enricher
from detector.enrichment.lane import Plan, asked, did, fill
from detector.enrichment.risk import Row
from detector.enrichment.risks import FIELDS as WATCHED
from detector.enrichment.uses import Use
from detector.events import Event, LogSource
from detector.parsing.direct.derived import Derived
from detector.parsing.direct.lane import JsonLane, Kind
from detector.parsing.direct.line_format import EITHER, LineKind
from detector.parsing.direct.line_lane import LineLane
from detector.parsing.direct.slots import Slots
from detector.parsing.direct.symbols import Leaf, UnfitError
from detector.parsing.mapping import MISSING
from detector.parsing.registry import AUTO, Parsers
from detector.sigma.engine import Bound, Engine
from detector.sigma.engine.kernels import HAS_VALUE, IS_NULL, IS_PRESENT
from detector.sigma.engine.slots import FieldSlots, Reading
from detector.sigma.fields import KEYWORDS, RAW, flatten, keyword_values, values_at

_View = tuple[Bound, int, int]
"""Rules that run on a kind, the view through which they see it, and the place of its log source among its bindings."""


class _Views(NamedTuple):
    """How the rules see a kind, what its records are given besides, and the slots of what is watched."""

    views: tuple[_View, ...]
    plan: Plan | None
    watched: tuple[int | None, ...]


_Kind = TypeVar("_Kind", bound="Kind | LineKind")


class _Reads(Protocol[_Kind]):
    """A way to slots: `JsonLane`, `LineLane`."""

    kinds: list[_Kind]

    def read(self, records: pa.RecordBatch) -> tuple[Slots, np.ndarray]: ...

    def complete(self, slots: Slots, kinds: np.ndarray) -> tuple[Slots, np.ndarray]: ...


@dataclass(frozen=True, slots=True)
class Direct:
    """What became of some records.

    rest: the rows of the records that take the other way.
    matches: columns of row, rule by its number, and the place of the first of the event's log sources through which the
        rule matches it; each pair once, those of a row together and in the order of the rules.
    rows: the records that matched nothing, and events: how many of each format they are.
    seen: what the sources of these did, if that is watched.
    """

    rest: np.ndarray
    matches: np.ndarray
    rows: np.ndarray
    events: Counter[str]
    seen: tuple[Row, ...] = ()

    def by_row(self) -> dict[int, list[tuple[int, int]]]:
        """The matches of each row that has some, as rule and place."""
        found: dict[int, list[tuple[int, int]]] = {}
        for row, rule, place in self.matches.tolist():
            found.setdefault(row, []).append((rule, place))
        return found


class DirectLane:
    """The records of one topic. It remembers kinds of records, nothing of what is in them."""

    __slots__ = (
        "_engine",
        "_enriched",
        "_enricher",
        "_json",
        "_lines",
        "_logsource",
        "_parsers",
        "_topic",
        "_watched",
        "limits",
    )

    def __init__(
        self,
        parsers: Parsers,
        engine: Engine,
        topic: InputTopic,
        limits: Limits,
        enrich: Use | None = None,
    ) -> None:
        """enrich: what rules read that events get from elsewhere."""
        self._enricher = enrich.enricher if enrich else Enricher(())
        self._enriched = enrich.names if enrich else frozenset[str]()
        self._watched = WATCHED if enrich and enrich.risks else ()
        self._parsers = parsers
        self._engine = engine
        self._topic = topic
        self._logsource = LogSource(**topic.logsource.model_dump()) if topic.logsource else None
        self.limits = limits
        self._lines: _Lane[LineKind] | None = None
        self._json: _Lane[Kind] | None = None
        if topic.format == AUTO or topic.format in parsers.text:
            lane = LineLane(parsers, topic.format, self._logsource, limits, self._asked)
            self._lines = _Lane(lane, self._views_of_lines, self._enricher)
        if topic.format == AUTO or topic.format in parsers.json:
            self._json = self._json_lane()

    def _json_lane(self) -> _Lane[Kind]:
        lane = JsonLane(self._parsers, self._topic.format, self._logsource, self.limits)
        return _Lane(lane, self._views_of, self._enricher)

    def run(self, records: pa.RecordBatch) -> Direct:
        """The rules on records of the topic (of window.RECORDS)."""
        rows = np.arange(records.num_rows)
        found = Direct(rows, np.empty((0, 3), np.int64), rows[:0], Counter())
        if self._json is not None:
            if isinstance(self._json.lane, JsonLane) and self._json.lane.full:
                self._json = self._json_lane()
            found = self._json.run(records)
        rows = found.rest
        if self._lines is None or not len(rows):
            return found
        more = self._lines.run(records if len(rows) == records.num_rows else records.take(pa.array(rows)))
        matches = np.column_stack([rows[more.matches[:, 0]], more.matches[:, 1:]])
        return Direct(
            rows[more.rest],
            np.concatenate([found.matches, matches]),
            np.concatenate([found.rows, rows[more.rows]]),
            found.events + more.events,
            found.seen + more.seen,
        )

    def _asked(self, logsource: LogSource | None) -> tuple[str, ...]:
        """The fields that rules read of events of a log source, and those that are looked up for them."""
        if logsource is None:
            return ()
        bound = self._engine.bound(logsource)
        fields = bound.program.fields if bound is not None else ()
        enriched = self._enriched.intersection(fields)
        return (*fields, *(question.field for question in self._enricher.questions(enriched)), *self._watched)

    def _is_enriched(self, name: str, paths: tuple[str, ...]) -> bool:
        """Whether a field is one that is enriched. Raises UnfitError where it stands for such a one, or for more."""
        if self._enriched.isdisjoint(path.removeprefix(RAW).removeprefix(EITHER) for path in paths):
            return False
        if paths != (name,):
            raise UnfitError(f"{name} stands for what is not in a line")
        return True

    def _views_of_lines(self, kind: LineKind, readings: dict[int, Reading]) -> _Views | None:
        """How the rules see the lines of a format, None if they read what is in no line."""
        given = _Given(self._enricher, kind.makes)
        seen: list[tuple[Bound, dict[str, FieldSlots], int]] = []
        try:
            for place, binding in enumerate(kind.bindings):
                bound = self._engine.bound(binding.logsource)
                if bound is not None:
                    fields: dict[str, FieldSlots] = {}
                    for name in bound.program.fields:
                        enriched = self._is_enriched(name, kind.paths(binding, name))
                        fields[name] = FieldSlots((given.slot(name),) if enriched else kind.slots_of(binding, name))
                    seen.append((bound, fields, place))
            plan = given.plan(kind.slots.get, lambda: len(kind.slots))
            watched = tuple(map(kind.slots.get, self._watched))
            if any(slot is None and kind.makes(name) for name, slot in zip(self._watched, watched, strict=True)):
                return None
        except UnfitError:
            return None
        return _added(seen, plan, watched, readings)

    def _views_of(self, kind: Kind, readings: dict[int, Reading]) -> _Views | None:
        """How the rules see a kind, None if they read what is in no slot."""
        given = _Given(self._enricher, lambda name: kind.derived.field(name) is not MISSING)
        event = Event(0, 0, kind.raw, _Ecs(kind, self._enriched), b"", "", kind.bindings)
        seen: list[tuple[Bound, dict[str, FieldSlots], int]] = []
        try:
            for place, binding in enumerate(kind.bindings):
                bound = self._engine.bound(binding.logsource)
                if bound is None:
                    continue
                fields = {
                    name: _field_slots(
                        keyword_values(event) if name == KEYWORDS else values_at(event, binding.aliases, name),
                        kind.derived,
                        given,
                        read=name in bound.program.read,
                    )
                    for name in bound.program.fields
                }
                if KEYWORDS in fields:
                    fields[KEYWORDS] = FieldSlots(fields[KEYWORDS].slots, fields[KEYWORDS].bits | IS_PRESENT)
                seen.append((bound, fields, place))
            derived = kind.derived
            watched = tuple(_slot_of(derived, name) for name in self._watched)
            plan = given.plan(lambda field: _slot_of(derived, field), lambda: derived.first + derived.width)
        except UnfitError:
            return None
        return _added(seen, plan, watched, readings)


@dataclass(frozen=True, slots=True)
class _Enriched:
    """The value of a field that the enrichment may give."""

    name: str


class _Given:
    """What the rules read of the enrichment, of the records of one kind. makes: whether a format has a name itself."""

    __slots__ = ("_enricher", "_makes", "_targets")

    def __init__(self, enricher: Enricher, makes: Callable[[str], bool]) -> None:
        self._enricher = enricher
        self._makes = makes
        self._targets: dict[str, int] = {}

    def slot(self, name: str) -> int:
        """The slot of a name, for now as a negative number."""
        return -1 - self._targets.setdefault(name, len(self._targets))

    def plan(self, slot_of: Callable[[str], int | None], width: Callable[[], int]) -> Plan | None:
        """What to fill in. width: how many slots there are, once all fields are found. Raises UnfitError."""
        if not self._targets:
            return None
        questions = asked(self._enricher, self._targets, slot_of)
        for name in (*self._targets, *(question.key for question, _ in questions if question.key)):
            if self._makes(name):
                raise UnfitError(f"{name} is a field of the format itself")
        return Plan(width(), tuple(questions), self._targets)


def _slot_of(derived: Derived, field: str) -> int | None:
    """The slot of an ECS field of JSON, None where it has none. Raises UnfitError where it may be no text."""
    value = derived.field(field)
    if value is MISSING or value is None:
        return None
    if not isinstance(value, Leaf):
        raise UnfitError(f"{field} is no text")
    return derived.read(value)


def _added(
    seen: list[tuple[Bound, dict[str, FieldSlots], int]],
    plan: Plan | None,
    watched: tuple[int | None, ...],
    readings: dict[int, Reading],
) -> _Views:
    """The views of a kind, with the slots of the plan where they will be."""
    views: list[_View] = []
    for bound, fields, place in seen:
        if plan is not None:
            for name, field in fields.items():
                slots = tuple(plan.width - 1 - slot if slot < 0 else slot for slot in field.slots)
                fields[name] = FieldSlots(slots, field.bits)
        reading = readings.setdefault(id(bound), Reading(bound.program.fields))
        views.append((bound, reading.add(fields), place))
    return _Views(tuple(views), plan, watched)


class _Lane(Generic[_Kind]):
    """One way to slots, and how the rules see each kind of record that it finds. view: of a kind, None if unfit."""

    __slots__ = ("_enricher", "_readings", "_view", "_views", "lane")

    def __init__(
        self,
        lane: _Reads[_Kind],
        view: Callable[[_Kind, dict[int, Reading]], _Views | None],
        enricher: Enricher,
    ) -> None:
        self.lane = lane
        self._view = view
        self._enricher = enricher
        self._readings: dict[int, Reading] = {}
        self._views: list[_Views | None] = []

    def run(self, records: pa.RecordBatch) -> Direct:
        """The rules on records."""
        slots, kinds = self.lane.read(records)
        self._views += [self._view(kind, self._readings) for kind in self.lane.kinds[len(self._views) :]]
        unfit = [number for number, views in enumerate(self._views) if views is None]
        if unfit:
            kinds[np.isin(kinds, unfit)] = -1
        slots, kinds = self.lane.complete(slots, kinds)
        plans = [(number, each.plan) for number, each in enumerate(self._views) if each and each.plan]
        if plans:
            slots, kinds = fill(self._enricher, slots, kinds, plans)
        rows: dict[int, tuple[Bound, list[np.ndarray], list[tuple[int, int, int]]]] = {}
        for number in np.flatnonzero(np.bincount(kinds + 1, minlength=1)[1:]).tolist():
            part = np.flatnonzero(kinds == number)
            its = self._views[number]
            for bound, view, place in its.views if its else ():
                _, its_rows, its_views = rows.setdefault(id(bound), (bound, [], []))
                its_rows.append(part)
                its_views.append((len(part), view, place))
        found = [np.empty((0, 3), np.int64)]
        for bound, its_rows, its_views in rows.values():
            records_of = np.concatenate(its_rows).astype(np.int32)
            sizes, views, places = np.array(its_views, np.int32).T
            matched, rules = bound.match(slots, self._readings[id(bound)], records_of, np.repeat(views, sizes))
            found.append(np.column_stack([records_of[matched], rules, np.repeat(places, sizes)[matched]]))
        matches = _first_places(np.concatenate(found))
        harmless = kinds.copy()
        harmless[matches[:, 0]] = -1
        done = np.flatnonzero(harmless >= 0)
        events: Counter[str] = Counter()
        seen: list[Row] = []
        for number, count in enumerate(np.bincount(harmless[done]).tolist()):
            if count:
                events[self.lane.kinds[number].parser.name] += count
                its = self._views[number]
                if its and its.watched:
                    seen += did(slots, np.flatnonzero(harmless == number), its.watched)
        return Direct(np.flatnonzero(kinds < 0), matches, done, events, tuple(seen))


def _first_places(matches: np.ndarray) -> np.ndarray:
    """In order, of equal rows and rules the one with the lowest place."""
    row, rule, place = matches.T
    matches = matches[np.lexsort((place, rule, row))]
    again = (matches[1:, :2] == matches[:-1, :2]).all(axis=1)
    return matches[np.concatenate([[True], ~again])] if len(matches) else matches


class _Ecs(dict[str, object]):
    """The ECS fields of a kind, each found when it is asked for."""

    def __init__(self, kind: Kind, enriched: frozenset[str]) -> None:
        super().__init__()
        self._kind = kind
        self._enriched = enriched

    def __contains__(self, name: object) -> bool:
        if name in self._enriched:
            return True
        return self._kind.derived.field(str(name)) is not MISSING

    def __getitem__(self, name: str) -> object:
        if name in self._enriched:
            return _Enriched(name)
        return self._kind.derived.field(name)


def _field_slots(values: list[object], derived: Derived, given: _Given, *, read: bool) -> FieldSlots:
    """Where the values of a field are; `read`: by comparing them, else only their presence counts."""
    slots: dict[int, None] = {}
    bits = 0 if all(isinstance(value, (Leaf, _Enriched)) for value in values) else IS_PRESENT  # these may be absent
    for value in flatten(values):
        if isinstance(value, _Enriched):
            slots[given.slot(value.name)] = None
        elif value is None:
            bits |= IS_NULL
        elif read:
            slots[derived.read(value)] = None
        elif isinstance(value, Leaf):
            slots[value.slot] = None
        else:
            bits |= HAS_VALUE
    return FieldSlots(tuple(slots), bits)
