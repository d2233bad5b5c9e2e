from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.parsing.definition import TextDefinition
from detector.parsing.pattern import PartialPattern, Pattern
from tests.parsing import BUILTIN

EXPRESSION = r'(?:<(?P<a>\d+)>)?(?P<b>\w*) "(?P<c>(?:[^"\\]|\\.)*)"(?: (?P<d>x|y))?'


class TestPattern:
    @given(
        st.lists(st.text(alphabet='<1>w "\\xy\n√', max_size=12) | st.sampled_from(['<1>w "a" x', ' ""']), max_size=30)
    )
    def test_both_ways(self, lines: list[str]) -> None:
        """Columns and single lines give the same."""
        pattern = Pattern(EXPRESSION)

        one_by_one = [group for line in lines for group in pattern.extract([line])]

        assert pattern.extract(lines + [""] * 24)[: len(lines)] == one_by_one

    @pytest.mark.parametrize("repeat", [1, 30])
    def test_absent_and_empty(self, repeat: int) -> None:
        """A group that took no part is "", and can be told from an empty one by its name."""
        pattern = Pattern(EXPRESSION)

        assert pattern.extract([' ""'] * repeat)[0] == ("", "", "", "")
        assert pattern.optional == {"a", "d"}

    def test_invalid(self) -> None:
        """What RE2 refuses, unnamed groups, and a group of two meanings are errors."""
        for expression, message in (
            ("(?P<a>", "RE2 refuses"),
            (r"(?P<a>x)\1", "RE2 refuses"),
            ("(a)", "named groups"),
            ("a", "named groups"),
            ("(?P<a>x*)?", "may be left out and may be empty"),
            ("(?P<a>x*)|(?P<b>y)", "may be left out and may be empty"),
            ("(?:b(?P<a>x*)){0,1}", "may be left out and may be empty"),
            (r"\Q(\E(?P<a>x)", "escape each character"),
        ):
            with pytest.raises(ValueError, match=message):
                Pattern(expression)

    def test_brackets_in_classes(self) -> None:
        """Parentheses in character classes and behind backslashes are no groups."""
        assert Pattern(r"[)(|?]\((?P<a>[]|)]*)\)[[:alpha:](]").optional == frozenset()

    def test_built_in(self) -> None:
        """The optional groups of every built-in pattern are those that RE2 leaves out of some match."""
        for definition in BUILTIN.definitions.values():
            if isinstance(definition, TextDefinition):
                lines = [sample.record for sample in definition.samples if isinstance(sample.record, str)]
                pattern = Pattern(definition.pattern)
                for groups in pattern.extract(lines):
                    empty = {name for name, group in zip(pattern.names, groups or (), strict=False) if not group}
                    assert groups is None or empty <= pattern.optional | {
                        "referrer",
                        "content",
                        "request",
                        "pairs",
                        "future_use",
                    }


class TestPartialPattern:
    def test_as_far_as_it_goes(self) -> None:
        """The groups so far, and the byte where they end."""
        pattern = PartialPattern("(?P<a>[^ ]+)(?: (?P<b>x+)(?:;(?P<c>.*))?)?")

        assert pattern.fields("ü xxy") == ({"a": "ü", "b": "xx"}, 5)
        assert pattern.fields(" ") == ({}, 0)
