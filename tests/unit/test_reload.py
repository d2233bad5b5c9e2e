"""Changed rules while records are evaluated: many times over, nothing is lost, and nothing grows."""

from __future__ import annotations

import gc
import queue
import threading
import time
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pytest

from detector import metrics
from detector.config import Config, Input, InputTopic, Rules
from detector.events import LogSource
from detector.metrics import ReloadResult
from detector.pipeline import Pipeline
from detector.reload import Reloader, _folders
from detector.window import RECORDS, Span, Window
from tests.sigma import rule_text

RELOADS = 200
RECORDS_A_WINDOW = 50
ATTACKS = 3
"""Records of a window that every rule matches."""
RULES = 4
PATIENCE_S = 60


class Folder:
    """A folder of rules of which each tells its version, and a stand-in for what watches it."""

    def __init__(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._path = path
        self.version = 0
        self._changes: queue.Queue[bool] = queue.Queue()
        monkeypatch.setattr("detector.reload.watchfiles.watch", self._watch)
        (path / "pipeline.yml").write_text("transformations: [{type: field_name_mapping, mapping: {f: g}}]")
        self.write()

    def config(self) -> Config:
        topic = InputTopic(name="logs", format="json", logsource={"category": "test"})  # type: ignore[arg-type]
        rules = Rules(builtin=False, paths=(self._path / "rules",), pipelines=(self._path / "pipeline.yml",))
        return Config(input=Input(topics=(topic,)), rules=rules)

    def write(self, *, broken: bool = False) -> None:
        """Another version of all rules; broken: of which none loads."""
        self.version += 1
        (self._path / "rules").mkdir(exist_ok=True)
        for number in range(RULES):
            new = self._path / ".new"
            key = f"{number:08d}-1234-4234-8234-123456789abc"
            text = rule_text({"s": {"f|contains": "attack"}}, id=key, title=f"v{self.version}", level="high")
            new.write_bytes(b"title: broken" if broken else text)
            new.rename(self._path / "rules" / f"{number}.yml")

    def tell(self) -> None:
        """Say that files changed, as the operating system would."""
        self._changes.put(True)

    def _watch(self, *_folders: Path, stop_event: threading.Event, **_options: Any) -> Iterator[set[Any]]:
        while not stop_event.is_set():
            try:
                self._changes.get(timeout=0.02)
                yield set()
            except queue.Empty:
                continue


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    return Folder(tmp_path, monkeypatch)


def window(start: int) -> Window:
    values = [
        orjson.dumps({"g": "an attack" if number < ATTACKS else "nothing", "n": start + number})
        for number in range(RECORDS_A_WINDOW)
    ]
    rows = [{"span": 0, "offset": start + n, "timestamp": 1_000, "value": value} for n, value in enumerate(values)]
    span = Span("logs", 0, start, start + len(rows), len(rows), 10_000_000)
    return Window((span,), pa.RecordBatch.from_pylist(rows, schema=RECORDS))


def evaluate(pipeline: Pipeline, start: int) -> tuple[int, list[tuple[str, int]]]:
    """Records evaluated, and version and offset of each alert."""
    result = pipeline.run(window(start))
    alerts = [orjson.loads(message.value or b"") for message in result.messages if message.topic == "alerts"]
    return result.spans[0].evaluated, [(each["rule"]["title"], each["source"]["offset"]) for each in alerts]


def reloads(result: ReloadResult) -> float:
    return float(metrics.rule_reloads.labels(result)._value.get())


def objects() -> int:
    """Objects that are alive and could hold others."""
    gc.collect()
    return len(gc.get_objects())


class TestReloads:
    """One set after another, as fast as they come."""

    def test_under_load(self, folder: Folder) -> None:
        """Over 200 changes every record is evaluated, by one whole set each; objects and metrics stay as many."""
        succeeded = reloads(ReloadResult.SUCCESS)
        windows, before = 0, 0
        with Reloader(folder.config()) as reloader:
            pipeline = Pipeline(reloader.spec)
            evaluate(pipeline, 0)  # which compiles the kernels where that was not done yet
            for number in range(RELOADS):
                folder.write()
                folder.tell()
                deadline = time.monotonic() + PATIENCE_S
                waits = False
                while not waits:
                    waits = reloader.following is not None
                    evaluated, alerts = evaluate(pipeline, windows * RECORDS_A_WINDOW)
                    assert evaluated == RECORDS_A_WINDOW
                    expected = [(f"v{folder.version - 1}", windows * RECORDS_A_WINDOW + n) for n in range(ATTACKS)]
                    assert sorted(alerts) == sorted(expected * RULES)
                    windows += 1
                    assert time.monotonic() < deadline
                old = weakref.ref(pipeline.rules.engine.program(LogSource("test")))
                pipeline = Pipeline(reloader.take())
                if number == RELOADS // 2:
                    before = objects()
            grown = objects() - before

        assert reloads(ReloadResult.SUCCESS) - succeeded == RELOADS
        assert old() is None
        assert grown < RELOADS  # half of the reloads with some hundred objects each would be far more
        assert windows >= RELOADS
        assert len({sample.labels["rule_id"] for sample in next(iter(metrics.rule_matches.collect())).samples}) == RULES

    def test_broken(self, folder: Folder) -> None:
        """A set of which nothing loads leaves the old one running, is counted, and gives way to the next good one."""
        failed = reloads(ReloadResult.FAILURE)
        with Reloader(folder.config()) as reloader:
            before = reloader.spec
            folder.write(broken=True)
            folder.tell()
            until(lambda: reloads(ReloadResult.FAILURE) > failed)
            assert reloader.following is None
            assert reloader.take() is before
            folder.write()
            folder.tell()
            until(lambda: reloader.following is not None)
            _, alerts = evaluate(Pipeline(reloader.take()), 0)

        assert {version for version, _ in alerts} == {"v3"}

    def test_pipeline(self, folder: Folder, tmp_path: Path) -> None:
        """A changed pipeline is another set; one that cannot be used leaves the old one running."""
        failed = reloads(ReloadResult.FAILURE)
        with Reloader(folder.config()) as reloader:
            (tmp_path / "pipeline.yml").write_text("transformations: [{type: http_placeholders}]")
            folder.tell()
            until(lambda: reloads(ReloadResult.FAILURE) > failed)
            assert reloader.following is None
            (tmp_path / "pipeline.yml").write_text("transformations: [{type: field_name_mapping, mapping: {f: n}}]")
            folder.tell()
            until(lambda: reloader.following is not None)
            _, alerts = evaluate(Pipeline(reloader.take()), 0)

        assert alerts == []

    def test_folders(self, folder: Folder, tmp_path: Path) -> None:
        """The folders of rules and of pipelines are watched."""
        assert _folders(folder.config()) == [tmp_path, tmp_path / "rules"]

    def test_nothing_changed(self, folder: Folder) -> None:
        """A touched file makes no new set."""
        with Reloader(folder.config()) as reloader:
            folder.tell()
            until(folder._changes.empty)
            time.sleep(0.1)

            assert reloader.following is None


def until(condition: Any) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
