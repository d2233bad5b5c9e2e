"""Fields within one part of a line: `key=value` pairs, extensions of CEF and LEEF, columns, audit records."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from detector.parsing.audit import audit_pairs
from detector.parsing.definition import Unpack

MAX_PAIRS = 1_024
"""Fields that one part can give; what follows is not read."""

_Groups = dict[str, str]
Unpacker = Callable[[_Groups], _Groups]
"""From the groups of a line to these and the fields within them; a group keeps its name against a field."""

_SPACES = " \t\r\n"
_KEY_ENDS = _SPACES + "=\\"
_CEF_ESCAPES = {"n": "\n", "r": "\r"}
_LEEF_TAB = "\t"


def unpacker(parts: Iterable[Unpack], audit: tuple[str, str] | None = None) -> Unpacker | None:
    """What unpacks these parts; None where there are none."""
    steps = [_step(part) for part in parts]
    if audit:
        kind, pairs = audit
        steps.append(lambda raw: audit_pairs(raw.get(kind, ""), raw.get(pairs, "")))
    if not steps:
        return None

    def unpack(raw: _Groups) -> _Groups:
        fields: _Groups = {}
        for step in steps:
            fields |= step(raw)
        return fields | raw

    return unpack


def _step(part: Unpack) -> Unpacker:
    source, names, separator, absent = part.source, part.names, part.separator, frozenset(part.absent)
    read: Callable[[str, _Groups], _Groups]
    if part.style == "columns":

        def read(text: str, _raw: _Groups) -> _Groups:
            return dict(zip(names, columns(text, separator), strict=False))

    elif part.style == "leef":

        def read(text: str, raw: _Groups) -> _Groups:
            return leef_pairs(text, raw.get(separator, ""))

    elif part.style == "cef":

        def read(text: str, _raw: _Groups) -> _Groups:
            return cef_pairs(text)

    elif part.style == "audit":

        def read(text: str, _raw: _Groups) -> _Groups:
            return audit_pairs("", text)

    else:

        def read(text: str, _raw: _Groups) -> _Groups:
            return pairs(text, separator)

    def step(raw: _Groups) -> _Groups:
        found = read(raw.get(source, ""), raw)
        return {key: value for key, value in found.items() if value not in absent} if absent else found

    return step


def pairs(text: str, separators: str = "") -> _Groups:
    r"""`key=value key="quoted \" value" flag`, divided by spaces, and by `separators` where values have these.

    A word without `=` is a flag and gives nothing. Of equal keys the first counts. A quote that never ends holds the
    rest.
    """
    fields: _Groups = {}
    stops = _SPACES + separators
    at, size = 0, len(text)
    while at < size and len(fields) < MAX_PAIRS:
        equals = text.find("=", at)
        if equals < 0:
            break
        start = equals
        while start > at and text[start - 1] not in stops:
            start -= 1
        key = text[start:equals]
        quote = text[equals + 1 : equals + 2]
        if quote in ('"', "'") and quote:
            value, at = _quoted(text, equals + 2, quote)
        else:
            at = equals + 1
            while at < size and text[at] not in stops:
                at += 1
            value = text[equals + 1 : at]
        if key:
            fields.setdefault(key.strip("\"'"), value)
    return fields


def _quoted(text: str, start: int, quote: str) -> tuple[str, int]:
    r"""The text up to the closing quote, `\"` and `\\` resolved, and the position after it."""
    end = text.find(quote, start)
    if end < 0:
        return text[start:], len(text)
    if text.find("\\", start, end) < 0:
        return text[start:end], end + 1
    parts: list[str] = []
    at = start
    while at < len(text) and text[at] != quote:
        if text[at] == "\\" and text[at + 1 : at + 2] in (quote, "\\"):
            at += 1
        parts.append(text[at])
        at += 1
    return "".join(parts), at + 1


def cef_pairs(text: str) -> _Groups:
    r"""The extension of a CEF event: a value goes on up to the next ` key=`, with spaces; `\=`, `\\`, `\n` are escapes.

    What vendors call their own fields (`cs1=x cs1Label=Rule`) also stands under its label's text.
    Format: ArcSight Common Event Format, implementation standard 25, "Extension field".
    """
    starts: list[tuple[int, int]] = []  # of the key, of the value
    at = text.find("=")
    while at >= 0 and len(starts) < MAX_PAIRS:
        start = at
        while start > 0 and text[start - 1] not in _KEY_ENDS:
            start -= 1
        if start < at and (not start or text[start - 1] in _SPACES) and _is_key(text[start:at]):
            starts.append((start, at + 1))
        at = text.find("=", at + 1)
    fields: _Groups = {}
    ends = [start - 1 for start, _ in starts[1:]]
    for (start, value_start), end in zip(starts, (*ends, len(text)), strict=False):
        value = text[value_start : max(end, value_start)].rstrip(" ")
        fields.setdefault(text[start : value_start - 1], _unescaped(value) if "\\" in value else value)
    for key in [key for key in fields if key.endswith("Label")]:
        value_of = fields.get(key.removesuffix("Label"))
        if value_of is not None and fields[key]:
            fields.setdefault(fields[key], value_of)
    return fields


def _is_key(text: str) -> bool:
    return all(character.isalnum() or character in "_.-[]:" for character in text)


def _unescaped(text: str) -> str:
    parts: list[str] = []
    at = 0
    while at < len(text):
        character = text[at]
        if character == "\\" and text[at + 1 : at + 2] in ("\\", "=", "|", "n", "r"):
            at += 1
            character = _CEF_ESCAPES.get(text[at], text[at])
        parts.append(character)
        at += 1
    return "".join(parts)


def leef_pairs(text: str, delimiter: str = "") -> _Groups:
    """The attributes of a LEEF event, divided by tabs, or by the delimiter that its header names: `^`, `x09` or `0x09`.

    Format: IBM QRadar, Log Event Extended Format, version 2.0.
    """
    digits = delimiter.lower().removeprefix("0").removeprefix("x")
    if len(delimiter) > 1 and digits and len(digits) <= 4 and not set(digits) - set("0123456789abcdef"):
        delimiter = chr(int(digits, 16))
    delimiter = delimiter or _LEEF_TAB
    if delimiter == _LEEF_TAB and _LEEF_TAB not in text:  # what forwards it may have made spaces of the tabs
        return cef_pairs(text)
    fields: _Groups = {}
    for part in text.split(delimiter)[:MAX_PAIRS]:
        key, equals, value = part.partition("=")
        if equals and key.strip():
            fields.setdefault(key.strip(), value.strip())
    return fields


def columns(text: str, separator: str) -> Sequence[str]:
    """The columns of a line; where commas divide them, `"` quotes one and `""` is a quote in it (RFC 4180)."""
    if separator != "," or '"' not in text:
        return text.split(separator)
    found: list[str] = []
    at, size = 0, len(text)
    while at <= size and len(found) < MAX_PAIRS:
        if text[at : at + 1] == '"':
            parts: list[str] = []
            at += 1
            while True:
                end = text.find('"', at)
                if end < 0:
                    parts.append(text[at:])
                    at = size
                    break
                parts.append(text[at:end])
                at = end + 1
                if text[at : at + 1] != '"':
                    break
                parts.append('"')
                at += 1
            end = text.find(",", at)
            end = size if end < 0 else end
            found.append("".join(parts) + text[at:end])
        else:
            end = text.find(",", at)
            end = size if end < 0 else end
            found.append(text[at:end])
        at = end + 1
    return found
