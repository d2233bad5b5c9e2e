from __future__ import annotations

import json
from importlib import resources
from typing import Any

import jsonschema
import orjson
import pyarrow as pa
import pytest

from detector.alerts.render import line
from detector.alerts.text import printable
from detector.config import Config
from detector.pipeline import Pipeline
from detector.reload import load
from detector.window import RECORDS, Span, Window, WindowResult

VALIDATOR = jsonschema.Draft202012Validator(
    json.loads(resources.files("detector.alerts").joinpath("schema.json").read_text())
)

ATTACK = (
    b'203.0.113.9 - - [15/May/2026:12:00:00 +0000] "GET /items?id=1%20UNION%20SELECT%20password%20FROM%20users '
    b'HTTP/1.1" 200 512 "-" "sqlmap/1.8'
)


@pytest.fixture(scope="module")
def pipeline() -> Pipeline:
    """The built-in parsers and rules."""
    spec, _ = load(Config())
    return Pipeline(spec)


def evaluate(pipeline: Pipeline, *values: bytes) -> WindowResult:
    """What records with these values cause."""
    rows = [
        {"span": 0, "offset": offset, "timestamp": 1_778_846_400_250, "key": None, "value": value, "headers": None}
        for offset, value in enumerate(values)
    ]
    span = Span("logs", 0, 0, len(values), len(values), len(values))
    return pipeline.run(Window((span,), pa.RecordBatch.from_pylist(rows, schema=RECORDS)))


def alerts(result: WindowResult) -> list[dict[str, Any]]:
    """The alerts, each checked against the schema."""
    found = [orjson.loads(message.value or b"") for message in result.messages if message.topic == "alerts"]
    for alert in found:
        VALIDATOR.validate(alert)
    return found


class TestAlertsOfRules:
    def test_meet_the_schema_and_explain_themselves(self, pipeline: Pipeline) -> None:
        """A real attack through real parsers and rules: who, what, why, and the line as it stood."""
        found = alerts(evaluate(pipeline, ATTACK + b'"'))

        assert found
        for alert in found:
            assert alert["entity"] == {"field": "source.ip", "type": "ip", "value": "203.0.113.9"}
            assert alert["time"] == "2026-05-15T12:00:00.000000Z"
            assert alert["original"]["text"] == (ATTACK + b'"').decode()
            assert alert["matches"]
            assert alert["threat"]["techniques"]

    @pytest.mark.parametrize(
        "hostile",
        [
            b"\x1b[2J\x07",
            b"\x00",
            b"\xff\xfe\x80",
            "\u202e\u2066\x9b".encode(),
            b"\xed\xa0\x80",
            "🙂🦠".encode(),
            b"\\u0000",
        ],
        ids=["ansi", "nul", "invalid", "bidi", "surrogate", "astral", "escape"],
    )
    def test_are_harmless_whatever_the_line_holds(self, pipeline: Pipeline, hostile: bytes) -> None:
        """An attacker's bytes in a line that alerts: valid JSON of the schema, nothing that a terminal obeys."""
        result = evaluate(pipeline, ATTACK + hostile + b'"')
        found = alerts(result)

        assert found
        assert all(printable(shown) == shown for shown in (line(alert, color=False) for alert in found))
        for message in result.messages:
            if message.topic == "alerts":
                text = (message.value or b"").decode()
                assert printable(text) == text

    def test_have_ids_of_their_own(self, pipeline: Pipeline) -> None:
        """The same attack three times is three times as many alerts, and evaluated again the same ones."""
        first, again = (alerts(evaluate(pipeline, *[ATTACK + b'"'] * 3)) for _ in range(2))
        ids = [alert["id"] for alert in first]

        assert len(set(ids)) == len(ids)
        assert len(ids) == 3 * len(alerts(evaluate(pipeline, ATTACK + b'"')))
        assert [alert["id"] for alert in again] == ids
