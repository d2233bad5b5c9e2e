"""A JSON record whose values know their slots: what the parsers do with its shape shows where each value goes.

The parsers move values, and name them, by keys and kinds of values alone; where they look at a value itself, `Kind` and
`Questions` say so or give up.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Self

from detector.events import JsonValue
from detector.parsing.definition import Alternative, JsonDefinition
from detector.parsing.mapping import MISSING, finder

Raw = dict[str, JsonValue]

_MAX_EXACT = 15
"""As in `kernels`."""


class Leaf(str):
    """The text of a value that is no container, and its slot.

    exact: whether each value of that kind is written as it compares; not 1.50, say.
    quoted: whether it is a string; else it is a number or a boolean.
    """

    __slots__ = ("exact", "quoted", "slot")

    slot: int
    exact: bool
    quoted: bool

    def __new__(cls, text: str, *, quoted: bool = False) -> Self:
        """One that is exact."""
        leaf = super().__new__(cls, text)
        leaf.exact = True
        leaf.quoted = quoted
        return leaf


class Members(Raw):
    """An object that stands in a record as it is, and its slot. ascii: whether all its keys are."""

    __slots__ = ("ascii", "slot")

    slot: int
    ascii: bool


class Elements(list[JsonValue]):
    """An array, likewise."""

    __slots__ = ("ascii", "slot")

    slot: int
    ascii: bool


class UnfitError(Exception):
    """What the direct lane cannot read; it says why."""


def leaves_of(text: bytes) -> Raw:
    """A JSON object with leaves for values, numbered in the order of the text, as `kernels.scan` numbers its slots.

    Raises UnfitError where a key stands twice.
    """
    value = json.loads(text, object_pairs_hook=_members, parse_int=_number, parse_float=_number, parse_constant=_unfit)
    numbers = iter(range(len(text)))
    return {key: _numbered(member, numbers) for key, member in value.items()}


def slots_in(value: JsonValue) -> int:
    """How many slots the members of a record have, or the elements of an array in it."""
    members = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return sum(1 + slots_in(member) for member in members)


def _unfit(constant: str) -> Any:
    raise UnfitError(constant)


def _members(pairs: list[tuple[str, JsonValue]]) -> Raw:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise UnfitError("a key stands twice")
    return members


def _number(text: str) -> Leaf:
    leaf = Leaf(text)
    whole, point, fraction = text.removeprefix("-").partition(".")
    if point:
        short = len(whole) + len(fraction) <= _MAX_EXACT and not fraction.endswith("0")
        leaf.exact = short and (whole != "0" or not fraction.startswith("0"))
    else:
        leaf.exact = text != "-0"
    return leaf


def _numbered(value: JsonValue, numbers: Iterator[int]) -> JsonValue:
    number = next(numbers)
    if isinstance(value, dict):
        made = Members()
        made.slot = number
        made.update((key, _numbered(member, numbers)) for key, member in value.items())
        made.ascii = all(map(str.isascii, value)) and _ascii(made.values())
        return made
    if isinstance(value, list):
        array = Elements()
        array.slot = number
        array.extend(_numbered(element, numbers) for element in value)
        array.ascii = _ascii(array)
        return array
    if value is None:
        return None
    if isinstance(value, bool):
        leaf = Leaf("true" if value else "false")
    else:
        leaf = value if isinstance(value, Leaf) else Leaf(value, quoted=True)
    leaf.slot = number
    return leaf


def _ascii(values: Iterable[JsonValue]) -> bool:
    return all(value.ascii for value in values if isinstance(value, (Members, Elements)))


def has_names(lift: Iterable[str], raw: Raw) -> bool:
    """Whether what is lifted from some paths has names that stand in values."""
    return any(_has_names(part) for path in lift if path != "." for part in reached(raw, path.split(".")))


def reached(value: JsonValue, path: Sequence[str]) -> list[JsonValue]:
    """What stands at a path, as `lifting` finds it."""
    found = [value]
    for key in path:
        inner = [element for part in found for element in (part if isinstance(part, list) else (part,))]
        objects = [part for part in inner if isinstance(part, dict)]
        if key == "*":
            found = [member for part in objects for member in part.values()]
        else:
            found = [part[key] for part in objects if key in part]
    return found


def _has_names(part: JsonValue) -> bool:
    if isinstance(part, list):
        return any(isinstance(element, dict) for element in part)
    if not isinstance(part, dict):
        return False
    data = part.get("Data")
    if isinstance(data, dict) or _has_names(data if isinstance(data, list) else None):
        return True
    return any(_has_names(member) for member in part.values() if isinstance(member, dict))


def may_have(definition: JsonDefinition, raw: Raw, path: str, asked: frozenset[str] = frozenset()) -> bool:
    """Whether there may be something at a path, raw or in ECS; never wrong in saying no."""
    if finder(path)(raw) is not MISSING:
        return True
    if path in asked:
        return False
    if path == "@timestamp":
        return definition.time is not None
    return any(
        alternative.value is not None
        or any(may_have(definition, raw, source, asked | {path}) for source in alternative.sources)
        for alternative in makers(definition, path)
    )


def makers(definition: JsonDefinition, name: str) -> Iterator[Alternative]:
    """What may make an ECS field of that name."""
    yield from definition.fields.get(name, ())
    for field in definition.spreading:
        if field != name and _spreads(field, name):
            yield from definition.fields[field]


def _spreads(field: str, name: str) -> bool:
    """Whether a type that fills in several names may fill in this one."""
    return name.partition(".")[0] in (field.partition(".")[0], "url", "http", "log")
