"""Why a record is recognized as what it is: every format that could take it, the best first."""

from __future__ import annotations

from detector.config import Limits
from detector.events import JsonValue
from detector.parsing.json_parser import JsonParser
from detector.parsing.json_text import load
from detector.parsing.pattern import searched
from detector.parsing.recognition import Recognizer, first_object, starts_of
from detector.parsing.text import TextParser

_SHOWN = 80


def explain(recognizer: Recognizer, record: bytes, limits: Limits) -> list[str]:
    """One sentence for each format whose signature the record has, in the order in which they count."""
    line = record.removeprefix(b"\xef\xbb\xbf").rstrip(b"\r\n")
    text = line.decode(errors="replace")
    start = text.lstrip()
    if not (start.startswith("{") or (start.startswith("[") and start[1:].lstrip()[:1] == "{")):
        found = [_of_line(parser, text) for parser in recognizer.lines_taken(text.encode())]
        return found or ["no format begins like this line"]
    value: JsonValue = load(line, limits.max_json_depth).value
    envelope = ""
    if isinstance(value, dict) and (array := recognizer.array(value)) is not None:
        envelope, value = f"an element of `{array[0].records}`: ", first_object(array[1])
    elif isinstance(value, list):
        envelope, value = "an element of the array: ", first_object(value)
    if not isinstance(value, dict):
        return ["JSON that is neither an object nor an array of objects"]
    return [envelope + _of_object(parser) for parser in recognizer.values_taken(value)]


def _of_line(parser: TextParser, text: str) -> str:
    match = searched(f"(?s:{starts_of(parser)})").match(text.encode())
    beginning = match.group(0).decode(errors="replace") if match else ""
    shown = beginning if len(beginning) <= _SHOWN else f"{beginning[:_SHOWN]}…"
    priority = parser.definition.recognize.priority if parser.definition.recognize else 0
    return f"{parser.name} (priority {priority}): the line begins with {shown!r}"


def _of_object(parser: JsonParser) -> str:
    shape = parser.definition.json_shape
    asked = [f"`{key}`" for key in shape.keys]
    asked += [f"one of {', '.join(f'`{key}`' for key in shape.any)}"] if shape.any else []
    asked += [f"`{path}` like {expression}" for path, expression in shape.values.items()]
    return f"{parser.name} (priority {shape.priority}): it has {' and '.join(asked) or 'what no other format asks for'}"
