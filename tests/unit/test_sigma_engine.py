"""The engine against the plain evaluator: the same answer on everything, whatever is switched off."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from detector.events import Binding, Event, LogSource
from detector.sigma.engine import Engine, Options
from detector.sigma.engine import program as program_module
from detector.sigma.engine.lowering import MAX_NEEDLE
from detector.sigma.engine.program import Program
from detector.sigma.engine.warm import warm
from detector.sigma.fields import KEYWORDS, EventView
from detector.sigma.folding import fold
from detector.sigma.nodes import (
    And,
    Cidr,
    Compare,
    Exists,
    FieldRef,
    Leaf,
    Node,
    Not,
    Null,
    Operator,
    Or,
    Regex,
    Text,
    Wildcard,
)
from detector.sigma.reference import compile_test
from detector.sigma.values import TimePart
from tests.sigma import engine_answers, event, load, matches, rule_text

ANY, ONE = Wildcard.ANY, Wildcard.ONE
EVERYTHING_OFF = Options(witnesses=False, in_order_of_cost=False, guards=False)
SWITCHES = [
    Options(),
    Options(witnesses=False),
    Options(in_order_of_cost=False),
    Options(guards=False),
    EVERYTHING_OFF,
]

FIELDS = ["f", "g", "a.b", "alias", KEYWORDS]
ALIASES = {"alias": ("raw:f", "e.x", "raw:none")}
ALPHABET = "abAB/?*\\ .é\u212ak\u017f\ud800\n0"  # the Kelvin sign folds to k, U+017F to s; a surrogate alone

needles = st.one_of(
    st.text(ALPHABET.replace("\ud800", ""), min_size=1, max_size=6),  # which YAML does not take
    st.sampled_from(["a" * MAX_NEEDLE, "a" * (MAX_NEEDLE + 1), "ab" * MAX_NEEDLE, "é" * MAX_NEEDLE]),
)
regexes = st.lists(
    st.sampled_from(
        [
            *(
                "a",
                "b",
                ".",
                "a*",
                "[ab]+",
                "^",
                "$",
                r"\.",
                "a|b",
                "(?i:A)",
                "b?",
                r"\n",
                "(ab)+",
                r"\bb",
                "k",
                "(?i:k)",
            ),
            *(
                "a{2}",
                "(?:ab|ba){2,}",
                "[^a]",
                r"\d",
                r"\s+",
                r"\?",
                "é",
                "a{3,7}",
                "[ab]{9}",
                "a{8,}b",
                "(?i:[k\u212a]{8})",
                "(?:a|b|é|/)",
                "[a-f]",
                "a{70}",
                "b+?",
            ),
        ]
    ),
    min_size=1,
    max_size=4,
).map("".join)


def patterns(cased: bool) -> st.SearchStrategy[Text]:
    """Texts with wildcards, as the loader makes them: never two literals or two `*` in a row."""

    def text(parts: list[str | Wildcard]) -> Text:
        normal: list[str | Wildcard] = []
        for part in parts:
            if isinstance(part, str):
                literal = part if cased else fold(part)
                if normal and isinstance(normal[-1], str):
                    normal[-1] += literal
                else:
                    normal.append(literal)
            elif part is ONE or normal[-1:] != [ANY]:
                normal.append(part)
        return Text(tuple(normal), cased)

    return st.lists(st.one_of(needles, st.just(ANY), st.just(ANY), st.just(ONE)), max_size=4).map(text)


matchers = st.one_of(
    st.booleans().flatmap(patterns),
    st.booleans().flatmap(patterns),
    st.builds(Regex, regexes),
    st.builds(Compare, st.sampled_from(Operator), st.integers(-2, 5)),
    st.builds(Compare, st.sampled_from(Operator), st.integers(0, 3), st.sampled_from(TimePart)),
    st.sampled_from(["10.0.0.0/8", "::/0"]).map(ip_network).map(Cidr),
    st.builds(FieldRef, st.sampled_from(FIELDS[:3]), st.booleans(), st.booleans(), st.booleans()),
    st.just(Null()),
    st.builds(Exists, st.booleans()),
)
leaf_nodes: st.SearchStrategy[Node] = st.builds(Leaf, st.sampled_from(FIELDS), matchers)
trees = st.recursive(
    leaf_nodes,
    lambda inner: st.one_of(
        inner.map(Not),
        st.lists(inner, max_size=4).map(tuple).map(And),
        st.lists(inner, max_size=4).map(tuple).map(Or),
        inner.map(lambda node: And((node, Or((node, Not(node)))))),  # the same object in several places
    ),
    max_leaves=8,
)
texts = st.one_of(
    st.text(ALPHABET, max_size=12),
    st.sampled_from(
        [
            "",
            "10.1.2.3",
            "2024-01-02T03:01:00Z",
            "a" * 300,
            "aB" * 5,
            "K\u212a" * 4,
            "ab" * 5000,
            "5",
            "true",
            "None",
            "é" * 70,
        ]
    ),
)
values = st.recursive(
    st.one_of(texts, texts, st.none(), st.booleans(), st.integers(-3, 6), st.sampled_from([5.0, 0.5, 2**70, 1e22])),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from("bxy"), inner, max_size=2)),
    max_leaves=4,
)
events = st.builds(
    lambda raw, ecs, line: event(raw, ecs=ecs, line=line, aliases=ALIASES),
    st.dictionaries(st.sampled_from(["f", "g", "a", "a.b"]), values, max_size=4),
    st.dictionaries(st.sampled_from(["f", "g", "e.x"]), st.one_of(texts, st.lists(texts, max_size=2)), max_size=2),
    st.one_of(st.none(), st.binary(max_size=8)),
)


def plain_answers(conditions: list[Node], subjects: list[Event]) -> list[list[bool]]:
    """Which trees are true of which events, by the plain evaluator."""
    tests = [compile_test(condition) for condition in conditions]
    views = [EventView(subject, subject.bindings[0]) for subject in subjects]
    return [[test(view) for test in tests] for view in views]


class TestAgreement:
    """The same answers as the plain evaluator."""

    @given(st.lists(trees, min_size=1, max_size=6), st.lists(events, min_size=1, max_size=5))
    def test_all(self, conditions: list[Node], subjects: list[Event]) -> None:
        """Whatever the rules, the events and the switches are."""
        expected = plain_answers(conditions, subjects)

        for options in SWITCHES:
            assert engine_answers(conditions, subjects, options) == expected

    @given(
        st.lists(st.text("ab\u212ak", min_size=1, max_size=5), min_size=1, max_size=40),
        st.lists(st.text("abAKk"), max_size=4),
    )
    def test_short_needles(self, wanted: list[str], found: list[str]) -> None:
        """Texts of one byte and more, in each place of a value, many of them at once."""
        conditions: list[Node] = [
            Leaf("f", Text(parts))
            for needle in map(fold, wanted)
            for parts in ((needle,), (needle, ANY), (ANY, needle), (ANY, needle, ANY))
        ]
        subjects = [event({"f": text}) for text in found]

        assert engine_answers(conditions, subjects) == plain_answers(conditions, subjects)

    @given(
        st.lists(st.one_of(needles, st.just(ANY), st.just(ONE)), max_size=4), st.lists(texts, max_size=3), st.booleans()
    )
    @example(["?", ONE], ["\ud800b"], False)
    def test_patterns(self, parts: list[str | Wildcard], found: list[str], cased: bool) -> None:
        """Wildcards in each place, on values of any kind."""
        folded = tuple(part if cased or isinstance(part, Wildcard) else fold(part) for part in parts)
        conditions: list[Node] = [Leaf("f", Text(folded, cased))]
        subjects = [event({"f": found})]

        assert engine_answers(conditions, subjects) == plain_answers(conditions, subjects)


class TestBugsOfOthers:
    """What broke in other engines that look for texts first and run rules afterwards."""

    def test_negation(self) -> None:
        """`selection or not filter` is true where neither text is there."""
        detection = {"selection": {"f": "one"}, "filter": {"f": "two"}, "condition": "selection or not filter"}

        assert [matches(detection, {"f": value}) for value in ("one", "two", "three")] == [True, False, True]
        assert matches(detection, {})

    def test_double_negation(self) -> None:
        """`not not selection` is the selection."""
        detection = {"s": {"f|contains": "needle"}, "condition": "not (not s)"}

        assert matches(detection, {"f": "a needle"})
        assert not matches(detection, {"f": "hay"})

    def test_cased(self) -> None:
        """A cased text is compared with the value as it stands, not with the folded one."""
        assert matches({"s": {"f|contains|cased": "NeeDle"}}, {"f": "a NeeDle"})
        assert not matches({"s": {"f|contains|cased": "NeeDle"}}, {"f": "a needle"})
        assert matches({"s": {"f|contains|cased": "É"}}, {"f": "É"})

    @pytest.mark.parametrize("value", [["x", "needle"], [["x"], ["needle"]], ("needle",), {"k": "needle"}])
    def test_collections(self, value: Any) -> None:
        """Elements of arrays, arrays in arrays and the text of objects are looked through."""
        assert matches({"s": {"f|contains": "needle"}}, {"f": value})

    @pytest.mark.parametrize(
        ("value", "text"), [(5, "5"), (5.0, "5"), (True, "true"), (-1.5, "-1.5"), (2**63, str(2**63))]
    )
    def test_numbers(self, value: Any, text: str) -> None:
        """Numbers and booleans are looked for as texts."""
        assert matches({"s": {"f": text}}, {"f": value})
        assert matches({"s": {"f|contains": text}}, {"f": [value]})

    @pytest.mark.parametrize("needle", ["a", "-", "ab", "é", "abc"])
    def test_short(self, needle: str) -> None:
        """Texts too short for a gram of the usual size are found."""
        detection = {"s": {"f|contains": needle}}

        assert [
            matches(detection, {"f": f"{before}{needle}{after}"}) for before in ("", "xy") for after in ("", "xy")
        ] == [True] * 4
        assert not matches(detection, {"f": "xyz"})

    def test_needle_in_needle(self) -> None:
        """A text inside another one, and texts that overlap, are all found."""
        conditions: list[Node] = [Leaf("f", Text((ANY, text, ANY))) for text in ("abcd", "bcde", "abcdef", "cd", "bcd")]

        assert engine_answers(conditions, [event({"f": "xabcdefx"})]) == [[True] * 5]

    def test_absent(self) -> None:
        """Rules that ask for an absent field or null run on events without any of their texts."""
        assert matches({"s": {"f": None}}, {})
        assert matches({"s": {"f": None}}, {"f": None})
        assert matches({"s": {"f|exists": False}}, {"g": "x"})
        assert not matches({"s": {"f": None}}, {"f": ""})
        assert not matches({"s": {"f": None}}, {"f": []})

    def test_long_needle(self) -> None:
        """Of a text longer than the kernels look for, all is compared."""
        needle = "é" * MAX_NEEDLE

        assert matches({"s": {"f|contains": needle}}, {"f": f"x{needle}x"})
        assert not matches({"s": {"f|contains": needle}}, {"f": f"x{needle[:-1]}x"})


class TestProgram:
    """How rules are laid out."""

    def test_hits_overflow(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """More witnesses in a value, and more rules for a row, than there was room for at first."""
        monkeypatch.setattr(program_module, "_HITS_PER_VALUE", 0)
        monkeypatch.setattr(program_module, "_PAIRS_PER_ROW", 0)
        conditions: list[Node] = [Leaf("f", Text((ANY, f"n{n:03}", ANY))) for n in range(200)]
        subjects = [event({"f": "".join(f"n{n:03}" for n in range(row, 200))}) for row in range(100)]

        assert engine_answers(conditions, subjects) == plain_answers(conditions, subjects)

    def test_no_events(self) -> None:
        """No rows, no pairs."""
        rows, rules = Program([Leaf("f", Text(("x",)))]).run([], lambda row: pytest.fail(str(row)))

        assert (len(rows), len(rules)) == (0, 0)

    def test_constant_conditions(self) -> None:
        """Conditions that ask for nothing."""
        assert engine_answers([And(()), Or(()), Not(Or(()))], [event({})]) == [[True, False, True]]

    def test_leaf_asked_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """What several rules ask of the plain evaluator is asked once for each event, and only behind its texts."""
        asked: list[bytes] = []
        from detector.sigma import reference

        def counted(_pattern: str) -> Any:
            def test(text: bytes) -> bool:
                asked.append(text)
                return True

            return test

        monkeypatch.setattr(reference, "regex_test", counted)
        conditions: list[Node] = [Or((Leaf("f", Regex(r"need\w+e")), Leaf("g", Text((f"{n}",))))) for n in range(5)]

        answers = engine_answers(conditions, [event({"f": "hay"}), event({"f": "needle"}), event({"g": "1"})])

        assert asked == [b"needle"]
        assert answers == [[False] * 5, [True] * 5, [False, True, False, False, False]]

    def test_warm(self) -> None:
        """After it, running rules compiles no kernel any more."""
        from detector.sigma.engine import kernels, scan_kernels

        warm()
        named = [*vars(kernels).values(), *vars(scan_kernels).values()]
        compiled = [kernel for kernel in named if hasattr(kernel, "signatures")]
        before = {kernel: len(kernel.signatures) for kernel in compiled}

        engine_answers(
            [Leaf("f", Regex("x")), Leaf("g", Text((ANY, "y")))], [event({"f": "x", "g": ["y", 1]}), event({})]
        )

        assert {kernel: len(kernel.signatures) for kernel in compiled} == before
        assert all(before[kernel] for kernel in (scan_kernels.scan, kernels.candidates, kernels.run))


class TestEngine:
    """Rules by the log sources of each event."""

    WINDOWS, LINUX = LogSource("process_creation", "windows"), LogSource("process_creation", "linux")

    def rules(self) -> Any:
        return load(
            rule_text({"s": {"f": "x"}}, logsource={"category": "process_creation"}, title="any"),
            rule_text({"s": {"f": "x"}}, logsource={"product": "windows"}, title="windows"),
            rule_text({"s": {"f": "x"}}, logsource={"product": "linux"}, title="linux"),
            rule_text(
                {"s": {"g": None}}, logsource={"category": "process_creation", "product": "windows"}, title="null"
            ),
        )

    def test_bound(self) -> None:
        """A rule runs on an event if one of the event's log sources declares all that it names."""
        subjects = [
            event({"f": "x"}, logsources=logsources)
            for logsources in ([self.WINDOWS], [self.LINUX], [], [self.LINUX, self.WINDOWS], [LogSource("dns")])
        ]

        found = self.rules().matching(subjects)

        assert [[rule.title for rule, _ in each] for each in found] == [
            ["any", "windows", "null"],
            ["any", "linux"],
            [],
            ["any", "windows", "linux", "null"],
            [],
        ]

    def test_first_log_source(self) -> None:
        """A match is seen through the first log source of the event through which it is one."""
        bindings = (
            Binding(self.LINUX, {"f": ("raw:other",)}),
            Binding(self.WINDOWS),
            Binding(LogSource("process_creation", "macos")),
        )
        subject = Event(0, 0, {"f": "x"}, {}, b"{}", "test", bindings)

        (found,) = self.rules().matching([subject])

        assert [(rule.title, view.binding.logsource) for rule, view in found] == [
            ("any", self.WINDOWS),
            ("windows", self.WINDOWS),
            ("null", self.WINDOWS),
        ]
        assert all(
            rule.explain((view,)) == rule.explain(views)
            for rule, views in self.rules().bound_to(subject)
            for view in [v for r, v in found if r.title == rule.title]
        )

    def test_batches(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """However the events are cut, each has its own rules, in the order of the rule set."""
        from detector.sigma import engine as engine_module

        monkeypatch.setattr(engine_module, "ROWS", 3)
        subjects = [event({"f": "xy"[row % 2]}, logsources=[self.WINDOWS]) for row in range(10)]

        found = self.rules().matching(subjects)

        assert [[rule.title for rule, _ in each] for each in found] == [["any", "windows", "null"], ["null"]] * 5

    def test_many_log_sources(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Log sources without end, as a hostile topic might invent them, take no memory without end."""
        from detector.sigma import engine as engine_module

        monkeypatch.setattr(engine_module, "MAX_PROGRAMS", 4)
        engine = Engine(self.rules().rules)
        subjects = [event({"f": "x"}, logsources=[LogSource("process_creation", f"{n}")]) for n in range(20)]

        found = engine.matching(subjects)

        assert [[rule.title for rule, _ in each] for each in found] == [["any"]] * 20
        assert len(engine._programs) <= 4

    def test_prepare(self) -> None:
        """Compiling ahead leaves nothing to compile for the log sources of the rules."""
        engine = Engine(self.rules().rules)
        engine.prepare()
        before = dict(engine._programs)

        engine.matching([event({"f": "x"}, logsources=[self.WINDOWS])])

        assert engine._programs == before
