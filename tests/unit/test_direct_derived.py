"""Slots that are made of others: the same answers as by the parsers, whatever the values are."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from random import Random
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.config import Config, Level
from detector.parsing.direct.ecs_names import names_of
from detector.parsing.registry import Parsers
from detector.parsing.values import SPREADING, TYPES
from detector.pipeline import Pipeline
from detector.reload import load
from detector.sigma.source import RuleSource
from tests import sigmahq
from tests.corpora import corpus
from tests.unit.test_direct import both, taken

FIELDS_OF_EACH = 10
ASKED = (
    "|contains: a",
    ": ''",
    ": null",
    "|exists: true",
    "|gte: 7",
    "|re: '[a-z]{3}'",
    "|startswith: '/'",
    "|cased: A",
)
VALUES = [
    *("", "a", "A é"),
    *("/a/../b?c=%41+b", "http://u@host:80/x//y?z", "host:443", "10.0.0.1", "::ffff:10.0.0.1", "[::1]:8"),
    *("GET /a?b HTTP/1.1", "GET", "80", "007", "-5", "9" * 20, "true", "DOMAIN\\user", "MD5=AB,SHA256="),
    *('x"y\\z\n', "\x01"),
    *("%zz%c3", "DENY", "SUCCESS", "Failure", "a,b", "{", '{"a": 1}', "SigninLogs", "-", "*", "null", "\U0001f600"),
    *(0, 7, -1, 80, 1.5, 1.50, 0.00001, 2**40, True, False, None, [], {}, ["a", None], {"a": "é/"}, [{"a": 1.0}]),
]  # fmt: skip


def rules_of(parsers: Parsers) -> Iterator[RuleSource]:
    """Rules that ask for a few fields of each format's log sources, each in another way."""
    random = Random(1)
    for name, parser in parsers.json.items():
        fields = [
            each
            for made, alternatives in parser.definition.fields.items()
            for alternative in alternatives
            for each in names_of(made, alternative.type)
        ]
        for number, binding in enumerate(parser.declared[:3]):
            asked = sorted({*fields, *binding.aliases})
            for field in random.sample(asked, min(len(asked), FIELDS_OF_EACH)):
                how = random.choice(ASKED)
                parts = {part: getattr(binding.logsource, part) for part in ("category", "product", "service")}
                source = json.dumps({part: value for part, value in parts.items() if value})
                name_of, value = how.split(":", 1)
                selection = f"s: {{'{field}{name_of}': {value}}}"
                text = f"title: x\nlogsource: {source}\ndetection: {{{selection}, condition: s}}\n"
                yield RuleSource(f"{name}_{number}_{field}.yml", text.encode())


@pytest.fixture(scope="module")
def pipeline() -> Pipeline:
    """With rules that ask for much of what parsers make."""
    spec, _ = load(Config())
    parsers = Pipeline(replace(spec, rules=(), sha="")).parsers
    made = Pipeline(replace(spec, rules=tuple(rules_of(parsers)), min_level=Level.INFORMATIONAL, sha=""))
    assert not made.rules.refused
    return made


def mutated(value: Any, random: Random, share: float) -> Any:
    """A record with some of its values replaced."""
    if isinstance(value, dict):
        return {key: mutated(member, random, share) for key, member in value.items()}
    if random.random() < share:
        return random.choice(VALUES)
    return [mutated(element, random, share) for element in value] if isinstance(value, list) else value


def samples(parsers: Parsers) -> list[dict[str, Any]]:
    """The objects among the samples of the formats."""
    records = [sample.record for parser in parsers.json.values() for sample in parser.definition.samples]
    return [record for record in records if isinstance(record, dict)]


class TestAgreement:
    """The same answers with the lane and without."""

    @settings(max_examples=15, deadline=None)
    @given(st.integers(0, 1 << 32))
    def test_mutated(self, pipeline: Pipeline, seed: int) -> None:
        """Of samples of all formats with other values, written closely or not."""
        random = Random(seed)
        values = []
        for record in random.sample(samples(pipeline.parsers), 30):
            made = mutated(record, random, 0.2)
            closely = random.random() < 0.7
            text = json.dumps(
                made, ensure_ascii=random.random() < 0.3, separators=(",", ":") if closely else None
            ).encode()
            others = [mutated(record, random, 0.1) for _ in range(2)]
            values += [text, *(orjson.dumps(other) for other in others)]

        direct, plain = both(pipeline, values)

        assert direct == plain

    def test_corpora(self) -> None:
        """Of all rules of SigmaHQ on the records of clouds, of which nearly all take the lane."""
        with corpus("11_cloudtrail/stratus_red_team.jsonl").open("rb") as file:
            values = [line.strip() for line in file]
        with corpus("04_panther/panther_all.jsonl").open() as file:
            values += [orjson.dumps(record.get("event", record)) for record in map(json.loads, file)]

        direct, plain = both(sigmahq.pipeline(), values)

        assert direct == plain
        assert taken(sigmahq.pipeline(), values) > len(values) * 0.95


class TestNames:
    """The names that types fill in."""

    @pytest.mark.parametrize("kind", sorted(SPREADING - {"structured_data"}))
    def test_all(self, kind: str) -> None:
        """A type gives no other names than those that are listed for it."""
        for value in [*VALUES, 13]:
            ecs: dict[str, object] = {}
            if value is not None:
                TYPES[kind]("a.b")(value, ecs)

            assert ecs.keys() <= set(names_of("a.b", kind))
