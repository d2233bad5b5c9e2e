"""What a back-fill writes and remembers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from detector.alerts.dead_letters import dead_letter
from detector.backfill import lake, outputs
from detector.backfill.files import File
from detector.backfill.progress import describe, report
from detector.backfill.run import Request, Summary
from detector.backfill.state import State
from detector.backfill.worker import Outcome
from detector.cli.options import reference_ms
from detector.config import Limits
from detector.errors import ConfigError
from detector.events import Event
from detector.metrics import DeadLetterReason
from detector.parsing.registry import compile_parsers, read_sources
from detector.window import RECORDS, Counts
from tests.alert_samples import alert_message

LETTER = dead_letter(
    DeadLetterReason.UNPARSED,
    "no format recognized",
    topic="/logs/a.log",
    partition=-1,
    offset=120,
    timestamp_ms=0,
    key=None,
    value=b"\xff\x00",
    headers=(),
)
LEAP = b'192.0.2.1 - - [31/Dec/2016:23:59:60 +0000] "GET / HTTP/1.1" 200 1 "-" "x"'
FILE = File("/logs/a.log", "/logs/a.log", None, "auto", 100, 7)


class TestOutputs:
    def test_json_lines(self, tmp_path: Path) -> None:
        """Alerts are written as a topic would have them, dead letters with where, why and what."""
        alert = alert_message()
        outputs.write([alert, LETTER], tmp_path, "c", "jsonl")

        assert (tmp_path / "alerts/c.jsonl").read_bytes() == (alert.value or b"") + b"\n"
        assert orjson.loads((tmp_path / "dead_letters/c.jsonl").read_bytes()) == {
            "reason": "unparsed",
            "detail": "no format recognized",
            "source": "file:/logs/a.log",
            "offset": 120,
            "ordinal": None,
            "position": None,
            "value": "/wA=",
            "encoding": "base64",
        }

    def test_parquet(self, tmp_path: Path) -> None:
        """In Parquet, what is asked for most is a column, and the alert stays whole beside it."""
        alert = alert_message()
        outputs.write([alert, LETTER], tmp_path, "c", "parquet")
        (row,) = pq.read_table(tmp_path / "alerts/c.parquet").to_pylist()
        (letter,) = pq.read_table(tmp_path / "dead_letters/c.parquet").to_pylist()
        whole = orjson.loads(alert.value or b"")

        assert orjson.loads(row["alert"]) == whole
        assert (row["id"], row["rule_id"], row["level"]) == (whole["id"], whole["rule"]["id"], whole["rule"]["level"])
        assert (letter["reason"], letter["value"]) == ("unparsed", b"\xff\x00")

    def test_written_again(self, tmp_path: Path) -> None:
        """A chunk that is evaluated again replaces what it wrote before, also by nothing."""
        outputs.write([LETTER], tmp_path, "c", "jsonl")
        outputs.write([], tmp_path, "c", "jsonl")

        assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


class TestLake:
    def test_values(self) -> None:
        """Values keep their types; what does not fit a column, or has none, is text or in `event.other`."""
        columns = lake.schema(compile_parsers(read_sources(), limits=Limits()))
        fields: list[dict[str, Any]] = [
            {"source.ip": "192.0.2.1", "http.response.status_code": 200, "event.code": 4625, "custom": [1]},
            {"http.response.status_code": "no number", "event.code": "x", "user.name": "bad \ud800", "@timestamp": "x"},
        ]
        events = [Event(row, 0, {}, each, b"\xff", "x", (), None, ("unparsed",)) for row, each in enumerate(fields)]
        records = pa.RecordBatch.from_pylist(
            [{"span": 0, "offset": 5 * row, "timestamp": 1_000 * row} for row in range(2)], schema=RECORDS
        )
        rows = lake.table(events, records, "/logs/a.log", columns)

        assert rows.schema == columns
        assert rows["http.response.status_code"].to_pylist() == [200, None]
        assert rows["event.code"].to_pylist() == ["4625", "x"]
        assert rows["user.name"].to_pylist() == [None, "bad ?"]
        assert rows["event.other"].to_pylist() == ['{"custom":[1]}', None]
        assert rows["log.offset"].to_pylist() == [0, 5]
        assert [each.timestamp() for each in rows["@timestamp"].to_pylist()] == [0.0, 1.0]

    def test_columns_as_events(self) -> None:
        """Lines that kernels read give the rows that their events give, flags included, for any format."""
        limits = Limits()
        parsers = compile_parsers(read_sources(), limits=limits)
        samples = [
            (definition.name, sample.record.encode(), sample.reference)
            for definition in parsers.definitions.values()
            for sample in definition.samples
            if isinstance(sample.record, str)
        ]
        samples.append(("apache_combined", LEAP, "2016-12-31T23:59:00Z"))
        for form in ("auto", *sorted({name for name, _, _ in samples})):
            values = [(value, reference) for name, value, reference in samples if form in ("auto", name)]
            rows = [
                {"span": 0, "offset": row, "timestamp": reference_ms(reference), "value": value}
                for row, (value, reference) in enumerate(values)
            ]
            records = pa.RecordBatch.from_pylist(rows, schema=RECORDS)
            events = parsers.parse(records, format=form, logsource=None, limits=limits).events
            order = [("log.offset", "ascending"), ("event.ordinal", "ascending")]
            expected = lake.table(events, records, "/a", lake.schema(parsers)).sort_by(order)
            found = lake.Reader(parsers, form, limits).table(records, "/a").sort_by(order)

            assert found.num_rows == len(events)
            for name in found.column_names:
                assert found[name].to_pylist() == expected[name].to_pylist(), (form, name)

    def test_days(self, tmp_path: Path) -> None:
        """Events of two days are in two folders, named as engines that know Hive's layout read them."""
        times = pa.array([0, 86_400_000_000, 1], pa.timestamp("us", "UTC"))
        lake.write(pa.table({"@timestamp": times, "x": [1, 2, 3]}), tmp_path, "a b/c.log", "0")
        found = pq.read_table(tmp_path).select(["day", "source", "x"]).to_pylist()

        assert sorted((row["day"], row["x"]) for row in found) == [
            ("1970-01-01", 1),
            ("1970-01-01", 3),
            ("1970-01-02", 2),
        ]
        assert {row["source"] for row in found} == {"a b/c.log"}


class TestState:
    OUTCOME = Outcome("c", 10, 5, 5, 0, alerts={"high": 1}, counts=Counts(events={"x": 5}))

    def test_remembers(self, tmp_path: Path) -> None:
        """What was noted is known when the run goes on; a line that an interruption cut is not."""
        with State.opened(tmp_path, {"a": 1}, [FILE], resume=False) as state:
            state.note(self.OUTCOME)
        with (tmp_path / "journal.jsonl").open("ab") as journal:
            journal.write(b'{"name": "d", "sto')

        with State.opened(tmp_path, {"a": 1}, [FILE], resume=True) as state:
            assert state.done == {"c": self.OUTCOME}
            state.note(Outcome("e"))
        with State.opened(tmp_path, {"a": 1}, [FILE], resume=True) as state:
            assert list(state.done) == ["c", "e"]

    def test_resume_of_nothing(self, tmp_path: Path) -> None:
        """Going on where nothing was begun is a beginning, so that one command does for both."""
        with State.opened(tmp_path / "new", {}, [], resume=True) as state:
            assert state.done == {}

    @pytest.mark.parametrize(
        ("settings", "files", "resume", "message"),
        [
            ({"a": 1}, [FILE], False, "--resume"),
            ({"a": 2}, [FILE], True, "had another a"),
            ({"a": 1}, [File("/logs/a.log", "/logs/a.log", None, "auto", 101, 7)], True, "a.log has changed"),
            ({"a": 1}, [FILE, FILE], True, "had 1 files, now there are 2"),
        ],
    )
    def test_another_run(
        self, tmp_path: Path, settings: dict[str, int], files: list[File], resume: bool, message: str
    ) -> None:
        """A folder holds one run: results of other settings or files are not mixed in, and it says what differs."""
        with State.opened(tmp_path, {"a": 1}, [FILE], resume=False):
            pass

        with pytest.raises(ConfigError, match=message), State.opened(tmp_path, settings, files, resume=resume):
            pass

    def test_two_at_once(self, tmp_path: Path) -> None:
        """Two processes never work in the same folder."""
        with (
            State.opened(tmp_path, {}, [], resume=False),
            pytest.raises(ConfigError, match="another back-fill"),
            State.opened(tmp_path, {}, [], resume=True),
        ):
            pass


class TestSummary:
    def test_for_people_and_for_programs(self) -> None:
        """The summary says what was read and found, as text and as one JSON object."""
        summary = Summary(files=2, seconds=2.0)
        summary.add(TestState.OUTCOME)
        text = describe(summary, Request((), Path("out\x1b")))
        whole = orjson.loads(report(summary))

        assert "5 records of 2 files" in text
        assert "high 1" in text
        assert "\x1b" not in text
        assert (whole["records"], whole["alerts"], whole["records_per_second"]) == (5, {"high": 1}, 2)
