"""The condition of a rule: grammar, selectors, messages."""

from __future__ import annotations

import itertools
import re
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.sigma.conditions import ConditionError, parse_condition
from detector.sigma.nodes import And, Leaf, Node, Not, Null, Or
from tests.sigma import matches, refusal, rule

NAMES = ("a", "b", "c", "sel_1", "sel_2", "sel-x", "_hidden", "notable")
SELECTIONS: dict[str, Node] = {name: Leaf(name, Null()) for name in NAMES}


def truth(node: Node, true: frozenset[str]) -> bool:
    """The value of a tree in which each leaf is true if its field is among `true`."""
    match node:
        case Leaf():
            return node.field in true
        case Not():
            return not truth(node.node, true)
        case And():
            return all(truth(each, true) for each in node.nodes)
        case Or():
            return any(truth(each, true) for each in node.nodes)


def holds(condition: str, *true: str) -> bool:
    return truth(parse_condition(condition, SELECTIONS), frozenset(true))


@st.composite
def expressions(draw: st.DrawFn) -> str:
    """Expressions in Python's words, with as many brackets as it pleases; Sigma reads them alike."""
    leaf = st.sampled_from(["a", "b", "c"])
    text: str = draw(
        st.recursive(
            leaf,
            lambda inner: st.one_of(
                st.tuples(inner, st.sampled_from(["and", "or"]), inner).map(" ".join),
                inner.map("not {}".format),
                inner.map("({})".format),
            ),
            max_leaves=12,
        )
    )
    return text


class TestGrammar:
    """or, and, not, brackets."""

    @given(expressions())
    def test_agrees_with_python(self, expression: str) -> None:
        """Precedence is Python's: not, and, or."""
        node = parse_condition(expression, SELECTIONS)

        for values in itertools.product([False, True], repeat=3):
            names = dict(zip("abc", values, strict=True))
            expected = eval(expression, {}, names)
            assert truth(node, frozenset(name for name, value in names.items() if value)) == expected

    def test_white_space(self) -> None:
        """A line break is a blank; none is needed beside brackets."""
        assert holds("a\n  and\tnot(b)or(c)", "a")

    def test_names_that_begin_like_operators(self) -> None:
        """A name ends where its characters do."""
        assert holds("notable", "notable")
        assert holds("sel-x and not a", "sel-x")


class TestSelectors:
    """`1 of`, `all of`, `them`."""

    @pytest.mark.parametrize(
        ("condition", "true", "expected"),
        [
            ("1 of sel_*", ["sel_2"], True),
            ("any of sel_*", ["sel_2"], True),
            ("1 of sel_*", ["a", "sel-x"], False),
            ("all of sel_*", ["sel_1", "sel_2"], True),
            ("all of sel_*", ["sel_1"], False),
            ("1 of *el-*", ["sel-x"], True),
            ("1 of s*_*1", ["sel_1"], True),
            ("all of sel*", ["sel_1", "sel_2", "sel-x"], True),
            ("1 of them", ["_hidden"], False),
            ("all of them", [name for name in NAMES if name != "_hidden"], True),
            ("1 of *", ["_hidden"], False),
            ("1 of _*", ["_hidden"], True),
            ("not 1 of sel_*", ["a"], True),
            ("1 of a", ["a"], True),
            ("a and 1 of sel_* or b", ["b"], True),
        ],
    )
    def test_which_are_meant(self, condition: str, true: list[str], expected: bool) -> None:
        """A pattern means the names that it fits; those with `_` at the front only if it says so."""
        assert holds(condition, *true) is expected


class TestMessages:
    """What is refused, and the help that comes with it."""

    @pytest.mark.parametrize(
        ("condition", "message"),
        [
            ("sel_3", "did you mean `sel_2`"),
            ("a and zzzzz", "column 7"),
            ("a AND b", "write `and`"),
            ("NOT a", "write `not`"),
            ("a | count() by b > 5", "correlation"),
            ("1 of nothing_*", "matches no selection"),
            ("2 of sel_*", "`1 of`"),
            ("0 of them", "`1 of`"),
            ("all of", "must name selections"),
            ("1 of (a)", "must name selections"),
            ("", "ends"),
            ("a and", "ends"),
            ("a b", "`and` or `or`"),
            ("(a", "`)`"),
            ("a)", "column 2"),
            ("()", "name of a selection"),
            ("not", "ends"),
            ("a, b", "','"),
            ("near a and b", "no selection"),
            ("(" * 1000 + "a" + ")" * 1000, "deep"),
            ("not " * 1000 + "a", "deep"),
            ("a or " * 10_000 + "a", "characters"),
        ],
    )
    def test_help(self, condition: str, message: str) -> None:
        """Each says what is wrong, at once."""
        started = time.process_time()

        with pytest.raises(ConditionError, match=re.escape(message)):
            parse_condition(condition, SELECTIONS)

        assert time.process_time() - started < 0.2


class TestInRules:
    """The condition in its rule."""

    def test_a_list_means_any(self) -> None:
        """Several conditions are queries, one of which must match."""
        detection = {"s": {"f": "a"}, "t": {"f": "b"}, "condition": ["s", "t"]}

        assert matches(detection, {"f": "b"})
        assert not matches(detection, {"f": "c"})

    @pytest.mark.parametrize(
        ("keys", "message"),
        [
            ({"condition": None, "s": {"f": 1}}, "condition"),
            ({"condition": [], "s": {"f": 1}}, "condition"),
            ({"condition": 5, "s": {"f": 1}}, "condition"),
            ({"timeframe": "5m", "s": {"f": 1}}, "correlation"),
            ({"s": {}}, "empty"),
            ({"s": []}, "empty"),
            ({"s": None}, "null"),
            ({}, "s"),
        ],
    )
    def test_refused(self, keys: dict[str, Any], message: str) -> None:
        """A detection that cannot be meant is refused."""
        assert message in refusal(keys)

    def test_multiplied_selections(self) -> None:
        """A condition that asks for a large selection over and over is refused: its cost is bounded."""
        values = [f"v{n}" for n in range(1000)]

        assert "comparisons" in refusal({"s": {"f|re": values}, "condition": " or ".join(["s"] * 200)})

    def test_unused_selections_are_checked(self) -> None:
        """What the condition does not name must still be sound."""
        assert refusal({"s": {"f": 1}, "t": {"f|re": "("}})
        assert rule({"s": {"f": 1}, "t": {"f": 2}})
