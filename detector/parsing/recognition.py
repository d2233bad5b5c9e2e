"""`format: auto`: which parser a record is for.

A line goes once through one automaton over the signatures of all formats; a JSON object is looked up by its members.
The answer depends on the record alone: it is not remembered per source, because looking again costs no more than
making sure that nothing has changed.
"""

from __future__ import annotations

from collections.abc import Iterable

import re2

from detector.events import JsonValue
from detector.parsing.json_parser import JsonParser
from detector.parsing.text import TextParser

MAX_AUTOMATON_BYTES = 256 << 20
"""Most that the automaton may use; beyond it RE2 would find nothing. Real logs make it use a few megabytes."""


def _options() -> re2.Options:
    options = re2.Options()
    options.max_mem = MAX_AUTOMATON_BYTES
    options.log_errors = False
    return options


def starts_of(parser: TextParser) -> str:
    """The expression that the beginnings of a format's lines match; of a format that is recognized."""
    return parser.definition.recognize.starts if parser.definition.recognize else ""


def _rank(parser: TextParser) -> int:
    return -parser.definition.recognize.priority if parser.definition.recognize else 0


class Recognizer:
    """Chooses among parsers.

    text: those of the formats of lines; the first one whose signature a line has is its.
    """

    __slots__ = ("_anchors", "_automaton", "_fallback", "_records", "text")

    def __init__(self, parsers: Iterable[TextParser | JsonParser]) -> None:
        self.text: list[TextParser] = []
        self._anchors: dict[str, list[JsonParser]] = {}
        self._records: dict[str, list[JsonParser]] = {}
        self._fallback: JsonParser | None = None
        self._automaton = re2.Set.MatchSet(_options())
        for parser in sorted(parsers, key=lambda parser: parser.name):
            if isinstance(parser, JsonParser):
                self._add_json(parser)
            else:
                self.text.append(parser)
        self.text = [parser for parser in self.text if parser.definition.recognize]
        self.text.sort(key=_rank)
        for parser in self.text:
            self._automaton.Add(f"(?s:{starts_of(parser)})")
        if self.text:
            self._automaton.Compile()

    def _add_json(self, parser: JsonParser) -> None:
        if parser.records:
            self._records.setdefault(parser.records, []).append(parser)
        for anchor in parser.anchors:
            self._anchors.setdefault(anchor, []).append(parser)
        if not parser.anchors:
            self._fallback = parser

    def line(self, line: bytes) -> TextParser | None:
        """The parser of a line; None for noise."""
        matching: list[int] = self._automaton.Match(line) if self.text else []
        return self.text[min(matching)] if matching else None

    def value(self, value: dict[str, JsonValue]) -> JsonParser | None:
        """The parser of a JSON object: of those that take it, the one that asks for most."""
        candidates = [
            parser
            for key in self._anchors.keys() & value.keys()
            for parser in self._anchors[key]
            if parser.takes(value)
        ]
        if len(candidates) < 2:
            return candidates[0] if candidates else self._fallback
        return max(candidates, key=lambda parser: parser.rank)

    def lines_taken(self, line: bytes) -> list[TextParser]:
        """All parsers that a line could be for, the one that it is for first."""
        matching = self._automaton.Match(line) if self.text else None
        return [self.text[index] for index in sorted(matching or ())]

    def values_taken(self, value: dict[str, JsonValue]) -> list[JsonParser]:
        """The same of a JSON object."""
        found = {
            parser.name: parser
            for key in self._anchors.keys() & value.keys()
            for parser in self._anchors[key]
            if parser.takes(value)
        }
        ranked = sorted(found.values(), key=lambda parser: parser.rank, reverse=True)
        return ranked if self._fallback is None else [*ranked, self._fallback]

    def array(self, value: dict[str, JsonValue]) -> tuple[JsonParser, list[JsonValue]] | None:
        """Parser and elements of an object that is an envelope of events."""
        for member in self._records.keys() & value.keys():
            elements = value[member]
            first = first_object(elements)
            parser = self.value(first) if first is not None else None
            if parser is not None and parser.records == member:
                return parser, elements
        return None


def first_object(elements: JsonValue) -> dict[str, JsonValue] | None:
    """The first object of an array."""
    if not isinstance(elements, list):
        return None
    return next((element for element in elements if isinstance(element, dict)), None)
