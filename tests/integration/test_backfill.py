"""The back-fill on a real Ray: the same alerts as the service's, however the files are stored, cut and interrupted."""

from __future__ import annotations

import base64
import gzip
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import orjson
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
import zstandard

from detector.alerts.ids import alert_id
from detector.backfill import run as backfill
from detector.backfill.run import Request, Summary
from detector.config import Backfill, Config
from detector.pipeline import Pipeline
from detector.reload import load
from detector.reports import run as report
from detector.stream import cluster, internals
from detector.window import RECORDS, Span, Window

pytestmark = pytest.mark.ray

SMALL = 64 << 10
ATTACK = b"/item?id=1%20UNION%20SELECT%20password%20FROM%20users"
TRAIL = {"eventVersion": "1.08", "eventSource": "cloudtrail.amazonaws.com", "eventName": "StopLogging"}
VALIDATOR = jsonschema.Draft202012Validator(
    json.loads(resources.files("detector.alerts").joinpath("schema.json").read_text())
)

Found = Counter[tuple[str, str, int]]
"""Rule, original bytes, ordinal of alerts, with their number."""


@pytest.fixture(scope="module")
def ray(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A Ray cluster that the back-fill takes for its own; the first worker that evaluates its fourth window dies."""
    patch = pytest.MonkeyPatch()
    patch.setenv("DETECTOR_FAILPOINT", "in_pipeline:4")
    patch.setenv("DETECTOR_FAILPOINT_FILE", str(tmp_path_factory.mktemp("ray") / "dead"))
    with cluster.running(Config().ray, readers=1):
        patch.undo()
        patch.setattr(cluster, "running", lambda *_args, **_options: nullcontext())
        yield
    patch.undo()


def web(count: int) -> list[bytes]:
    """Access-log lines, one in fifty an attack; one in forty is none of any format."""
    lines = []
    for number in range(count):
        path = ATTACK if number % 50 == 7 else b"/item/%d" % number
        line = b'192.0.2.%d - - [24/Nov/2026:08:%02d:%02d +0000] "GET %s HTTP/1.1" 200 12 "-" "Mozilla/5.0 (%d)"'
        line %= (number % 250, number // 60 % 60, number % 60, path, number)
        lines.append(b"\xff\xfe noise %d\r" % number if number % 40 == 3 else line)
    return lines


def trail(count: int) -> list[bytes]:
    """CloudTrail events, each an alert, as JSON texts."""
    texts = []
    for number in range(count):
        time = f"2026-11-24T08:{number // 60 % 60:02}:{number % 60:02}Z"
        texts.append(orjson.dumps(TRAIL | {"eventTime": time, "eventID": str(number), "sourceIPAddress": "192.0.2.9"}))
    return texts


@pytest.fixture(scope="module")
def pipeline() -> Pipeline:
    """The service's."""
    return Pipeline(load(Config())[0])


def expected(pipeline: Pipeline, values: list[bytes]) -> Found:
    """What the records cause when they come from a topic."""
    count = len(values)
    columns = [pa.array([0] * count, pa.int32()), pa.array(range(count), pa.int64())]
    columns += [pa.array([1_795_507_200_000] * count, pa.int64()), pa.nulls(count, pa.binary())]
    columns += [pa.array(values, pa.binary()), pa.nulls(count, pa.binary())]
    records = pa.RecordBatch.from_arrays(columns, schema=RECORDS)
    result = pipeline.run(Window((Span("logs", 0, 0, count, count, count),), records))
    return Counter(map(key, (orjson.loads(each.value or b"") for each in result.messages if each.topic == "alerts")))


def key(alert: dict[str, Any]) -> tuple[str, str, int]:
    return alert["rule"]["id"], alert["original"]["text"], alert["source"]["ordinal"]


def alerts(out: Path) -> list[dict[str, Any]]:
    """The alerts of a run, each checked against the schema."""
    found = [orjson.loads(line) for path in out.glob("alerts/*.jsonl") for line in path.read_bytes().splitlines()]
    for alert in found:
        VALIDATOR.validate(alert)
    return found


def settings(block_bytes: int = SMALL) -> Config:
    return Config(backfill=Backfill(block_bytes=block_bytes, window_records=500))


def run(tmp_path: Path, *sources: str, block_bytes: int = SMALL, **request: Any) -> Summary:
    return backfill.run(settings(block_bytes), Request(sources, tmp_path / "out", **request))


@pytest.fixture(scope="module")
def records() -> tuple[list[bytes], list[bytes]]:
    """Lines of the web and events of a cloud."""
    return web(3_000), trail(300)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, records: tuple[list[bytes], list[bytes]]) -> Path:
    """The records in files: text, gzip, zstd, a JSON array, JSON lines and Parquet."""
    lines, events = records
    folder = tmp_path_factory.mktemp("logs")
    (folder / "web.log").write_bytes(b"\n".join(lines[:1500]) + b"\n")
    (folder / "web.log.1.gz").write_bytes(gzip.compress(b"\n".join(lines[1500:2300])))
    (folder / "web.log.2.zst").write_bytes(zstandard.compress(b"\n".join(lines[2300:])))
    (folder / "trail.json").write_bytes(b'{"Records":[' + b",\n".join(events[:100]) + b"]}")
    (folder / "trail.jsonl").write_bytes(b"\n".join(events[100:200]))
    pq.write_table(pa.table({"value": events[200:]}), folder / "trail.parquet", row_group_size=30)
    return folder


@dataclass
class Done:
    """A run over `folder`."""

    summary: Summary
    out: Path
    lake: Path


@pytest.fixture(scope="module", params=[SMALL, 4 << 20])
def done(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, folder: Path, ray: None) -> Done:
    """A run with small blocks, and one with large ones."""
    path = tmp_path_factory.mktemp("run")
    sources = f"{folder}/web*=apache_combined", f"{folder}/trail*"
    summary = run(path, *sources, block_bytes=request.param, events=path / "lake")
    return Done(summary, path / "out", path / "lake")


class TestWhole:
    def test_alerts_as_from_a_topic(
        self, done: Done, pipeline: Pipeline, records: tuple[list[bytes], list[bytes]]
    ) -> None:
        """However the files are stored and cut, the alerts are those that the same records from Kafka cause."""
        lines, events = records
        found = alerts(done.out)

        assert Counter(map(key, found)) == expected(pipeline, lines + events)
        assert len({alert["id"] for alert in found}) == len(found) == sum(done.summary.alerts.values()) > 300

    def test_balance(self, done: Done) -> None:
        """Every record is evaluated or rejected, and what is not of its format is a dead letter with its bytes."""
        letters = [
            orjson.loads(line) for path in done.out.glob("dead_letters/*") for line in path.read_bytes().splitlines()
        ]

        assert (done.summary.records, done.summary.evaluated, done.summary.rejected) == (3_300, 3_300, 0)
        assert done.summary.dead_letters == {"unparsed": 75}
        assert len(letters) == 75
        assert base64.b64decode(letters[0]["value"]).startswith(b"\xff\xfe noise")
        assert not done.summary.unreadable

    def test_ids(self, done: Done, folder: Path, records: tuple[list[bytes], list[bytes]]) -> None:
        """The id of an alert is made of rule, file, and the byte at which its record begins, however it was cut."""
        path = folder / "web.log"
        place = len(b"\n".join(records[0][:7])) + 1
        (alert,) = [
            alert for alert in alerts(done.out) if alert["source"]["offset"] == place and "web" in alert["source"]["id"]
        ]

        assert alert["source"]["id"] == f"file:{path}"
        assert alert["id"] == alert_id(alert["rule"]["id"], f"file:{path}", place, 0)

    def test_lake(self, done: Done, records: tuple[list[bytes], list[bytes]]) -> None:
        """Every event is in the lake once, by day and source, with one schema and its own bytes."""
        lines, events = records
        lake = ds.dataset(done.lake, partitioning="hive")
        rows = lake.to_table()

        assert sorted(rows["event.original"].to_pylist()) == sorted(lines + events)
        assert set(rows["source"].to_pylist()) == {
            "web.log",
            "web.log.1.gz",
            "web.log.2.zst",
            "trail.json",
            "trail.jsonl",
            "trail.parquet",
        }
        assert "2026-11-24" in rows["day"].to_pylist()
        assert all(pq.read_schema(path) == pq.read_schema(lake.files[0]) for path in lake.files)
        assert set(rows["http.response.status_code"].to_pylist()) == {200, None}


class TestReport:
    def test_totals(self, done: Done, tmp_path: Path, records: tuple[list[bytes], list[bytes]]) -> None:
        """A report counts every event of the lake once, and the alerts of the run."""
        lines, events = records
        found = report.run(Config(), done.lake, tmp_path, done.out)
        tables = {path.stem: pq.read_table(path) for path in tmp_path.glob("tables/*.parquet")}
        (call,) = tables["events_by_region"].to_pylist() or [{"events": 0}]

        assert sum(tables["traffic_hourly"]["requests"].to_pylist()) == len(lines + events)
        assert sum(tables["log_quality"]["unparsed"].to_pylist()) == 75
        assert sum(tables["requests"]["requests"].to_pylist()) == len(lines) - 75
        assert sum(tables["threats_by_rule"]["alerts"].to_pylist()) == sum(done.summary.alerts.values())
        assert call["events"] == len(events)
        assert "Events processed               3,300" in found.text
        assert (tmp_path / "log_summary.txt").read_text() == found.text
        assert {path.stem for path in tmp_path.glob("tables/*.csv")} == tables.keys()


@pytest.mark.usefixtures("ray")
class TestPlan:
    def test_fused(self, tmp_path: Path) -> None:
        """Reading and evaluating are one task, so a block never leaves the process that read it."""
        job = backfill._job(Config(), Request((), tmp_path), load(Config())[0])

        assert internals.operators(backfill.dataset([[]], job, frozenset())) == ("Read_Chunks->MapBatches(evaluate)",)


@pytest.mark.usefixtures("ray")
class TestUnreadable:
    def test_others_are_processed(self, tmp_path: Path) -> None:
        """A file that breaks off is named; what was read of it and the others are processed, and it stays to do."""
        lines = web(3_000)
        good, bad = tmp_path / "good.log", tmp_path / "bad.log.gz"
        good.write_bytes(b"\n".join(web(200)))
        packed = gzip.compress(b"\n".join(lines), mtime=0)
        bad.write_bytes(packed[:-20])

        summary = run(tmp_path, str(good), str(bad), block_bytes=SMALL)
        first = alerts(tmp_path / "out")
        again = run(tmp_path, str(good), str(bad), block_bytes=SMALL, resume=True)

        assert [each.name for each in summary.unreadable] == [each.name for each in again.unreadable] == [str(bad)]
        assert 200 < summary.records == again.records < 3_200
        assert {alert["id"] for alert in alerts(tmp_path / "out")} == {alert["id"] for alert in first}


class TestInterrupted:
    @pytest.mark.usefixtures("ray")
    def test_resumed(self, tmp_path: Path, pipeline: Pipeline) -> None:
        """Killed in the middle and resumed: every alert and event once, none lost, none twice."""
        lines = web(12_000)
        (tmp_path / "a.log").write_bytes(b"\n".join(lines[:6_000]))
        (tmp_path / "b.log.gz").write_bytes(gzip.compress(b"\n".join(lines[6_000:])))
        out, lake = tmp_path / "out", tmp_path / "lake"
        sources = [str(tmp_path / "a.log"), str(tmp_path / "b.log.gz")]
        command = [sys.executable, "-m", "detector", "backfill", *sources, "--out", str(out), "--events", str(lake)]
        env = os.environ | {"DETECTOR_BACKFILL__BLOCK_BYTES": str(SMALL), "DETECTOR_BACKFILL__WINDOW_RECORDS": "500"}
        process = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL)
        journal = out / "journal.jsonl"
        deadline = time.monotonic() + 90
        while time.monotonic() < deadline and not (journal.exists() and journal.read_bytes().count(b"\n") >= 3):
            time.sleep(0.02)

        process.send_signal(signal.SIGKILL)
        process.wait()
        before = journal.read_bytes().count(b"\n")
        time.sleep(1.0)  # its workers notice
        summary = run(tmp_path, *sources, events=lake, resume=True)
        rows = ds.dataset(lake, partitioning="hive").to_table(["event.original"])

        assert 3 <= before < 30
        assert summary.chunks_resumed == before
        assert Counter(map(key, alerts(out))) == expected(pipeline, lines)
        assert Counter(rows["event.original"].to_pylist()) == Counter(lines)
        assert summary.records == len(lines)

        again = run(tmp_path, *sources, events=lake, resume=True)

        assert again.records == len(lines)
        assert again.seconds == 0.0
