from __future__ import annotations

import itertools

import orjson
import pytest

from detector.alerts.threat import TACTICS, level_of, threat_score
from detector.config import Level
from tests.alert_samples import alert_message, event, rule


class TestScore:
    def test_is_the_documented_formula(self) -> None:
        """A high rule that is experimental and about exfiltration: 70 * 85 % + 10, and 15 more if it is listed."""
        one = rule(level=Level.HIGH, status="experimental", tactics=("discovery", "exfiltration"))

        assert (threat_score(one), threat_score(one, listed=True)) == (69, 84)

    def test_is_bounded(self) -> None:
        """Whatever comes together, the score is from 0 to 100."""
        scores = [
            threat_score(rule(level=level, status=status, tactics=(tactic,)), listed=listed)
            for level, status, tactic, listed in itertools.product(
                Level, ("stable", "unsupported", None), (*TACTICS, "unheard-of"), (True, False)
            )
        ]

        assert min(scores) >= 0
        assert max(scores) == 100

    @pytest.mark.parametrize(
        ("score", "level"), [(100, "critical"), (85, "critical"), (84, "high"), (19.9, "informational")]
    )
    def test_level(self, score: float, level: str) -> None:
        """Each level begins at its least score."""
        assert level_of(score) == Level(level)

    def test_stable_rules_keep_their_level(self) -> None:
        """What a stable rule says of its level is the alert's threat level, if no tactic raises it."""
        levels = [level_of(threat_score(rule(level=level, status="stable", tactics=()))) for level in Level]

        assert levels == list(Level)


class TestAlert:
    def test_has_score_and_level(self) -> None:
        """Both are in the alert; threat intelligence about the event raises them."""
        plain = orjson.loads(alert_message().value or b"")
        listed = orjson.loads(
            alert_message(event=event(ecs={"source.ip": "192.0.2.1", "threat.indicator.ip": "192.0.2.1"})).value or b""
        )

        assert (plain["threat_score"], plain["threat_level"]) == (74, "high")
        assert (listed["threat_score"], listed["threat_level"]) == (89, "critical")
