"""Patterns against independent definitions of them."""

from __future__ import annotations

import re
from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from detector.sigma.fields import EventView
from detector.sigma.nodes import And, Leaf, Node, Not, Or, Regex, Text, Wildcard
from detector.sigma.patterns import any_text_test, in_order, regex_test
from detector.sigma.reference import compile_test, explain
from tests.sigma import asks, engine_matches, event

ALPHABET = "ab*?\\.\n"
TOKENS = {
    "*": ("*", ".*"),
    "?": ("?", "."),
    r"\*": (r"\*", r"\*"),
    r"\?": (r"\?", r"\?"),
    "\\\\": ("\\\\", r"\\"),
    "a": ("a", "[aA]"),
    "B": ("B", "[bB]"),
    ".": (".", r"\."),
    "\n": ("\n", "\n"),
}
"""What stands for what: in a rule, and in Python's regular expressions."""

words = st.text(ALPHABET, max_size=6)
texts = st.text(ALPHABET + "AB", max_size=12)
regexes = st.lists(
    st.sampled_from(["a", "b", ".", "a*", "[ab]+", "^", "$", r"\.", "a|b", "(?i:A)", "b?", r"\n", "(ab)+", r"\bb"]),
    min_size=1,
    max_size=4,
).map("".join)


class TestWildcards:
    """Wildcards against Python's regular expressions."""

    @given(st.lists(st.sampled_from(sorted(TOKENS)), max_size=8), texts)
    def test_agree(self, tokens: list[str], text: str) -> None:
        """What a rule writes matches just what it says, through the loader."""
        written = "".join(TOKENS[token][0] for token in tokens)
        meant = "".join(TOKENS[token][1] for token in tokens)

        assert asks("", written, text) == (re.fullmatch(meant, text, re.DOTALL) is not None)

    @given(st.lists(st.one_of(words.filter(bool), st.sampled_from(Wildcard)), max_size=7), texts)
    def test_parts(self, parts: list[str | Wildcard], text: str) -> None:
        """So do patterns whatever their parts are."""
        pieces = {Wildcard.ANY: ".*", Wildcard.ONE: "."}
        meant = "".join(re.escape(part) if isinstance(part, str) else pieces[part] for part in parts)

        assert any_text_test([Text(tuple(parts))])(text) == (re.fullmatch(meant, text, re.DOTALL) is not None)

    @given(words, st.lists(words, max_size=3), words, texts)
    def test_in_order(self, first: str, middle: list[str], last: str, text: str) -> None:
        """A beginning, parts in order, an end, none overlapping."""
        meant = ".*".join(map(re.escape, [first, *middle, last]))

        assert in_order(text, first, middle, last) == (re.fullmatch(meant, text, re.DOTALL) is not None)

    @given(st.lists(st.lists(st.one_of(words.filter(bool), st.just(Wildcard.ANY)), max_size=3).map(tuple)), texts)
    def test_any(self, patterns: list[tuple[str | Wildcard, ...]], text: str) -> None:
        """Several together are as one after the other."""
        tests = [any_text_test([Text(parts)]) for parts in patterns]

        assert any_text_test(map(Text, patterns))(text) == any(test(text) for test in tests)


def trees(leaf: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    """Trees of any shape, with wide nodes, so that the lists that are searched for together are long enough."""
    many = st.lists(leaf, min_size=1, max_size=12).map(tuple)
    node = st.one_of(leaf, many.map(And), many.map(Or))
    return st.recursive(
        node,
        lambda inner: st.one_of(
            inner.map(Not),
            st.lists(inner, min_size=1, max_size=3).map(tuple).map(And),
            st.lists(inner, min_size=1, max_size=3).map(tuple).map(Or),
        ),
        max_leaves=6,
    )


fields = st.sampled_from(["f", "g", ""])
folded = st.lists(st.one_of(st.text("ab", min_size=1, max_size=3), st.sampled_from(Wildcard)), max_size=4)
leaf: st.SearchStrategy[Node] = st.one_of(
    st.builds(Leaf, fields, st.builds(Text, folded.map(tuple), st.booleans())),
    st.builds(
        Leaf,
        fields,
        st.builds(Text, st.text("ab", min_size=1, max_size=2).map(lambda t: (Wildcard.ANY, t, Wildcard.ANY))),
    ),
    st.builds(Leaf, fields, st.builds(Regex, regexes)),
)
values = st.recursive(
    st.one_of(texts, st.none(), st.booleans(), st.integers(-3, 3)),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=5,
)


def naive(node: Node, view: EventView) -> bool:
    """The truth of a tree, as its documentation has it."""
    match node:
        case And():
            return all(naive(each, view) for each in node.nodes)
        case Or():
            return any(naive(each, view) for each in node.nodes)
        case Not():
            return not naive(node.node, view)
        case Leaf(field, Text() as text):
            texts = view.texts(field) if text.cased else view.folded(field)
            return any(map(any_text_test([text]), texts))
        case Leaf(field, Regex() as regex):
            found: Callable[[bytes], bool] = regex_test(regex.pattern)
            return any(map(found, view.encoded(field)))
    raise TypeError(node)


class TestTrees:
    """However a tree is compiled, it says the same."""

    @given(trees(leaf), st.dictionaries(st.sampled_from(["f", "g"]), values))
    def test_agree(self, node: Node, raw: dict[str, object]) -> None:
        """Compiled, explained, by the engine, and by definition."""
        subject = event(raw)

        def view() -> EventView:
            return EventView(subject, subject.bindings[0])

        expected = naive(node, view())

        assert engine_matches(node, subject) == expected
        assert compile_test(node)(view()) == expected
        assert (explain(node, view()) is not None) == expected
