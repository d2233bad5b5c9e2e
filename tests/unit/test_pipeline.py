"""The pipeline: what a window causes, whatever its records are."""

from __future__ import annotations

from pathlib import Path

import orjson
import pyarrow as pa
import pytest

from detector.config import Config, Input, InputTopic, Level, Output, Rules
from detector.metrics import DeadLetterReason
from detector.pipeline import Pipeline
from detector.reload import load
from detector.sigma.rule import Match, Rule
from detector.window import RECORDS, Broken, Message, Span, Window, WindowResult, from_row, merge, to_row

HARMLESS = b'192.0.2.7 - - [24/Nov/2026:08:00:00 +0000] "GET /item/1 HTTP/1.1" 200 12 "-" "Mozilla/5.0"'
ATTACK = HARMLESS.replace(b"/item/1", b"/item?id=1%20UNION%20SELECT%20password%20FROM%20users")
NOISE = b"\xff\xfe nothing that anybody knows"
TIME_MS = 1_795_507_200_000


def window(*values: bytes | None, topic: str = "logs", start: int = 100, broken: tuple[Broken, ...] = ()) -> Window:
    count = len(values)
    records = pa.RecordBatch.from_arrays(
        [
            pa.array([0] * count, pa.int32()),
            pa.array(range(start, start + count), pa.int64()),
            pa.array([TIME_MS] * count, pa.int64()),
            pa.array([b"key"] * count, pa.binary()),
            pa.array(values, pa.binary()),
            pa.nulls(count, pa.binary()),
        ],
        schema=RECORDS,
    )
    consumed = count + sum(part.records for part in broken)
    return Window((Span(topic, 3, start, start + consumed, consumed, 10_000),), records, broken)


def pipeline(**sections: object) -> Pipeline:
    config = Config(**sections)  # type: ignore[arg-type]
    return Pipeline(load(config)[0])


@pytest.fixture(scope="module")
def built_in() -> Pipeline:
    """With the rules that come with the program."""
    return pipeline()


def split(result: WindowResult) -> tuple[list[Message], list[Message]]:
    alerts = [message for message in result.messages if message.topic == "alerts"]
    return alerts, [message for message in result.messages if message.topic == "dead_letters"]


def balance(result: WindowResult) -> tuple[int, int, int]:
    (part,) = result.spans
    return part.span.consumed, part.evaluated, part.rejected


def headers(message: Message) -> dict[str, bytes]:
    return dict(message.headers)


class TestRun:
    def test_empty(self, built_in: Pipeline) -> None:
        """A window without records causes nothing, and keeps its positions."""
        result = built_in.run(window())

        assert (result.messages, balance(result)) == ((), (0, 0, 0))

    def test_attack(self, built_in: Pipeline) -> None:
        """An attack among harmless records is an alert with its coordinates."""
        alerts, letters = split(built_in.run(window(HARMLESS, ATTACK, HARMLESS)))
        sources = [orjson.loads(alert.value or b"")["source"] for alert in alerts]

        assert alerts
        assert not letters
        assert {(source["topic"], source["partition"], source["offset"]) for source in sources} == {("logs", 3, 101)}
        assert {alert.timestamp_ms for alert in alerts} == {TIME_MS}

    def test_noise(self, built_in: Pipeline) -> None:
        """A record that no parser takes is evaluated as a raw event, and copied to the dead letters."""
        result = built_in.run(window(HARMLESS, NOISE))
        _, (letter,) = split(result)

        assert balance(result) == (2, 2, 0)
        assert letter.value == NOISE
        assert headers(letter)["detector.reason"] == DeadLetterReason.UNPARSED.encode()
        assert result.counts.unparsed == {"logs": 1}

    def test_null(self, built_in: Pipeline) -> None:
        """A null value is rejected: there is nothing to evaluate."""
        result = built_in.run(window(None, HARMLESS))
        _, (letter,) = split(result)

        assert balance(result) == (2, 1, 1)
        assert letter.value is None
        assert letter.key == b"key"

    def test_broken(self, built_in: Pipeline) -> None:
        """What could not be decoded is a dead letter with its bytes, and counts as rejected."""
        broken = Broken("logs", 3, 101, 103, 2, b"stored", "the checksum does not agree")
        result = built_in.run(window(HARMLESS, broken=(broken,)))
        _, (letter,) = split(result)

        assert balance(result) == (3, 1, 2)
        assert (letter.value, headers(letter)["detector.offset"]) == (b"stored", b"101")

    def test_topics_apart(self) -> None:
        """Each record is parsed as its topic says."""
        made = pipeline(
            input=Input(
                topics=(InputTopic(name="web", format="apache_combined"), InputTopic(name="app", format="json"))
            )
        )
        both = window(ATTACK, b'{"message": "hello"}')
        spans = (Span("web", 0, 100, 101, 1, 500), Span("app", 0, 101, 102, 1, 500))
        records = both.records.set_column(0, RECORDS.field("span"), pa.array([0, 1], pa.int32()))
        result = made.run(Window(spans, records))

        assert [part.evaluated for part in result.spans] == [1, 1]
        assert set(result.counts.events) == {"apache_combined", "json"}
        assert set(result.counts.bytes) == {"web", "app"}

    def test_min_level(self) -> None:
        """Matches below the lowest level are counted, and are no alerts."""
        quiet = pipeline(output=Output(min_level=Level.CRITICAL))
        result = quiet.run(window(ATTACK))

        assert result.counts.matches
        assert all(headers(message)["level"] == b"critical" for message in result.messages)


class TestPoison:
    def test_record_that_raises(self, built_in: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
        """A record on which parsing raises is rejected alone; those around it are evaluated as ever."""
        parse = type(built_in.parsers).parse

        def fragile(self: object, records: pa.RecordBatch, **arguments: object) -> object:
            if b"poison" in records.column("value").to_pylist():
                raise ValueError("a bug of ours")
            return parse(self, records, **arguments)  # type: ignore[arg-type]

        monkeypatch.setattr(type(built_in.parsers), "parse", fragile)
        result = built_in.run(window(HARMLESS, ATTACK, b"poison", HARMLESS, ATTACK))
        alerts, (letter,) = split(result)

        assert balance(result) == (5, 4, 1)
        assert {orjson.loads(alert.value or b"")["source"]["offset"] for alert in alerts} == {101, 104}
        assert headers(letter)["detector.reason"] == DeadLetterReason.POISON.encode()
        assert headers(letter)["detector.offset"] == b"102"
        assert b"a bug of ours" in headers(letter)["detector.detail"]

    def test_rule_that_raises(self, built_in: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
        """A rule that raises keeps no other rule from alerting; the record is copied to the dead letters."""
        expected, _ = split(built_in.run(window(ATTACK)))
        broken = headers(expected[0])["rule_id"].decode()
        explain = Rule.explain

        def fragile(self: Rule, views: object) -> Match:
            if self.key == broken:
                raise RecursionError("too deep")
            return explain(self, views)  # type: ignore[arg-type]

        monkeypatch.setattr(Rule, "explain", fragile)
        result = built_in.run(window(HARMLESS, ATTACK))
        alerts, letters = split(result)

        assert balance(result) == (2, 2, 0)
        assert {headers(alert)["rule_id"] for alert in alerts} == {headers(alert)["rule_id"] for alert in expected} - {
            broken.encode()
        }
        assert {headers(letter)["detector.reason"] for letter in letters} == {DeadLetterReason.POISON.encode()}
        assert any(broken.encode() in headers(letter)["detector.detail"] for letter in letters)

    def test_same_alerts_however_it_is_cut(self, built_in: Pipeline) -> None:
        """One window or several: the same alerts, by their ids."""
        values = [HARMLESS, ATTACK, NOISE, None, ATTACK]
        whole, _ = split(built_in.run(window(*values)))
        parts = [built_in.run(window(value, start=100 + place)) for place, value in enumerate(values)]

        assert sorted(headers(alert)["ce_id"] for alert in whole) == sorted(
            headers(alert)["ce_id"] for part in parts for alert in split(part)[0]
        )


class TestRow:
    def test_round_trip(self) -> None:
        """A window comes out of its row as it went in, also when the row is a slice of a table."""
        broken = Broken("logs", 3, 101, 103, 2, b"stored", "why")
        made = window(HARMLESS, None, NOISE, broken=(broken,))
        table = pa.concat_tables([to_row(window(ATTACK)), to_row(made)]).combine_chunks()

        assert from_row(table.slice(1, 1)) == made

    def test_no_records(self) -> None:
        """Also without records."""
        assert from_row(to_row(window())) == window()


class TestMerge:
    def test_contiguous(self, built_in: Pipeline) -> None:
        """Results of consecutive parts are as the result of the whole."""
        values = [HARMLESS, ATTACK, None, NOISE]
        whole = built_in.run(window(*values))
        merged = merge([built_in.run(window(value, start=100 + place)) for place, value in enumerate(values)])

        assert balance(merged) == balance(whole)
        assert (merged.spans[0].span.start, merged.spans[0].span.end) == (100, 104)
        assert merged.counts == whole.counts
        assert len(merged.messages) == len(whole.messages)


class TestSpec:
    def test_named_by_content(self, tmp_path: Path) -> None:
        """Equal sources and settings have the same name, others another."""
        first, again = load(Config())[0], load(Config())[0]
        other = load(Config(rules=Rules(builtin=False)))[0]

        assert first.sha == again.sha != other.sha
