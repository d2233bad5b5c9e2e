from __future__ import annotations

import pytest

from detector.config import Limits
from detector.parsing.samples import SampleResult, run_samples
from tests.parsing import BUILTIN, parsers_of

RESULTS = list(run_samples(BUILTIN, Limits()))

WORDS = """\
name: words
title: Two words
pattern: '(?P<a>\\w+) (?P<b>\\w+)'
recognize: {starts: '\\w+ \\w+$'}
fields: {user.name: a}
samples:
  - title: two
    record: ab cd
    expect: EXPECT
"""


class TestBuiltIn:
    @pytest.mark.parametrize("result", RESULTS, ids=lambda result: f"{result.parser}: {result.title} ({result.format})")
    def test_passes(self, result: SampleResult) -> None:
        """Every sample of a built-in definition becomes what it says."""
        assert result.differences == ()

    def test_kinds(self) -> None:
        """Every format has samples that are good, odd and malformed."""
        for name, definition in BUILTIN.definitions.items():
            assert {sample.kind for sample in definition.samples} == {"good", "odd", "malformed"}, name


class TestRunSamples:
    @pytest.mark.parametrize(
        ("expect", "difference"),
        [
            ("{ecs: {user.name: x}}", "ecs user.name: expected 'x', found 'ab'"),
            ("{ecs: {user.id: x}}", "ecs user.id: expected 'x', found nothing"),
            ("{raw: {b: x}}", "raw b: expected 'x', found 'cd'"),
            ("{absent: [user.name]}", "ecs user.name: expected nothing, found 'ab'"),
            ("{time: '2024-01-01T00:00:00Z'}", "time: expected 2024-01-01T00:00:00Z, found None"),
            ("{format: raw}", "format: expected raw, found words"),
            ("{flags: [x]}", "flags: expected ('x',), found ()"),
            ("{logsources: [{product: x}]}", "logsources: expected */x/*, found none"),
            ("[{}, {}]", "events: expected 2, found 1"),
            ("{}\n    failures: [unparsed]", "failures: expected ('unparsed',), found ()"),
        ],
    )
    def test_differences(self, expect: str, difference: str) -> None:
        """A sample that becomes something else says what was expected and what was found."""
        results = list(run_samples(parsers_of(WORDS.replace("EXPECT", expect)), Limits()))

        assert [(result.format, result.differences) for result in results] == [
            ("words", (difference,)),
            ("auto", (difference,)),
        ]
