"""Names for what stands deep inside a JSON object: members of inner objects become members of the event itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from detector.events import JsonValue
from detector.parsing.json_text import bounded, load
from detector.parsing.mapping import MISSING, finder

Members = dict[str, JsonValue]

SELF = "."
"""The path of the object itself: its members get names without spaces, too."""

_EACH = "*"
MAX_DEPTH = 8
_UNPACKED_DEPTH = 64
_UNPACKED_MEMBERS = 1_024

# What converters of XML call an element's attributes, its text, and the name of a `<Data Name="…">`.
_ATTRIBUTES = ("#attributes", "@attributes", "_attributes", "$")
_TEXTS = ("#text", "_text", "$t", "_", "content", "Value", "value", "boolValue", "intValue", "multiValue")
_NAMES = ("Name", "@Name", "_Name", "-Name", "name")


class Lift:
    """Adds names to a JSON object, and takes none away: what stands at its top keeps its name and value.

    paths: objects whose members become members of the event, without the spaces in their names; what lies deeper has
        the names on its way joined by `_`. Or arrays of such objects, or of named values, which become members
        likewise. Of equal names the first counts. `*` on a path means each member; of an array on the way, each element
        is taken.
    names: name -> paths, the first of which that has a value gets that name, unless something has it already.
    unpack: texts that are themselves JSON objects, whose members become members of the event as they are.
    """

    __slots__ = ("_names", "_paths", "_spaces", "_unpack")

    def __init__(self, paths: Iterable[str], names: Mapping[str, Iterable[str]], unpack: Iterable[str] = ()) -> None:
        paths = tuple(paths)
        self._unpack = tuple(path.split(".") for path in unpack)
        self._spaces = SELF in paths
        self._paths = tuple(path.split(".") for path in paths if path != SELF)
        self._names = tuple((name, tuple(map(finder, found))) for name, found in names.items())

    def apply(self, value: Members) -> Members:
        """A new object with the members of `value` and the added ones; the values are shared."""
        added: Members = {}
        if self._spaces:
            added = {key.replace(" ", ""): member for key, member in value.items() if " " in key}
        for path in self._paths:
            for part in _reach(value, path):
                _add(part, added)
        for path in self._unpack:
            for text in _reach(value, path):
                added = _unpacked(text) | added
        added.update(value)
        for name, finders in self._names:
            if name not in added:
                for find in finders:
                    found = find(added)
                    if found is not MISSING and found is not None:
                        added[name] = found
                        break
        return added


def _unpacked(text: JsonValue) -> Members:
    if not (isinstance(text, str) and text[:1] == "{"):
        return {}
    inner, _ = bounded(load(text.encode(errors="replace"), _UNPACKED_DEPTH).value, _UNPACKED_DEPTH, _UNPACKED_MEMBERS)
    return inner if isinstance(inner, dict) else {}


def _reach(value: JsonValue, path: Sequence[str]) -> list[JsonValue]:
    found = [value]
    for key in path:
        inner = [element for part in found for element in (part if isinstance(part, list) else (part,))]
        objects = [part for part in inner if isinstance(part, dict)]
        if key == _EACH:
            found = [member for part in objects for member in part.values()]
        else:
            found = [part[key] for part in objects if key in part]
    return found


def _add(part: JsonValue, added: Members) -> None:
    if isinstance(part, dict):
        _lift(part, "", added, MAX_DEPTH)
    elif isinstance(part, list):
        _named(part, added)
        for element in part:
            if isinstance(element, dict) and _name(element) is None:
                _lift(element, "", added, MAX_DEPTH)


def _lift(value: Members, prefix: str, added: Members, depth: int) -> None:
    for key, member in value.items():
        name = prefix + (_plain(key) if " " in key or key[:1] == "@" else key)
        if key == "Data" and not prefix and isinstance(member, dict | list):
            _data(member, added)
        elif not isinstance(member, dict) or not depth:
            added.setdefault(name, member)
        elif key not in _ATTRIBUTES:
            text = _text(member)
            if text is not MISSING:
                added.setdefault(name, text)
                member = {inner: value for inner, value in member.items() if inner not in _TEXTS}  # noqa: PLW2901
            _lift(member, f"{name}_", added, depth - 1)
        elif prefix:  # those of the lifted object itself say nothing of the event
            _lift(member, prefix, added, depth)


def _plain(key: str) -> str:
    return key.removeprefix("@").replace(" ", "")


def _data(data: JsonValue, added: Members) -> None:
    """The `Data` elements of a Windows event: those with a name are fields, the others are the values of `Data`."""
    unnamed = _named(data if isinstance(data, list) else [data], added)
    if unnamed:
        added.setdefault("Data", unnamed[0] if len(unnamed) == 1 else unnamed)


def _named(elements: list[JsonValue], added: Members) -> list[JsonValue]:
    """Add the elements that have a name; gives the values of the others."""
    unnamed: list[JsonValue] = []
    for element in elements:
        name = _name(element)
        text = _text(element) if isinstance(element, dict) else element
        if name is not None:
            added.setdefault(_plain(name), None if text is MISSING else text)
        elif isinstance(text, list):
            unnamed += text
        elif text is not MISSING:
            unnamed.append(text)
    return unnamed


def _name(element: JsonValue) -> str | None:
    if not isinstance(element, dict):
        return None
    holders = (element, *(element[key] for key in _ATTRIBUTES if isinstance(element.get(key), dict)))
    names = (holder.get(key) for holder in holders for key in _NAMES)
    return next((name for name in names if isinstance(name, str) and name), None)


def _text(element: Members) -> JsonValue:
    return next((element[key] for key in _TEXTS if key in element), MISSING)
