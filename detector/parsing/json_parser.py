"""Parsers of JSON objects."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache

from detector.events import Binding, Event, JsonValue, LogSource
from detector.parsing.definition import JsonDefinition
from detector.parsing.lifting import Lift
from detector.parsing.mapping import MISSING, Ecs, FieldMap, Find, LogSourceMap, finder, time_map
from detector.parsing.model import Line
from detector.parsing.pattern import searched
from detector.parsing.text import RAW

_PATH = frozenset(".|")


class JsonParser:
    """A parser of JSON objects.

    anchors: members of which an object of this format has one; none: any object may be of it. A path's first member is
        another way to write it.
    rank: of several that take an object, the highest wins.
    records: the member that holds an array of events.
    """

    __slots__ = (
        "_any",
        "_fields",
        "_keys",
        "_lift",
        "_members",
        "_sources",
        "_time",
        "_values",
        "anchors",
        "definition",
        "name",
        "rank",
        "records",
    )

    def __init__(self, definition: JsonDefinition, tables: Mapping[str, Mapping[str, tuple[str, ...]]]) -> None:
        self.definition = definition
        self.name = definition.name
        shape = definition.json_shape
        self.records = shape.records
        paths = shape.keys[0].split("|") if shape.keys else shape.any
        self.anchors = frozenset((*paths, *(path.partition(".")[0] for path in paths)))
        self.rank = (shape.priority, len(shape.keys) + len(shape.values) + bool(shape.any), self.name)
        self._members = frozenset(key for key in shape.keys if not _PATH.intersection(key))
        self._keys = tuple(tuple(map(finder, key.split("|"))) for key in shape.keys if key not in self._members)
        self._any = tuple(map(finder, shape.any))
        self._values = tuple((finder(path), _contains(expression, path)) for path, expression in shape.values.items())
        added = shape.lift or shape.names or shape.unpack
        self._lift = Lift(shape.lift, shape.names, shape.unpack) if added else None
        self._fields = FieldMap(definition.fields)
        self._time = time_map(definition.time)
        self._sources = LogSourceMap(definition.logsources, tables)

    @property
    def declared(self) -> tuple[Binding, ...]:
        """The log sources that its events can have."""
        return self._sources.declared

    @property
    def tests(self) -> tuple[tuple[Find, Callable[[str], bool]], ...]:
        """What decides beside the members whether an object is of this format: values, and what they must contain."""
        return self._values

    def lifted(self, value: dict[str, JsonValue]) -> dict[str, JsonValue]:
        """An object with the names that the definition adds; see detector.parsing.lifting."""
        return self._lift.apply(value) if self._lift else value

    def takes(self, value: dict[str, JsonValue]) -> bool:
        """Whether an object is of this format."""
        if not self.may_take(value):
            return False
        for find, contains in self._values:
            text = find(value)
            if not (isinstance(text, str) and contains(text)):
                return False
        return True

    def may_take(self, value: dict[str, JsonValue]) -> bool:
        """Whether an object has the members of this format."""
        if not self._members <= value.keys():
            return False
        for finders in self._keys:
            if not _any_there(finders, value):
                return False
        return not self._any or _any_there(self._any, value)

    def event(
        self,
        line: Line,
        ordinal: int,
        value: dict[str, JsonValue],
        topic: LogSource | None,
        *,
        original: bytes,
        flags: tuple[str, ...] = (),
        whole: bool = True,
        text: bool = False,
    ) -> Event:
        """The event of an object.

        whole: else it becomes a raw event with the fields so far. text: whether `original` holds more than these.
        """
        ecs: Ecs = {}
        value = self.lifted(value)
        self._fields.apply(value, ecs)
        flags = line.flags + flags
        time_us = None
        if self._time:
            time_us, noticed = self._time.apply(value, ecs, line.reference_us, line.zone)
            flags += noticed
        bindings = self._sources.bindings(value, ecs, topic)
        name = self.name if whole else RAW
        return Event(line.row, ordinal, value, ecs, original, name, bindings, time_us, flags, text)


def _any_there(finders: tuple[Find, ...], value: dict[str, JsonValue]) -> bool:
    for find in finders:  # noqa: SIM110 -- a loop costs half of what any() with a generator does
        if find(value) is not MISSING:
            return True
    return False


def _contains(expression: str, key: str) -> Callable[[str], bool]:
    compiled = searched(expression, "json", "values", key)

    @lru_cache(maxsize=1_024)
    def contains(text: str) -> bool:
        return compiled.search(text.encode()) is not None

    return contains
