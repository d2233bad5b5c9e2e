"""The demo's guard: whatever was started under it ends with it, even if the demo itself is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

from detector.demo.guard import MARK, Guard

SLEEPER = "import subprocess, sys; print(subprocess.Popen(['sleep', '600'], start_new_session=True).pid, flush=True)"
PROGRAM = f"""
import sys, time
from pathlib import Path
from detector.demo.guard import Guard
with Guard(Path(sys.argv[1])):
    {SLEEPER}
    time.sleep(600)
"""


def ended(pid: int, timeout_s: float = 10.0) -> bool:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.02)
    return False


class TestGuard:
    def test_nothing_left_after_exit(self, tmp_path: Path) -> None:
        """A process of another session ends when the guard's block ends, and the folder is gone."""
        folder = tmp_path / "demo-1"
        folder.mkdir()
        with Guard(folder):
            left = subprocess.Popen(["sleep", "600"], start_new_session=True)

        assert left.wait(5) == -signal.SIGKILL
        assert not folder.exists()
        assert MARK not in os.environ

    def test_nothing_left_after_sigkill(self, tmp_path: Path) -> None:
        """The same where the demo is killed and can do nothing itself."""
        folder = tmp_path / "demo-2"
        folder.mkdir()
        demo = subprocess.Popen([sys.executable, "-c", PROGRAM, str(folder)], stdout=subprocess.PIPE, text=True)
        assert demo.stdout is not None
        with demo.stdout:
            sleeper = int(demo.stdout.readline())
        demo.kill()
        demo.wait()

        assert ended(sleeper)
        while folder.exists():  # the test's time limit ends this
            time.sleep(0.02)

    def test_others_are_left_alone(self, tmp_path: Path) -> None:
        """A process that was started outside goes on."""
        folder = tmp_path / "demo-3"
        folder.mkdir()
        with subprocess.Popen(["sleep", "600"]) as other:
            with Guard(folder):
                pass
            running = other.poll() is None
            other.kill()

        assert running
