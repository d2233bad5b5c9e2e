"""Alerts of anomalies: what was expected, what was seen."""

from __future__ import annotations

from importlib.resources import files

import jsonschema
import orjson
import pytest

from detector.config import Limits
from detector.correlation.alerts import correlation_id, encode_fired
from detector.correlation.anomalies.states import make_anomaly
from detector.correlation.fold import Fired
from detector.correlation.rule import Correlation
from tests.unit.test_anomaly_fold import RULES, STEP, value_of

VALIDATOR = jsonschema.Draft202012Validator(
    orjson.loads(files("detector.alerts").joinpath("schema.json").read_bytes()),
    format_checker=jsonschema.FormatChecker(),
)


def alerts(rule: Correlation) -> list[dict[str, object]]:
    """Those of a steady series with a burst in it."""
    state = make_anomaly(rule)
    steady = [(step, step % 3, 1) for step in range(24)]
    burst = [(40, int(number == 0), (number + 3) % 4) for number in range(9)]
    for offset, (step, kind, value) in enumerate(steady + burst):
        state.add('["x"]', step * STEP, kind % len(rule.rules), value_of(rule, value), ("logs:0", offset, 0))
    return [
        orjson.loads(
            encode_fired(
                Fired(rule, hit, None), at=("s", 0, 0), ruleset_sha="x", detected_at_us=1, limits=Limits()
            ).value
            or b""
        )
        for hit in state.advance(100 * STEP)
    ]


class TestAlerts:
    """Each type's alert."""

    @pytest.mark.parametrize("rule", RULES, ids=lambda rule: str(rule.kind))
    def test_schema(self, rule: Correlation) -> None:
        """It meets the schema, and says what is unlikely about it, and how unlikely."""
        found = alerts(rule)

        assert found
        for alert in found:
            VALIDATOR.validate(alert)
            anomaly = alert["anomaly"]
            assert isinstance(anomaly, dict)
            assert anomaly["text"]
            assert 0 < anomaly["unlikely"] <= 1

    def test_id(self) -> None:
        """A mark is part of it; without one it is that of a correlation."""
        assert correlation_id("r", '["x"]', 5, "FR") != correlation_id("r", '["x"]', 5)
        assert correlation_id("r", '["x"]', 5, "") == correlation_id("r", '["x"]', 5)
