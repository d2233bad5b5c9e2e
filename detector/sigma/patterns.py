"""Patterns on texts: Sigma's wildcards, and regular expressions by RE2 only."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import re2

from detector.sigma.nodes import Text, Wildcard

MAX_REGEX_BYTES = 4096
"""Length of a regular expression."""
MAX_REGEX_MEMORY = 2 << 20
"""Bytes that RE2 may take for one expression, its program and its caches."""

TextTest = Callable[[str], bool]


def regex_options() -> re2.Options:
    """How RE2 is run here: UTF-8, bounded, and silent about what it refuses."""
    options = re2.Options()
    options.max_mem = MAX_REGEX_MEMORY
    options.log_errors = False
    options.never_capture = True
    return options


_OPTIONS = regex_options()


def regex_test(pattern: str) -> Callable[[bytes], bool]:
    """Whether RE2 finds the pattern in a UTF-8 text. Raises re2.error where RE2 refuses it."""
    search = re2.compile(pattern, _OPTIONS).search
    return lambda text: search(text) is not None


def any_text_test(patterns: Iterable[Text]) -> TextTest:
    """Whether a text (folded, unless the patterns are cased) is one of the patterns.

    Raises re2.error where a pattern with `?` is too large for RE2.
    """
    equal: set[str] = set()
    starts: list[str] = []
    ends: list[str] = []
    inside: list[str] = []
    others: list[TextTest] = []
    for pattern in patterns:
        match pattern.parts:
            case ():
                equal.add("")
            case (str(literal),):
                equal.add(literal)
            case (str(literal), Wildcard.ANY):
                starts.append(literal)
            case (Wildcard.ANY, str(literal)):
                ends.append(literal)
            case (Wildcard.ANY, str(literal), Wildcard.ANY):
                inside.append(literal)
            case _:
                others.append(_wildcard_test(pattern))
    tests = [
        *([equal.__contains__] if equal else []),
        *([_starts_test(tuple(starts))] if starts else []),
        *([_ends_test(tuple(ends))] if ends else []),
        *([_inside_test(tuple(inside))] if inside else []),
        *others,
    ]
    return tests[0] if len(tests) == 1 else lambda text: any(test(text) for test in tests)


def in_order(text: str, first: str, middle: Sequence[str], last: str) -> bool:
    """Whether a text is `first*middle*…*last`."""
    end = len(text) - len(last)
    position = len(first)
    if not text.startswith(first) or not text.endswith(last) or position > end:
        return False
    for part in middle:
        position = text.find(part, position, end)
        if position < 0:
            return False
        position += len(part)
    return True


def _starts_test(literals: tuple[str, ...]) -> TextTest:
    return lambda text: text.startswith(literals)


def _ends_test(literals: tuple[str, ...]) -> TextTest:
    return lambda text: text.endswith(literals)


def _inside_test(literals: tuple[str, ...]) -> TextTest:
    def test(text: str) -> bool:
        for literal in literals:  # noqa: SIM110 -- a loop costs half of what any() with a generator does
            if literal in text:
                return True
        return False

    return test


def one_regex(pattern: Text) -> str | None:
    """The regular expression of a pattern with `?`, else None: RE2 is linear whatever the pattern.

    Raises re2.error where it would be too large.
    """
    if Wildcard.ONE not in pattern.parts:
        return None
    if len(pattern.parts) > MAX_REGEX_BYTES:
        raise re2.error(f"more than {MAX_REGEX_BYTES} wildcards")
    body = "".join(re2.escape(part) if isinstance(part, str) else _REGEX[part] for part in pattern.parts)
    return rf"(?s)\A{body}\z"


_REGEX = {Wildcard.ANY: ".*", Wildcard.ONE: "."}


def _wildcard_test(pattern: Text) -> TextTest:
    if regex := one_regex(pattern):
        found = regex_test(regex)
        return lambda text: found(text.encode(errors="replace"))
    literals = [part if isinstance(part, str) else None for part in pattern.parts]
    first = literals[0] or ""
    last = literals[-1] or "" if len(literals) > 1 else ""
    middle = [part for part in literals[bool(first) : len(literals) - bool(last)] if part]
    return lambda text: in_order(text, first, middle, last)
