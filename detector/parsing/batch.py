"""The records of one topic, parsed: each to its events, and to dead letters where something is wrong with it."""

from __future__ import annotations

import json
from zoneinfo import ZoneInfo

import orjson
import pyarrow as pa

from detector.config import Limits
from detector.events import Event, JsonValue, LogSource
from detector.metrics import DeadLetterReason
from detector.parsing.inner import InnerParser
from detector.parsing.json_parser import JsonParser
from detector.parsing.json_text import Loaded, bounded, load
from detector.parsing.lines import TRUNCATED, lines
from detector.parsing.mapping import completed
from detector.parsing.model import Failure, Line, Parsed
from detector.parsing.recognition import Recognizer, first_object
from detector.parsing.text import RAW, TextParser

_UNFIT = "not of format {}: members that it needs are not there"
MAX_BAD_ELEMENTS = 16
"""Bad elements of a record that are dead letters of their own: each copies the whole record."""
_NO_OBJECT = "neither an object nor an array of objects"

_Array = tuple[JsonParser, list[JsonValue]]
"""The events that one record holds, and the parser for them."""


class Batch:
    """One call of `Parsers.parse`. parser: the topic's; None: each record's is recognized."""

    __slots__ = ("_inner", "_limits", "_parsed", "_parser", "_recognizer", "_topic", "_zone")

    def __init__(
        self,
        parser: TextParser | JsonParser | None,
        recognizer: Recognizer,
        inner: InnerParser,
        topic: LogSource | None,
        limits: Limits,
        *,
        zone: ZoneInfo | None = None,
    ) -> None:
        self._zone = zone
        self._parser = parser
        self._recognizer = recognizer
        self._inner = inner
        self._topic = topic
        self._limits = limits
        self._parsed = Parsed()

    def parse(self, records: pa.RecordBatch) -> Parsed:
        """Parse the records; see `Parsers.parse`."""
        by_parser: dict[TextParser, list[Line]] = {}
        for line in lines(records, self._limits.max_line_bytes):
            if isinstance(line, int):
                self._fail(line, DeadLetterReason.UNDECODABLE, "the value is null", None, evaluated=False)
                continue
            line.zone = self._zone
            if TRUNCATED in line.flags:
                limit = self._limits.max_line_bytes
                detail = f"longer than {limit:,} bytes (limits.max_line_bytes)"
                self._fail(line.row, DeadLetterReason.TRUNCATED, detail, len(line.original))
            parser = self._parser
            if isinstance(parser, JsonParser) or (parser is None and _looks_like_json(line.text)):
                self._json(line, parser)
            elif parser := parser or self._recognizer.line(line.body):
                by_parser.setdefault(parser, []).append(line)
            else:
                self._nothing(line, "no format recognized" if line.text else "empty line", line.skipped)
        for parser, group in by_parser.items():
            events = parser.parse(group, self._topic, self._raw)
            if parser.definition.inner:
                by_row = {line.row: line.reference_us for line in group}
                self._inner.add(parser, events, [by_row[event.record] for event in events])
            self._parsed.events += events
        self._parsed.events.sort(key=lambda event: (event.record, event.ordinal))
        self._parsed.failures.sort(key=lambda failure: failure.record)
        return self._parsed

    def _json(self, line: Line, parser: JsonParser | None) -> None:
        loaded = load(line.body, self._limits.max_json_depth)
        value = loaded.value
        array: _Array | None = None
        if isinstance(value, list) and (first := first_object(value)) is not None:
            chosen = parser or self._recognizer.value(first)
            array = (chosen, value) if chosen else None
        elif isinstance(value, dict) and value:
            single = parser or self._recognizer.value(value)
            fits = single is not None and (parser is None or parser.takes(value))
            if single is None or not fits or not single.anchors:
                array = self._array(value, parser)
            if array is None and single is not None:
                self._object(line, value, single, loaded, fits=fits)
                return
        if array is not None:
            self._elements(line, *array, loaded)
        elif parser is not None:
            event = parser.event(line, 0, {}, self._topic, original=line.original, whole=False, text=True)
            self._raw(line, event, loaded.problem or _NO_OBJECT, _position(line, loaded) or 0)
        else:
            self._nothing(line, loaded.problem or _NO_OBJECT, _position(line, loaded) or 0)

    def _array(self, value: dict[str, JsonValue], parser: JsonParser | None) -> _Array | None:
        if parser is None:
            return self._recognizer.array(value)
        elements = value.get(parser.records) if parser.records else None
        return (parser, elements) if isinstance(elements, list) and first_object(elements) is not None else None

    def _object(
        self, line: Line, value: dict[str, JsonValue], parser: JsonParser, loaded: Loaded, *, fits: bool
    ) -> None:
        lost = loaded.problem
        if self._may_exceed(line):
            value, exceeded = bounded(value, self._limits.max_json_depth, self._limits.max_fields)
            lost = lost or exceeded
        problem = lost or ("" if fits else _UNFIT.format(parser.name))
        event = parser.event(
            line,
            0,
            value,
            self._topic,
            original=line.original,
            flags=loaded.flags,
            whole=not problem,
            text=bool(lost),
        )
        if problem:
            self._raw(line, event, problem, _position(line, loaded))
        else:
            if parser.definition.inner:
                self._inner.add(parser, [event], [line.reference_us])
            self._parsed.events.append(event)

    def _elements(self, line: Line, parser: JsonParser, elements: list[JsonValue], loaded: Loaded) -> None:
        limits = self._limits
        may_exceed = self._may_exceed(line)
        if len(elements) > limits.max_events_per_record:
            detail = f"holds {len(elements):,} events, the first {limits.max_events_per_record:,} are evaluated"
            self._fail(line.row, DeadLetterReason.TRUNCATED, f"{detail} (limits.max_events_per_record)", None)
        elif loaded.problem and TRUNCATED not in line.flags:
            self._fail(line.row, DeadLetterReason.UNPARSED, loaded.problem, _position(line, loaded))
        bad = 0
        for ordinal, element in enumerate(elements[: limits.max_events_per_record]):
            value, problem = element, ""
            cut = bool(loaded.problem) and ordinal == len(elements) - 1  # where reading stopped: no fault of its own
            if not isinstance(element, dict):
                problem = "" if cut else "no object"
            elif may_exceed:
                value, exceeded = bounded(element, limits.max_json_depth, limits.max_fields)
                problem = "" if cut else exceeded
            if not (problem or cut or parser.takes(value)):
                problem = _UNFIT.format(parser.name)
            if isinstance(value, dict):
                self._element(line, parser, ordinal, value, loaded, whole=not (problem or cut))
            if problem:
                bad += 1
                if bad <= MAX_BAD_ELEMENTS:
                    detail = f"element {ordinal}: {problem}"
                    evaluated = isinstance(value, dict)
                    self._fail(
                        line.row, DeadLetterReason.BAD_ELEMENT, detail, None, ordinal=ordinal, evaluated=evaluated
                    )
        if bad > MAX_BAD_ELEMENTS:
            detail = f"{bad - MAX_BAD_ELEMENTS:,} more elements are bad, each of them as these"
            self._fail(line.row, DeadLetterReason.BAD_ELEMENT, detail, None)

    def _element(
        self, line: Line, parser: JsonParser, ordinal: int, value: dict[str, JsonValue], loaded: Loaded, *, whole: bool
    ) -> None:
        original = _text(value)
        event = parser.event(line, ordinal, value, self._topic, original=original, flags=loaded.flags, whole=whole)
        if not whole:
            event.flags += ("unparsed",)
            event.ecs.setdefault("message", original.decode())
        elif parser.definition.inner:
            self._inner.add(parser, [event], [line.reference_us])
        self._parsed.events.append(event)

    def _may_exceed(self, line: Line) -> bool:
        """Whether a JSON text may be beyond the limits of depth or fields: cheap, and never wrong in saying no."""
        brackets = line.body.count(b"{") + line.body.count(b"[")
        return brackets > self._limits.max_json_depth or line.body.count(b":") > self._limits.max_fields

    def _raw(self, line: Line, event: Event, detail: str, position: int | None) -> None:
        """Take the raw event of a record that no parser took whole."""
        event.flags += ("unparsed",)
        event.ecs.setdefault("message", line.text)
        self._parsed.events.append(event)
        if TRUNCATED not in line.flags:  # else it is a dead letter for that
            self._fail(line.row, DeadLetterReason.UNPARSED, detail, position)

    def _nothing(self, line: Line, detail: str, position: int) -> None:
        bindings = completed([], self._topic)
        self._raw(
            line,
            Event(line.row, 0, {}, {}, line.original, RAW, bindings, None, line.flags, text=True),
            detail,
            position,
        )

    def _fail(
        self,
        row: int,
        reason: DeadLetterReason,
        detail: str,
        position: int | None,
        *,
        ordinal: int | None = None,
        evaluated: bool = True,
    ) -> None:
        self._parsed.failures.append(Failure(row, ordinal, reason, detail, position, evaluated))


def _position(line: Line, loaded: Loaded) -> int | None:
    return None if loaded.position is None else loaded.position + line.skipped


def _looks_like_json(text: str) -> bool:
    start = text[:64].lstrip()
    return start.startswith("{") or (start.startswith("[") and start[1:].lstrip()[:1] == "{")


def _text(value: JsonValue) -> bytes:
    try:
        return orjson.dumps(value)
    except orjson.JSONEncodeError:  # deeper than orjson writes
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
