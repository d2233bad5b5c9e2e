"""A definition's tables, compiled: from an event's own fields to ECS names, its time and its log sources."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from detector.events import Binding, JsonValue, LogSource
from detector.parsing.definition import Alternative, Fields, LogSourceRow, Time, When, template_parts
from detector.parsing.pattern import DefinitionError
from detector.parsing.timestamps import TimeParser, plausible
from detector.parsing.values import SPREADING, TYPES, Convert

Raw = Mapping[str, JsonValue]
Ecs = dict[str, JsonValue]
MISSING: Any = object()
MAX_INDEX = 16
_MAX_CACHED = 4_096

Find = Callable[[Raw], JsonValue]
"""The value at a path, MISSING where there is none."""
_Step = Callable[[Raw, Ecs], object]
_Condition = Callable[[Raw, Ecs], bool]


@lru_cache(maxsize=4_096)  # many paths end alike, and each is looked up for its parts
def finder(path: str) -> Find:
    """Looks a path up: the longest literal key first, then dotted segments; a number is an element of an array."""
    if "." not in path:
        return lambda raw: raw.get(path, MISSING)
    parts = path.split(".")
    splits = [(".".join(parts[:end]), finder(".".join(parts[end:]))) for end in range(len(parts) - 1, 0, -1)]

    def find(raw: Raw) -> JsonValue:
        value = raw.get(path, MISSING)
        if value is not MISSING:
            return value
        for key, rest in splits:
            inner = raw.get(key)
            if inner is None:
                continue
            if isinstance(inner, list):
                inner = {str(index): element for index, element in enumerate(inner[:MAX_INDEX])}
            if isinstance(inner, dict):
                value = rest(inner)
                if value is not MISSING:
                    return value
        return MISSING

    return find


class FieldMap:
    """Fills in the ECS fields."""

    __slots__ = ("_plain", "_steps")

    def __init__(self, fields: Fields) -> None:
        self._plain: list[tuple[str, str, Convert, bool]] = []  # one path without dots: the most, so without a closure
        self._steps: list[_Step] = []
        for name, alternatives in fields.items():
            first = alternatives[0]
            simple = len(alternatives) == len(first.paths) == 1 and not (first.when or first.map)
            if simple and "." not in first.paths[0]:
                plain = (name, first.paths[0], TYPES[first.type](name), first.type not in SPREADING)
                self._plain.append(plain)
            else:
                self._steps.append(_step(name, alternatives))

    def apply(self, raw: Raw, ecs: Ecs) -> None:
        """Add to `ecs` what the fields of `raw` give."""
        for name, path, convert, nullable in self._plain:
            value = raw.get(path)
            if value is not None:
                convert(value, ecs)
            elif nullable and path in raw:
                ecs.setdefault(name, None)
        for step in self._steps:
            step(raw, ecs)


def _step(name: str, alternatives: tuple[Alternative, ...]) -> _Step:
    ways = [_way(name, alternative) for alternative in alternatives]

    def step(raw: Raw, ecs: Ecs) -> None:
        for way in ways:
            if way(raw, ecs):
                return

    return step


def _way(name: str, alternative: Alternative) -> _Condition:
    holds = condition(alternative.when)
    if alternative.template is not None:
        return _template(alternative.template, TYPES[alternative.type](name), holds)
    if not alternative.paths:
        constant = alternative.value

        def set_constant(raw: Raw, ecs: Ecs) -> bool:
            if holds(raw, ecs):
                ecs[name] = constant
                return True
            return False

        return set_constant
    convert = TYPES[alternative.type](name)
    if alternative.map:
        convert = _mapped(alternative.map, convert)
    nullable = alternative.type not in SPREADING
    finders = [finder(path) for path in alternative.paths]

    def take_first(raw: Raw, ecs: Ecs) -> bool:
        if not holds(raw, ecs):
            return False
        for find in finders:
            value = find(raw)
            if value is None:
                if nullable:
                    ecs.setdefault(name, None)
            elif value is not MISSING and convert(value, ecs):
                return True
        return False

    return take_first


def _mapped(meanings: Mapping[str, JsonValue], convert: Convert) -> Convert:
    def mapped(value: JsonValue, ecs: Ecs) -> bool:
        meaning = meanings.get(canonical(value) or "")
        return meaning is not None and convert(meaning, ecs)

    return mapped


def _template(template: str, convert: Convert, holds: _Condition) -> _Condition:
    """A text made of several values, which must all be there and not be empty."""
    parts = [(text, _either(path) if path else None) for text, path in template_parts(template)]

    def fill(raw: Raw, ecs: Ecs) -> bool:
        if not holds(raw, ecs):
            return False
        filled = ""
        for text, find in parts:
            filled += text
            if find:
                value = canonical(found) if (found := find(raw, ecs)) is not None and found is not MISSING else None
                if not value:
                    return False
                filled += value
        return convert(filled, ecs)

    return fill


def condition(when: When) -> _Condition:
    """Whether the fields named have one of the values named; a path is looked up in the raw fields, then in ECS."""
    if not when:
        return lambda _raw, _ecs: True
    tests = [(_either(path), frozenset(map(canonical, values))) for path, values in when.items()]

    def holds(raw: Raw, ecs: Ecs) -> bool:
        for find, values in tests:
            value = find(raw, ecs)
            if value is MISSING:
                return False
            if isinstance(value, list):
                if values.isdisjoint(map(canonical, value)) and not ("*" in values and value):
                    return False
            elif not (canonical(value) in values or ("*" in values and value is not None)):
                return False
        return True

    return holds


def canonical(value: JsonValue) -> str | None:
    """A scalar as text, so that 5 and "5" are the same; None for a list or an object."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    return str(value) if isinstance(value, int | float) else None


def _either(path: str) -> Callable[[Raw, Ecs], JsonValue]:
    find = finder(path)

    def either(raw: Raw, ecs: Ecs) -> JsonValue:
        value = find(raw)
        return ecs.get(path, MISSING) if value is MISSING else value

    return either


def check_groups(fields: Fields, groups: frozenset[str], *place: str | int) -> None:
    """Raise DefinitionError for a field from a group that no expression has."""
    for name, alternatives in fields.items():
        for path in (path for alternative in alternatives for path in alternative.sources):
            if path not in groups:
                raise DefinitionError(f"field {name}: no group is named {path!r}", *place, "fields", name)


class TimeMap:
    """Finds the event's time."""

    __slots__ = ("_finders", "_formats", "_parsers")

    def __init__(self, time: Time) -> None:
        self._finders = tuple(_joined(path) if "{" in path else finder(path) for path in time.paths)
        self._formats = time.formats
        self._parsers: dict[ZoneInfo | None, TimeParser] = {None: TimeParser(time.formats)}

    def apply(
        self, raw: Raw, ecs: Ecs, reference_us: int | None, zone: ZoneInfo | None = None
    ) -> tuple[int | None, tuple[str, ...]]:
        """The time in microseconds, and flags; `@timestamp` is added to `ecs`. zone: of a time that names none.

        No time where it is not there, cannot be read (bad_time) or cannot belong to the record (implausible_time): the
        record's time then stands for it.
        """
        wrong: tuple[str, ...] = ()
        parser = self._parsers.get(zone)
        if parser is None:
            parser = self._parsers[zone] = TimeParser(self._formats, zone)
        for find in self._finders:
            value = find(raw)
            if value is MISSING or value is None:
                continue
            instant, flag = parser.parse(value, reference_us)
            if instant is None:
                wrong = wrong or (flag or "bad_time",)
                continue
            if not plausible(instant.us, reference_us):
                return None, ("implausible_time",)
            ecs["@timestamp"] = instant.text
            return instant.us, ("leap_second",) if instant.leap else ()
        return None, wrong


def _joined(template: str) -> Find:
    """A time whose parts are several fields."""
    fill = _template(template, TYPES["value"]("time"), condition({}))

    def find(raw: Raw) -> JsonValue:
        made: Ecs = {}
        return made["time"] if fill(raw, made) else MISSING

    return find


def time_map(time: Time | None) -> TimeMap | None:
    """The map of a definition's time; raises DefinitionError for a format that is not known."""
    try:
        return TimeMap(time) if time else None
    except ValueError as error:
        raise DefinitionError(str(error), "time", "formats") from None


class LogSourceMap:
    """The table from event fields to log sources."""

    __slots__ = ("_cache", "_keys", "_rows")

    def __init__(self, rows: Iterable[LogSourceRow], tables: Mapping[str, Mapping[str, tuple[str, ...]]]) -> None:
        self._rows: list[tuple[_Condition, Binding]] = []
        interesting: dict[str, set[str | None]] = {}
        for row in rows:
            aliases = tables[row.aliases] if isinstance(row.aliases, str) else row.aliases
            name = row.logsource
            binding = Binding(LogSource(name.category, name.product, name.service), dict(aliases))
            self._rows.append((condition(row.when), binding))
            for path, values in row.when.items():
                interesting.setdefault(path, set()).update(map(canonical, values))
        self._keys = tuple((_either(path), frozenset(values)) for path, values in interesting.items())
        self._cache: dict[tuple[object, ...], tuple[Binding, ...]] = {}

    @property
    def declared(self) -> tuple[Binding, ...]:
        """The log sources of all rows, in their order."""
        return tuple(binding for _, binding in self._rows)

    def of(self, rows: int, topic: LogSource | None) -> tuple[Binding, ...]:
        """The log sources of an event for which some rows hold, as bits, and those that the topic's setting adds."""
        own = [binding for number, (_, binding) in enumerate(self._rows) if rows >> number & 1]
        return completed(_told_apart(own), topic)

    def bindings(self, raw: Raw, ecs: Ecs, topic: LogSource | None) -> tuple[Binding, ...]:
        """The log sources that the fields make the event be, and those that the topic's setting adds.

        The setting completes each of them: {product: apache} makes {category: webserver} also {webserver, apache}.
        """
        # The key takes only values that the table names, so that log text cannot make the cache grow; but arrays may
        # hold many different sets of these.
        key: tuple[object, ...] = (topic,)
        for find, values in self._keys:
            value = find(raw, ecs)
            if isinstance(value, list):
                key += ((bool(value), values.intersection(map(canonical, value))),)
                continue
            text = canonical(value)
            key += (text if text in values else None if value is MISSING or value is None else MISSING,)
        found = self._cache.get(key)
        if found is None:
            if len(self._cache) >= _MAX_CACHED:
                self._cache.clear()
            own = [binding for holds, binding in self._rows if holds(raw, ecs)]
            found = self._cache[key] = completed(_told_apart(own), topic)
        return found


def _told_apart(own: list[Binding]) -> list[Binding]:
    """The bindings without those that others imply, for each costs: of one log source the last counts, and a log source
    is implied by one that declares the same and more, with the same names of fields.
    """
    last = {binding.logsource: binding for binding in own}.values()
    return [
        binding
        for binding in last
        if not any(other.aliases == binding.aliases and _implies(other.logsource, binding.logsource) for other in last)
    ]


def _implies(more: LogSource, less: LogSource) -> bool:
    parts = ((more.category, less.category), (more.product, less.product), (more.service, less.service))
    return more != less and all(asked in (None, declared) for declared, asked in parts)


def completed(own: list[Binding], topic: LogSource | None) -> tuple[Binding, ...]:
    """Bindings with those that a topic's log source adds."""
    bindings = {binding.logsource: binding for binding in own}
    if topic is not None:
        for binding in own or [Binding(topic)]:
            source = binding.logsource
            merged = LogSource(
                topic.category or source.category, topic.product or source.product, topic.service or source.service
            )
            bindings.setdefault(merged, Binding(merged, binding.aliases))
    return tuple(bindings.values())
