"""Failpoints: inert unless the environment names one, and then deadly at the right passing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

PROGRAM = """
from detector.failpoints import failpoint
for number in range(5):
    print(number, flush=True)
    failpoint("after_ack")
    failpoint("in_commit")
"""


def run(**variables: str) -> tuple[int, list[str]]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DETECTOR_")} | variables
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout.split()


class TestFailpoint:
    def test_inert(self) -> None:
        """Without the variable nothing happens."""
        assert run() == (0, ["0", "1", "2", "3", "4"])

    def test_other_point(self) -> None:
        """A point that is not the named one is passed."""
        assert run(DETECTOR_FAILPOINT="after_poll") == (0, ["0", "1", "2", "3", "4"])

    def test_first_passing(self) -> None:
        """Without a number the process dies at the first passing, by SIGKILL."""
        assert run(DETECTOR_FAILPOINT="in_commit") == (-signal.SIGKILL, ["0"])

    def test_later_passing(self) -> None:
        """With a number it dies at that passing."""
        assert run(DETECTOR_FAILPOINT="after_ack:3") == (-signal.SIGKILL, ["0", "1", "2"])

    def test_only_one_of_several(self, tmp_path: Path) -> None:
        """Of several processes with the same file the first dies, the others go on."""
        variables = {"DETECTOR_FAILPOINT": "after_ack:2", "DETECTOR_FAILPOINT_FILE": str(tmp_path / "fired")}

        assert [run(**variables)[0] for _ in range(3)] == [-signal.SIGKILL, 0, 0]
        assert (tmp_path / "fired").exists()
