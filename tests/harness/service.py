"""The service as a real child process: `detector run --config FILE`."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import psutil
import yaml
from prometheus_client.parser import text_string_to_metric_families

from detector.kafka.local import free_port
from tests.harness.processes import MARK, gone, kill, marked, new_mark


class ServiceProcess:
    """One life of the service after another, all with the same settings; its log is `folder/service.log`."""

    def __init__(self, folder: Path, bootstrap: str, settings: Mapping[str, Any]) -> None:
        """Make it.

        settings: sections as in the settings file; address of the broker and port are added.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self.log = folder / "service.log"
        self._config = folder / "detector.yaml"
        self._port = free_port()
        kafka = {"bootstrap_servers": [bootstrap], "instance_id": "chaos-0"} | settings.get("kafka", {})
        http = {"host": "127.0.0.1", "port": self._port}
        self._config.write_text(yaml.safe_dump({**settings, "kafka": kafka, "http": http}))
        self.process: subprocess.Popen[bytes] | None = None
        self._mark = new_mark()
        self.started = 0.0

    def start(self, **variables: str) -> None:
        """Begin a life; `variables` are added to the environment."""
        self._mark = new_mark()
        self.started = time.monotonic()
        environment = {name: value for name, value in os.environ.items() if not name.startswith("DETECTOR_")}
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "detector", "run", "--config", str(self._config)],
                env=environment | variables | {MARK: self._mark},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait_ready(self, timeout_s: float = 90.0) -> float:
        """Wait until the service says that it is ready; seconds since its start.

        Raises AssertionError if it ends or takes too long.
        """
        while not self.ready():
            assert self.alive(), f"the service ended before it was ready; {self.log} ends:\n{self.tail()}"
            took = time.monotonic() - self.started
            assert took < timeout_s, f"the service was not ready after {took:.0f} s; {self.log} ends:\n{self.tail()}"
            time.sleep(0.05)
        return time.monotonic() - self.started

    def ready(self) -> bool:
        """What /readyz says now."""
        return self.get("/readyz") is not None

    def live(self) -> bool:
        """What /healthz says now."""
        return self.get("/healthz") is not None

    def alive(self) -> bool:
        """Whether the main process runs."""
        return self.process is not None and self.process.poll() is None

    def get(self, path: str) -> str | None:
        """The body of a page of the service's port; None if it is not there or says no."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._port}{path}", timeout=5) as answer:
                body: bytes = answer.read()
                return body.decode()
        except (OSError, urllib.error.URLError):
            return None

    def metric(self, name: str) -> float:
        """The sum of all series of a metric.

        Raises AssertionError if the page cannot be had or there is no such metric.
        """
        page = self.get("/metrics") or self.get("/metrics")  # once more: a busy machine may take longer than it should
        assert page is not None, f"no /metrics; the log of the service ends:\n{self.tail()}"
        samples = [
            sample.value
            for family in text_string_to_metric_families(page)
            for sample in family.samples
            if sample.name == name
        ]
        assert samples, f"no metric {name}"
        return sum(samples)

    def processes(self) -> list[psutil.Process]:
        """All processes of this life: the driver, Ray's own, the workers."""
        return marked(self._mark)

    def workers(self) -> list[psutil.Process]:
        """Ray's workers: readers, spare ones, actors. Not the agents of its node, with which the node dies."""
        return self._called(lambda program: program.startswith("ray::") and not program.endswith("Agent"))

    def node(self) -> list[psutil.Process]:
        """The process that is Ray's node."""
        return self._called(lambda program: program.endswith("/raylet"))

    def _called(self, wanted: Callable[[str], bool]) -> list[psutil.Process]:
        found = []
        for process in self.processes():
            try:
                if wanted((process.cmdline() or [""])[0].strip()):
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def kill(self) -> None:
        """SIGKILL everything at once, as when a pod dies."""
        processes = self.processes()
        # The driver first: it must have no time to react to the death of the others.
        processes.sort(key=lambda process: process.pid != (self.process.pid if self.process else 0))
        kill(processes)
        while not gone(self._mark, 1.0):
            kill(self.processes())
        self._wait()

    def kill_driver(self) -> str:
        """SIGKILL the main process only; the mark of the orphans, for `gone`."""
        assert self.process is not None
        self.process.kill()
        self._wait()
        return self._mark

    def kill_worker(self, choose: random.Random) -> bool:
        """SIGKILL a worker; whether there was one."""
        workers = sorted(self.workers(), key=lambda process: process.pid)
        if workers:
            kill([choose.choice(workers)])
        return bool(workers)

    def terminate(self, timeout_s: float = 30.0) -> int:
        """SIGTERM; the exit code.

        Raises AssertionError if the service does not end in time.
        """
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the service did not stop within {timeout_s} s; log:\n{self.tail()}") from None

    def close(self) -> None:
        """Leave nothing behind."""
        if self.processes() or self.alive():
            self.kill()

    def tail(self, size: int = 4_000) -> str:
        """The end of the log."""
        return self.log.read_bytes()[-size:].decode(errors="replace")

    def _wait(self) -> None:
        if self.process is not None:
            self.process.wait()
