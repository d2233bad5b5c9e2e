"""What is odd about the items of a selection, as they are written."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from sigma.types import SigmaString, SpecialChars

from detector.sigma.checks import Path
from detector.sigma.engine.literals import required

_PLACES = {"contains", "startswith", "endswith"}
_NO_TEXT = {"re", "cidr", "fieldref", "exists", "lt", "lte", "gt", "gte"}
_ENCODED = {"base64", "base64offset", "wide", "utf16", "utf16le", "utf16be"}
_FLAGS = {"i": "i", "ignorecase": "i", "m": "m", "multiline": "m", "s": "s", "dotall": "s"}
_LIKE_WILDCARDS = re.compile(r"[\w\\/: ]\*")
_SYNTAX = re.compile(r"\.[*+?]|[\[\](){}|^$+]|\\[.dDwWsSbBAz(){}\[\]|^$*+?-]")
_QUERY = re.compile(r"[/\w]\?[\w%\[\]-]+=|/[^?*]*\?")

Odd = tuple[str, str, Path]
"""The code, the message, and what leads to the value."""


class Item(NamedTuple):
    """An item of a selection: name of the field ("" for keywords), modifiers, values, and what leads to them."""

    field: str
    modifiers: tuple[str, ...]
    values: list[Any]
    path: Path
    is_list: bool

    @classmethod
    def of(cls, key: str, value: Any, path: Path) -> Item:
        """The item of a key with its modifiers, and what it has."""
        field, *modifiers = key.split("|")
        is_list = isinstance(value, list)
        return cls(field, tuple(modifiers), value if is_list else [value], path, is_list)

    def place(self, index: int) -> Path:
        """What leads to a value."""
        return (*self.path, index) if self.is_list else self.path


def odd_values(item: Item) -> Iterator[Odd]:
    """What is odd about an item; one finding of each kind."""
    yield from _odd_lists(item)
    for check in (_wildcards_in_regex, _no_literal) if "re" in item.modifiers else (_question_mark, _one_character):
        for index, value in enumerate(item.values):
            message = check(item, value) if isinstance(value, str) else None
            if message:
                yield (*message, item.place(index))
                break


def _odd_lists(item: Item) -> Iterator[Odd]:
    if item.is_list and len(item.values) > 1 and None in item.values:
        yield "S202", f"`null` is one of several values of `{item.field}`", item.place(item.values.index(None))
    if "all" in item.modifiers and len(item.values) == 1:
        yield "S203", f"`all` has nothing to join: `{item.field or 'the keywords'}` has one value", item.path


def _wildcards_in_regex(_: Item, value: str) -> tuple[str, str] | None:
    if _LIKE_WILDCARDS.search(value) and not _SYNTAX.search(value):
        return "S204", f"{_short(value)}: in a regular expression, `*` repeats what is before it"
    return None


def _no_literal(item: Item, value: str) -> tuple[str, str] | None:
    flags = "".join(sorted({_FLAGS[each] for each in item.modifiers if each in _FLAGS}))
    needs = required(f"(?{flags}){value}" if flags else value).choices
    if any(min(map(len, choice)) > 1 for choice in needs):
        return None
    return "S207", f"{_short(value)}: no text is certain in what it finds, so that each value is searched"


def _question_mark(item: Item, value: str) -> tuple[str, str] | None:
    if "?" not in value or not _NO_TEXT.isdisjoint(item.modifiers):
        return None
    if SpecialChars.WILDCARD_SINGLE in SigmaString(value).s and _QUERY.search(value.replace("\\?", "")):
        return "S205", f"`?` in {_short(value)} stands for any one character"
    return None


def _one_character(item: Item, value: str) -> tuple[str, str] | None:
    if item.field and _PLACES.isdisjoint(item.modifiers):
        return None
    if not (_NO_TEXT | _ENCODED).isdisjoint(item.modifiers):
        return None
    text = SigmaString(value).s
    literals = [part for part in text if isinstance(part, str)]
    if literals and len("".join(literals).encode(errors="replace")) == 1 and "all" not in item.modifiers:
        return "S206", f"{_short(value)} is one character"
    return None


def _short(value: str) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:80]}…"
