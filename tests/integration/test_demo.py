"""The demo as a user runs it: it catches what is planted, and leaves nothing behind, however it ends."""

from __future__ import annotations

import contextlib
import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import orjson
import psutil
import pytest

from detector.demo.guard import MARK

KEYS = {
    *("records", "evaluated", "rejected", "dead_letters", "alerts", "unexpected_alerts", "missed_attacks", "lost"),
    *("latency_p50_ms", "latency_p99_ms", "records_per_second"),
}

pytestmark = [pytest.mark.kafka, pytest.mark.ray, pytest.mark.timeout(180)]


def marked() -> set[int]:
    """Processes of any demo, other than those of demos that run beside this test."""
    found = set()
    for pid in psutil.pids():
        with contextlib.suppress(OSError):
            if MARK.encode() in Path(f"/proc/{pid}/environ").read_bytes():
                found.add(pid)
    return found


def folders() -> set[Path]:
    return set(Path("/tmp").glob("detector-demo-*"))


@pytest.fixture
def nothing_left() -> Iterator[None]:
    """Afterwards there is no process and no folder that was not there before."""
    processes, before = marked(), folders()
    yield
    deadline = time.monotonic() + 10
    while (marked() - processes or folders() - before) and time.monotonic() < deadline:
        time.sleep(0.1)

    assert marked() - processes == set()
    assert folders() - before == set()


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "detector", "demo", *arguments]


@pytest.mark.usefixtures("nothing_left")
class TestDemo:
    def test_lines_and_summary(self) -> None:
        """Without a terminal: a line for each alert, a summary in JSON at the end, nothing missed or unexpected."""
        done = subprocess.run(
            command("--for", "15", "--json"), capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
        )
        lines = done.stdout.splitlines()
        summary = orjson.loads(lines[-1])

        assert done.returncode == 0, done.stdout[-3_000:] + done.stderr[-3_000:]
        assert set(summary) == KEYS
        assert summary["records"] == summary["evaluated"] + summary["rejected"] == 45_000
        assert summary["unexpected_alerts"] == summary["missed_attacks"] == summary["lost"] == 0
        assert summary["alerts"] >= 50
        assert sum("  high" in line or "  critical" in line for line in lines) >= 10
        assert "\033" not in done.stdout

    @pytest.mark.timeout(300)
    def test_interrupt_on_a_terminal(self) -> None:
        """On a terminal there is a live view; Ctrl-C ends it with the summary."""
        terminal, inner = pty.openpty()
        demo = subprocess.Popen(
            [sys.executable, "-c", _TAKE_TERMINAL, *command("--for", "0")],
            stdin=inner,
            stdout=inner,
            stderr=inner,
            env=os.environ | {"TERM": "xterm-256color", "COLUMNS": "140", "LINES": "50"},
            start_new_session=True,
        )
        os.close(inner)
        with demo:
            shown = _read(terminal, b"SQL", 180.0)
            os.write(terminal, b"\x03")
            shown += _read(terminal, None, 60.0)
        os.close(terminal)

        assert b"SQL" in shown, f"no attack was caught in time: {shown[-3_000:]!r}"
        assert demo.returncode == 0, shown[-3_000:]
        assert b"planted attack" in shown
        assert b"records per second" in shown
        assert b"\x1b[" in shown

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
    def test_killed(self, number: signal.Signals) -> None:
        """SIGTERM, and even SIGKILL while everything starts, leave no process behind."""
        with subprocess.Popen(
            command("--for", "0"), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as demo:
            deadline = time.monotonic() + 60
            while len(marked()) < 3 and time.monotonic() < deadline:
                time.sleep(0.2)
            running = len(marked())
            demo.send_signal(number)
            code = demo.wait(30)

        assert running >= 3
        assert code == (143 if number is signal.SIGTERM else -number)


# Ctrl-C reaches the processes whose terminal it is.
_TAKE_TERMINAL = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"
)


def _read(terminal: int, until: bytes | None, timeout_s: float) -> bytes:
    """What the terminal shows until a mark, or (None) until its last process is gone."""
    text = b""
    deadline = time.monotonic() + timeout_s
    while until is None or until not in text:
        assert time.monotonic() < deadline, f"no {until!r} in: {text[-3_000:]!r}"
        if select.select([terminal], [], [], 0.5)[0]:
            try:
                text += os.read(terminal, 65_536)
            except OSError:  # the other side is closed
                assert until is None, f"no {until!r} in: {text[-3_000:]!r}"
                return text
    return text
