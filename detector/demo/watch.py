"""The demo's own subscriber of the alert topic: it sees what any other subscriber would."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson

from detector.demo.judge import Judge

_LATEST = 1_000


class Arrival(NamedTuple):
    """An alert and how long after its record's timestamp it was read, milliseconds."""

    alert: Mapping[str, Any]
    latency_ms: float


class Watch:
    """A thread that reads alerts, tells the judge, and keeps the latest for the view."""

    def __init__(self, consumer: Any, judge: Judge) -> None:
        """Make it; `consumer` is a `KafkaConsumer` that is assigned all partitions of the alert topic."""
        self._consumer = consumer
        self._judge = judge
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self._arrivals: deque[Arrival] = deque(maxlen=_LATEST)
        self.error: BaseException | None = None

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def stop(self) -> None:
        """End reading."""
        self._stop.set()
        self._thread.join()

    def take(self) -> list[Arrival]:
        """The alerts since the last call, the latest of them if there were very many."""
        taken = []
        while self._arrivals:
            taken.append(self._arrivals.popleft())
        return taken

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                for records in self._consumer.poll(timeout_ms=100).values():
                    now_ms = time.time() * 1_000
                    for record in records:
                        self._arrived(orjson.loads(record.value), now_ms)
        except Exception as error:  # noqa: BLE001 -- the main thread reports it
            self.error = error

    def _arrived(self, alert: Mapping[str, Any], now_ms: float) -> None:
        source = alert["source"]
        latency_ms = now_ms - source["record_timestamp"]
        place = (source["topic"], source["partition"], source["offset"])
        if self._judge.alert(alert["id"], place, alert["rule"]["tags"], latency_ms):
            self._arrivals.append(Arrival(alert, latency_ms))
