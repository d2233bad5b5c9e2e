"""Parsers of lines, and of what programs write into the lines of syslog."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence

import re2

from detector.events import Binding, Event, LogSource
from detector.parsing.definition import ProgramDefinition, TextDefinition
from detector.parsing.mapping import Ecs, FieldMap, LogSourceMap, check_groups, completed, time_map
from detector.parsing.model import Line
from detector.parsing.pattern import DefinitionError, Groups, compiled, partial, searched, tokenizer
from detector.parsing.tokenizer import NO_MATCH
from detector.parsing.unpacking import unpacker

RAW = "raw"
"""Format of the events that no parser took whole."""

_REPEATED = "message repeated "

Unparsed = Callable[[Line, Event, str, int], None]
"""Told of a line that a parser did not take whole: the line, its raw event, why, and the byte where it stopped."""


class ProgramParser:
    """Reads the messages of a program: one automaton over all its patterns says which one takes a message."""

    __slots__ = ("_automaton", "_fields", "_unpack", "definition", "name", "patterns", "programs", "tokenizer")

    def __init__(self, definition: ProgramDefinition) -> None:
        self.definition = definition
        self.name = definition.name
        self.programs = definition.programs
        self.patterns = [
            compiled(message.pattern, "messages", index, "pattern") for index, message in enumerate(definition.messages)
        ]
        self._unpack = [unpacker(message.unpack) for message in definition.messages]
        if not any(self._unpack):
            check_groups(definition.fields, self.groups)
        for index, (message, pattern) in enumerate(zip(definition.messages, self.patterns, strict=True)):
            if not message.unpack:
                check_groups(message.fields, frozenset(pattern.names), "messages", index)
        self._fields = [FieldMap(message.fields | definition.fields) for message in definition.messages]
        self._automaton = re2.Set.FullMatchSet()
        for message in definition.messages:
            self._automaton.Add(f"(?s:{message.pattern})")
        self._automaton.Compile()
        self.tokenizer = tokenizer(*(message.pattern for message in definition.messages))

    @property
    def groups(self) -> frozenset[str]:
        """The groups of all its patterns."""
        return frozenset(name for pattern in self.patterns for name in pattern.names)

    def apply(self, messages: Sequence[str], raws: Sequence[dict[str, str]], ecs: Sequence[Ecs]) -> None:
        """Add to the fields of events what their messages give."""
        messages = [_said_once(message, fields) for message, fields in zip(messages, ecs, strict=True)]
        for message, (number, groups), raw, fields in zip(messages, self._matches(messages), raws, ecs, strict=True):
            if number == NO_MATCH:
                continue
            pattern = self.patterns[number]
            if groups is None:
                (groups,) = pattern.by_re2([message])  # noqa: PLW2901 -- the same, asked otherwise
                if groups is None:  # beyond the automaton's memory, say
                    continue
            own: dict[str, str] = dict(zip(pattern.names, groups, strict=True))  # type: ignore[arg-type] # none is None
            for name in pattern.optional:
                if not own[name]:
                    del own[name]
            unpack = self._unpack[number]
            if unpack:
                own = unpack(own)
            self._fields[number].apply(own, fields)
            raw.update(own)

    def _matches(self, messages: Sequence[str]) -> Iterable[tuple[int, Groups | None]]:
        """The number of the pattern that takes each message, NO_MATCH for none; and its groups, where they are known.

        What the tokenizer does not take, the automaton is asked for.
        """
        found: Iterable[tuple[int, Groups | None]] = ((NO_MATCH, None) for _ in messages)
        if self.tokenizer is not None:
            found = self.tokenizer.texts([message.encode() for message in messages])
        for message, match in zip(messages, found, strict=True):
            yield match if match[0] >= 0 else (min(self._automaton.Match(message.encode()) or (NO_MATCH,)), None)


def _said_once(message: str, ecs: Ecs) -> str:
    """The message without what rsyslog writes around one that came several times in a row; the count goes to `ecs`."""
    if not message.startswith(_REPEATED):
        return message
    count, times, inner = message.removeprefix(_REPEATED).partition(" times: [ ")
    if not (times and inner.endswith("]") and count.isascii() and count.isdigit() and len(count) < 10):
        return message
    ecs["log.syslog.repeated"] = int(count)
    return inner[:-1]


class TextParser:
    """A parser of lines."""

    __slots__ = (
        "_absent",
        "_content",
        "_fields",
        "_partial",
        "_program",
        "_sources",
        "_time",
        "_unpack",
        "definition",
        "groups",
        "name",
        "pattern",
        "programs",
    )

    def __init__(
        self,
        definition: TextDefinition,
        tables: Mapping[str, Mapping[str, tuple[str, ...]]],
        programs: Mapping[str, ProgramParser],
    ) -> None:
        self.definition = definition
        self.name = definition.name
        self.pattern = compiled(definition.pattern, "pattern")
        self._partial = partial(definition.partial, "partial") if definition.partial else None
        self.groups = frozenset((*self.pattern.names, *(self._partial.names if self._partial else ())))
        groups = self.groups
        self._unpack = unpacker(definition.unpack, definition.audit)
        if self._unpack is None:  # else there are more fields than groups
            check_groups(definition.fields, groups)
        elif missing := {*(definition.audit or ()), *(part.source for part in definition.unpack)} - groups:
            raise DefinitionError(f"no group is named {min(missing)!r}", "audit" if definition.audit else "unpack")
        if definition.recognize:
            searched(definition.recognize.starts, "recognize", "starts")
        self._absent = definition.absent
        self._fields = FieldMap(definition.fields)
        self._time = time_map(definition.time)
        self._sources = LogSourceMap(definition.logsources, tables)
        self._program = definition.program
        self._content = definition.content
        self.programs = programs if definition.program else {}
        for parser in {id(parser): parser for parser in self.programs.values()}.values():
            if both := parser.groups & groups:
                raise DefinitionError(f"groups {sorted(both)} are also groups of {parser.name}", "pattern")

    @property
    def declared(self) -> tuple[Binding, ...]:
        """The log sources that its events can have."""
        return self._sources.declared

    def bindings(self, topic: LogSource | None) -> tuple[Binding, ...]:
        """The log sources of its events, where these depend on no field."""
        return self._sources.bindings({}, {}, topic)

    def bindings_of(self, rows: int, topic: LogSource | None) -> tuple[Binding, ...]:
        """The log sources of events for which some rows of its table hold, as bits."""
        return self._sources.of(rows, topic)

    def possible(self, topic: LogSource | None) -> tuple[Binding, ...]:
        """The log sources that its events can have in a topic."""
        return completed(list(self.declared), topic)

    def parse(self, lines: Sequence[Line], topic: LogSource | None, unparsed: Unparsed) -> list[Event]:
        """The events of lines that the pattern takes; `unparsed` is told of the others."""
        names, optional, absent = self.pattern.names, self.pattern.optional, self._absent
        found: list[tuple[Line, dict[str, str], Ecs]] = []
        for line, groups in zip(lines, self.pattern.extract([line.text for line in lines]), strict=True):
            if groups is None:
                self._unparsed(line, topic, unparsed)
                continue
            raw: dict[str, str] = {
                name: group  # type: ignore[misc] # none of a matching line is None
                for name, group in zip(names, groups, strict=True)
                if group not in absent
            }
            for name in optional:
                if raw.get(name) == "":
                    del raw[name]
            if self._unpack:
                raw = self._unpack(raw)
            found.append((line, raw, {}))
        for _, raw, ecs in found:
            self._fields.apply(raw, ecs)
        if self.programs:
            self._apply_programs(found)
        return [self._event(line, raw, ecs, topic, self.name) for line, raw, ecs in found]

    def _apply_programs(self, found: list[tuple[Line, dict[str, str], Ecs]]) -> None:
        by_program: dict[ProgramParser, list[tuple[str, dict[str, str], Ecs]]] = defaultdict(list)
        for _, raw, ecs in found:
            parser = self.programs.get(raw.get(self._program or "", ""))
            if parser:
                by_program[parser].append((raw.get(self._content or "", ""), raw, ecs))
        for parser, rows in by_program.items():
            parser.apply(*zip(*rows, strict=True))

    def _event(self, line: Line, raw: dict[str, str], ecs: Ecs, topic: LogSource | None, name: str) -> Event:
        flags = line.flags
        time_us = None
        if self._time:
            time_us, noticed = self._time.apply(raw, ecs, line.reference_us, line.zone)
            flags += noticed
        bindings = self._sources.bindings(raw, ecs, topic)
        return Event(line.row, 0, raw, ecs, line.original, name, bindings, time_us, flags, text=True)

    def _unparsed(self, line: Line, topic: LogSource | None, unparsed: Unparsed) -> None:
        fields, stopped = self._partial.fields(line.text) if self._partial else ({}, 0)
        raw = {name: text for name, text in fields.items() if text not in self._absent}
        if self._unpack:
            raw = self._unpack(raw)
        ecs: Ecs = {}
        self._fields.apply(raw, ecs)
        self._apply_programs([(line, raw, ecs)])
        event = self._event(line, raw, ecs, topic, RAW)
        unparsed(line, event, f"not of format {self.name}", stopped + line.skipped)
