"""Kernels are compiled before the first record comes, or the first window of each process would wait for seconds."""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import chain

import orjson
from numba.core.dispatcher import Dispatcher

from detector.config import Config
from detector.pipeline import Pipeline
from detector.reload import load
from detector.stream.worker import warm_kernels
from tests.unit.test_pipeline import NOISE, window


class TestWarm:
    def test_nothing_is_left_to_compile(self) -> None:
        """After it, no record of any format makes numba compile, or load from its cache, another kernel."""
        ours = {name: value for name, value in os.environ.items() if not name.startswith("DETECTOR_")}
        done = subprocess.run(
            [sys.executable, "-m", "tests.unit.test_warm"], env=ours, capture_output=True, text=True, check=False
        )

        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines() == []


def _signatures() -> dict[str, int]:
    return {
        f"{module}.{name}": len(value.signatures)
        for module, content in list(sys.modules.items())
        if module.startswith("detector.")
        for name, value in vars(content).items()
        if isinstance(value, Dispatcher)
    }


def main() -> None:
    """Print the kernels that are compiled too late; in a process that has compiled none."""
    warm_kernels()
    pipeline = Pipeline(load(Config())[0])
    before = _signatures()
    samples = chain.from_iterable(each.samples for each in pipeline.parsers.definitions.values())
    records = [orjson.dumps(each.record) if isinstance(each.record, dict) else each.record.encode() for each in samples]
    for _ in range(2):  # a kind of record is learnt when it comes again
        pipeline.run(window(*records, NOISE, None))
    assert "detector.sigma.engine.kernels.run" in before
    for name, count in _signatures().items():
        if count != before.get(name):
            print(name)


if __name__ == "__main__":
    main()
