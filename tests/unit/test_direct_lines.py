"""The direct lane on lines of text: whatever they are, the answers of the parsers and the engine without it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.config import Config, Level
from detector.demo.generator import access_lines
from detector.pipeline import Pipeline
from detector.reload import load
from detector.sigma.source import RuleSource
from tests import sigmahq
from tests.unit.test_direct import both, taken
from tests.unit.test_line_lane import VALUE

WEB = """\
logsource: {category: webserver}
detection:
  query: {cs-uri-query|contains: ['q=1', É, ' ', '%41']}
  stem: {cs-uri-stem|endswith: [/, x]}
  absent: {cs-username: null}
  number: {sc-status: [7, 200]}
  size: {sc-bytes|gte: 7}
  network: {c-ip|cidr: [203.0.113.0/24, '2001:db8::/32']}
  expression: {cs-user-agent|re: '^c.*8$'}
  same: {cs-method|fieldref: client}
  keywords: ['+0000] "GET', '"x"']
  condition: CONDITION
"""
CONDITIONS = (
    "query", "stem", "absent", "number", "size", "network", "expression", "same", "keywords",
    "stem and not query", "not (absent or number)", "keywords and expression",
)  # fmt: skip


@pytest.fixture(scope="module")
def pipeline() -> Pipeline:
    """With rules that ask for everything that a line has."""
    spec, _ = load(Config())
    rules = tuple(
        RuleSource(f"{number}.yml", f"title: rule {number}\n{WEB.replace('CONDITION', condition)}".encode())
        for number, condition in enumerate(CONDITIONS)
    )
    made = Pipeline(replace(spec, rules=rules, min_level=Level.INFORMATIONAL, sha=""))
    assert not made.rules.refused
    return made


class TestSameAnswers:
    @settings(max_examples=60, deadline=None)
    @given(st.lists(VALUE | st.none() | st.binary(max_size=40) | st.just(b'{"a": 1}'), min_size=1, max_size=10))
    def test_any_line(self, pipeline: Pipeline, values: list[bytes | None]) -> None:
        """All that a window causes is the same, alerts with all that they say, too."""
        direct, plain = both(pipeline, values)

        assert direct == plain

    def test_generated(self, pipeline: Pipeline) -> None:
        """So it is on the lines of the demonstration, none of which takes the other way."""
        lines = list(access_lines(500, 5, 1_717_200_000_000_000))

        direct, plain = both(pipeline, lines)

        assert direct == plain
        assert taken(pipeline, lines) == len(lines)


class TestSigmaHQ:
    def test_rules_for_web_servers(self) -> None:
        """Of rules that others wrote, on the lines that fire them and on others."""
        spec, _ = load(Config())
        rules = tuple(source for source in sigmahq.sources() if b"category: webserver" in source.text)
        made = Pipeline(replace(spec, rules=rules, min_level=Level.INFORMATIONAL, sha=""))
        attacks = (
            "/?q=../../etc/passwd",
            "/%2e%2e/%2e%2e/etc/passwd",
            "/?id=1+union+select+1",
            "/a?x=${jndi:ldap://x}",
        )
        head, tail = '203.0.113.9 - - [17/May/2024:10:05:03 +0000] "GET ', ' HTTP/1.1" 200 5 "-" "sqlmap/1.0"'
        lines = [f"{head}{url}{tail}".encode() for url in attacks] + list(access_lines(300, 5, 1_717_200_000_000_000))

        direct, plain = both(made, lines)

        assert direct == plain
        assert len(direct) > 4
