"""Lines within events: what a container, syslog or a shipper has wrapped, parsed in turn and added to the event."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from zoneinfo import ZoneInfo

from detector.config import Limits
from detector.events import Event, LogSource
from detector.parsing.definition import Inner
from detector.parsing.json_parser import JsonParser
from detector.parsing.json_text import bounded, load
from detector.parsing.mapping import MISSING, Find, finder
from detector.parsing.model import Line
from detector.parsing.recognition import Recognizer
from detector.parsing.text import ProgramParser, TextParser

MAX_DEPTH = 3
"""Lines within lines that are parsed: an access line in syslog in a container's log."""

_REPLACED = frozenset({"message", "log.level"})
"""What the inner event says better than the outer one; else the outer one's names stay as they are."""
_TIME = "@timestamp"


class InnerParser:
    """Parses what events hold. inner: by the name of the format that holds it."""

    __slots__ = ("_inner", "_limits", "_programs", "_recognizer", "_topic", "_zone")

    def __init__(
        self,
        inner: Mapping[str, InnerOf],
        recognizer: Recognizer,
        programs: Mapping[str, ProgramParser],
        topic: LogSource | None,
        limits: Limits,
        *,
        zone: ZoneInfo | None = None,
    ) -> None:
        self._inner = inner
        self._zone = zone
        self._recognizer = recognizer
        self._programs = programs
        self._topic = topic
        self._limits = limits

    def add(self, parser: TextParser | JsonParser, outers: Sequence[Event], references: Sequence[int | None]) -> None:
        """Add to events of a format what their inner lines say. references: the timestamp of each one's record."""
        self._add(parser, outers, references, MAX_DEPTH)

    def _add(
        self, parser: TextParser | JsonParser, outers: Sequence[Event], references: Sequence[int | None], depth: int
    ) -> None:
        inner = self._inner.get(parser.name)
        if inner is None or not depth:
            return
        groups: dict[TextParser, tuple[list[Event], list[Line]]] = {}
        for outer, reference_us in zip(outers, references, strict=True):
            text = inner.text(outer).strip()
            if not text:
                continue
            program = self._programs.get(inner.program(outer) or "")
            if program and _read_by(program, text, outer):
                continue
            reference = reference_us if outer.time_us is None else outer.time_us
            line = Line(0, outer.original, text.encode(errors="replace"), text, 0, reference, (), self._zone)
            if text[0] == "{":
                self._json(outer, line, depth)
            elif found := self._recognizer.line(line.body):
                events, lines = groups.setdefault(found, ([], []))
                line.row = len(events)
                events.append(outer)
                lines.append(line)
        for found, (events, lines) in groups.items():
            parsed = found.parse(lines, self._topic, _ignored)
            self._add(found, parsed, [lines[event.record].reference_us for event in parsed], depth - 1)
            for event in parsed:
                _merge(events[event.record], event)

    def _json(self, outer: Event, line: Line, depth: int) -> None:
        loaded = load(line.body, self._limits.max_json_depth)
        if loaded.problem or not isinstance(loaded.value, dict):
            return
        value, _ = bounded(loaded.value, self._limits.max_json_depth, self._limits.max_fields)
        parser = self._recognizer.value(value)
        if parser is not None:
            event = parser.event(line, 0, value, self._topic, original=outer.original)
            self._add(parser, [event], [line.reference_us], depth - 1)
            _merge(outer, event)


class InnerOf:
    """Finds the inner line of a format's events."""

    __slots__ = ("_groups", "_paths", "_program")

    def __init__(self, inner: Inner, groups: frozenset[str] | None) -> None:
        """groups: those of the format's own expression, None of JSON: an event with more has been read already."""
        self._paths: tuple[Find, ...] = tuple(map(finder, inner.paths))
        self._program = finder(inner.program) if inner.program else None
        self._groups = groups

    def text(self, event: Event) -> str:
        """The line, "" where there is none."""
        if self._groups is not None and not event.raw.keys() <= self._groups:
            return ""
        for find in self._paths:
            text = find(event.raw)
            if text is not MISSING and isinstance(text, str) and text:
                return text
        return ""

    def program(self, event: Event) -> str | None:
        """The name of the program that wrote it."""
        name = self._program(event.raw) if self._program else None
        return name if isinstance(name, str) else None


def inner_of(parser: TextParser | JsonParser) -> InnerOf | None:
    """Where a format's events hold lines."""
    inner = parser.definition.inner
    if inner is None:
        return None
    return InnerOf(inner, parser.groups if isinstance(parser, TextParser) else None)


def _read_by(program: ProgramParser, text: str, outer: Event) -> bool:
    """Let a program's parser add its fields; whether one of its messages was it."""
    fields: dict[str, str] = {}
    program.apply([text], [fields], [outer.ecs])
    outer.raw = {**fields, **outer.raw}
    return bool(fields)


def _ignored(_line: Line, _event: Event, _detail: str, _position: int) -> None:
    """A line that its format does not take whole adds nothing: the outer event has been read well."""


def _merge(outer: Event, inner: Event) -> None:
    outer.raw = {**inner.raw, **outer.raw}
    timed = _TIME in outer.ecs
    for name, value in inner.ecs.items():
        if name in _REPLACED or name not in outer.ecs:
            outer.ecs[name] = value
    if not timed:
        outer.time_us = inner.time_us
    have = {binding.logsource for binding in outer.bindings}
    outer.bindings += tuple(binding for binding in inner.bindings if binding.logsource not in have)
