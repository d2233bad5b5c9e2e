"""What a definition file in `rules/parsers/` may say (`docs/parsing.md`), read and checked.

A file holds one or more YAML documents, each a parser of lines (`pattern`), of JSON (`json`), of what a program writes
into syslog (`programs`), or tables of field names in Sigma's taxonomy (`aliases`).
"""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from detector.documents import Document, DocumentError, read_documents
from detector.errors import ParserError
from detector.parsing.values import SPREADING, TYPES

MAX_PATTERN = 4_096
MAX_MESSAGES = 256

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
Scalar = str | int | float | bool | None


def _joined(value: Any) -> Any:
    return "".join(value) if isinstance(value, list) and all(isinstance(part, str) for part in value) else value


def _listed(value: Any) -> Any:
    return value if isinstance(value, list) else [value]


def _alternatives(value: Any) -> Any:
    return [{"from": item} if isinstance(item, str) else item for item in _listed(value)]


def template_parts(template: str) -> list[tuple[str, str]]:
    """The parts of a template: a text, and the path of the value behind it ("" behind the last)."""
    parts = [part.partition("{") for part in template.split("}")]
    return [(text, path) for text, _, path in parts]


def _known_type(value: str) -> str:
    if value not in TYPES:
        raise ValueError(f"type {value!r} is not known; types are {', '.join(TYPES)}")
    return value


Pattern = Annotated[str, Field(min_length=1, max_length=MAX_PATTERN), BeforeValidator(_joined)]
"""An RE2 expression; a list of strings is their concatenation."""
Strings = Annotated[tuple[str, ...], BeforeValidator(_listed), Field(min_length=1, max_length=64)]
Values = Annotated[tuple[Scalar, ...], BeforeValidator(_listed), Field(min_length=1, max_length=256)]
When = dict[str, Values]
"""Path -> values, one of which the field must have; `*` is any but null. All paths must hold."""


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Alternative(_Model):
    """One way to a field's value; `when` conditions hold.

    Either from the first of some paths that has one, or a constant, or a text made of several.
    map: what a value stands for; one that is not named has none.
    """

    paths: Annotated[tuple[str, ...], BeforeValidator(_listed)] = Field(default=(), alias="from", max_length=64)
    type: Annotated[str, AfterValidator(_known_type)] = "value"
    map: dict[str, Scalar] = {}
    value: Scalar = None
    template: str | None = None
    when: When = {}

    @model_validator(mode="after")
    def _one_of(self) -> Alternative:
        if bool(self.paths) + (self.value is not None) + (self.template is not None) != 1:
            raise ValueError("a field needs either `from`, `value` or `template`")
        if self.map and not self.paths:
            raise ValueError("`map` needs `from`")
        return self

    @property
    def sources(self) -> tuple[str, ...]:
        """The paths that the value is taken from."""
        return self.paths or tuple(path for _, path in template_parts(self.template or "") if path)


Alternatives = Annotated[tuple[Alternative, ...], BeforeValidator(_alternatives), Field(min_length=1, max_length=32)]
Fields = dict[str, Alternatives]


class Time(_Model):
    """Where the event's time stands, and how it is written; what has braces is a text made of several fields."""

    paths: Strings = Field(alias="from")
    formats: Strings


class LogSourceName(_Model):
    """Sigma's three parts of a log source."""

    category: str | None = None
    product: str | None = None
    service: str | None = None


class LogSourceRow(_Model):
    """A row of the table from event fields to log sources.

    aliases: names of fields in Sigma's taxonomy -> paths, or the name of a table of them.
    """

    logsource: LogSourceName
    when: When = {}
    aliases: str | dict[str, Strings] = {}


class Expected(_Model):
    """What a sample must become; what is not named is not compared.

    absent: ECS names that must not be there.
    """

    format: str | None = None
    time: str | None = None
    ecs: dict[str, Any] = {}
    raw: dict[str, Any] = {}
    absent: tuple[str, ...] = ()
    flags: tuple[str, ...] | None = None
    logsources: tuple[LogSourceName, ...] | None = None


class Sample(_Model):
    """A record with the events that it must become.

    record: its text, or a JSON object. reference: the record's timestamp. failures: reasons of dead letters.
    auto: whether it must give the same under `auto`.
    """

    title: str
    kind: Literal["good", "odd", "malformed"] = "good"
    record: str | dict[str, Any]
    reference: str = "2024-06-01T00:00:00Z"
    expect: Annotated[tuple[Expected, ...], BeforeValidator(_listed)]
    failures: tuple[str, ...] = ()
    auto: bool = True


class Recognize(_Model):
    """How `auto` knows a line: an RE2 expression that matches at its start; the highest priority wins."""

    starts: Pattern
    priority: int = 0


class Unpack(_Model):
    """A group that holds fields of its own; see detector.parsing.unpacking.

    separator: what divides columns; further characters that divide pairs; of LEEF, the group that names the delimiter.
    names: of the columns. absent: texts that stand for no value.
    """

    source: str = Field(alias="from")
    style: Literal["pairs", "cef", "leef", "columns", "audit"] = "pairs"
    separator: str = ""
    names: Annotated[tuple[str, ...], Field(max_length=256)] = ()
    absent: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _columns(self) -> Unpack:
        if (self.style == "columns") != bool(self.names) or (self.names and not self.separator):
            raise ValueError("columns, and only they, have `names`, and a `separator`")
        return self


Unpacks = Annotated[tuple[Unpack, ...], BeforeValidator(_listed)]


class Inner(_Model):
    """Where an event holds the line of another: parsed in turn, by its program's parser or as what it is recognized as.

    program: path of the program's name.
    """

    paths: Strings = Field(alias="from")
    program: str | None = None


class JsonShape(_Model):
    """How `auto` knows a JSON object, and where its events are.

    keys: members it must have (`a|b`: one of these); it is looked up by the first. any: of these, one; without
        `keys`, it is looked up by each. values: RE2 expressions that members' texts must contain. All are paths.
    priority: of several formats that take an object, the highest wins; then the one that asks for most.
    records: the member that holds an array of events.
    lift, names, unpack: see detector.parsing.lifting.
    """

    keys: tuple[str, ...] = ()
    any: tuple[str, ...] = ()
    values: dict[str, Pattern] = {}
    priority: int = 0
    records: str | None = None
    lift: tuple[str, ...] = ()
    names: dict[str, Strings] = {}
    unpack: tuple[str, ...] = ()


class _Common(_Model):
    name: Name
    title: str = Field(min_length=1, max_length=256)
    description: str = ""
    fields: Fields = {}
    samples: tuple[Sample, ...] = ()


class _Format(_Common):
    time: Time | None = None
    inner: Inner | None = None
    logsources: tuple[LogSourceRow, ...] = ()


class TextDefinition(_Format):
    """A parser of lines.

    pattern: matches the whole line. partial: matches the start of a line that `pattern` does not take.
    absent: texts that stand for no value. program, content: groups that a program's parser is chosen by, and given.
    unpack: groups that hold fields of their own. audit: those that hold the type of an audit record and its pairs.
    """

    pattern: Pattern
    partial: Pattern | None = None
    recognize: Recognize | None = None
    absent: tuple[str, ...] = ()
    program: str | None = None
    content: str | None = None
    unpack: Unpacks = ()
    audit: tuple[str, str] | None = None


class JsonDefinition(_Format):
    """A parser of JSON objects."""

    json_shape: JsonShape = Field(alias="json")

    @cached_property
    def spreading(self) -> tuple[str, ...]:
        """The fields of a type that fills in several."""
        return tuple(name for name, made in self.fields.items() if SPREADING.intersection(each.type for each in made))


class MessageShape(_Model):
    """One message of a program; `fields` add to those of the definition."""

    pattern: Pattern
    unpack: Unpacks = ()
    fields: Fields = {}


class ProgramDefinition(_Common):
    """A parser of what some programs write into syslog: the first message whose pattern matches counts."""

    # `also`: names of other such definitions, whose messages count behind its own (resolved in Source.check).

    programs: Strings
    messages: tuple[MessageShape, ...] = Field(min_length=1, max_length=MAX_MESSAGES)


class AliasTables(_Model):
    """Names of Sigma's taxonomy -> paths, in tables that log source rows refer to."""

    aliases: dict[str, dict[str, Strings]]


Definition = TextDefinition | JsonDefinition | ProgramDefinition
_KINDS: dict[str, TypeAdapter[Any]] = {
    "pattern": TypeAdapter(TextDefinition),
    "json": TypeAdapter(JsonDefinition),
    "programs": TypeAdapter(ProgramDefinition),
    "aliases": TypeAdapter(AliasTables),
}


class Source:
    """One document of a definition file, before it is checked; `like` is resolved among all of them."""

    __slots__ = ("_parsed", "document", "path")

    def __init__(self, parsed: Document, path: str) -> None:
        self._parsed = parsed
        self.document: dict[str, Any] = parsed.value
        self.path = path

    @property
    def name(self) -> str:
        """The name that it gives itself."""
        return str(self.document.get("name", ""))

    def error(self, message: str, *place: str | int) -> ParserError:
        """An error at a place in the document, or at the nearest part around it that is there."""
        return ParserError(message, where=f"{self.path}:{self._parsed.line(*place)}")

    def check(self, others: dict[str, Source]) -> Definition | AliasTables:
        """The definition; raises ParserError for the first thing that is wrong with it."""
        document = dict(self.document)
        base = document.pop("like", None)
        if base is not None:
            other = others.get(base) if isinstance(base, str) else None
            if other is None or "like" in other.document:
                raise self.error(f"like: {base!r} names no parser that stands for itself", "like")
            inherited = {key: value for key, value in other.document.items() if key not in ("recognize", "samples")}
            if isinstance(fields := document.get("fields", {}), dict) and isinstance(inherited.get("fields"), dict):
                document["fields"] = inherited["fields"] | fields
            document = inherited | document
        if "also" in document and isinstance(document.get("messages"), list):
            document["messages"] = [*document["messages"], *self._also(document.pop("also"), others)]
        kinds = [kind for kind in _KINDS if kind in document]
        if len(kinds) != 1:
            raise self.error("a definition has exactly one of `pattern`, `json`, `programs` and `aliases`")
        try:
            definition: Definition | AliasTables = _KINDS[kinds[0]].validate_python(document)
        except ValidationError as error:
            errors = error.errors(include_url=False, include_context=False)
            first = min(errors, key=lambda found: found["type"] != "extra_forbidden")  # a misspelt key is missing, too
            message = (
                "no such key" if first["type"] == "extra_forbidden" else first["msg"].removeprefix("Value error, ")
            )
            raise self.error(f"{'.'.join(map(str, first['loc']))}: {message}", *self._place(first["loc"])) from None
        return definition

    def _also(self, names: Any, others: dict[str, Source]) -> list[Any]:
        """The messages of other programs' definitions."""
        messages: list[Any] = []
        for name in _listed(names):
            other = others.get(name) if isinstance(name, str) else None
            if other is None or not isinstance(other.document.get("messages"), list):
                raise self.error(f"also: {name!r} names no parser of programs", "also")
            messages += other.document["messages"]
        return messages

    def _place(self, location: tuple[str | int, ...]) -> tuple[str | int, ...]:
        place: tuple[str | int, ...] = ()
        for part in location:
            if (*place, part) in self._parsed.lines:
                place = (*place, part)
        return place


def read(text: str, path: str, max_bytes: int) -> list[Source]:
    """The documents of a definition file. Raises ParserError."""
    if len(text.encode()) > max_bytes:
        raise ParserError(f"larger than {max_bytes:,} bytes (limits.max_rule_file_bytes)", where=path)
    sources = []
    try:
        for document in read_documents(text):
            if not isinstance(document.value, dict):
                raise ParserError("a definition is a mapping", where=f"{path}:{document.line()}")
            sources.append(Source(document, path))
    except DocumentError as error:
        raise ParserError(error.message, where=f"{path}:{error.line}") from None
    return sources
