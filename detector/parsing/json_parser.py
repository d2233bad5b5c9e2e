"""Parsers of JSON objects."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache

from detector.events import Event, JsonValue, LogSource
from detector.parsing.definition import JsonDefinition
from detector.parsing.mapping import Ecs, FieldMap, LogSourceMap, time_map
from detector.parsing.model import Line
from detector.parsing.pattern import searched
from detector.parsing.text import RAW


class JsonParser:
    """A parser of JSON objects."""

    __slots__ = ("_any", "_fields", "_keys", "_sources", "_time", "_values", "definition", "name", "records")

    def __init__(self, definition: JsonDefinition, tables: Mapping[str, Mapping[str, tuple[str, ...]]]) -> None:
        self.definition = definition
        self.name = definition.name
        shape = definition.json_shape
        self.records = shape.records
        self._keys = frozenset(shape.keys)
        self._any = frozenset(shape.any)
        self._values = tuple((key, _contains(expression, key)) for key, expression in shape.values.items())
        self._fields = FieldMap(definition.fields)
        self._time = time_map(definition.time)
        self._sources = LogSourceMap(definition.logsources, tables)

    @property
    def keys(self) -> frozenset[str]:
        """Members that an object must have to be of this format."""
        return self._keys

    def takes(self, value: Mapping[str, JsonValue]) -> bool:
        """Whether an object is of this format."""
        members = value.keys()
        if not self._keys <= members or (self._any and self._any.isdisjoint(members)):
            return False
        return all(isinstance(text := value.get(key), str) and contains(text) for key, contains in self._values)

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
        self._fields.apply(value, ecs)
        flags = line.flags + flags
        time_us = None
        if self._time:
            time_us, noticed = self._time.apply(value, ecs, line.reference_us)
            flags += noticed
        bindings = self._sources.bindings(value, ecs, topic)
        name = self.name if whole else RAW
        return Event(line.row, ordinal, value, ecs, original, name, bindings, time_us, flags, text)


def _contains(expression: str, key: str) -> Callable[[str], bool]:
    compiled = searched(expression, "json", "values", key)

    @lru_cache(maxsize=1_024)
    def contains(text: str) -> bool:
        return compiled.search(text.encode()) is not None

    return contains
