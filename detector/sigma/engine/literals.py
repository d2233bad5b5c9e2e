"""Texts without which a regular expression cannot match, in folded case: they are looked for before RE2 is asked.

The syntax is RE2's (https://github.com/google/re2/wiki/Syntax). What is not understood here counts as "anything", so
that an answer may ask for less than the expression does, never for more.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from math import log2
from typing import NamedTuple

from detector.sigma.folding import fold

Choice = frozenset[str]
"""Texts of which at least one is there."""

_MAX_CHOICE = 48
"""Texts of a choice; what has more counts as anything."""
_MAX_CHOICES = 4
"""Choices that are kept of an expression."""
_MAX_COPIES = 4
"""Repetitions that are written out."""
_LEAST_RUN = 8
"""Characters in a row that are worth looking for."""
_MAX_DEPTH = 100
"""Levels of groups: deeper ones count as anything."""

_COMMON = "0123456789/.=-_&:, %?+"
"""What is in most URLs and command lines, beside letters."""

_PLAIN = re.compile(r"[^\\\[\](){}.*+?|^$]+(?![*+?{])")
"""Characters that stand for themselves, and are not repeated."""

_ONE: Choice = frozenset([""])
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "f": "\f", "v": "\v", "a": "\a"}
_CLASSES = {"s": "\t\n\f\r ", "d": "0123456789"}
_ANCHORS = "AzbB"


class Run(NamedTuple):
    """So many characters in a row, each of which is one of these, all ASCII and in folded case."""

    times: int
    chars: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Piece:
    """What is known of a part of an expression.

    least: code points of the shortest text that it matches. exact: all that it can be, else None.
    needs: choices, each of which is in whatever it matches. runs: of characters in a row, which are there, too.
    """

    least: int
    exact: Choice | None
    needs: tuple[Choice, ...] = ()
    runs: tuple[Run, ...] = ()


_EMPTY = _Piece(0, _ONE)
_ANYTHING = _Piece(0, None)
_ANY_CHARACTER = _Piece(1, None)


class _NotUnderstoodError(Exception):
    pass


@dataclass(frozen=True, slots=True)
class Required:
    """What is true of every text in which RE2 finds a pattern.

    least: code points that it has at least. choices: of each, one is in the folded text; the rarest choice first.
    run: characters that are in a row in the folded text.
    """

    least: int = 0
    choices: tuple[Choice, ...] = ()
    run: Run | None = None


@lru_cache(maxsize=16_384)
def required(pattern: str) -> Required:
    """What a pattern requires, as far as it is understood."""
    try:
        piece = _Parser(pattern).whole()
    except _NotUnderstoodError:
        return Required()
    longest = max(piece.runs, key=lambda run: (run.times, sorted(run.chars)), default=None)
    return Required(piece.least, _best(_needs(piece)), longest)


class _Parser:
    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._at = 0
        self._depth = 0

    def whole(self) -> _Piece:
        piece = self._any_of()
        if self._at < len(self._pattern):
            raise _NotUnderstoodError
        return piece

    def _peek(self) -> str:
        return self._pattern[self._at : self._at + 1]

    def _next(self) -> str:
        char = self._peek()
        if not char:
            raise _NotUnderstoodError
        self._at += 1
        return char

    def _take(self, text: str) -> bool:
        found = self._pattern.startswith(text, self._at)
        self._at += len(text) * found
        return found

    def _any_of(self) -> _Piece:
        branches = [self._sequence()]
        while self._take("|"):
            branches.append(self._sequence())
        return branches[0] if len(branches) == 1 else _alternation(branches)

    def _sequence(self) -> _Piece:
        pieces: list[_Piece] = []
        while self._peek() not in ("", "|", ")"):
            if plain := _PLAIN.match(self._pattern, self._at):
                self._at = plain.end()
                pieces.append(_literal(plain[0]))
            else:
                pieces += self._repeated(self._item())
        return _concatenation(pieces)

    def _repeated(self, piece: _Piece) -> list[_Piece]:
        """The item with the quantifiers that follow it."""
        pieces = [piece]
        while (bounds := self._quantifier()) is not None:
            least, most = bounds
            self._take("?")
            inner = _concatenation(pieces)
            if least == 0:
                pieces = [_alternation([inner, _EMPTY]) if most == 1 else _ANYTHING]
            else:
                copies = min(least, _MAX_COPIES)
                pieces = [inner] * copies
                if most != copies:
                    pieces.append(_Piece((least - copies) * inner.least, None, (), _runs(inner, least)))
        return pieces

    def _quantifier(self) -> tuple[int, int | None] | None:
        if self._take("*"):
            return 0, None
        if self._take("+"):
            return 1, None
        if self._take("?"):
            return 0, 1
        if self._peek() != "{":
            return None
        end = self._pattern.find("}", self._at)
        least, comma, most = self._pattern[self._at + 1 : max(end, 0)].partition(",")
        if end < 0 or not _is_number(least) or not (most == "" or _is_number(most)):
            return None  # then the bracket is a literal
        self._at = end + 1
        return int(least), (int(most) if most else None) if comma else int(least)

    def _item(self) -> _Piece:
        char = self._next()
        if char == "(":
            return self._group()
        if char == "[":
            return self._class()
        if char == ".":
            return _ANY_CHARACTER
        if char in "^$":
            return _EMPTY
        if char == "\\":
            return self._escape()
        return _literal(char)

    def _group(self) -> _Piece:
        if self._take("?"):
            if self._take("P<") or self._take("<"):
                while self._next() != ">":
                    pass
            else:
                while (char := self._next()) not in ":)":
                    if char not in "imsU-":
                        raise _NotUnderstoodError
                if char == ")":
                    self._refuse_quantifier()
                    return _EMPTY
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise _NotUnderstoodError
        piece = self._any_of()
        self._depth -= 1
        if not self._take(")"):
            raise _NotUnderstoodError
        return piece

    def _refuse_quantifier(self) -> None:
        """Behind what is no item, a quantifier repeats what is before it."""
        if self._peek() in tuple("*+?{"):
            raise _NotUnderstoodError

    def _escape(self) -> _Piece:
        char = self._peek()
        if char and char in _ANCHORS:
            self._at += 1
            return _EMPTY
        if char == "Q":
            end = self._pattern.find("\\E", self._at)
            quoted = self._pattern[self._at + 1 : end if end >= 0 else None]
            self._at = end + 2 if end >= 0 else len(self._pattern)
            self._refuse_quantifier()
            return _literal(quoted)
        if char and char in _CLASSES:
            self._at += 1
            return _Piece(1, frozenset(_CLASSES[char]))
        if char == "C":  # a byte, which may be a part of a character
            self._at += 1
            return _ANYTHING
        literal = self._escaped()
        return _ANY_CHARACTER if literal is None else _literal(literal)

    def _escaped(self) -> str | None:
        """The character that an escape stands for, None for a class of them."""
        char = self._next()
        if char in "pP":
            if self._next() == "{":
                while self._next() != "}":
                    pass
            return None
        if char in "dDwWsS":
            return None
        if char == "x":
            return self._hexadecimal()
        if char in _ESCAPES:
            return _ESCAPES[char]
        if char.isalnum():  # an octal number, or what RE2 does not know
            raise _NotUnderstoodError
        return char

    def _hexadecimal(self) -> str:
        if self._take("{"):
            digits = ""
            while (char := self._next()) != "}":
                digits += char
        else:
            digits = self._next() + self._next()
        try:
            return chr(int(digits, 16))
        except (ValueError, OverflowError):
            raise _NotUnderstoodError from None

    def _class(self) -> _Piece:
        negated = self._take("^")
        chars: set[str] | None = set()
        first = True
        while first or self._peek() != "]":
            first = False
            if self._take("[:"):
                while not self._take(":]"):
                    self._next()
                chars = None
                continue
            if self._peek() == "\\" and (several := _CLASSES.get(self._pattern[self._at + 1 :][:1])):
                self._at += 2
                chars = None if chars is None else chars.union(several)
                continue
            start = self._class_char()
            end = start
            if self._peek() == "-" and self._pattern[self._at + 1 : self._at + 2] not in ("]", ""):
                self._at += 1
                end = self._class_char()
            if start is None or end is None or ord(end) - ord(start) > _MAX_CHOICE:
                chars = None
            elif chars is not None:
                chars.update(map(chr, range(ord(start), ord(end) + 1)))
        self._next()
        if chars is None or negated:
            return _ANY_CHARACTER
        exact = frozenset(map(fold, chars))
        return _Piece(1, exact) if len(exact) <= _MAX_CHOICE else _ANY_CHARACTER

    def _class_char(self) -> str | None:
        char = self._next()
        return self._escaped() if char == "\\" else char


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _literal(text: str) -> _Piece:
    return _Piece(len(text), frozenset([fold(text)]))


def _runs(repeated: _Piece, count: int) -> tuple[Run, ...]:
    chars = repeated.exact or _ONE
    plain = all(len(char) == 1 and char.isascii() for char in chars)
    return (Run(count, chars),) if plain and count >= _LEAST_RUN else ()


def _concatenation(pieces: Iterable[_Piece]) -> _Piece:
    needs: list[Choice] = []
    run = _ONE
    exact = True
    least = 0
    runs: tuple[Run, ...] = ()
    for piece in pieces:
        least += piece.least
        runs += piece.runs
        if piece.exact is not None and len(run) * len(piece.exact) <= _MAX_CHOICE:
            run = frozenset(before + after for before in run for after in piece.exact)
            continue
        exact = False
        needs.append(run)
        run = piece.exact or _ONE
        needs += piece.needs
    needs.append(run)
    return _Piece(least, run if exact else None, () if exact else _best(needs), runs)


def _alternation(branches: Iterable[_Piece]) -> _Piece:
    branches = list(branches)
    exact: Choice | None = frozenset()
    needs: Choice | None = frozenset()
    for branch in branches:
        best = _needs(branch)[:1]
        exact = None if exact is None or branch.exact is None else exact | branch.exact
        needs = None if needs is None or not best else needs | best[0]
    least = min(branch.least for branch in branches)
    if exact is not None and len(exact) <= _MAX_CHOICE:
        return _Piece(least, exact)
    return _Piece(least, None, _best([needs] if needs else []))


def _needs(piece: _Piece) -> tuple[Choice, ...]:
    return piece.needs if piece.exact is None else _best([piece.exact])


def _best(choices: Iterable[Choice]) -> tuple[Choice, ...]:
    """The choices that say something, those with the longest and fewest texts first."""
    useful = {choice for choice in choices if choice and "" not in choice and len(choice) <= 3 * _MAX_CHOICE}
    return tuple(sorted(useful, key=lambda choice: (-_value(choice), sorted(choice)))[:_MAX_CHOICES])


def _value(choice: Choice) -> float:
    """How rarely one of the texts is there where the expression does not match, by estimate."""
    return min(map(_rarity, choice)) - log2(len(choice)) / 2


def _rarity(text: str) -> float:
    return sum(1.0 if char.isalpha() else 0.5 if char in _COMMON else 2.5 for char in text)
