"""The risk of addresses: its formula, what is remembered, what alerts tell."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.config import Config, Enrichment, Rules
from detector.enrichment import risk
from detector.enrichment.risk import Memory, Seen, level_of, scores
from detector.pipeline import Pipeline
from detector.reload import load
from tests.unit.test_enrichment import PLAIN, alerts
from tests.unit.test_pipeline import HARMLESS, window

COUNT = st.floats(0, 1e6)
HOUR_US = 3_600_000_000


class TestScores:
    @pytest.mark.parametrize(
        ("intelligence", "points", "events", "failed", "missing", "score"),
        [
            (0, 0, 100, 0, 0, 0),
            (100, 0, 0, 0, 0, 90),
            (50, 0, 0, 0, 0, 45),
            (0, 10, 1, 0, 0, 40),
            (0, 1e9, 1, 0, 0, 80),
            (0, 0, 100, 100, 0, 29),
            (0, 0, 100, 20, 0, 3),
            (0, 0, 100, 0, 20, 25),
            (100, 1e9, 1e9, 1e9, 1e9, 99),
        ],
    )
    def test_formula(
        self, intelligence: float, points: float, events: float, failed: float, missing: float, score: int
    ) -> None:
        """Scores are what the documented formula gives."""
        parts = (intelligence, points, events, failed, missing)

        assert scores(*(np.array([float(each)]) for each in parts)) == [score]

    @given(st.floats(0, 100), COUNT, COUNT, COUNT, COUNT, st.integers(0, 3))
    def test_bounds(
        self, intelligence: float, points: float, events: float, failed: float, missing: float, more: int
    ) -> None:
        """A score is from 0 to 100, and more of anything bad never lowers it."""
        parts = [intelligence, points, events + failed, failed, missing]
        worse = list(parts)
        worse[(0, 1, 3, 4)[more]] += 1
        worse[2] += more == 2
        worse[0] = min(100, worse[0])

        found = scores(*np.array([parts, worse]).T)

        assert 0 <= found[0] <= found[1] <= 100 or more == 2

    def test_levels(self) -> None:
        """Each level begins at its score."""
        assert [level_of(score) for score in (0, 19, 20, 49, 50, 79, 80, 100)] == [
            "low", "low", "medium", "medium", "high", "high", "critical", "critical",
        ]  # fmt: skip


class TestMemory:
    def test_decay(self) -> None:
        """Counts halve with time: as much of them again makes what there was."""
        memory, twin = Memory(3_600), Memory(3_600)
        memory.add(Seen.of([("a", 10, 1, 1, 1)] * 2, 0))
        twin.add(Seen.of([("a", 10, 1, 1, 1)], HOUR_US))

        assert memory.score("a", HOUR_US) == twin.score("a", HOUR_US)
        assert memory.score("a", 1_000 * HOUR_US) == 0
        assert memory.score("b", 0) == 0

    def test_late(self) -> None:
        """What comes late counts as much as if it had come in time."""
        memory, twin = Memory(3_600), Memory(3_600)
        parts = [Seen.of([("a", 10, 1, 0, 0)], time) for time in (0, HOUR_US)]
        for part in parts:
            memory.add(part)
        for part in reversed(parts):
            twin.add(part)

        assert memory.score("a", HOUR_US) == twin.score("a", HOUR_US)

    def test_bounded(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Beyond the limit those are forgotten against whom least is known."""
        monkeypatch.setattr(risk, "MAX_ADDRESSES", 100)
        memory = Memory(3_600)
        memory.add(Seen.of([("bad", 30, 1, 1, 1)], 0))
        for number in range(0, 1_000, 10):
            memory.add(Seen.of([(f"{number + each}", 0, 1, 0, 0) for each in range(10)], number))

        assert len(memory) <= 100
        assert memory.score("bad", 1_000) > 50

    @given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 30), st.integers(0, 10)), max_size=20))
    def test_any_order(self, seen: list[tuple[str, int, int]]) -> None:
        """In whatever order things are seen, the scores are the same."""
        memory, twin = Memory(3_600), Memory(3_600)
        for address, points, hour in seen:
            memory.add(Seen.of([(address, points, 1, 1, 0)], hour * HOUR_US))
        for address, points, hour in reversed(seen):
            twin.add(Seen.of([(address, points, 1, 1, 0)], hour * HOUR_US))

        assert all(abs(memory.score(each, 10 * HOUR_US) - twin.score(each, 10 * HOUR_US)) <= 1 for each in "abc")


class TestAlerts:
    def test_same_in_the_direct_lane(self, tmp_path: Path) -> None:
        """What harmless records tell of their sources is the same whether they become events or not."""
        rule = tmp_path / "a.yml"
        rule.write_text(PLAIN)
        enrichment = Enrichment(risk=True)
        spec, _ = load(Config(rules=Rules(paths=(rule,), builtin=False), enrichment=enrichment))
        trail = {
            "eventVersion": "1.08", "eventTime": "2026-11-24T08:00:00Z", "eventSource": "s3.amazonaws.com",
            "eventName": "GetObject", "awsRegion": "eu-west-1", "sourceIPAddress": "192.0.2.7",
        }  # fmt: skip
        scan = [HARMLESS, HARMLESS.replace(b'1.1" 200', b'1.1" 404'), HARMLESS.replace(b'1.1" 200', b'1.1" 500')]
        objects = [orjson.dumps(trail), orjson.dumps(trail | {"errorCode": "AccessDenied"})]
        other = [each.replace(b"192.0.2.7", b"192.0.2.8") for each in scan[:2]]
        told = []
        for direct in (True, False):
            pipeline = Pipeline(spec)
            pipeline.direct = direct
            pipeline.run(window(*(scan * 7 + objects * 9 + other)))
            attacks = [each.replace(b"item/1", b"item/2") for each in (HARMLESS, other[0])]
            found = alerts(pipeline.run(window(*attacks)))
            told.append([each["event"]["reputation_score"] for each in found])

        assert Pipeline(spec).lane("logs").run(window(*scan).records).seen == (("192.0.2.7", 0, 3, 2, 1),)
        assert told[0] == told[1]
        assert told[0][0] > told[0][1] > 40

    def test_told(self, tmp_path: Path) -> None:
        """An alert tells its source's risk: by its own level, what was seen before, and intelligence, to its end."""
        rule, listed = tmp_path / "a.yml", tmp_path / "bad.csv"
        rule.write_text(PLAIN)
        listed.write_text("ip,confidence,valid_until\n203.0.113.9,100,2100-01-01\n192.0.2.8,100,2020-01-01\n")
        enrichment = Enrichment.model_validate({"risk": True, "threat_lists": ({"path": listed},)})
        pipeline = Pipeline(load(Config(rules=Rules(paths=(rule,), builtin=False), enrichment=enrichment))[0])
        attack = HARMLESS.replace(b"item/1", b"item/2")
        scan = HARMLESS.replace(b'1.1" 200', b'1.1" 404')

        (first,) = alerts(pipeline.run(window(attack)))
        pipeline.run(window(*[scan] * 50, HARMLESS.replace(b"192.0.2.7", b"192.0.2.9")))
        (again,) = alerts(pipeline.run(window(attack)))
        (known,) = alerts(pipeline.run(window(attack.replace(b"192.0.2.7", b"203.0.113.9"))))
        (expired,) = alerts(pipeline.run(window(attack.replace(b"192.0.2.7", b"192.0.2.8"))))

        told = [each["event"] for each in (first, again, known, expired)]
        assert [each["risk_level"] for each in told] == ["medium", "critical", "critical", "medium"]
        assert (
            told[0]["reputation_score"]
            == told[0]["source.risk.calculated_score_norm"]
            == told[3]["reputation_score"]
            == 40
        )
        assert told[1]["reputation_score"] > 70
        assert told[2]["reputation_score"] == 94
