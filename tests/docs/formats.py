"""`docs/formats.md`, from the built-in definitions."""

from __future__ import annotations

from collections.abc import Iterable

import orjson

from detector.config import Limits
from detector.parsing.definition import Alternative, Fields, LogSourceName, Sample
from detector.parsing.registry import compile_parsers, read_sources
from tests.docs.markdown import generated, table

_HEAD = """# Formats

What the built-in parsers read, each with an example of a record and what its parts are called. How a parser is
chosen, what becomes of malformed input, and how to write one: [parsing](parsing.md).

    detector parse FILE --format NAME       shows what the lines of a file become

A field's source is a group of the format's expression or a path into the object; several stand in the order in which
they are tried. Beside these names every event has its fields as they stood, its original bytes and its time.
"""
_EXAMPLE_MAX = 600


def page() -> str:
    """The whole page."""
    parsers = compile_parsers(read_sources(), limits=Limits())
    formats = sorted(parsers.definitions.items())
    programs = sorted(parsers.programs, key=lambda program: program.name)
    rows = [
        [f"[`{name}`](#{name})", definition.title, _sources(row.logsource for row in definition.logsources)]
        for name, definition in formats
    ]
    program_rows = [[f"[`{each.name}`](#{each.name})", each.title, _names(each.programs)] for each in programs]
    parts = [
        generated("rules/parsers"),
        _HEAD,
        table(("format", "what it takes", "log sources"), rows),
        "\nMessages of programs, in syslog and in journald:\n",
        table(("parser", "what it takes", "programs"), program_rows),
    ]
    for name, definition in formats:
        parts += _section(name, definition.title, definition.description, definition.samples, [definition.fields])
    for program in programs:
        fields = [program.fields, *(message.fields for message in program.messages)]
        parts += _section(program.name, program.title, program.description, program.samples, fields)
    return "\n".join(parts) + "\n"


def _section(
    name: str, title: str, description: str, samples: tuple[Sample, ...], fields: Iterable[Fields]
) -> Iterable[str]:
    yield f"\n## {name}\n\n{title}. {description}".rstrip()
    if samples:
        record = samples[0].record
        text = record if isinstance(record, str) else orjson.dumps(record).decode()
        cut = text if len(text) <= _EXAMPLE_MAX else text[:_EXAMPLE_MAX] + "…"
        yield "\n    " + cut.replace("\n", "\n    ") + "\n"
    merged: dict[str, list[str]] = {}
    for each in fields:
        for field, alternatives in each.items():
            found = merged.setdefault(field, [])
            found += [source for way in alternatives for source in _ways(way) if source not in found]
    yield "\n".join(f"- `{field}`: {', '.join(ways)}" for field, ways in sorted(merged.items()))


def _ways(way: Alternative) -> list[str]:
    if way.template is not None:
        return [f"`{way.template}`"]
    if not way.paths:
        return [f'"{way.value}"']
    return [f"`{path}`" for path in way.paths]


def _sources(sources: Iterable[LogSourceName]) -> str:
    names = ["/".join(part or "*" for part in (name.category, name.product, name.service)) for name in sources]
    return ", ".join(dict.fromkeys(names)) or "the topic's"


def _names(programs: tuple[str, ...]) -> str:
    return ", ".join(f"`{program}`" for program in programs)
