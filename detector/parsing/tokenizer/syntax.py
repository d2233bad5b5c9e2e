"""RE2's notation, as far as the tokenizer runs it: from an expression to a tree.

Sets are integers of 257 bits: bit b for byte b, the last one (`END`) for the end of the line. A set of characters has
all bytes above 127 or none of them: in valid UTF-8, bytes above 127 are whole characters beyond ASCII.
"""

from __future__ import annotations

from dataclasses import dataclass

END = 1 << 256
"""The set of nothing but the end of the line."""
ASCII = (1 << 128) - 1
WIDE = ((1 << 256) - 1) & ~ASCII
"""All bytes of characters beyond ASCII."""
ANY = ASCII | WIDE


class NotLoweredError(Exception):
    """The expression holds something that the tokenizer does not run; RE2 does."""


@dataclass(frozen=True, slots=True)
class Literal:
    """These bytes."""

    text: bytes


@dataclass(frozen=True, slots=True)
class Chars:
    """One character of a set."""

    members: int


@dataclass(frozen=True, slots=True)
class End:
    """The end of the line."""


@dataclass(frozen=True, slots=True)
class Accept:
    """The end of the line, and of the expression of this number."""

    number: int


@dataclass(frozen=True, slots=True)
class Sequence:
    """One after the other."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """The first of these with which the whole line matches."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Repeat:
    """Several times; most: None is without limit."""

    part: Node
    least: int
    most: int | None
    greedy: bool


@dataclass(frozen=True, slots=True)
class Group:
    """What is captured, by its number among the groups."""

    number: int
    part: Node


Node = Literal | Chars | End | Accept | Sequence | Choice | Repeat | Group


def _bits(text: str) -> int:
    return sum(1 << ord(character) for character in set(text))


def _span(first: int, last: int) -> int:
    return (1 << (last + 1)) - (1 << first)


_DIGITS = _span(0x30, 0x39)
_UPPER, _LOWER = _span(0x41, 0x5A), _span(0x61, 0x7A)
_WORD = _DIGITS | _UPPER | _LOWER | _bits("_")
_SPACE = _bits("\t\n\f\r ")
_CLASSES = {"d": _DIGITS, "w": _WORD, "s": _SPACE, "D": ANY & ~_DIGITS, "W": ANY & ~_WORD, "S": ANY & ~_SPACE}
_ESCAPES = {"t": "\t", "n": "\n", "r": "\r", "f": "\f", "v": "\v", "a": "\a"}
_NAMED = {
    "digit": _DIGITS,
    "alpha": _UPPER | _LOWER,
    "alnum": _UPPER | _LOWER | _DIGITS,
    "upper": _UPPER,
    "lower": _LOWER,
    "word": _WORD,
    "space": _SPACE | _bits("\v"),
    "xdigit": _DIGITS | _bits("abcdefABCDEF"),
    "punct": _span(0x21, 0x7E) & ~(_UPPER | _LOWER | _DIGITS),
    "blank": _bits(" \t"),
}
_MOST_REPEATS = 1_000


def parse(expression: str, first_group: int = 0) -> tuple[Node, int]:
    """The tree of an expression that RE2 takes, with `.` for every character, and the number of its groups.

    first_group: the number of its first group. Raises NotLoweredError.
    """
    parser = _Parser(expression, first_group)
    try:
        node = parser.choice()
    except (IndexError, ValueError):  # RE2 takes it, so it is notation that we do not know
        raise NotLoweredError from None
    if parser.at != len(expression):
        raise NotLoweredError
    return node, parser.group - first_group


class _Parser:
    def __init__(self, text: str, first_group: int) -> None:
        self.text = text
        self.at = 0
        self.group = first_group

    def choice(self) -> Node:
        parts = [self._sequence()]
        while self._take("|"):
            parts.append(self._sequence())
        return parts[0] if len(parts) == 1 else Choice(tuple(parts))

    def _sequence(self) -> Node:
        parts: list[Node] = []
        while self.at < len(self.text) and self.text[self.at] not in "|)":
            part = self._repeated(self._atom())
            if isinstance(part, Literal) and parts and isinstance(parts[-1], Literal):
                parts[-1] = Literal(parts[-1].text + part.text)
            else:
                parts.append(part)
        return parts[0] if len(parts) == 1 else Sequence(tuple(parts))

    def _take(self, text: str) -> bool:
        if self.text.startswith(text, self.at):
            self.at += len(text)
            return True
        return False

    def _atom(self) -> Node:
        character = self.text[self.at]
        if character == "(":
            return self._group()
        if character == "[":
            return self._class()
        self.at += 1
        if character == "\\":
            members = self._escape()
            return Chars(members) if isinstance(members, int) else Literal(members.encode())
        if character == ".":
            return Chars(ANY)
        if character == "$":
            return End()
        if character in "^*+?":
            raise NotLoweredError
        return Literal(character.encode())

    def _group(self) -> Node:
        number = -1
        if self._take("(?P<") or self._take("(?<"):
            self.at = self.text.index(">", self.at) + 1
            number = self.group
            self.group += 1
        elif not self._take("(?:"):
            raise NotLoweredError
        part = self.choice()
        if not self._take(")"):
            raise NotLoweredError
        return part if number < 0 else Group(number, part)

    def _repeated(self, part: Node) -> Node:
        bounds = self._bounds()
        if bounds is None:
            return part
        greedy = not self._take("?")
        if self._bounds() is not None or isinstance(part, End):
            raise NotLoweredError
        if isinstance(part, Literal) and len(part.text) == 1:
            part = Chars(1 << part.text[0])
        return Repeat(part, *bounds, greedy)

    def _bounds(self) -> tuple[int, int | None] | None:
        for sign, bounds in (("*", (0, None)), ("+", (1, None)), ("?", (0, 1))):
            if self._take(sign):
                return bounds
        if not self.text.startswith("{", self.at):
            return None
        inner, brace, _ = self.text[self.at + 1 :].partition("}")
        least, comma, most = inner.partition(",")
        if not (brace and least.isdigit() and (not most or most.isdigit())):
            raise NotLoweredError  # a brace that stands for itself
        self.at += len(inner) + 2
        high = int(most) if most else None if comma else int(least)
        if max(int(least), high or 0) > _MOST_REPEATS:
            raise NotLoweredError
        return int(least), high

    def _escape(self) -> int | str:
        """What stands behind a backslash: a set or a character."""
        character = self.text[self.at]
        self.at += 1
        if character in _CLASSES:
            return _CLASSES[character]
        if character in _ESCAPES:
            return _ESCAPES[character]
        if character == "x":
            if self._take("{"):
                end = self.text.index("}", self.at)
                code = self.text[self.at : end]
                self.at = end + 1
            else:
                code = self.text[self.at : self.at + 2]
                self.at += 2
            return chr(int(code, 16))
        if character.isalnum() or not character.isascii():
            raise NotLoweredError
        return character

    def _class(self) -> Chars:
        self.at += 1
        negated = self._take("^")
        members = 0
        first = True
        while first or not self._take("]"):
            first = False
            low = self._member()
            if isinstance(low, int):
                members |= low
                continue
            high = low
            if self.text[self.at] == "-" and self.text[self.at + 1] != "]":
                self.at += 1
                end = self._member()
                if isinstance(end, int):
                    raise NotLoweredError
                high = end
            if ord(high) > 127:
                raise NotLoweredError
            members |= _span(ord(low), ord(high))
        return Chars(ANY & ~members if negated else members)

    def _member(self) -> int | str:
        character = self.text[self.at]
        if character == "[" and self.text[self.at + 1] == ":":
            name, _, _ = self.text[self.at + 2 :].partition(":]")
            self.at += len(name) + 4
            if name not in _NAMED:
                raise NotLoweredError
            return _NAMED[name]
        self.at += 1
        return self._escape() if character == "\\" else character
