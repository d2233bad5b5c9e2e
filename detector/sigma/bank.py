"""Many patterns in one pass: what the rules ask of a field by RE2 is found once for each event, for all of them.

It answers as `patterns.regex_test` does for each pattern alone; a test compares them.

All patterns of a field in one RE2 set are fastest on ordinary text (83 expressions over access logs: 1 µs, one by one
97 µs), but the states of its automaton multiply on hostile text (500 µs and more). Six to a set take 12 µs there and
20 here. So the large set is used as long as it keeps to its time, and the small ones otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from time import perf_counter_ns

import re2

from detector.sigma.fields import EventView
from detector.sigma.patterns import MAX_REGEX_BYTES, regex_options, regex_test

_SMALL = 6
"""Patterns in a small set."""
_SMALL_MEMORY, _LARGE_MEMORY = 4 << 20, 8 << 20
"""Bytes that RE2 may take for a set, its program and its caches."""
_NS_PER_TEXT, _NS_PER_BYTE = 2_000, 20
"""Time in which the large set should search a text; what it takes more is debited."""
_CREDIT_NS = 50_000_000
"""What the large set may take more in all, as it does at first, while it builds its automaton."""
_PAUSE = 10_000
"""Texts for which a large set that has used up its credit rests."""

Find = Callable[[bytes], Sequence[int]]
"""Numbers of the patterns that are in a text."""


class RegexBank:
    """The patterns of the rules of a rule set; filled while the rules are compiled, asked afterwards."""

    __slots__ = ("_searches",)

    def __init__(self) -> None:
        self._searches: dict[tuple[str, bool], _FieldSearch] = {}

    def any_test(self, field: str, patterns: Iterable[str], *, folded: bool) -> Callable[[EventView], bool]:
        """Whether RE2 finds one of the patterns in any value of a field, its text as it is or folded."""
        search = self._searches.get((field, folded))
        if search is None:
            search = self._searches[field, folded] = _FieldSearch(field, folded)
        wanted = frozenset(map(search.add, patterns))
        found = search.found
        return lambda view: not wanted.isdisjoint(found(view))


class _FieldSearch:
    """The patterns that are searched for in one field; made into sets when they are first asked for."""

    __slots__ = ("_field", "_find", "_folded", "_numbers")

    def __init__(self, field: str, folded: bool) -> None:
        self._field = field
        self._folded = folded
        self._numbers: dict[str, int] = {}
        self._find: Find | None = None

    def add(self, pattern: str) -> int:
        self._find = None
        return self._numbers.setdefault(pattern, len(self._numbers))

    def found(self, view: EventView) -> frozenset[int]:
        """Numbers of the patterns that are in a value of the field."""
        found = view.searches.get(self)
        if found is None:
            find = self._find = self._find or make_find(tuple(self._numbers))
            texts = view.encoded(self._field, folded=self._folded)
            found = view.searches[self] = frozenset(number for text in texts for number in find(text))
        return found


def make_find(patterns: Sequence[str]) -> Find:
    """The search for some patterns, which RE2 takes one by one."""
    small = [
        _set_find(patterns[start : start + _SMALL], start, _SMALL_MEMORY) for start in range(0, len(patterns), _SMALL)
    ]
    if len(small) == 1:
        return small[0]
    return _sparing(_set_find(patterns, 0, _LARGE_MEMORY), lambda text: [n for find in small for n in find(text)])


def _sparing(large: Find, small: Find) -> Find:
    """The large sets as long as they keep to their time, the small ones otherwise."""
    credit, rest = _CREDIT_NS, 0

    def find(text: bytes) -> Sequence[int]:
        nonlocal credit, rest
        if rest:
            rest -= 1
            return small(text)
        started = perf_counter_ns()
        found = large(text)
        credit += _NS_PER_TEXT + _NS_PER_BYTE * len(text) - (perf_counter_ns() - started)
        if credit > _CREDIT_NS:
            credit = _CREDIT_NS
        elif credit < 0:
            credit, rest = _CREDIT_NS // 10, _PAUSE
        return found

    return find


def _set_find(patterns: Sequence[str], first: int, memory: int) -> Find:
    """The search for some patterns in one pass, numbered from `first`."""
    last = first + len(patterns)
    options = regex_options()
    options.max_mem = memory
    search = re2.Set.SearchSet(options)
    singly = _single_find(patterns, first)
    try:
        for pattern in patterns:
            search.Add(pattern)
        search.Add("")
        search.Compile()
    except re2.error:  # too large together
        return singly

    def find(text: bytes) -> Sequence[int]:
        found: list[int] | None = search.Match(text)
        # The empty pattern, the last, is in every text. Where it is missing, the set ran out of memory.
        if not found or len(patterns) not in found:
            return singly(text)
        if len(found) == 1:
            return ()
        return [number for number in (first + index for index in found) if number < last]

    return find


def _single_find(patterns: Sequence[str], first: int) -> Find:
    tests: list[tuple[int, Callable[[bytes], bool]]] = []

    def find(text: bytes) -> Sequence[int]:
        if not tests:
            tests.extend((number, regex_test(pattern)) for number, pattern in enumerate(patterns, first))
        return [number for number, test in tests if test(text)]

    return find


def alternations(literals: Iterable[str]) -> Iterator[str]:
    """Patterns of bounded length, at least one of which is in a text just where a literal is."""
    parts: list[str] = []
    size = 0
    for literal in literals:
        part = re2.escape(literal)
        if parts and size + len(part.encode()) > MAX_REGEX_BYTES:
            yield "|".join(parts)
            parts, size = [], 0
        parts.append(part)
        size += len(part.encode()) + 1
    yield "|".join(parts)
