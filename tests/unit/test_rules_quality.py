"""The built-in rules on others' logs: what must not get worse. `python -m tests.bench quality` prints the figures."""

from __future__ import annotations

import pytest

from tests.bench import quality
from tests.corpora import corpus


@pytest.fixture(scope="module")
def rules() -> quality.Rules:
    """The built-in rules; without the corpora the tests are skipped."""
    corpus("03_crs")
    return quality.Rules()


def test_web_attacks_are_found(rules: quality.Rules) -> None:
    """Of the attacks of OWASP CRS that an access log shows, nearly all alert, and few of its other requests."""
    figures = quality.crs(rules)

    assert figures["crs_recall"]["share"] > 0.95
    assert figures["crs_silence"]["share"] > 0.95


def test_an_ordinary_log_is_silent(rules: quality.Rules) -> None:
    """An ordinary site's log raises next to no alert."""
    assert quality.access_log(rules)["access_log_alerts"]["count"] <= 3


def test_every_cloud_technique_is_found(rules: quality.Rules) -> None:
    """Each of Stratus Red Team's techniques raises an alert."""
    assert quality.cloudtrail(rules)["cloudtrail_techniques"]["share"] == 1


def test_cloud_detections_agree_with_others(rules: quality.Rules) -> None:
    """Events that Panther's detections find alert, and those that they pass over do not."""
    figures = quality.panther(rules)

    assert figures["panther_recall"]["share"] > 0.7
    assert figures["panther_silence"]["share"] > 0.9


def test_payloads_are_told_from_harmless_text(rules: quality.Rules) -> None:
    """Injected parameters alert, and what people type into forms does not."""
    figures = quality.payloads(rules, 20)

    assert figures["payloads_sqli_recall"]["share"] > 0.9
    assert figures["payloads_xss_recall"]["share"] > 0.9
    assert figures["payloads_false_positive_rate"]["share"] < 0.02
