"""Case folding."""

from __future__ import annotations

import sys

import re2
from hypothesis import given
from hypothesis import strategies as st

from detector.sigma.folding import fold

CHARACTERS = [chr(code) for code in range(sys.maxunicode + 1) if not 0xD800 <= code <= 0xDFFF]


class TestFold:
    """Simple folding, C and S."""

    def test_agrees_with_re2(self) -> None:
        """Two characters fold to the same one just where RE2, without case, takes one for the other."""
        classes: dict[str, set[str]] = {}
        for char in CHARACTERS:
            classes.setdefault(fold(char), set()).add(char)
        cased = sorted(set().union(*(each for each in classes.values() if len(each) > 1)))
        cased += sorted({char for char in CHARACTERS if char.lower() != char or char.upper() != char} - set(cased))
        text = "".join(cased)

        different = [
            char for char in cased if set(re2.findall(rf"(?i)\x{{{ord(char):x}}}", text)) != classes[fold(char)]
        ]

        assert different == []

    def test_once_is_enough(self) -> None:
        """Folding what is folded changes nothing."""
        assert [char for char in CHARACTERS if fold(fold(char)) != fold(char)] == []

    @given(st.text())
    def test_keeps_the_length(self, text: str) -> None:
        """Each code point becomes one code point, so that `?` counts the same."""
        assert len(fold(text)) == len(text)
        assert fold(text) == "".join(map(fold, text))
