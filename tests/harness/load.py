"""The load: a process of its own that writes harmless logs, and among them records that must alert.

`python -m tests.harness.load` runs until SIGTERM or for `--seconds`, then waits for all acknowledgements. Its journal
has a line for each such record, before it is sent (`sent TOKEN`) and when the broker has acknowledged it
(`acked TOKEN KIND PARTITION OFFSET`), and one at the end (`total ACKED FAILED`).
"""

from __future__ import annotations

import argparse
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from detector.demo.generator import Generator

_TOKEN = re.compile(rb"tk[0-9a-f]{8}x([0-9a-f]{12})z")


def token(number: int, timestamp_ms: int) -> str:
    """What marks a record, wherever it is quoted: its number and its timestamp."""
    return f"tk{number:08x}x{timestamp_ms:012x}z"


def find_token(text: bytes) -> str | None:
    """The token in a text, if there is one."""
    match = _TOKEN.search(text)
    return match[0].decode() if match else None


def timestamp_ms(marked: str) -> int:
    """When the record with this token was made."""
    return int(marked[11:23], 16)


def alerting_line(marked: str, second: int) -> bytes:
    """An access-log line with an SQL injection."""
    at = time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(second))
    path = f"/product?id=-1%20UNION%20SELECT%20username,password,%27{marked}%27%20FROM%20users--"
    return f'198.51.100.9 - - [{at}] "GET {path} HTTP/1.1" 200 512 "-" "Mozilla/5.0 (X11; Linux x86_64)"'.encode()


def unparseable_line(marked: str) -> bytes:
    """A record that no parser takes: it must come out as a dead letter."""
    return b"\xfe\xffno format has this " + marked.encode()


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """A record that the broker has: it must cause an alert, or (`dead_letter`) a dead letter."""

    token: str
    kind: str
    partition: int
    offset: int


@dataclass(slots=True)
class Journal:
    """What the load remembers."""

    sent: set[str] = field(default_factory=set)
    acked: list[Acknowledged] = field(default_factory=list)
    total: int = 0
    failed: int = 0

    @classmethod
    def read(cls, path: Path) -> Journal:
        """Read a journal; its last line may be cut off."""
        journal = cls()
        for line in path.read_text().split("\n")[:-1]:
            match line.split(" "):
                case ["sent", marked]:
                    journal.sent.add(marked)
                case ["acked", marked, kind, partition, offset]:
                    journal.acked.append(Acknowledged(marked, kind, int(partition), int(offset)))
                case ["total", acked, failed]:
                    journal.total, journal.failed = int(acked), int(failed)
        return journal


class LoadProcess:
    """The load as a child process."""

    def __init__(
        self, bootstrap: str, topic: str, journal: Path, *, rate: int, alerting: float, bad: float = 0.0, seed: int = 0
    ) -> None:
        """Make it: `rate` records a second, of which the shares `alerting` and `bad` cause alerts and dead letters."""
        arguments = {"bootstrap": bootstrap, "topic": topic, "journal": journal, "rate": rate, "alerting": alerting}
        more = arguments | {"bad": bad, "seed": seed}
        self._command = [
            sys.executable,
            "-m",
            "tests.harness.load",
            *(f"--{name}={value}" for name, value in more.items()),
        ]
        self._journal = journal
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, seconds: float = 0.0) -> None:
        """Begin; `seconds` 0 is until `stop`."""
        self._process = subprocess.Popen([*self._command, f"--seconds={seconds}"], start_new_session=True)

    @property
    def running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    def stop(self) -> Journal:
        """End it, wait until all is acknowledged, and read the journal."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return self.wait(60.0)

    def wait(self, timeout_s: float) -> Journal:
        """Wait for the end, and read the journal."""
        assert self._process is not None
        code = self._process.wait(timeout_s)
        assert code == 0, f"the load ended with {code}"
        return Journal.read(self._journal)

    def close(self) -> None:
        """Leave nothing behind."""
        if self._process is not None and self.running:
            self._process.kill()
            self._process.wait()


def produce(options: argparse.Namespace, journal: IO[str]) -> None:
    """Write records at the rate asked for, until told to stop."""
    from confluent_kafka import Producer

    producer = Producer(
        {
            "bootstrap.servers": options.bootstrap,
            "log_level": 3,  # errors
            "enable.idempotence": True,
            "linger.ms": 5,
            "compression.type": "lz4",
            "message.timeout.ms": 0,  # for ever: a broker that is away comes back
        }
    )
    going = True

    def stop(*_: object) -> None:
        nonlocal going
        going = False

    signal.signal(signal.SIGTERM, stop)
    counts = [0, 0]

    def delivered(error: Any, _message: Any) -> None:
        counts[error is not None] += 1

    def remember(marked: str, kind: str) -> Callable[[Any, Any], None]:
        def acknowledged(error: Any, message: Any) -> None:
            delivered(error, message)
            if error is None:
                journal.write(f"acked {marked} {kind} {message.partition()} {message.offset()}\n")

        return acknowledged

    generator = Generator(options.seed, planted=0)
    every_alert = round(1 / options.alerting) if options.alerting else 0
    every_bad = round(1 / options.bad) if options.bad else 0
    begin = time.monotonic()
    number = 0
    while going and not (options.seconds and time.monotonic() - begin >= options.seconds):
        due = int((time.monotonic() - begin) * options.rate) - number
        for log in generator.logs([time.time_ns() // 1_000] * max(0, due)):
            now_ms = time.time_ns() // 1_000_000
            number += 1
            value = log.value
            report: Callable[[Any, Any], None] = delivered
            if (every_alert and not number % every_alert) or (every_bad and number % every_bad == 1):
                marked = token(number, now_ms)
                is_bad = bool(every_alert and number % every_alert)
                value = unparseable_line(marked) if is_bad else alerting_line(marked, now_ms // 1_000)
                journal.write(f"sent {marked}\n")
                report = remember(marked, "dead_letter" if is_bad else "alert")
            while True:
                try:
                    producer.produce(options.topic, value, timestamp=now_ms, on_delivery=report)
                    break
                except BufferError:
                    producer.poll(0.1)
        producer.poll(0)
        time.sleep(0.002)
    producer.flush()
    journal.write(f"total {counts[0]} {counts[1]}\n")


def main() -> None:
    """Parse the command line and produce."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name, kind in (("bootstrap", str), ("topic", str), ("journal", Path)):
        parser.add_argument(f"--{name}", type=kind, required=True)
    parser.add_argument("--rate", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=0)
    for name in ("alerting", "bad", "seconds"):
        parser.add_argument(f"--{name}", type=float, default=0.0)
    options = parser.parse_args()
    with options.journal.open("w", buffering=1) as journal:
        produce(options, journal)


if __name__ == "__main__":
    main()
