"""YAML as rules and definitions use it, read from the parser's events: lines are known, a hostile file costs nothing.

The composing loaders recurse (PyYAML's C loader ends the process at about 25,000 nested brackets, the pure one takes
seconds), expand aliases without bound and run tags. Here nesting is bounded before it is followed, what aliases expand
to is counted, and tags and duplicate keys are refused. Plain scalars are those of YAML 1.2's core schema, as the Sigma
specification demands, so that `no` and `on` are words and a date is text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

MAX_DEPTH = 32
"""Levels of nesting; real rules have six."""
MAX_NODES = 60_000
"""Values of a document with its aliases expanded; a rule may ask for 50,000 (`sigma.checks.MAX_LEAVES`)."""

Lines = dict[tuple[str | int, ...], int]
"""Line (from 1) of each value, by the keys and indexes that lead to it."""

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_DECIMAL = re.compile(r"[-+]?(0|[1-9][0-9]{0,300})")
_ZEROS = re.compile(r"[-+]?0[0-9]+")
_PREFIXED = re.compile(r"0x[0-9a-fA-F]{1,60}|0o[0-7]{1,60}")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NUMERIC = frozenset("+-.0123456789")
"""Characters with which a number may begin: most words are none at once."""
_WORDS = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}


class DocumentError(Exception):
    """The text is not YAML, or more than a rule or definition may be; `line` counts from 1."""

    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.message = message
        self.line = line


@dataclass(frozen=True, slots=True)
class Document:
    """One document of a file: its place in it (from 1), its value, the line of each part.

    Aliased lists and mappings are the same object wherever they stand.
    """

    number: int
    value: Any
    lines: Lines

    def line(self, *path: str | int) -> int:
        """Line of the part at `path`, or of the nearest part around it."""
        while path not in self.lines:
            path = path[:-1]
        return self.lines[path]


def read_documents(text: str) -> Iterator[Document]:
    """The documents of a YAML text that are not empty, one by one: those before a mistake are given.

    Raises DocumentError.
    """
    try:
        events = _Events(text)
        number = 0
        while not isinstance(event := events.next(), yaml.StreamEndEvent):
            if isinstance(event, yaml.DocumentStartEvent):
                number += 1
                reader = _Reader(events)
                value, _ = reader.value(events.next(), ())
                if value is not None:
                    yield Document(number, value, reader.lines)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or getattr(error, "reason", None) or "not valid"
        raise DocumentError(f"not YAML: {problem}", mark.line + 1 if mark else 1) from None


class _Events:
    """The event stream, and the line of the last one."""

    __slots__ = ("_events", "line")

    def __init__(self, text: str) -> None:
        self._events = yaml.parse(text, Loader=_Loader)
        self.line = 1

    def next(self) -> yaml.Event:
        event = next(self._events)
        mark = event.start_mark
        self.line = mark.line + 1 if mark else 1
        if tag := getattr(event, "tag", None):
            raise DocumentError(f"the tag {tag} is not allowed: remove it", self.line)
        return event


class _Reader:
    """Builds the value of one document; each method gives a value and its size in nodes, aliases expanded."""

    __slots__ = ("_anchors", "_events", "lines")

    def __init__(self, events: _Events) -> None:
        self._events = events
        self._anchors: dict[str, tuple[Any, int]] = {}
        self.lines: Lines = {}

    def value(self, event: yaml.Event, path: tuple[str | int, ...]) -> tuple[Any, int]:
        self.lines[path] = self._events.line
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in self._anchors:
                raise self._error(f"the alias *{event.anchor} stands for nothing that ends before it")
            return self._anchors[event.anchor]
        if len(path) >= MAX_DEPTH:
            raise self._error(f"nested more than {MAX_DEPTH} deep")
        if isinstance(event, yaml.ScalarEvent):
            found: tuple[Any, int] = (_scalar(event), 1)
        elif isinstance(event, yaml.SequenceStartEvent):
            found = self._sequence(path)
        else:
            found = self._mapping(path)
        if anchor := getattr(event, "anchor", None):
            self._anchors[anchor] = found
        return found

    def _sequence(self, path: tuple[str | int, ...]) -> tuple[list[Any], int]:
        items: list[Any] = []
        size = 1
        shallow = len(path) + 1 < MAX_DEPTH
        while not isinstance(event := self._events.next(), yaml.SequenceEndEvent):
            if shallow and isinstance(event, yaml.ScalarEvent) and event.anchor is None:  # long lists are of such
                self.lines[*path, len(items)] = self._events.line
                items.append(_scalar(event))
                size = self._sum(size, 1)
                continue
            item, nodes = self.value(event, (*path, len(items)))
            items.append(item)
            size = self._sum(size, nodes)
        return items, size

    def _mapping(self, path: tuple[str | int, ...]) -> tuple[dict[str, Any], int]:
        mapping: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        size = 1
        while not isinstance(event := self._events.next(), yaml.MappingEndEvent):
            if not isinstance(event, yaml.ScalarEvent):
                raise self._error("a key must be a word, not a list, mapping or alias")
            key: str = event.value
            merge = key == "<<" and not event.style
            if key in mapping:
                raise self._error(f"the key {key!r} stands twice in the same mapping: remove one or join their values")
            value, nodes = self.value(self._events.next(), (*path, key))
            size = self._sum(size, nodes)
            if merge:
                self._merge(merged, value)
            else:
                mapping[key] = value
        return {**merged, **mapping}, size

    def _merge(self, merged: dict[str, Any], value: Any) -> None:
        for part in value if isinstance(value, list) else [value]:
            if not isinstance(part, dict):
                raise self._error("`<<` merges mappings only")
            for key, item in part.items():
                merged.setdefault(key, item)

    def _sum(self, size: int, nodes: int) -> int:
        if size + nodes > MAX_NODES:
            raise self._error(f"more than {MAX_NODES} values with its aliases expanded")
        return size + nodes

    def _error(self, message: str) -> DocumentError:
        return DocumentError(message, self._events.line)


def _scalar(event: yaml.ScalarEvent) -> Any:
    text: str = event.value
    if event.style:  # quoted or block
        return text
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in _NUMERIC:
        return text
    if _ZEROS.fullmatch(text):
        return text  # `00000429` names something: as a number it would lose its zeros, which no writer means
    if _DECIMAL.fullmatch(text):
        return int(text)
    if _PREFIXED.fullmatch(text):
        return int(text, 0)
    if _FLOAT.fullmatch(text):
        return float(text)
    return text
