"""The stage of a fault: a broker of its own, replicas of the service, a load, and somebody who watches."""

from __future__ import annotations

import random
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

from detector.kafka.local import LocalKafka, free_port
from tests.chaos.kill import ALERTING, ALERTING_RULES, BAD, RATE, RECOVERY_LIMIT_S
from tests.chaos.oracle import judge
from tests.chaos.result import Result, unbalanced
from tests.harness.load import Acknowledged, Journal, LoadProcess, timestamp_ms
from tests.harness.proxy import Proxy
from tests.harness.service import ServiceProcess
from tests.harness.topics import Topics
from tests.harness.watch import Seen, Watcher, read_all

MAX_MESSAGE_BYTES = 16 << 20
STOP_LIMIT_S = 15.0
"""A service ends within this time of SIGTERM."""


class Scene:
    """A context manager. What goes wrong in it is a fault of the result or an AssertionError."""

    def __init__(self, folder: Path, delivery: str, choose: random.Random) -> None:
        self.folder = folder
        self.delivery = delivery
        self.choose = choose
        self.result = Result()
        self.variables: dict[str, str] = {}  # in the environment of the replicas
        self.journal = Journal()  # of what the scene itself has sent
        self.rules = folder / "rules"
        self.rules.mkdir()
        port = free_port()
        self.proxy = Proxy(port, "detector-")
        self.broker = LocalKafka(port=port, advertised_listeners=f"PLAINTEXT://127.0.0.1:{self.proxy.port}")
        self._services: dict[str, ServiceProcess] = {}
        self._since = time.time()
        self.seen: list[Seen] = []  # all that subscribers saw, once it is finished

    def __enter__(self) -> Self:
        self.proxy.__enter__()
        self.broker.start()
        bootstrap = self.broker.bootstrap
        self.topics = Topics.create(bootstrap)
        self.watcher = Watcher(bootstrap, self.topics.alerts, self.topics.dead_letters)
        self.load = LoadProcess(
            *(bootstrap, self.topics.logs, self.folder / "journal"),
            rate=RATE,
            alerting=ALERTING,
            bad=BAD,
            seed=self.choose.getrandbits(32),
        )
        return self

    def __exit__(self, *_error: object) -> None:
        self.proxy.release()
        self.load.close()
        for service in self._services.values():
            service.close()
        self.watcher.close()
        self.broker.close()
        self.proxy.__exit__()

    def begin(self, *names: str) -> list[ServiceProcess]:
        """Start replicas of these names, then the load; wait until there are alerts."""
        services = [self.start(name) for name in names]
        for service in services:
            service.wait_ready()
        self.watcher.start()
        self.load.start()
        self.recovered()
        return services

    def start(self, name: str) -> ServiceProcess:
        """Start a replica, one reader strong; that of a name takes up where the last one of that name ended."""
        if name not in self._services:
            settings: dict[str, Any] = self.topics.settings(
                kafka={"instance_id": name},
                input={"readers": 1},
                output={"delivery": self.delivery},
                rules={"paths": [str(self.rules)]},
            )
            self._services[name] = ServiceProcess(self.folder / name, self.broker.bootstrap, settings)
        self._services[name].start(**self.variables)
        return self._services[name]

    def send(self, records: Iterable[tuple[str, str, bytes]]) -> None:
        """Write records, each with its token, as what it must come out (`alert`, `dead_letter`), and its text.

        Without a kind, the record obliges to nothing.
        """
        from confluent_kafka import Producer

        sizes = {"message.max.bytes": MAX_MESSAGE_BYTES, "queue.buffering.max.messages": 1_000_000}
        common = {"compression.type": "lz4", "linger.ms": 20, "log_level": 3}
        producer = Producer({"bootstrap.servers": self.broker.bootstrap} | common | sizes)

        def remember(token: str, kind: str) -> Callable[[Any, Any], None]:
            def acknowledged(error: Any, message: Any) -> None:
                self.journal.failed += error is not None
                self.journal.acked.append(Acknowledged(token, kind, message.partition(), message.offset()))

            return acknowledged

        for token, kind, text in records:
            while True:
                try:
                    producer.produce(self.topics.logs, text, on_delivery=remember(token, kind) if kind else None)
                    break
                except BufferError:
                    producer.poll(0.05)
        assert not producer.flush(120), "the broker did not acknowledge all records"

    def stop(self, service: ServiceProcess) -> float:
        """SIGTERM, after which a service drains and ends with code 0; the seconds that it took."""
        self.count("stopped")
        began = time.monotonic()
        code = service.terminate()
        took = time.monotonic() - began
        if code:
            self.fault(f"exit code {code} after SIGTERM")
        if took > STOP_LIMIT_S:
            self.fault(f"a service took {took:.1f} s to end")
        return took

    def count(self, what: str, times: int = 1) -> None:
        """Something happened."""
        self.result.happened[what] = self.result.happened.get(what, 0) + times

    def fault(self, what: str) -> None:
        """Something must not have been."""
        self.result.faults.append(what)

    def most(self, figure: str, value: float) -> None:
        """Keep the largest value of a figure."""
        self.result.figures[figure] = round(max(value, self.result.figures.get(figure, 0.0)), 2)

    def struck(self) -> None:
        """A fault begins now, or ends now: the time from here to the next alert is the recovery."""
        self._since = time.time()

    def recovered(self) -> float:
        """Wait for an alert about a record made after the last fault; the seconds since."""
        since_ms = self._since * 1_000

        def fresh(seen: Seen) -> bool:
            return not seen.dead_letter and seen.token is not None and timestamp_ms(seen.token) > since_ms

        found = self.watcher.wait_for(fresh, RECOVERY_LIMIT_S)
        assert found, f"no alert {RECOVERY_LIMIT_S:.0f} s after a fault; logs are in {self.folder}"
        took = found.arrived - self._since
        self.result.recovery_seconds_max = max(self.result.recovery_seconds_max, round(took, 2))
        return took

    def pauses(self) -> dict[int, float]:
        """The longest time between two alerts, of the records of each partition, seconds."""
        times: dict[int, list[float]] = defaultdict(list)
        for seen in self.watcher.seen:
            if not seen.dead_letter:
                times[seen.partition].append(seen.arrived)
        return {
            partition: max((later - earlier for earlier, later in pairwise(sorted(each))), default=0.0)
            for partition, each in times.items()
        }

    def delay(self, since: float, until: float) -> float:
        """The longest time from a record, made between two times, to its alert, seconds."""
        alerts = [(seen.arrived, seen.token) for seen in self.watcher.seen if seen.token and not seen.dead_letter]
        made = ((arrived, timestamp_ms(token) / 1_000) for arrived, token in alerts)
        return max((arrived - at for arrived, at in made if since <= at < until), default=0.0)

    def finish(self, services: list[ServiceProcess], *, timeout_s: float = RECOVERY_LIMIT_S) -> Result:
        """End the load, wait until everything is committed, end the replicas, judge."""
        journal = self.load.stop() if self.load.running else Journal()
        journal.acked += self.journal.acked
        journal.failed += self.journal.failed
        self.topics.wait_committed(timeout_s)
        result = self.result
        for service in services:
            settled(lambda service=service: unbalanced(service) == 0, 10.0)  # type: ignore[misc]
            result.unbalanced += abs(unbalanced(service))
            result.exit_code = max(result.exit_code, abs(service.terminate()))
        self.seen = read_all(self.broker.bootstrap, self.topics.alerts, self.topics.dead_letters)
        verdict = judge(journal, self.seen, ALERTING_RULES)
        for name, value in asdict(verdict).items():
            setattr(result, name, value)
        result.judged(verdict, journal.failed, exactly_once=self.delivery == "exactly_once")
        return result


def settled(condition: Callable[[], bool], timeout_s: float) -> bool:
    """Wait until the condition holds; whether it came to that."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True
