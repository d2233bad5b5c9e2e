"""What the parsers know of each log source: which formats have events of it, and which fields these have."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from detector.config import InputTopic, Limits
from detector.events import Event, JsonValue, LogSource
from detector.parsing.definition import Fields, JsonDefinition, ProgramDefinition, TextDefinition
from detector.parsing.mapping import completed
from detector.parsing.pattern import compiled, partial
from detector.parsing.registry import AUTO, Parsers
from detector.parsing.samples import record_batch


@dataclass(frozen=True, slots=True)
class KnownFields:
    """The fields that events of a log source can have.

    names: those that definitions and samples tell. spreading: names before a dot that stand for several (`url`).
    closed: whether there are no others; a JSON object may have any.
    """

    names: frozenset[str] = frozenset()
    spreading: frozenset[str] = frozenset()
    closed: bool = True

    def __or__(self, other: KnownFields) -> KnownFields:
        """Those that events of either have."""
        return KnownFields(
            self.names | other.names, self.spreading | other.spreading, closed=self.closed and other.closed
        )

    def has(self, name: str) -> bool:
        """Whether it is one of the known names."""
        return name in self.names or any(name.startswith(f"{each}.") for each in self.spreading)


def logsources(parsers: Parsers, topics: Iterable[InputTopic]) -> dict[LogSource, frozenset[str]]:
    """The log sources that events of the topics can have, each with the formats of these events."""
    found: dict[LogSource, set[str]] = {}
    for topic in topics:
        setting = LogSource(**topic.logsource.model_dump()) if topic.logsource else None
        for name, bindings in parsers.bindings.items():
            if topic.format in (AUTO, name):
                for binding in (*bindings, *completed(list(bindings), setting)):
                    found.setdefault(binding.logsource, set()).add(name)
    return {logsource: frozenset(formats) for logsource, formats in found.items()}


def fields_by_logsource(parsers: Parsers, limits: Limits) -> dict[LogSource, KnownFields]:
    """The fields of each log source that a parser declares.

    The samples of the definitions are parsed for it: what they become tells more than the definitions say.
    """
    seen = _of_samples(parsers, limits)
    programs = _of_programs(parsers.programs)
    known: dict[LogSource, KnownFields] = {}
    for name, bindings in parsers.bindings.items():
        definition = parsers.definitions[name]
        of_format = _of_definition(definition) | seen.get(name, KnownFields())
        if isinstance(definition, TextDefinition) and definition.program:
            of_format |= programs
        for binding in bindings:
            of_binding = of_format | KnownFields(frozenset(binding.aliases))
            known[binding.logsource] = known.get(binding.logsource, KnownFields()) | of_binding
    return known


def _of_definition(definition: TextDefinition | JsonDefinition) -> KnownFields:
    known = _of_fields(definition.fields)
    if isinstance(definition, JsonDefinition):
        return known | KnownFields(closed=False)
    names = (*compiled(definition.pattern).names, *(partial(definition.partial).names if definition.partial else ()))
    columns = (name for part in definition.unpack for name in part.names)
    closed = definition.audit is None and all(part.names for part in definition.unpack)
    return known | KnownFields(frozenset((*names, *columns)), closed=closed)


def _of_programs(programs: Iterable[ProgramDefinition]) -> KnownFields:
    known = KnownFields()
    for program in programs:
        known |= _of_fields(program.fields)
        for message in program.messages:
            names = frozenset(compiled(message.pattern).names)
            known |= _of_fields(message.fields) | KnownFields(names)  # pairs of the packet filter: samples tell
    return known


def _of_fields(fields: Fields) -> KnownFields:
    sources = (path for alternatives in fields.values() for each in alternatives for path in each.sources)
    return KnownFields(frozenset(("@timestamp", *fields, *sources)), frozenset(fields))


def _of_samples(parsers: Parsers, limits: Limits) -> dict[str, KnownFields]:
    known: dict[str, KnownFields] = {}
    for definition in (*parsers.definitions.values(), *parsers.programs):
        form = AUTO if isinstance(definition, ProgramDefinition) else definition.name
        for sample in definition.samples:
            for event in parsers.parse(record_batch(sample), format=form, logsource=None, limits=limits).events:
                known[event.format] = known.get(event.format, KnownFields()) | KnownFields(frozenset(_names(event)))
    return known


def _names(event: Event) -> Iterator[str]:
    yield from event.ecs
    yield from _paths(event.raw, "")


def _paths(value: JsonValue, before: str) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            path = f"{before}.{key}" if before else key
            yield path
            yield from _paths(inner, path)
    elif isinstance(value, list):
        for inner in value:
            yield from _paths(inner, before)
