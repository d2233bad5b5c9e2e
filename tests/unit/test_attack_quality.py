"""Whom the built-in rules and correlations flag in others' logs."""

from __future__ import annotations

from tests.bench.attacks import run
from tests.corpora import corpus


def test_right_addresses() -> None:
    """In nine of ten attack logs of the frozen scope each attacker is flagged, and nobody else in any; and hardly
    anybody on an ordinary site.
    """
    corpus("09_crowdsec/scenarios.jsonl")
    corpus("08_access_logs/elastic_apache_10k.log")

    figures = run(short=False)

    assert figures["right"]["share"] >= 0.9
    assert figures["others"]["count"] == 0
    assert figures["access_log_alerts"]["count"] <= 3
