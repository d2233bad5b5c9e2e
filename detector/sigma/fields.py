"""One event as a rule sees it: fields by the names of its log source, their values, and where keywords look."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
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
    """An event through one of its log sources; what was looked up or folded once is kept.

    searches: what searches for several patterns at once found, kept by whoever searched.
    """

    __slots__ = ("_encoded", "_folded", "_found", "_texts", "binding", "event", "searches")

    def __init__(self, event: Event, binding: Binding) -> None:
        self.event = event
        self.binding = binding
        self._found: dict[str, Found] = {}
        self._texts: dict[str, tuple[str, ...]] = {}
        self._folded: dict[str, tuple[str, ...]] = {}
        self._encoded: dict[tuple[str, bool], tuple[bytes, ...]] = {}
        self.searches: dict[object, frozenset[int]] = {}

    def found(self, name: str) -> Found:
        """What the field is: by the log source's alias, else the raw path as it stands, else the ECS name.

        An alias that leads to nothing leaves the field absent: it does not fall through.
        """
        found = self._found.get(name)
        if found is None:
            found = self._found[name] = _keywords(self.event) if name == KEYWORDS else self._resolve(name)
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

    def encoded(self, name: str, *, folded: bool = False) -> tuple[bytes, ...]:
        """The texts, or the folded texts, in UTF-8, for RE2."""
        texts = self._encoded.get((name, folded))
        if texts is None:
            plain = self.folded(name) if folded else self.texts(name)
            texts = self._encoded[name, folded] = tuple(text.encode(errors="replace") for text in plain)
        return texts

    def _resolve(self, name: str) -> Found:
        paths = self.binding.aliases.get(name)
        if paths is not None:
            return _gather([value for path in paths for value in self._at(path)])
        values = _lookup(self.event.raw, name)
        if not values and name in self.event.ecs:
            values = [self.event.ecs[name]]
        return _gather(values)

    def _at(self, path: str) -> list[JsonValue]:
        if path.startswith(RAW):
            return _lookup(self.event.raw, path[len(RAW) :])
        return [self.event.ecs[path]] if path in self.event.ecs else []


def _lookup(raw: Mapping[str, JsonValue], path: str) -> list[JsonValue]:
    return [raw[path]] if path in raw else list(_descend(raw, path))


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
    flat = list(_flatten(values))
    return Found(
        present=True,
        null=any(value is None for value in flat),
        values=tuple(value for value in flat if value is not None),
    )


def _flatten(values: list[JsonValue]) -> Iterator[JsonValue]:
    for value in values:
        if isinstance(value, (list, tuple)):
            yield from _flatten(list(value))
        else:
            yield value


def _keywords(event: Event) -> Found:
    if event.text:
        return Found(present=True, null=False, values=(event.original.decode(errors="replace"),))
    return Found(present=True, null=False, values=tuple(_leaves(event.raw)))


def _leaves(value: JsonValue) -> Iterator[JsonValue]:
    if isinstance(value, Mapping):
        for item in value.values():
            yield from _leaves(item)
    elif isinstance(value, list):
        for item in value:
            yield from _leaves(item)
    elif value is not None:
        yield value
