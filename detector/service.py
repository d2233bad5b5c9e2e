"""The service: start the parts in order, turn the main loop, end the parts in reverse order.

A turn: see which partitions are ours, keep an epoch reading them, take windows' results, hand on what they caused,
commit what was acknowledged. What fails is tried again from the last commit.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from contextlib import ExitStack
from types import FrameType
from typing import Self, TypeVar

import structlog

from detector import certificates, metrics
from detector.config import Config
from detector.correlation.correlator import Correlator, make_signals
from detector.errors import DeliveryError, DetectorError, KafkaSetupError, NoProgressError, UnavailableError
from detector.health import Health
from detector.kafka.delivery import make_delivery
from detector.kafka.group import Group
from detector.kafka.topics import check_topics
from detector.metrics import EpochEnd, Stage
from detector.reload import Reloader
from detector.stream import cluster, memory
from detector.stream.driver import Driver
from detector.stream.epoch import EpochError, Streamer

TURN_S = 0.005
"""How long a turn waits for a window's result; everything else in a turn is late by as much."""

MAX_FAILURES = 3
"""Epochs in a row that failed without progress; then a new process may do better."""

BACK_OFF_S = (0.0, 0.5, 1.0, 2.0, 5.0)
REPORT_S = 1.0
LEAVE_S = 3.0

T = TypeVar("T")
log = structlog.get_logger()


def run(config: Config) -> None:
    """Run until SIGTERM or SIGINT.

    Raises:
        DetectorError: it cannot start or must not go on; the process ends with the error's exit code.
    """
    memory.bound_arenas()
    with Service(config) as service:
        service.run()


class Service:
    """One replica."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._health = Health()
        self._stopping = False
        self._trouble: str | None = None
        self._failures = self._troubles = 0
        self._retry_at = self._report_at = 0.0
        self._correlator: Correlator | None = None

    def __enter__(self) -> Self:
        self._listen()
        with ExitStack() as parts:
            config = self._config
            port = self._health.start(config.http)
            parts.callback(self._health.stop)
            reloader = parts.enter_context(Reloader(config))
            metrics.preset((topic.name for topic in config.input.topics), reloader.formats)
            certificates.report(config.kafka.security.ssl_certfile)
            parts.enter_context(cluster.running(config.ray, readers=config.input.readers))
            self._listen()  # again: Ray puts handlers of its own there
            streamer = Streamer(config)
            streamer.warm(reloader.spec, while_waiting=self._health.tick)
            topics = self._patiently(lambda: check_topics(config))
            group = Group(config)
            delivery = make_delivery(config, group, topics)
            parts.callback(lambda: group.leave(for_good=True, timeout_s=LEAVE_S))
            parts.callback(delivery.close)
            self._patiently(delivery.open)
            if config.correlation.enabled:
                self._correlator = Correlator(config, topics, reloader)
                parts.callback(self._correlator.close)
                self._patiently(self._correlator.open)
            self._driver = Driver(
                config,
                reloader=reloader,
                streamer=streamer,
                group=group,
                delivery=delivery,
                signals=make_signals(config, topics),
            )
            parts.callback(self._driver.drop)
            if self._correlator:
                self._patiently(self._correlator.join)
            self._patiently(group.join)  # last: from now on, others wait for this replica
            self._parts = parts.pop_all()
        log.info("started", http_port=port)
        return self

    def __exit__(self, *_error: object) -> None:
        self._health.set_ready("stopping")
        self._parts.close()
        log.info("stopped")

    def run(self) -> None:
        """Turn until asked to stop, then deliver and commit what is under way."""
        while not self._stopping:
            self._guarded(self._turn)
            if self._correlator:
                self._correlator.turn()
        self._guarded(lambda: self._driver.drain(EpochEnd.STOP))
        if self._correlator:
            self._correlator.stop()

    def _turn(self) -> None:
        self._health.tick()
        self._driver.follow_group()
        if time.monotonic() >= self._retry_at:
            self._driver.keep_reading()
            self._driver.settle()
        self._driver.take(TURN_S)
        self._report()

    def _guarded(self, step: Callable[[], None]) -> None:
        """Do a step; what may go better next time is tried again, less and less often."""
        try:
            step()
        except EpochError as error:
            self._recover(error, Stage.EPOCH)
            self._driver.blame()
            self._failures += 1
            if self._failures >= MAX_FAILURES:
                raise NoProgressError(f"{self._failures} epochs failed without progress, the last: {error}") from error
        except DeliveryError as error:
            self._recover(error, Stage.DELIVER)
        except (UnavailableError, KafkaSetupError) as error:
            self._recover(error, Stage.COMMIT)

    def _recover(self, error: DetectorError, stage: Stage) -> None:
        metrics.errors.labels(stage).inc()
        log.warning("trouble; going on from the last commit", stage=stage, error=str(error))
        self._driver.drop()
        self._trouble = str(error)
        self._retry_at = time.monotonic() + BACK_OFF_S[min(self._troubles, len(BACK_OFF_S) - 1)]
        self._troubles += 1

    def _report(self) -> None:
        if self._driver.progressed:
            self._failures = self._troubles = 0
            self._trouble = None
            self._driver.progressed = False
        now = time.monotonic()
        if now >= self._report_at:
            self._report_at = now + REPORT_S
            self._driver.report()
            correlations = self._correlator.hindrance if self._correlator else None
            self._health.set_ready(self._trouble or self._driver.hindrance or correlations)

    def _patiently(self, step: Callable[[], T]) -> T:
        """Do a step of the start; a cluster that does not answer is waited for: pods start in any order."""
        while True:
            try:
                return step()
            except UnavailableError as error:
                if self._stopping:
                    raise
                self._health.set_ready("kafka unreachable")
                log.warning("waiting for kafka", error=str(error))
                self._health.tick()
                time.sleep(1.0)

    def _listen(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)

    def _stop(self, number: int, _frame: FrameType | None) -> None:
        self._stopping = True
        signal.signal(number, signal.SIG_DFL)  # the second one ends it at once
