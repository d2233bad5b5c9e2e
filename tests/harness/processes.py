"""Processes that descend from one of ours, whatever has become of their parents: a mark in their environment."""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Iterable
from pathlib import Path

import psutil

MARK = "RUN_OF"


def new_mark() -> str:
    """A value for the environment variable `MARK` that nothing else has."""
    return uuid.uuid4().hex


def marked(mark: str) -> list[psutil.Process]:
    """All living processes with this mark; Ray's rename themselves and leave their group, but keep it."""
    wanted = f"{MARK}={mark}".encode()
    found = []
    for pid in psutil.pids():
        with contextlib.suppress(OSError, psutil.Error):
            if wanted in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
                process = psutil.Process(pid)
                if process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
    return found


def kill(processes: Iterable[psutil.Process]) -> None:
    """SIGKILL them."""
    for process in processes:
        with contextlib.suppress(psutil.Error):
            process.kill()


def gone(mark: str, timeout_s: float) -> bool:
    """Wait until no process has the mark; whether that came true."""
    deadline = time.monotonic() + timeout_s
    while marked(mark):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True
