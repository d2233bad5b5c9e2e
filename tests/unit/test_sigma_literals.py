"""What an expression requires, against RE2."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.sigma.engine.literals import required
from detector.sigma.folding import fold
from detector.sigma.nodes import Regex, leaves
from detector.sigma.patterns import regex_test
from tests.unit.test_sigma_corpus import loaded, regression

parts = st.sampled_from(
    [
        *(
            "a",
            "b",
            "k",
            ".",
            "^",
            "$",
            r"\A",
            r"\z",
            r"\b",
            r"\B",
            r"\d",
            r"\s",
            r"\w",
            r"\D",
            r"\pL",
            r"\p{Greek}",
            "é",
        ),
        *(
            "[ab]",
            "[^a]",
            "[a-c]",
            "[]a]",
            "[^]]",
            r"[\]a]",
            r"[\s/]",
            r"[\d]",
            "[[:alpha:]]",
            "[[:^alpha:]b]",
            "[a-]",
            "[é]",
        ),
        *(
            r"\.",
            r"\x61",
            r"\x{e9}",
            r"\n",
            r"\Qa*\E",
            r"\Qab\E+",
            "{",
            "a{",
            "a{,2}",
            "(?i)",
            "(?i:K)",
            "(?s:.)",
            "(?U)",
        ),
        *("(?P<n>a|b)", "(a|)", "(|b)", "()", "a|b", "|", "(?:ab|ba|k)", "(?i:ab)", "\u212a", "ab|"),
    ]
)
quantifiers = st.sampled_from(
    ["", "", "", "*", "+", "?", "*?", "+?", "??", "{2}", "{2,}", "{1,3}", "{0,2}", "{0}", "{6}", "{8}", "{9,}"]
)
regexes = st.lists(st.tuples(parts, quantifiers).map("".join), min_size=1, max_size=5).map("".join)
texts = st.one_of(st.text("abkKAB.*\u212aé1\n {]-/", max_size=14), st.text("abkK\u212a", min_size=7, max_size=14))


def holds(pattern: str, text: str) -> bool:
    """Whether all that a pattern requires is in a text."""
    needs, folded = required(pattern), fold(text)
    if needs.run:
        marks = "".join("x" if char in needs.run.chars else " " for char in folded)
        if "x" * needs.run.times not in marks:
            return False
    return len(text) >= needs.least and all(any(each in folded for each in choice) for choice in needs.choices)


class TestRequired:
    """Each text in which RE2 finds an expression has what it requires."""

    @given(regexes, st.lists(texts, min_size=1, max_size=10))
    def test_sound(self, pattern: str, subjects: list[str]) -> None:
        """Whatever the expression is, as far as RE2 takes it."""
        import re2

        try:
            found = regex_test(pattern)
        except re2.error:
            return

        assert [text for text in subjects if found(text.encode()) and not holds(pattern, text)] == []

    def test_sigmahq(self) -> None:
        """Likewise SigmaHQ's expressions in the texts of its events."""
        subjects = sorted(
            {str(value) for case in regression() for each in case["events_flat"] for value in each.values()}
        )
        patterns = {
            leaf.matcher.pattern
            for rule in loaded().rules
            for leaf in leaves(rule.condition)
            if isinstance(leaf.matcher, Regex)
        }

        for pattern in patterns:
            found = regex_test(pattern)
            assert [text for text in subjects if not holds(pattern, text) and found(text.encode())] == []
        assert sum(bool(required(pattern).choices) for pattern in patterns) > 0.9 * len(patterns)

    @pytest.mark.parametrize(
        ("pattern", "least", "choices"),
        [
            ("Needle", 6, [{"needle"}]),
            ("(?i)NEEDLE", 6, [{"needle"}]),
            ("a.*needle", 7, [{"needle"}, {"a"}]),
            ("(?:one|three)+x", 4, [{"one", "three"}, {"x"}]),
            ("[Nn]eedle", 6, [{"needle"}]),
            ("needles?", 6, [{"needle", "needles"}]),
            ("x{1000,}", 1000, [{"xxxx"}]),
            (".{3}", 3, []),
            ("a|.", 1, []),
            ("a*", 0, []),
            (r"\x{110000}", 0, []),
            (r"a\Qb*\E", 3, [{"ab*"}]),
            ("ab(?i)*", 0, []),
            (r"ab\Q\E*", 0, []),
            ("(" * 200 + "a" + ")" * 200, 0, []),
        ],
    )
    def test_examples(self, pattern: str, least: int, choices: list[set[str]]) -> None:
        """What is understood, and what is not."""
        needs = required(pattern)

        assert (needs.least, list(map(set, needs.choices))) == (least, choices)

    @pytest.mark.parametrize(
        ("pattern", "count"), [(r"\s[a-fA-F0-9]{64}\s[a-f]{16}", 64), ("(?i)[k]{9}", 9), ("é{9}", 0), ("(?:a{9}|b)", 0)]
    )
    def test_runs(self, pattern: str, count: int) -> None:
        """Characters in a row, the longest, where all of them are ASCII and no other branch is there."""
        run = required(pattern).run

        assert (run.times if run else 0) == count
