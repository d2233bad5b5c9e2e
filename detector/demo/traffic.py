"""Sends the generated logs to Kafka at a steady rate, and tells the judge where the planted ones came to lie."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from detector.demo.generator import Generator
from detector.demo.judge import Judge
from detector.demo.lines import Attack, Topic

_TICK_S = 0.01


class Traffic:
    """A thread that sends records until it is told to stop, or has sent as many as asked for."""

    def __init__(
        self, producer: Any, generator: Generator, judge: Judge, topic: Callable[[str], str], *, rate: int, count: int
    ) -> None:
        """Make it.

        Args:
            producer: a `KafkaProducer`.
            generator: where the logs come from.
            judge: who is told of planted records, once the broker has them.
            topic: the full name of a generated topic.
            rate: records a second.
            count: records in all; 0 is without end.
        """
        self._producer = producer
        self._generator = generator
        self._judge = judge
        self._topic = topic
        self._rate = rate
        self._count = count
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="traffic", daemon=True)
        self._began = self._ended = 0.0
        self.sent = 0
        self.acknowledged = 0
        self.error: BaseException | None = None

    def start(self) -> None:
        """Begin to send."""
        self._began = time.monotonic()
        self._thread.start()

    def stop(self) -> None:
        """Send no more, and wait for the acknowledgements of what was sent."""
        self._stop.set()
        self._thread.join()
        self._producer.flush(timeout=30)

    @property
    def over(self) -> bool:
        """Whether all was sent, or sending failed."""
        return not self._thread.is_alive()

    @property
    def rate(self) -> float:
        """Acknowledged records a second."""
        seconds = (self._ended or time.monotonic()) - self._began
        return self.acknowledged / seconds if self._began and seconds > 0 else 0.0

    def _run(self) -> None:
        try:
            self._send()
        except Exception as error:  # noqa: BLE001 -- the main thread reports it
            self.error = error
        self._ended = time.monotonic()

    def _send(self) -> None:
        # A record's own time follows from its number, so that the logs do not depend on how fast this machine is.
        start_us = time.time_ns() // 1_000_000_000 * 1_000_000
        names = {name: self._topic(name) for name in Topic}
        step = 1_000_000 / self._rate
        while not self._stop.is_set():
            due = int((time.monotonic() - self._began) * self._rate)
            if self._count:
                due = min(due, self._count)
            times = [start_us + int(number * step) for number in range(self.sent, due)]
            for log in self._generator.logs(times):
                future = self._producer.send(names[log.topic], log.value, timestamp_ms=time.time_ns() // 1_000_000)
                future.add_callback(partial(self._acknowledged, log.attack))
                self.sent += 1
            if self.sent == self._count:
                break
            self._stop.wait(_TICK_S)

    def _acknowledged(self, attack: Attack | None, metadata: Any) -> None:
        self.acknowledged += 1  # only the producer's one thread of callbacks writes it
        if attack is not None:
            self._judge.plant((metadata.topic, metadata.partition, metadata.offset), attack)
