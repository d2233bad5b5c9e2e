"""The service as the demo's child process, seen from outside: its port, its metrics, its exit code."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

from detector.errors import DetectorError, KafkaSetupError
from detector.kafka.local import free_port

_STOP_S = 20.0


class Child:
    """`detector run --config FILE` with a port on loopback; its log goes to a file."""

    def __init__(self, config: Path, log: Path) -> None:
        self._config = config
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port()

    def start(self) -> None:
        """Start it; it takes a while until it is ready."""
        command = [sys.executable, "-m", "detector", "run", "--config", str(self._config)]
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C in the terminal is for the demo, which then stops the service
            )

    def check(self) -> None:
        """Raise DetectorError if the process has ended."""
        if self._process is not None and (code := self._process.poll()) is not None:
            raise DetectorError(f"the service ended with exit code {code}; its log ends:\n{self._tail()}")

    def wait_ready(self, timeout_s: float, tick: Callable[[], None]) -> None:
        """Wait until it is ready, calling `tick` meanwhile.

        The topics are there now; if they were not when it looked, it has ended, and is started again.

        Raises:
            DetectorError: it ended, or is not ready in time.
        """
        deadline = time.monotonic() + timeout_s
        again = True
        while self._get("/readyz") is None:
            if again and self._process is not None and self._process.poll() == KafkaSetupError.exit_code:
                again = False
                self.start()
            self.check()
            if time.monotonic() > deadline:
                raise DetectorError(
                    f"the service was not ready within {timeout_s:.0f} s; its log ends:\n{self._tail()}"
                )
            tick()
            time.sleep(0.1)

    def metrics(self, *names: str) -> list[int]:
        """The sums of all series of some counters; zeros if the page cannot be had."""
        from prometheus_client.parser import text_string_to_metric_families

        sums = dict.fromkeys(names, 0.0)
        for family in text_string_to_metric_families(self._get("/metrics") or ""):
            for sample in family.samples:
                if sample.name in sums:
                    sums[sample.name] += sample.value
        return [int(sums[name]) for name in names]

    def stop(self) -> None:
        """Ask it to end, and make it end if it does not."""
        if self._process is None or self._process.poll() is not None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _get(self, path: str) -> str | None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=2) as answer:
                body: bytes = answer.read()
                return body.decode()
        except OSError:
            return None

    def _tail(self) -> str:
        try:
            return self._log.read_bytes()[-2_000:].decode(errors="replace")
        except OSError:
            return "(no log)"
