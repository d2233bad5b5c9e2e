"""YAML for definitions, read from the parser's events: lines are known, and a hostile file costs nothing.

The composing loaders recurse (the C one crashes the process at about 25,000 brackets), expand aliases and run tags.
Here nesting is bounded before it is followed; anchors, tags and duplicate keys are refused; plain scalars are those of
YAML 1.2's core schema, so that `no` and `on` are words.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import yaml

from detector.errors import ParserError

MAX_DEPTH = 32

Lines = dict[tuple[str | int, ...], int]
"""Line (from 1) of each value, by the keys and indexes that lead to it."""

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_INT = re.compile(r"[-+]?[0-9]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+\.[0-9]*)([eE][-+]?[0-9]+)?|[-+]?[0-9]+[eE][-+]?[0-9]+")
_WORDS = {"": None, "~": None, "null": None, "true": True, "false": False}


def documents(text: str, path: str) -> list[tuple[Any, Lines]]:
    """The documents of a YAML text as plain values, each with the lines of its parts.

    Raises ParserError where it is not YAML, or more than a definition needs (nesting, anchors, tags, doubled keys).
    """
    try:
        return list(_documents(_Events(text, path)))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}:{mark.line + 1}" if mark else path
        problem = getattr(error, "problem", None) or getattr(error, "reason", None) or "not valid"
        raise ParserError(f"not YAML: {problem}", where=where) from None


class _Events:
    """The event stream, with one line of look-back for messages."""

    __slots__ = ("_events", "line", "path")

    def __init__(self, text: str, path: str) -> None:
        self._events = yaml.parse(text, Loader=_Loader)
        self.path = path
        self.line = 1

    def next(self) -> yaml.Event:
        event = next(self._events)
        mark = event.start_mark
        self.line = mark.line + 1 if mark else self.line
        if getattr(event, "anchor", None):
            raise self.error("anchors and aliases are not allowed in definitions: write the value out")
        if tag := getattr(event, "tag", None):
            raise self.error(f"tag {tag} is not allowed in definitions: remove it")
        return event

    def error(self, message: str) -> ParserError:
        return ParserError(message, where=f"{self.path}:{self.line}")


def _documents(events: _Events) -> Iterator[tuple[Any, Lines]]:
    while not isinstance(event := events.next(), yaml.StreamEndEvent):
        if isinstance(event, yaml.DocumentStartEvent):
            lines: Lines = {}
            yield _value(events, events.next(), (), lines), lines


def _value(events: _Events, event: yaml.Event, path: tuple[str | int, ...], lines: Lines) -> Any:
    lines[path] = events.line
    if isinstance(event, yaml.ScalarEvent):
        return _scalar(event)
    if len(path) >= MAX_DEPTH:
        raise events.error(f"nested more than {MAX_DEPTH} deep")
    if isinstance(event, yaml.SequenceStartEvent):
        items: list[Any] = []
        while not isinstance(event := events.next(), yaml.SequenceEndEvent):
            items.append(_value(events, event, (*path, len(items)), lines))
        return items
    mapping: dict[str, Any] = {}
    while not isinstance(event := events.next(), yaml.MappingEndEvent):
        if not isinstance(event, yaml.ScalarEvent):
            raise events.error("a key must be a word, not a list or mapping")
        key = event.value
        if key in mapping:
            raise events.error(f"key {key!r} stands twice in the same mapping")
        mapping[key] = _value(events, events.next(), (*path, key), lines)
    return mapping


def _scalar(event: yaml.ScalarEvent) -> Any:
    text: str = event.value
    if event.style:  # quoted or block
        return text
    if text in _WORDS:
        return _WORDS[text]
    if _INT.fullmatch(text) and len(text) < 20:
        return int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    return text
