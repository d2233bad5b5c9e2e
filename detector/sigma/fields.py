"""One event as a rule sees it: fields by the names of its log source, their values, and where keywords look."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import NamedTuple

from detector.events import Binding, Event, JsonValue
from detector.sigma.folding import fold
from detector.sigma.values import text_of

RAW = "raw:"
"""What a path of an alias begins with that is looked up in the event's raw fields."""
KEYWORDS = ""
"""The field of an item without one: the original line of a text, else every value of the event."""


class Found(NamedTuple):
    """What a field name leads to in an event.

    values: those that are not null, arrays taken apart; none for an empty array.
    null: whether a null is among them.
    """

    present: bool
    null: bool
    values: tuple[JsonValue, ...]


_ABSENT = Found(present=False, null=False, values=())


class EventView:
    """An event through one of its log sources; what was looked up or folded once is kept."""

    __slots__ = ("_encoded", "_folded", "_found", "_texts", "binding", "event")

    def __init__(self, event: Event, binding: Binding) -> None:
        self.event = event
        self.binding = binding
        self._found: dict[str, Found] = {}
        self._texts: dict[str, tuple[str, ...]] = {}
        self._folded: dict[str, tuple[str, ...]] = {}
        self._encoded: dict[str, tuple[bytes, ...]] = {}

    def found(self, name: str) -> Found:
        """What the field is, see `values_at`."""
        found = self._found.get(name)
        if found is None:
            found = self._found[name] = self._find(name)
        return found

    def texts(self, name: str) -> tuple[str, ...]:
        """The values as texts, in the order of `found(name).values`."""
        texts = self._texts.get(name)
        if texts is None:
            texts = self._texts[name] = tuple(map(text_of, self.found(name).values))
        return texts

    def folded(self, name: str) -> tuple[str, ...]:
        """The texts in folded case."""
        texts = self._folded.get(name)
        if texts is None:
            texts = self._folded[name] = tuple(map(fold, self.texts(name)))
        return texts

    def encoded(self, name: str) -> tuple[bytes, ...]:
        """The texts in UTF-8, for RE2."""
        texts = self._encoded.get(name)
        if texts is None:
            texts = self._encoded[name] = tuple(text.encode(errors="replace") for text in self.texts(name))
        return texts

    def _find(self, name: str) -> Found:
        if name == KEYWORDS:
            return Found(present=True, null=False, values=tuple(keyword_values(self.event)))
        return _gather(values_at(self.event, self.binding.aliases, name))


def values_at(event: Event, aliases: Mapping[str, tuple[str, ...]], name: str) -> list[JsonValue]:
    """What a field name leads to: by the log source's alias, else the raw path as it stands, else the ECS name.

    Arrays are whole. Nothing where the field is absent: an alias does not fall through.
    """
    paths = aliases.get(name)
    if paths is not None:
        return [value for path in paths for value in _at(event, path)]
    values = _lookup(event.raw, name)
    if not values and name in event.ecs:
        return [event.ecs[name]]
    return values


def keyword_values(event: Event) -> list[JsonValue]:
    """Where keywords are searched for."""
    return [event.original.decode(errors="replace")] if event.text else list(_leaves(event.raw.values()))


def _at(event: Event, path: str) -> list[JsonValue]:
    if path.startswith(RAW):
        return _lookup(event.raw, path[len(RAW) :])
    return [event.ecs[path]] if path in event.ecs else []


def _lookup(raw: Mapping[str, JsonValue], path: str) -> list[JsonValue]:
    if path in raw:
        return [raw[path]]
    return list(_descend(raw, path)) if "." in path else []


def _descend(value: JsonValue, path: str) -> Iterator[JsonValue]:
    """The values at a dotted path: the longest key that is there first, then its shorter beginnings.

    Arrays on the way: what is at the path in any of their elements.
    """
    if isinstance(value, Mapping):
        for key, rest in _splits(path):
            if key in value:
                if rest is None:
                    yield value[key]
                    return
                found = list(_descend(value[key], rest))
                if found:
                    yield from found
                    return
    elif isinstance(value, list):
        for element in value:
            yield from _descend(element, path)


@lru_cache(maxsize=16_384)
def _splits(path: str) -> tuple[tuple[str, str | None], ...]:
    """The path whole, then its beginnings, longest first, each with what remains."""
    dots = [index for index, char in enumerate(path) if char == "."]
    return ((path, None), *((path[:dot], path[dot + 1 :]) for dot in reversed(dots)))


def _gather(values: list[JsonValue]) -> Found:
    if not values:
        return _ABSENT
    if all(type(value) is str for value in values):
        return Found(present=True, null=False, values=tuple(values))
    flat = list(flatten(values))
    return Found(
        present=True,
        null=any(value is None for value in flat),
        values=tuple(value for value in flat if value is not None),
    )


def flatten(values: list[JsonValue]) -> Iterator[JsonValue]:
    """The values, with arrays taken apart, also arrays in arrays."""
    for value in values:
        if isinstance(value, (list, tuple)):
            yield from flatten(list(value))
        else:
            yield value


def _leaves(values: Iterable[JsonValue]) -> Iterator[JsonValue]:
    for value in values:
        if type(value) is str:  # most are, and the test for a mapping is slow
            yield value
        elif isinstance(value, Mapping):
            yield from _leaves(value.values())
        elif isinstance(value, list):
            yield from _leaves(value)
        elif value is not None:
            yield value
