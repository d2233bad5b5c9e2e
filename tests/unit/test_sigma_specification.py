"""Sigma 2.1's checklist, line by line: each is supported, or refused with a message that helps.

Modifiers, conditions, fields and wildcards have tests of their own, where their lines are tested in depth.
"""

from __future__ import annotations

import time
from typing import Any

import pytest
from sigma.modifiers import modifier_mapping

from detector.config import Level
from detector.events import LogSource
from tests.corpora import corpus
from tests.sigma import HEAD, asks, load, matches, refusal, rule, rule_text

ID = "12345678-1234-4234-8234-123456789abc"
DETECTION = "detection:\n  s: {f: a}\n  condition: s\n"

RELATIONS = ("derived", "obsolete", "merged", "renamed", "similar")

MODIFIERS: dict[str, tuple[Any, Any, Any]] = {
    # modifier chain: value of the rule, value of a field that it matches, of one that it does not
    "all": (["a", "A"], "a", "b"),
    "startswith": ("a", "Ab", "ba"),
    "endswith": ("a", "bA", "ab"),
    "contains": ("a", "bAb", "b"),
    "exists": (True, "", ...),
    "cased": ("a", "a", "A"),
    "neq": ("a", "b", "A"),
    "windash": ("-a", "/a", "a"),
    "re": ("a.c", "xabcx", "ABC"),
    "re|i": ("a", "A", "b"),
    "re|ignorecase": ("a", "A", "b"),
    "re|m": ("^b", "a\nb", "ab"),
    "re|multiline": ("^b", "a\nb", "ab"),
    "re|s": ("a.b", "a\nb", "ab"),
    "re|dotall": ("a.b", "a\nb", "ab"),
    "base64": ("abc", "YWJj", "abc"),
    "base64offset|contains": ("foobar", "AGZvb2Jhcg", "foobar"),
    "utf16le|base64": ("é", "6QA=", "w6k="),
    "utf16be|base64": ("é", "AOk=", "6QA="),
    "utf16|base64": ("é", "//7pAA==", "6QA="),
    "wide|base64": ("é", "6QA=", "w6k="),
    "lt": (5, 4, 5),
    "lte": (5, "5.0", 6),
    "gt": (5, 6, 5),
    "gte": (5, 5, "x"),
    "minute": (4, "2024-02-01T03:04:05Z", "2024-02-01T03:05:05Z"),
    "hour": (3, "2024-02-01T03:04:05+05:00", "2024-02-01T04:04:05Z"),
    "day": (1, "2024-02-01T03:04:05Z", "2024-02-02T03:04:05Z"),
    "week": (5, "2024-02-01T03:04:05Z", "2024-02-08T03:04:05Z"),
    "month": (2, "2024-02-01T03:04:05Z", "2024-03-01T03:04:05Z"),
    "year": (2024, "2024-02-01T03:04:05Z", "2025-02-01T03:04:05Z"),
    "cidr": ("2001:db8::/32", "2001:DB8::1", "2001:db9::1"),
    "expand": ("%admins%", "root", "eve"),
    "fieldref": ("g", "OTHER", "else"),
}


class TestDocument:
    """Keys beside the detection."""

    @pytest.mark.parametrize(
        "text",
        [
            *(f"related: [{{id: {ID}, type: {kind}}}]" for kind in RELATIONS),
            *(f"status: {status}" for status in ("stable", "test", "experimental", "deprecated", "unsupported")),
            *(f"level: {level}" for level in Level),
            *(f"taxonomy: {taxonomy}" for taxonomy in ("sigma", "ecs")),
            "license: MIT",
            "scope: [server]",
            "author: Somebody",
            "references: ['https://example.com']",
            "falsepositives: [Tests]",
            "fields: [f]",
            "date: 2024-02-01",
            "modified: 2024-02-01",
            "name: a_rule",
            "own_key: {of: [any, kind]}",
            "tags: [attack.t1059.001, attack.initial-access, car.2016-04-005, cve.2024-1, own.x]",
            "tags: [detection.emerging-threats, stp.3k, d3fend.d3-am, tlp.red]",
        ],
    )  # fmt: skip
    def test_supported(self, text: str) -> None:
        """All keys of the specification, and keys of one's own, load."""
        assert load(f"{HEAD}{text}\n{DETECTION}").refused == ()

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("related: [{id: x, type: derived}]", "UUID"),
            (f"related: [{{id: {ID}, type: copied}}]", "copied"),
            ("status: finished", "finished"),
            ("level: none", "none"),
            ("taxonomy: mine", "rename the fields"),
            ("scope: server", "list"),
            ("author: [a]", "string"),
            ("date: 2024-13-01", "yyyy-mm-dd"),
            ("tags: [attack]", "namespace"),
            ("tags: attack.t1059", "list"),
            ("license: 5", "string"),
        ],
    )
    def test_refused(self, text: str, message: str) -> None:
        """What the specification does not allow, with the line."""
        (error,) = load(f"{HEAD}{text}\n{DETECTION}").refused

        assert message in error.message
        assert (error.where, error.code) == ("0.yml:4", "S003")

    def test_title(self) -> None:
        """It is required, and has 256 characters at most."""
        assert "title" in load(HEAD.replace("title: Test\n", "") + DETECTION).refused[0].message
        assert "256" in load(HEAD.replace("Test", "x" * 257) + DETECTION).refused[0].message
        assert load(HEAD.replace("Test", "x" * 256) + DETECTION).refused == ()

    def test_log_source(self) -> None:
        """Any combination, in small letters; `definition` and keys of one's own are not asked for."""
        text = "title: a\nlogsource: {category: Test, service: x, definition: enable it, own: y}\n" + DETECTION

        assert load(text).rules[0].logsource == LogSource("test", None, "x")

    def test_several_documents(self) -> None:
        """Rules and filters of one file, empty documents among them; a broken one costs itself only."""
        filtering = "title: F\nlogsource: {category: test}\nfilter: {rules: any, k: {u: x}, condition: not k}\n"
        text = "---\n".join(["", HEAD + DETECTION, "", "title: broken\n", filtering, HEAD + DETECTION, "..."])

        loaded = load(text)

        assert [tested.document for tested in loaded.rules] == [1, 5]
        assert [error.where for error in loaded.refused] == ["0.yml:10"]
        assert not any(matches(tested, {"f": "a", "u": "x"}) for tested in loaded.rules)

    def test_samples_of_the_specification(self) -> None:
        """Its own minimal rules and filters load."""
        for kind in ("rules", "filter"):
            for file in sorted(corpus("05_sigma/specification").glob(f"tests/schema/{kind}/*.yml")):
                assert load(file.read_text()).refused == (), file.name


class TestModifiers:
    """Every modifier that there is."""

    def test_all(self) -> None:
        """Those of the specification and of pySigma are tested here."""
        named = {name for chain in MODIFIERS for name in chain.split("|")}

        assert named == set(modifier_mapping)

    @pytest.mark.parametrize("chain", MODIFIERS)
    def test_matches(self, chain: str) -> None:
        """Each does what the specification says, asked in every way."""
        value, match, other = MODIFIERS[chain]
        values = {"admins": ["root", "adm*"]}
        tested = rule({"s": {f"f|{chain}": value}}, values=values)

        assert matches(tested, {"f": match, "g": "other"})
        assert not matches(tested, {"g": "other"} if other is ... else {"f": other, "g": "other"})

    @pytest.mark.parametrize(
        ("item", "value", "message"),
        [
            ("f|not", "a", "write `neq`"),
            ("f|equalsfield", "g", "write `fieldref`"),
            ("f|endswithfield", "g", "write `fieldref|endswith`"),
            ("f|Contains", "a", "did you mean `contains`?"),
            ("f|", "a", "is no modifier"),
            ("f|i", "a", "`i` is a flag of regular expressions: write `re|i`"),
            ("f|re|base64", "a", "`base64` cannot follow the modifiers before it"),
            ("f|re|cased", "a", "`cased` cannot follow the modifiers before it"),
            ("f|cidr|contains", "10.0.0.0/8", "`contains` cannot follow the modifiers before it"),
            ("f|gte|hour", 5, "`hour` cannot follow the modifiers before it"),
            ("f|contains|re", "a", "only applicable to unmodified values"),
            ("f|contains|cidr", "10.0.0.0/8", "takes the value as it is"),
            ("f|exists|contains", True, "takes texts"),
            ("f|base64", "a*", "remove the wildcards"),
            ("f|fieldref", "a*", "wildcards"),
            ("f|base64offset|contains", "a", "too short to be found"),
            ("f|windash", "-a -b -c -d", "three"),
            ("f|lt", "5", "takes numbers without quotes"),
            ("f|expand", "%none%", "has no values"),
            ("f|re", "(?<=a)b", "invalid"),
            ("f|re", r"(a)\1", "invalid"),
            ("f", "a" + "?" * 5000, "more than 4096 wildcards"),
            ("f", {"g": "a"}, "write nested fields as `f.NAME`"),
            ("f", [], "the list of values is empty"),
        ],
    )
    def test_refused(self, item: str, value: Any, message: str) -> None:
        """What cannot be meant, with what to write instead."""
        assert message in refusal({"s": {item: value}})

    def test_regex_at_the_ends(self) -> None:
        """`contains`, `startswith` and `endswith` say where an expression stands."""
        assert asks("|re|startswith", "a.", "abc")
        assert not asks("|re|startswith", "b.", "abc")
        assert asks("|re|endswith", "b.", "abc")
        assert asks("|re|contains", "b", "abc")

    def test_what_pysigma_takes_silently(self) -> None:
        """`timeframe` and counting conditions were removed from Sigma: the message names what there is instead."""
        for detection in (
            {"s": {"f": "a"}, "timeframe": "5m"},
            {"s": {"f": "a"}, "condition": "s | count() by f > 5"},
            {"s": {"f": "a"}, "condition": "s | near t"},
        ):
            assert "write a correlation rule" in refusal(detection)


class TestDetection:
    """Selections and conditions."""

    @pytest.mark.parametrize(
        ("detection", "match", "other"),
        [
            ({"s": {"f": "a", "g": "b"}}, {"f": "a", "g": "b"}, {"f": "a"}),
            ({"s": [{"f": "a"}, {"g": "b"}]}, {"g": "b"}, {"g": "a"}),
            ({"s": [[{"f": "a"}, {"g": "b"}], {"h": "c"}]}, {"g": "b"}, {"h": "b"}),
            ({"s": ["key", "word"]}, {"f": "my word"}, {"word": "f"}),
            ({"s": {"|all": ["key", "word"]}}, {"f": "my word", "g": ["the key"]}, {"f": "my word"}),
            ({"s": {"|re": "^w.*d$"}}, {"f": "word"}, {"f": "my word"}),
            ({"s": [5]}, {"f": 5}, {"f": 6}),
            ({"s": {"f": ["a", "b"]}}, {"f": "B"}, {"f": "c"}),
            ({"s": {"f": ""}}, {"f": ""}, {}),
            ({"s": {"f": None}}, {}, {"f": ""}),
            ({"s": {"f": None}, "condition": "not s"}, {"f": ""}, {"f": None}),
            ({"s": {"f": 5}}, {"f": "5"}, {"f": "5.0"}),
            ({"s": {"f": "a"}, "condition": ["s", "not s"]}, {"f": "b"}, ...),
            ({"s_1": {"f": "a"}, "s_2": {"g": "b"}, "condition": "any of s_*"}, {"g": "b"}, {}),
            ({"s": {"f": "a"}, "_t": {"g": "b"}, "condition": "all of them"}, {"f": "a"}, {"g": "b"}),
            ({"s-1": {"f": "a"}, "condition": "s-1"}, {"f": "a"}, {}),
            ({"a": {"f": "a"}, "b": {"f": "b"}, "condition": "a or b and not\n a"}, {"f": "b"}, {"f": "c"}),
        ],
    )  # fmt: skip
    def test_supported(self, detection: dict[str, Any], match: dict[str, Any], other: Any) -> None:
        """Maps, lists, keywords, values and conditions mean what the specification says."""
        assert matches(detection, match)
        assert other is ... or not matches(detection, other)

    @pytest.mark.parametrize(
        ("condition", "message"),
        [
            ("2 of s*", "write `1 of`, `any of` or `all of`"),
            ("1 of t*", "matches no selection"),
            ("t", "is no selection"),
            ("S", "did you mean `s`?"),
            ("s AND s", "write `and`"),
            ("s && s", "write `and`"),
            ("s || s", "write `or`"),
            ("!s", "write `not`"),
            ("s.x", "names of selections have"),
            ("(s", "`)`"),
            ("", "ends where"),
        ],
    )
    def test_refused(self, condition: str, message: str) -> None:
        """What cannot be read, with what to write instead."""
        assert message in refusal({"s": {"f": "a"}, "condition": condition})


class TestHostileInMilliseconds:
    """The worst that a file of the allowed size holds is refused, or loaded, at once."""

    @pytest.mark.parametrize(
        "detection",
        [
            "  s:\n    f: [" + "a," * 200_000 + "]\n  condition: s",
            "  s:\n    f|windash: ['" + "-a " * 3 + "'," + "'-a -b -c'," * 30_000 + "]\n  condition: s",
            "  s: {f: '" + "?" * 400_000 + "'}\n  condition: s",
            "  s: {f|contains: '" + "*a" * 200_000 + "'}\n  condition: s",
            "  s: {f|re: '" + "(" * 400_000 + "'}\n  condition: s",
            "  s: {f|re: '(a+)+$'}\n  condition: " + "(" * 200_000 + "s",
            "  s: {f: a}\n  condition: [" + "s," * 100_000 + "]",
            "  s: {" + "a|" * 200_000 + ": b}\n  condition: s",
            "  s: {" + ".".join("a" * 200_000) + ": b}\n  condition: s",
        ],
        ids=lambda text: repr(text[:24]),
    )
    def test_refused(self, detection: str) -> None:
        """With file and line, at the cost of reading it."""
        started = time.thread_time()
        loaded = load(f"{HEAD}detection:\n{detection}\n", rule_text({"s": {"f": "a"}}))
        spent = time.thread_time() - started

        assert len(loaded.rules) == 1
        assert loaded.refused[0].where.startswith("0.yml:")
        assert spent < 1.0

    def test_redos(self) -> None:
        """Nested quantifiers take time linear in the text."""
        tested = rule({"s": {"f|re": "(a+)+$", "g|re|i": "^(([a-z])+.)+[A-Z]([a-z])+$"}})
        started = time.thread_time()

        assert not matches(tested, {"f": "a" * 100_000 + "b", "g": "a" * 100_000})
        assert time.thread_time() - started < 1.0
