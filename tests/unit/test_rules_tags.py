"""The built-in rules' references to MITRE ATT&CK."""

from __future__ import annotations

import json
import re

import pytest

from detector.config import Limits
from detector.resources import builtin
from detector.sigma.loading import compile_rules
from detector.sigma.rule import Rule
from detector.sigma.source import read_sources
from tests.corpora import corpus

_SET = compile_rules(read_sources([*map(builtin, ("sigma", "correlations", "anomalies"))], Limits()), limits=Limits())
_RULES = (*_SET.rules, *(each.about for each in _SET.correlations))


@pytest.fixture(scope="module")
def techniques() -> dict[str, dict[str, object]]:
    """ATT&CK's techniques that may be named, by id: `T1110.001`."""
    with corpus("16_attack/techniques.jsonl").open(encoding="utf-8") as file:
        found = [json.loads(line) for line in file]
    return {each["id"]: each for each in found if not each["revoked"] and not each["deprecated"]}


@pytest.fixture(scope="module")
def tactics() -> set[str]:
    """ATT&CK's tactics by short name: `initial-access`."""
    with corpus("16_attack/tactics.jsonl").open(encoding="utf-8") as file:
        found = [json.loads(line) for line in file]
    return {each["shortname"] for each in found if not each["revoked"] and not each["deprecated"]}


@pytest.mark.parametrize("rule", _RULES, ids=lambda rule: rule.title)
class TestTags:
    """The tags of each rule."""

    def test_names_a_technique_and_a_tactic(self, rule: Rule) -> None:
        """Each rule says what an attacker does by it, and why."""
        assert rule.techniques
        assert rule.tactics

    def test_exist(self, rule: Rule, techniques: dict[str, dict[str, object]], tactics: set[str]) -> None:
        """Each tag is one of ATT&CK's, neither revoked nor deprecated."""
        unknown = [each for each in rule.techniques if each not in techniques]
        unknown += [each for each in rule.tactics if each not in tactics]

        assert unknown == []

    def test_tactics_are_those_of_the_techniques(
        self, rule: Rule, techniques: dict[str, dict[str, object]], tactics: set[str]
    ) -> None:
        """A rule claims no tactic that none of its techniques serves."""
        served = {tactic for each in rule.techniques for tactic in techniques[each]["tactics"]}  # type: ignore[attr-defined]

        assert set(rule.tactics) <= served


@pytest.mark.parametrize("rule", _RULES, ids=lambda rule: rule.title)
class TestDocumentation:
    """What a rule says of itself."""

    def test_is_complete(self, rule: Rule) -> None:
        """Each rule has a fixed id, a description, a reference, a date, fields and false positives."""
        assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", rule.id or "")
        assert rule.description
        assert all(reference.startswith("https://") for reference in rule.references)
        assert rule.references
        assert rule.date
        assert rule.fields or rule in {each.about for each in _SET.correlations}
        assert rule.falsepositives
