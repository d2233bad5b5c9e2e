"""The set of parsers as a value: read from folders, named by a hash, compiled once in each process."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from zoneinfo import ZoneInfo

import pyarrow as pa

from detector.config import Limits
from detector.errors import ConfigError, ParserError
from detector.events import Binding, LogSource
from detector.parsing.batch import Batch
from detector.parsing.definition import (
    AliasTables,
    Definition,
    JsonDefinition,
    ProgramDefinition,
    Source,
    TextDefinition,
)
from detector.parsing.definition import read as read_definitions
from detector.parsing.inner import InnerParser, inner_of
from detector.parsing.json_parser import JsonParser
from detector.parsing.model import Failure, Parsed
from detector.parsing.recognition import Recognizer
from detector.parsing.text import RAW, ProgramParser, TextParser
from detector.resources import builtin as builtin_folder

AUTO = "auto"

_MAX_READ = (10 << 20) + 1  # the largest limits.max_rule_file_bytes, and enough to see that a file is larger

__all__ = ["AUTO", "RAW", "Failure", "Parsed", "ParserSource", "Parsers", "compile_parsers", "read_sources"]

_Checked = tuple[Source, Definition | AliasTables]


@dataclass(frozen=True, slots=True)
class ParserSource:
    """The text of a definition file. path: as messages name it. builtin: another file may define its names anew."""

    path: str
    text: str
    builtin: bool = False


def read_sources(paths: Iterable[Path] = (), *, builtin: bool = True) -> tuple[ParserSource, ...]:
    """The definition files of folders (searched for `*.yml` and `*.yaml`) and files, the built-in ones first.

    What is hidden (a name that begins with a dot) is left out.
    Raises ParserError for a path that is not there or no text.
    """
    sources = []
    folders = [(builtin_folder("parsers"), True)] if builtin else []
    for root, is_builtin in (*folders, *((Path(path), False) for path in paths)):
        if not root.exists():
            raise ParserError("no such file or folder (rules.parser_paths)", where=str(root))
        for file in _files(root):
            try:
                with file.open("rb") as stream:
                    text = stream.read(_MAX_READ).decode()
                sources.append(ParserSource(str(file), text, is_builtin))
            except (OSError, UnicodeDecodeError) as error:
                raise ParserError(f"cannot be read as text: {error}", where=str(file)) from None
    return tuple(sources)


def _files(root: Path) -> list[Path]:
    """What is hidden is left out: Kubernetes mounts each file twice, once below `..data`."""
    if root.is_file():
        return [root]
    found = sorted((*root.rglob("*.yml"), *root.rglob("*.yaml")))
    return [file for file in found if not any(part.startswith(".") for part in file.relative_to(root).parts)]


class Parsers:
    """All parsers of a rule set, compiled.

    sha: names the set; equal texts give equal ones. errors: definitions that were left out, the others work.
    """

    __slots__ = ("_checked", "_inner", "_json", "_parsers", "_programs", "_recognizer", "errors", "sha")

    def __init__(self, sources: Iterable[ParserSource], limits: Limits) -> None:
        sources = tuple(sources)
        digest = hashlib.sha256()
        for source in sources:
            digest.update(hashlib.sha256(source.text.encode()).digest())
        self.sha = digest.hexdigest()
        self.errors: list[ParserError] = []
        self._checked = self._definitions(sources, limits)
        self._parsers, self._programs = _compile(self._checked, self.errors)
        self._json = {name: parser for name, parser in self._parsers.items() if isinstance(parser, JsonParser)}
        self._recognizer = Recognizer(self._parsers.values())
        self._inner = {name: inner for name, parser in self._parsers.items() if (inner := inner_of(parser))}

    @property
    def text(self) -> Mapping[str, TextParser]:
        """The parsers of lines, by name."""
        return {name: parser for name, parser in self._parsers.items() if isinstance(parser, TextParser)}

    @property
    def recognizer(self) -> Recognizer:
        """What chooses the parser of a record under `auto`."""
        return self._recognizer

    @property
    def definitions(self) -> Mapping[str, TextDefinition | JsonDefinition]:
        """The definitions of the formats, by name."""
        return {name: parser.definition for name, parser in self._parsers.items()}

    @property
    def json(self) -> Mapping[str, JsonParser]:
        """The parsers of JSON objects, by name."""
        return self._json

    @property
    def bindings(self) -> Mapping[str, tuple[Binding, ...]]:
        """The log sources that events of each format can have, with their names of fields."""
        return {name: parser.declared for name, parser in self._parsers.items()}

    @property
    def programs(self) -> tuple[ProgramDefinition, ...]:
        """The definitions of what programs write into syslog."""
        return tuple(definition for _, definition in self._checked if isinstance(definition, ProgramDefinition))

    def check_format(self, name: str) -> None:
        """Raise ConfigError unless a topic can have that format."""
        if name != AUTO and name not in self._parsers:
            raise ConfigError(f"no parser is named {name!r}; there are auto, {', '.join(sorted(self._parsers))}")

    def parse(
        self,
        records: pa.RecordBatch,
        *,
        format: str,  # noqa: A002
        logsource: LogSource | None,
        limits: Limits,
        time_zone: str = "UTC",
    ) -> Parsed:
        """The events of the records of one topic.

        records: of window.RECORDS. format: name of a parser, or `auto`. logsource: the topic's setting.
        time_zone: IANA name of the zone of times that name none.
        Raises ConfigError for a format that is not there, and nothing for what the records hold.
        """
        self.check_format(format)
        zone = None if time_zone == "UTC" else ZoneInfo(time_zone)
        inner = InnerParser(self._inner, self._recognizer, self._programs, logsource, limits, zone=zone)
        return Batch(self._parsers.get(format), self._recognizer, inner, logsource, limits, zone=zone).parse(records)

    def _definitions(self, sources: tuple[ParserSource, ...], limits: Limits) -> list[_Checked]:
        read: dict[str, tuple[Source, bool]] = {}
        tables: list[Source] = []
        for source in sources:
            try:
                documents = read_definitions(source.text, source.path, limits.max_rule_file_bytes)
            except ParserError as error:
                self.errors.append(error)
                continue
            for document in documents:
                known = read.get(document.name)
                if "aliases" in document.document:
                    tables.append(document)
                elif known and known[1] == source.builtin:
                    self.errors.append(document.error(f"{document.name!r} is also defined in {known[0].path}", "name"))
                else:
                    read[document.name] = (document, source.builtin)
        by_name = {name: document for name, (document, _) in read.items()}
        definitions = []
        for document in (*tables, *by_name.values()):
            try:
                definitions.append((document, document.check(by_name)))
            except ParserError as error:
                self.errors.append(error)
        return definitions


def _compile(
    definitions: list[_Checked], errors: list[ParserError]
) -> tuple[dict[str, TextParser | JsonParser], dict[str, ProgramParser]]:
    tables: dict[str, Mapping[str, tuple[str, ...]]] = {}
    programs: dict[str, ProgramParser] = {}
    parsers: dict[str, TextParser | JsonParser] = {}
    order = (AliasTables, ProgramDefinition, TextDefinition, JsonDefinition)
    for source, definition in sorted(definitions, key=lambda item: order.index(type(item[1]))):
        try:
            if isinstance(definition, AliasTables):
                tables |= definition.aliases
            elif isinstance(definition, ProgramDefinition):
                program = ProgramParser(definition)
                programs |= dict.fromkeys(definition.programs, program)
            else:
                for number, row in enumerate(definition.logsources):
                    if isinstance(row.aliases, str) and row.aliases not in tables:
                        place = ("logsources", number, "aliases")
                        raise source.error(f"aliases: no table is named {row.aliases!r}", *place)
                if isinstance(definition, TextDefinition):
                    parsers[definition.name] = TextParser(definition, tables, programs)
                else:
                    parsers[definition.name] = JsonParser(definition, tables)
        except ParserError as error:
            errors.append(error)
        except ValueError as error:
            errors.append(source.error(str(error), *getattr(error, "place", ())))
    return parsers, programs


@lru_cache(maxsize=4)
def compile_parsers(sources: tuple[ParserSource, ...], *, limits: Limits) -> Parsers:
    """The parsers of these sources; the same in a process for the same sources."""
    return Parsers(sources, limits)
