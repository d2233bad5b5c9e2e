"""Trees that can never be true."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.sigma.fields import EventView
from detector.sigma.lint.contradictions import Conflict, contradiction
from detector.sigma.nodes import And, Cidr, Compare, Exists, Leaf, Node, Not, Null, Operator, Or, Text, Wildcard
from detector.sigma.reference import compile_test
from tests.sigma import event, rule

ANY, ONE = Wildcard.ANY, Wildcard.ONE
NEVER, SINGLE = Conflict.NEVER, Conflict.SINGLE

texts = st.one_of(
    st.sampled_from([(), ("a",), ("ab",), ("5",), ("10.1.2.3",), ("a", ANY), (ANY, "b"), (ANY, "a", ANY), (ANY,)]),
    st.sampled_from([("a", ONE), ("a", ANY, "b"), ("2", ANY), (ANY, "3"), ("1e22",)]),
)
matchers = st.one_of(
    st.builds(Text, texts, st.booleans()),
    st.sampled_from([Text(("A",), cased=True), Text((ANY, "B"), cased=True), Text(("A", ANY), cased=True)]),
    st.builds(Compare, st.sampled_from(Operator), st.integers(3, 6)),
    st.sampled_from(["10.0.0.0/8", "10.1.2.0/24", "192.0.2.0/24", "::/0"]).map(ip_network).map(Cidr),
    st.just(Null()),
    st.builds(Exists, st.booleans()),
)
trees = st.recursive(
    st.builds(Leaf, st.sampled_from(["f", "g"]), matchers),
    lambda inner: st.one_of(
        inner.map(Not),
        st.lists(inner, min_size=1, max_size=4).map(tuple).map(And),
        st.lists(inner, min_size=1, max_size=3).map(tuple).map(Or),
    ),
    max_leaves=8,
)
values = st.sampled_from(["", "a", "A", "ab", "AB", "aB", "5", 4, 5.5, 1e22, "10.1.2.3", "192.0.2.9", True, None, "23"])


def is_true(node: Node, raw: dict[str, Any]) -> bool:
    """Whether an event makes a tree true."""
    subject = event(raw)
    return compile_test(node)(EventView(subject, subject.bindings[0]))


def found(detection: dict[str, Any]) -> Conflict:
    """The verdict on a rule."""
    verdict = contradiction(rule(detection).condition)
    return verdict.conflict if verdict else Conflict.NONE


class TestContradiction:
    """The search for leaves that hold together."""

    @given(trees, st.dictionaries(st.sampled_from("fg"), st.one_of(values, st.lists(values, max_size=3))))
    def test_is_never_wrong(self, node: Node, raw: dict[str, Any]) -> None:
        """What can never be true is not; what cannot of single values is true of no event without arrays."""
        verdict = contradiction(node)

        if verdict is not None and (
            verdict.conflict is NEVER or not any(isinstance(each, list) for each in raw.values())
        ):
            assert not is_true(node, raw)

    @pytest.mark.parametrize(
        ("selection", "verdict"),
        [
            ({"f": "a", "f|contains": "b"}, SINGLE),
            ({"f": "ab", "f|contains": "b"}, Conflict.NONE),
            ({"f|startswith": "a", "f|endswith": "b"}, Conflict.NONE),
            ({"f|startswith": "a", "f|startswith|cased": "B"}, SINGLE),
            ({"f|contains": "a", "f|contains|all": ["b", "c"]}, Conflict.NONE),
            ({"f|exists": False, "f": "a"}, Conflict.NEVER),
            ({"f|exists": False, "f|re": "a"}, Conflict.NEVER),
            ({"f|exists": False, "f": None}, Conflict.NONE),
            ({"f": None, "f|contains": "a"}, SINGLE),
            ({"f|gt": 5, "f|lt": 5}, SINGLE),
            ({"f|gte": 5, "f|lte": 5}, Conflict.NONE),
            ({"f|gt": 5, "f": 3}, SINGLE),
            ({"f|gt": 5, "f": "abc"}, SINGLE),
            ({"f|cidr": "10.0.0.0/8", "f": "192.0.2.1"}, SINGLE),
            ({"f|cidr": "10.0.0.0/8", "f|contains": "192."}, Conflict.NONE),
            ({"f|all": ["a", "b"]}, SINGLE),
            ({"f": ["a", "b"], "f|startswith": ["c", "d"]}, SINGLE),
            ({"f": ["a", "b"], "f|startswith": ["c", "b"]}, Conflict.NONE),
            ({"|all": ["a", "b"]}, Conflict.NONE),
        ],
    )
    def test_selections(self, selection: dict[str, Any], verdict: Conflict) -> None:
        """Items that stand against each other."""
        assert found({"s": selection}) is verdict

    @pytest.mark.parametrize(
        ("condition", "verdict"),
        [
            ("s and not s", NEVER),
            ("s and not wide", NEVER),
            ("wide and not s", Conflict.NONE),
            ("s and not 1 of *", NEVER),
            ("(s or other) and not wide", Conflict.NONE),
            ("other and not wide", Conflict.NONE),
            ("not s and not wide", Conflict.NONE),
            ("s or (s and not s)", Conflict.NONE),
        ],
    )
    def test_conditions(self, condition: str, verdict: Conflict) -> None:
        """Filters that stop all that the selection lets through."""
        selections = {"s": {"f|endswith": r"\cmd.exe"}, "wide": {"f|endswith": ".exe"}, "other": {"g": "x"}}

        assert found({**selections, "condition": condition}) is verdict

    @pytest.mark.parametrize(("pigeons", "verdict"), [(4, SINGLE), (12, Conflict.NONE)])
    def test_large_trees_are_given_up(self, pigeons: int, verdict: Conflict) -> None:
        """Where there are too many combinations to look at, a tree counts as possible: pigeons in too few holes."""
        holes = range(pigeons - 1)
        tree = And(tuple(Or(tuple(Leaf(f"h{hole}", Text((f"p{n}",))) for hole in holes)) for n in range(pigeons)))

        found = contradiction(tree)

        assert (found.conflict if found else Conflict.NONE) is verdict
