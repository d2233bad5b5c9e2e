"""A process that outlives the demo, however the demo ends, and then ends what the demo has left behind.

It reads standard input until that is closed, which a crash or SIGKILL of the demo does too. What belongs to the demo
carries a mark in its environment: Ray's processes leave the group of their parents and rename themselves, but keep it.
Run as `python -I -S guard.py MARK FOLDER`: it must start in no time, so it imports the standard library only.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Self

MARK = "RUN_OF_DETECTOR_DEMO"
"""The environment variable that marks the demo's processes."""

_SWEEPS = 50
_PAUSE_S = 0.1


class Guard:
    """The guard as a child process; from `__enter__` on, whatever this process starts is marked."""

    def __init__(self, folder: Path) -> None:
        """Make it; `folder` is removed at the end."""
        self._folder = folder
        self._mark = folder.name
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", __file__, self._mark, str(self._folder)],
            stdin=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C in the terminal is not for it
        )
        os.environ[MARK] = self._mark
        return self

    def __exit__(self, *_exc: object) -> None:
        os.environ.pop(MARK, None)
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
            self._process.wait()


def _marked(mark: str) -> list[int]:
    wanted = f"{MARK}={mark}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with contextlib.suppress(OSError):
                if wanted in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
    return found


def _sweep(mark: str, folder: str) -> None:
    for _ in range(_SWEEPS):
        pids = _marked(mark)
        if not pids:
            break
        for pid in pids:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(_PAUSE_S)
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    sys.stdin.buffer.read()
    _sweep(sys.argv[1], sys.argv[2])
