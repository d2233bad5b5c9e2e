"""A regular expression with named groups over many lines: by the tokenizer or RE2, with one meaning."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import re2

from detector.parsing.tokenizer import NotLoweredError, Texts, Tokenizer

_COLUMNAR_FROM = 24
"""Lines from which on the columnar way is faster: it compiles the expression anew in each call (0.2 ms)."""

Groups = Texts
"""The texts of the groups in order; of a group that took no part "" (it is then never empty otherwise)."""


class DefinitionError(ValueError):
    """What is wrong with a part of a definition, and the keys and indexes that lead to that part."""

    def __init__(self, message: str, *place: str | int) -> None:
        super().__init__(message)
        self.place = place


class Pattern:
    """Matches whole lines.

    Raises ValueError for what RE2 refuses, for groups without a name, and for a group that may take no part and may
    also be empty: the two could not be told apart.
    """

    __slots__ = ("_columnar", "_compiled", "names", "optional", "tokenizer")

    def __init__(self, expression: str) -> None:
        self._compiled = _compile(f"(?s:{expression})")
        indexes = self._compiled.groupindex
        if not indexes or len(indexes) != self._compiled.groups:
            raise ValueError("the expression needs named groups, and only such: (?P<name>…) or (?:…)")
        self.names: tuple[str, ...] = tuple(sorted(indexes, key=indexes.__getitem__))
        self.optional = frozenset(_optional_groups(expression))
        self._columnar = f"^(?s:{expression})$"
        self.tokenizer = tokenizer(expression)

    def extract(self, lines: Sequence[str]) -> list[Groups | None]:
        """The groups of each line, None where the expression does not match the whole of it."""
        if self.tokenizer is None or len(lines) < 2:
            return self.by_re2(lines)
        found = [groups for _, groups in self.tokenizer.texts([line.encode() for line in lines])]
        rest = [index for index, groups in enumerate(found) if groups is None]
        for index, groups in zip(rest, self.by_re2([lines[index] for index in rest]), strict=True):
            found[index] = groups
        return found

    def by_re2(self, lines: Sequence[str]) -> list[Groups | None]:
        """The same as `extract`, by RE2 alone."""
        if len(lines) >= _COLUMNAR_FROM:
            columns = pc.extract_regex(pa.array(lines, pa.string()), pattern=self._columnar).flatten()
            rows = zip(*(column.to_pylist() for column in columns), strict=True)
            return [None if groups[0] is None else groups for groups in rows]
        return [self._one(line) for line in lines]

    def _one(self, line: str) -> Groups | None:
        match = self._compiled.fullmatch(line.encode())
        if match is None:
            return None
        return tuple("" if group is None else group.decode() for group in match.groups())


class PartialPattern:
    """Matches as much of the start of a line as there is of it. Raises ValueError for what RE2 refuses."""

    __slots__ = ("_compiled", "names")

    def __init__(self, expression: str) -> None:
        self._compiled = _compile(f"(?s:{expression})")
        self.names: tuple[str, ...] = tuple(self._compiled.groupindex)

    def fields(self, line: str) -> tuple[dict[str, str], int]:
        """The groups that took part, and the byte of the line at which they end."""
        match = self._compiled.match(line.encode())
        if match is None:
            return {}, 0
        groups = match.groupdict()
        return {name: group.decode() for name, group in groups.items() if group is not None}, match.end()


def compiled(expression: str, *place: str | int) -> Pattern:
    """The pattern that stands at that place of a definition; raises DefinitionError."""
    with _placed(place):
        return Pattern(expression)


def tokenizer(*expressions: str) -> Tokenizer | None:
    """What runs expressions as a kernel, None where their shape does not allow it."""
    try:
        return Tokenizer(expressions)
    except NotLoweredError:
        return None


def partial(expression: str, *place: str | int) -> PartialPattern:
    """The same for a partial pattern."""
    with _placed(place):
        return PartialPattern(expression)


def searched(expression: str, *place: str | int) -> Any:
    """The same for an RE2 expression to search with."""
    with _placed(place):
        return _compile(expression)


@contextmanager
def _placed(place: tuple[str | int, ...]) -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise DefinitionError(str(error), *place) from None


def _compile(expression: str) -> Any:
    try:
        return re2.compile(expression, _options())
    except re2.error as error:
        argument = error.args[0] if error.args else ""
        text = argument.decode("utf-8", "replace") if isinstance(argument, bytes) else argument
        raise ValueError(f"RE2 refuses the expression: {text}") from None


def _options() -> re2.Options:
    options = re2.Options()
    options.log_errors = False
    return options


@dataclass(slots=True)
class _Group:
    parent: _Group | None
    start: int
    name: str = ""
    alternates: bool = False
    quantified: bool = False  # by ?, * or {0,…}

    @property
    def optional(self) -> bool:
        """Whether a match may leave it out: its own alternatives don't make it so, those around it do."""
        around = self.parent
        while around is not None:
            if around.alternates or around.quantified:
                return True
            around = around.parent
        return self.quantified


def _optional_groups(expression: str) -> list[str]:
    """Names of the groups that a match may leave out; raises ValueError where one of them may also be empty."""
    if "\\Q" in expression:
        raise ValueError(r"\Q…\E is not supported: escape each character")
    optional = []
    for group, inner in _named_groups(expression):
        if group.optional:
            if re2.fullmatch(f"(?s:{inner})", b"", _options()) is not None:
                raise ValueError(f"group {group.name!r} may be left out and may be empty: name the case apart")
            optional.append(group.name)
    return optional


def _named_groups(expression: str) -> list[tuple[_Group, str]]:
    """The named groups of an expression that RE2 takes, with what stands in them."""
    current = root = _Group(None, 0)
    named: list[tuple[_Group, str]] = []
    at = 0
    while at < len(expression):
        character = expression[at]
        if character == "\\":
            at += 1
        elif character == "[":
            at = _class_end(expression, at)
        elif character == "(":
            current = _Group(current, at)
            if expression.startswith(("(?P<", "(?<"), at):
                current.start = expression.index(">", at) + 1
                current.name = expression[expression.index("<", at) + 1 : current.start - 1]
        elif character == ")":
            current.quantified = expression.startswith(("?", "*", "{0"), at + 1)
            if current.name:
                named.append((current, expression[current.start : at]))
            current = current.parent or root
        elif character == "|":
            current.alternates = True
        at += 1
    return named


def _class_end(expression: str, at: int) -> int:
    """Position of the bracket that closes the character class which opens at `at`."""
    at += 1
    if expression[at : at + 1] == "^":
        at += 1
    if expression[at : at + 1] == "]":
        at += 1
    while at < len(expression) and expression[at] != "]":
        if expression[at] == "\\":
            at += 1
        elif expression.startswith("[:", at):
            at = expression.index(":]", at) + 1
        at += 1
    return at
