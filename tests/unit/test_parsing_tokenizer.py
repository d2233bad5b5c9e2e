"""The tokenizer against RE2: the same groups, or it says that it gave up."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from random import Random

import orjson
import pytest
import re2
from hypothesis import example, given, settings
from hypothesis import strategies as st

from detector.demo.generator import access_lines
from detector.parsing.definition import TextDefinition
from detector.parsing.pattern import Pattern
from detector.parsing.tokenizer import GAVE_UP, NO_MATCH, UNSET, Tokenizer, joined
from detector.parsing.tokenizer.automaton import Automaton
from detector.parsing.tokenizer.syntax import NotLoweredError
from tests.corpora import corpus
from tests.parsing import BUILTIN

TEXTS = [definition for definition in BUILTIN.definitions.values() if isinstance(definition, TextDefinition)]
BY_NAME = {definition.name: definition for definition in TEXTS}
SAMPLES = [
    sample.record.encode()
    for definition in (*TEXTS, *BUILTIN.programs)
    for sample in definition.samples
    if isinstance(sample.record, str)
]

Found = tuple[int, tuple[bytes | None, ...]] | None


def by_tokenizer(tokenizer: Tokenizer, lines: Sequence[bytes]) -> list[Found | int]:
    data, offsets = joined(lines)
    spans = tokenizer.spans(data, offsets[:-1], offsets[1:])
    found: list[Found | int] = []
    for line, status, bounds in zip(lines, spans.status.tolist(), spans.bounds.tolist(), strict=True):
        if status < 0:
            found.append(GAVE_UP if status == GAVE_UP else None)
        else:
            its = bounds[: tokenizer.groups[status]]
            found.append((status, tuple(None if start == UNSET else line[start:end] for start, end in its)))
    return found


def by_re2(expressions: Sequence[str], line: bytes) -> Found:
    for number, expression in enumerate(expressions):
        match = re2.fullmatch(f"(?s:{expression})", line)
        if match:
            return number, match.groups()
    return None


def agree(expressions: Sequence[str], lines: Sequence[bytes]) -> list[Found | int]:
    found = by_tokenizer(Tokenizer(expressions), lines)
    for line, each in zip(lines, found, strict=True):
        assert each == GAVE_UP or each == by_re2(expressions, line), line
    return found


def taken(found: Sequence[Found | int]) -> float:
    return sum(isinstance(each, tuple) for each in found) / len(found)


ATOM = st.sampled_from(
    ["a", "b", "ab", " ", '"', "ö", ".", r"\d", r"\S", r"\s", "[ab]", "[^a ]", r"[^\s\-]", "$", r"\\.", "[[:alpha:]]"]
)


def _group(inner: str) -> str:
    return f"(?P<g>{inner})"


EXPRESSION = st.recursive(
    ATOM,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=4).map("".join),
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: f"(?:{'|'.join(parts)})"),
        st.tuples(inner, st.sampled_from(["*", "+", "?", "*?", "+?", "??", "{2}", "{1,2}", "{0,2}?", "{2,}"])).map(
            lambda pair: f"(?:{pair[0]}){pair[1]}"
        ),
        st.tuples(
            st.sampled_from(["a", ".", "[^a]", r"\S", "[ab]"]), st.sampled_from(["*", "+", "*?", "+?", "{2}"])
        ).map("".join),
        inner.map(_group),
    ),
    max_leaves=12,
)


def numbered(expression: str) -> str:
    """With a name of its own for each group, and one more."""
    parts = expression.split("(?P<g>")
    return "(?P<all>" + "".join(f"{part}(?P<g{n}>" for n, part in enumerate(parts[:-1])) + parts[-1] + ")"


class TestAgainstRe2:
    @settings(max_examples=400)
    @given(
        EXPRESSION.map(numbered),
        st.lists(st.text(alphabet='ab "ö1\\-€', max_size=14).map(str.encode), min_size=1, max_size=20),
    )
    @example("(?P<all>(?:a|ab)(?:c|bcd)?(?P<x>d*))", [b"abcd", b"abcdd"])
    def test_any_expression(self, expression: str, lines: list[bytes]) -> None:
        """What it runs, it runs as RE2 does."""
        try:
            agree([expression], lines)
        except NotLoweredError:
            return

    @settings(max_examples=200)
    @given(
        st.lists(EXPRESSION, min_size=2, max_size=4),
        st.lists(st.text(alphabet='ab "ö1', max_size=8).map(str.encode), min_size=1, max_size=20),
    )
    def test_several_expressions(self, expressions: list[str], lines: list[bytes]) -> None:
        """The first expression that takes a line counts."""
        try:
            agree([numbered(expression) for expression in expressions], lines)
        except NotLoweredError:
            return

    @pytest.mark.parametrize("definition", TEXTS, ids=lambda definition: definition.name)
    def test_samples(self, definition: TextDefinition) -> None:
        """Every built-in pattern on the samples of all formats, and what one typing error makes of them."""
        at_random = Random(definition.name)
        lines = list(SAMPLES)
        for sample in SAMPLES:
            line = bytearray(sample)
            place = at_random.randrange(len(line))
            if line[place] < 128:
                line[place : place + at_random.randrange(2)] = at_random.choice(
                    [b"", b" ", b'"', b"\\", b"-", "ö".encode()]
                )
            lines.append(bytes(line))

        agree([definition.pattern], [line for line in lines if line.decode("utf-8", "replace").encode() == line])

    def test_programs(self) -> None:
        """The messages of programs, on what they write and on parts of it."""
        lines = [line.partition(b": ")[2] for line in SAMPLES]
        for program in BUILTIN.programs:
            agree([message.pattern for message in program.messages], [*lines, *SAMPLES])

    @given(st.lists(st.text(max_size=40) | st.text(alphabet='[]"\\ -09:/ajn', max_size=120), min_size=1, max_size=8))
    def test_noise(self, lines: list[str]) -> None:
        """Any text, also within a line of an access log."""
        encoded = [line.encode() for line in lines]
        framed = [
            b'1.2.3.4 - - [17/May/2024:10:05:03 +0000] "' + line + b'" 200 1 "' + line + b'" "x"' for line in encoded
        ]
        for name in ("apache_combined", "syslog_rfc3164"):
            agree([BY_NAME[name].pattern], encoded + framed)


class TestWhatIsTaken:
    def test_real_access_logs(self) -> None:
        """Nothing of a real access log is left to RE2."""
        lines = corpus("08_access_logs/elastic_apache_10k.log").read_bytes().splitlines()

        assert taken(agree([BY_NAME["apache_combined"].pattern], lines)) == 1

    def test_crowdsec(self) -> None:
        """The lines of other products' tests, by every text format."""
        rows = map(orjson.loads, corpus("09_crowdsec/parsers.jsonl").read_bytes().splitlines())
        lines = [row["line"].encode() for row in rows if isinstance(row.get("line"), str)]
        assert len(lines) > 500
        for definition in TEXTS:
            agree([definition.pattern], lines)

    def test_generated_access_logs(self) -> None:
        """Nothing of the demonstration's lines either."""
        lines = list(access_lines(2_000, 7, 1_717_200_000_000_000))

        assert taken(agree([BY_NAME["apache_combined"].pattern], lines)) == 1

    @pytest.mark.parametrize("name", ["apache_combined", "apache_common", "syslog_rfc3164", "syslog_rfc5424", "auditd"])
    def test_built_in(self, name: str) -> None:
        """The patterns of the formats that come most can be run."""
        assert Pattern(BY_NAME[name].pattern).tokenizer is not None

    def test_huge(self) -> None:
        """A line of megabytes takes time in proportion, whatever it holds."""
        tokenizer = Tokenizer([BY_NAME["apache_combined"].pattern])
        head = b'1.2.3.4 - - [17/May/2024:10:05:03 +0000] "'
        found = by_tokenizer(tokenizer, [head + part * 1_000_000 for part in (b"a", b'"', b'" 2', b'\\"', b"\\")])

        assert all(each in (None, GAVE_UP) for each in found)

    @pytest.mark.parametrize("expression", [r"\bx", "(?i:x)", "[é]", "(?:a*)*", r"\pL", "^x", "x{,2}"])
    def test_refused(self, expression: str) -> None:
        """What it does not know is left to RE2."""
        with pytest.raises(NotLoweredError):
            Tokenizer([expression])


class TestAutomaton:
    @example(["(?:.){2,}"], ["ö".encode()])
    @example(["..+"], ["ö".encode()])
    @settings(max_examples=300, deadline=None)
    @given(
        st.lists(EXPRESSION | EXPRESSION.map("{}$".format), min_size=1, max_size=4),
        st.lists(st.text(alphabet='ab "ö1\\-€', max_size=40).map(str.encode), min_size=1, max_size=20),
    )
    def test_any_expressions(self, expressions: list[str], lines: list[bytes]) -> None:
        """The first expression that the beginning of a line matches, as RE2 does."""
        try:
            automaton = Automaton(expressions)
        except NotLoweredError:
            return
        data, offsets = joined(lines)

        found = automaton.first(data, offsets[:-1], offsets[1:]).tolist()

        for line, number in zip(lines, found, strict=True):
            matching = (place for place, each in enumerate(expressions) if re2.match(f"(?s:{each})", line))
            assert number == next(matching, NO_MATCH), line

    def test_bounded(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """No text makes it learn more than so many steps at once; what it forgets it learns anew."""
        automaton = Automaton(["(?:a|b)*a[ab]{12}$"])
        random = Random(5)
        lines = [bytes(random.choice(b"ab") for _ in range(40)) for _ in range(300)]
        lines += [b"a" + line[:12] + b"c" for line in lines]
        data, offsets = joined(lines)
        monkeypatch.setattr("detector.parsing.tokenizer.automaton.MAX_NEW", 50)

        assert GAVE_UP in automaton.first(data, offsets[:-1], offsets[1:]).tolist()

        monkeypatch.setattr("detector.parsing.tokenizer.automaton.MAX_NEW", 1 << 30)
        monkeypatch.setattr("detector.parsing.tokenizer.automaton.MAX_STATES", 60)
        expressions = ["[ab]{13}c", "(?:a|b)*a[ab]{3}$"]
        small = Automaton(expressions)
        matching = ([n for n, each in enumerate(expressions) if re2.match(each, line)] for line in lines)
        expected = [min(each, default=NO_MATCH) for each in matching]
        assert set(expected) == {0, 1, NO_MATCH}
        assert small.first(data, offsets[:-1], offsets[1:]).tolist() == expected


def test_joined() -> None:
    """Lines on end, also none of them."""
    data, offsets = joined([b"ab", b"", b"c"])

    assert [data[start:end].tobytes() for start, end in pairwise(offsets)] == [b"ab", b"", b"c"]
    assert joined([])[1].tolist() == [0]
