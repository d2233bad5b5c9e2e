from __future__ import annotations

import pytest

from tests.bench import accuracy
from tests.corpora import corpus

LEAST = {
    "crowdsec": 0.97,
    "grok": 0.95,
    "access_log": 1.0,
    "cloud_recognized": 1.0,
    "samples_recognized": 1.0,
    "noise_rejected": 0.98,
    "maxmind": 1.0,
}


class TestAccuracy:
    def test_figures(self, capsys: pytest.CaptureFixture[str]) -> None:
        """Each figure is at least what is promised, of as many values as are in scope."""
        corpus("09_crowdsec")

        figures = accuracy.run(short=True)

        assert {name: figure["share"] for name, figure in figures.items() if figure["share"] < LEAST[name]} == {}
        assert figures["crowdsec"]["denominator"] + figures["grok"]["denominator"] == sum(
            map(len, accuracy.read_scope().values())
        )
        assert capsys.readouterr().out.count("not found") < 60
