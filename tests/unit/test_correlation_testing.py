"""Timed cases beside correlations, and those of the built-in ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from detector.config import Config
from detector.correlation.testing import case_results
from detector.resources import builtin
from detector.sigma import testing
from detector.sigma.loading import compile_rules
from detector.sigma.source import read_sources
from tests.parsing import BUILTIN

SETTINGS = Config()
RULE = """\
title: Admin page
name: admin
logsource: {category: webserver}
detection:
  s: {cs-uri-stem|startswith: /admin}
  condition: s
---
title: Often
correlation: {type: event_count, rules: [admin], group-by: [source.ip], timespan: 1m, condition: {gte: 3}}
"""
LINE = '192.0.2.7 - - [10/Oct/2024:13:55:36 +0000] "GET /admin/{n} HTTP/1.1" 200 12 "-" "curl/8"'
FIRES = (
    f"  - name: fires\n    records: [{{at: 0s, times: 3, every: 10s, record: '{LINE}'}}]\n    alerts: [[192.0.2.7]]\n"
)
SILENT = f"  - name: silent\n    records: [{{at: 0s, times: 3, every: 40s, record: '{LINE}'}}]\n    alerts: []\n"


def results(folder: Path, test: str | None, rule: str = RULE) -> list[testing.Result]:
    (folder / "a.yml").write_text(rule)
    if test is not None:
        (folder / "a.test.yml").write_text(test)
    rules = compile_rules(read_sources([folder], SETTINGS.limits), limits=SETTINGS.limits)
    assert not list(testing.test_results(rules, BUILTIN, SETTINGS.limits))
    return list(case_results(rules, BUILTIN, SETTINGS))


def messages(found: list[testing.Result]) -> list[str]:
    return [f"{Path(each.where).name} {each.message}" for each in found if each.message]


class TestCases:
    """Records with times, and what must fire."""

    def test_passes(self, tmp_path: Path) -> None:
        """One case that fires and one that does not: times count, not what the record says."""
        found = results(tmp_path, f"cases:\n{FIRES}{SILENT}")

        assert [(each.name, each.message) for each in found] == [("fires", None), ("silent", None)]

    def test_fails(self, tmp_path: Path) -> None:
        """What should have fired, and what should not have, by place and group."""
        wrong = SILENT.replace("alerts: []", "alerts: [[192.0.2.8]]") + FIRES.replace("[[192.0.2.7]]", "[]")

        found = messages(results(tmp_path, f"cases:\n{wrong}"))

        assert found == [
            "a.test.yml:2 silent: 'Often' must fire for ['192.0.2.8'], but does not",
            "a.test.yml:5 fires: 'Often' must not fire for ['192.0.2.7'], but does",
        ]

    def test_until(self, tmp_path: Path) -> None:
        """A case ends where it says: what would be judged later is not."""
        rule = RULE.replace("condition: {gte: 3}", "condition: {eq: 3}")
        early = FIRES.replace("- name: fires\n", "- name: early\n    until: 30s\n").replace("[[192.0.2.7]]", "[]")

        assert messages(results(tmp_path, f"cases:\n{FIRES}{early}", rule)) == []

    def test_of_another_file(self, tmp_path: Path) -> None:
        """A correlation of one in another file is tested with it, and that one in its own file."""
        other = "title: More\ncorrelation: {type: event_count, rules: [often], timespan: 1h, condition: {gte: 1}}\n"
        (tmp_path / "b.yml").write_text(other + "generate: true\n")
        (tmp_path / "b.test.yml").write_text(f"cases:\n{FIRES}{SILENT}".replace("[[192.0.2.7]]", "[[]]"))
        rule = RULE.replace("title: Often", "title: Often\nname: often")

        assert messages(results(tmp_path, f"cases:\n{FIRES}{SILENT}", rule)) == []

    def test_needs_both(self, tmp_path: Path) -> None:
        """A correlation that fires in no case, or in all, is not tested."""
        assert "in which it does not" in messages(results(tmp_path, f"cases:\n{FIRES}"))[0]

    def test_needs_a_test(self, tmp_path: Path) -> None:
        """One without a file beside it fails."""
        assert "has no test: write a.test.yml with `cases`" in messages(results(tmp_path, None))[0]

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("case: []", "not known here"),
            ("cases: []", "at least two"),
            ("cases: [{name: x}]", "`name`, `records` and `alerts`"),
            ("cases: [{name: x, records: [], alerts: []}]", "must list records"),
            ("cases: [{name: x, records: [{record: x}], alerts: []}]", "has `at` and `record`"),
            ("cases: [{name: x, records: [{at: soon, record: x}], alerts: []}]", "such as `10s`"),
            ("cases: [{name: x, records: [{at: 0s, record: x, times: 99999}], alerts: []}]", "`times`"),
            ("cases: [{name: x, records: [{at: 0s, record: x}], alerts: {Other: [[x]]}}]", "no correlation with"),
            ("cases: [{name: x, records: [{at: 0s, record: x}], alerts: [x]}]", "a group is a list"),
            ("cases: [{name: x, records: [{at: 0s, record: x}], alerts: 5}]", "must list groups"),
        ],
    )
    def test_mistakes(self, tmp_path: Path, text: str, message: str) -> None:
        """What is no case is said, with the line."""
        (found,) = messages(results(tmp_path, text))

        assert message in found
        assert found.startswith("a.test.yml:1 ")


def test_built_in() -> None:
    """Every built-in correlation fires when it should, and not when it should not."""
    folders = [builtin(folder) for folder in ("sigma", "correlations", "anomalies")]
    rules = compile_rules(read_sources(folders, SETTINGS.limits), limits=SETTINGS.limits)

    found = list(case_results(rules, BUILTIN, SETTINGS))

    assert rules.refused == ()
    assert len(rules.correlations) >= 35
    assert messages(found) == []
