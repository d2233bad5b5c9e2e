"""The demo's logs against the rules that come with the program, without a broker: all that is planted, nothing else."""

from __future__ import annotations

from collections.abc import Sequence

import orjson
import pyarrow as pa
import pytest

from detector.config import Config, Input, InputTopic
from detector.demo.expected import ALLOWED
from detector.demo.generator import Generator
from detector.demo.lines import Topic
from detector.pipeline import Pipeline
from detector.reload import load
from detector.window import RECORDS, Message, Span, Window
from tests.chaos.kill import ALERTING_RULES
from tests.harness.load import alerting_line, token, unparseable_line

START_US = 1_750_000_000_000_000
COUNT = 20_000


@pytest.fixture(scope="module")
def pipeline() -> Pipeline:
    topics = tuple(InputTopic(name=topic) for topic in Topic)
    spec, _rules = load(Config(input=Input(topics=topics)))
    return Pipeline(spec)


def run(pipeline: Pipeline, records: Sequence[tuple[Topic, bytes]]) -> list[Message]:
    """What the records cause; offsets are their places in the list."""
    topics = list(Topic)
    rows = [
        {"span": topics.index(topic), "offset": offset, "timestamp": START_US // 1_000, "value": value}
        for offset, (topic, value) in enumerate(records)
    ]
    counts = [sum(topic is each for each, _ in records) for topic in topics]
    spans = tuple(Span(topic, 0, 0, len(rows), count, len(rows)) for topic, count in zip(topics, counts, strict=True))
    result = pipeline.run(Window(spans, pa.RecordBatch.from_pylist(rows, schema=RECORDS)))
    assert [part.evaluated for part in result.spans] == counts
    return list(result.messages)


class TestPlanted:
    @pytest.mark.parametrize("seed", [1, 2])
    def test_all_found_nothing_else(self, pipeline: Pipeline, seed: int) -> None:
        """Each planted log causes an alert of a rule about its kind of attack; no other log causes anything."""
        logs = list(Generator(seed, planted=0.02).logs(range(START_US, START_US + COUNT * 333, 333)))
        messages = run(pipeline, [(log.topic, log.value) for log in logs])
        assert {message.topic for message in messages} == {"alerts"}
        alerts = [orjson.loads(message.value or b"") for message in messages]

        found = {alert["source"]["offset"] for alert in alerts}
        wrong = [
            (log.attack, alert["rule"]["title"], log.value)
            for alert in alerts
            if (log := logs[alert["source"]["offset"]]).attack is None
            or not ALLOWED[log.attack] & set(alert["rule"]["tags"])
        ]

        assert wrong == []
        assert [log.value for offset, log in enumerate(logs) if log.attack and offset not in found] == []


class TestLoad:
    def test_alerting_line(self, pipeline: Pipeline) -> None:
        """The line that must alert fires the rules that the oracle expects, and no other."""
        messages = run(pipeline, [(Topic.WEB, alerting_line(token(1, START_US // 1_000), START_US // 1_000_000))])

        assert {orjson.loads(message.value or b"")["rule"]["id"] for message in messages} == ALERTING_RULES

    def test_unparseable_line(self, pipeline: Pipeline) -> None:
        """The line that no parser takes becomes a dead letter and nothing else."""
        messages = run(pipeline, [(Topic.WEB, unparseable_line(token(1, START_US // 1_000)))])

        assert [message.topic for message in messages] == ["dead_letters"]
