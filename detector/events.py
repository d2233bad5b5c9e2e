"""The event: what a parser makes of a record, and what rules and alerts read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

JsonValue = Any
"""A value as orjson gives it: dict, list, str, int, float, bool or None."""


@dataclass(frozen=True, slots=True)
class LogSource:
    """What an event declares itself to be: the three parts of Sigma's `logsource`, lower case; None is undeclared."""

    category: str | None = None
    product: str | None = None
    service: str | None = None


@dataclass(frozen=True, slots=True)
class Binding:
    """One log source of an event, with the names that Sigma's taxonomy gives its fields.

    `aliases` maps a field name as rules of that log source write it to the paths whose values it stands for.
    Several paths mean several values: any of them may match, `not` means that none does.
    A path starts with `raw:` (looked up in `Event.raw`) or is an ECS name (looked up in `Event.ecs`).
    An alias that none of whose paths is present leaves the field absent, it does not fall through.
    """

    logsource: LogSource
    aliases: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(slots=True)
class Event:
    """One event of a record.

    record: row of the record in its window.
    ordinal: place of the event within the record (0 unless the record holds several).
    raw: the fields as they stood: named groups of a text format, or the JSON object (nested). Never overwritten.
    ecs: flat ECS names ("source.ip") to typed values (str, int, float, bool, list of these). Absent is not a key;
        a key with None is present and null.
    original: the event's own bytes: the line, or the JSON text of this element of a `Records` array.
    format: name of the parser; "raw" if none took it whole.
    bindings: the event's log sources; none of them: only rules without a log source could run, and there are none.
    time_us: the event's own time in UTC microseconds, else None (then the record's timestamp stands for it).
    flags: what was noticed on the way: "truncated", "unparsed", "implausible_time", "leap_second" ...
    text: whether the record is a line of text, not JSON: then keywords of rules search `original`, else the values.
    """

    record: int
    ordinal: int
    raw: Mapping[str, JsonValue]
    ecs: dict[str, JsonValue]
    original: bytes
    format: str
    bindings: tuple[Binding, ...]
    time_us: int | None = None
    flags: tuple[str, ...] = ()
    text: bool = False
