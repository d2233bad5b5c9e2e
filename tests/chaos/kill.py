"""SIGKILL: of everything, of the driver only, of a worker; at random moments and at every failpoint."""

from __future__ import annotations

import random
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any, get_args

from detector.failpoints import Point
from tests.chaos import correlated
from tests.chaos.oracle import judge
from tests.chaos.result import Result, unbalanced
from tests.harness.load import LoadProcess, timestamp_ms
from tests.harness.processes import gone, kill, marked
from tests.harness.service import ServiceProcess
from tests.harness.topics import Topics
from tests.harness.watch import Seen, Watcher, read_all

ALERTING_RULES = frozenset({"6ce1dbd4-3a7d-4a5e-9a55-0d2b1a7f6a51"})
"""Ids of the rules that the load's alerting lines fire."""

METHODS = (*get_args(Point), "moment", "worker", "driver", "start")
"""The failpoints, and: everything at a random moment; a worker, whose loss the service must survive; the driver only,
so that Ray's processes are orphans of which the next life must not mind; everything while it starts."""

RATE = 500
ALERTING = 0.04
BAD = 0.004
RECOVERY_LIMIT_S = 120.0
FAILPOINT_LIMIT_S = 30.0


def schedule(cycles: int, choose: random.Random) -> list[str]:
    """The methods of the cycles: each equally often, in random order."""
    rounds = [random.Random(choose.random()).sample(METHODS, len(METHODS)) for _ in range(-(-cycles // len(METHODS)))]
    return [method for one in rounds for method in one][:cycles]


def run(bootstrap: str, folder: Path, delivery: str, methods: list[str], choose: random.Random) -> Result:
    """Kill the service once for each of `methods`, let it come to rest, and judge."""
    topics = Topics.create(bootstrap, correlations=True)
    per_second = RATE * ALERTING
    settings = topics.settings(
        output={"delivery": delivery},
        epochs={"max_age_s": 20.0},
        **correlated.settings(folder / "correlations", per_second),
    )
    service = ServiceProcess(folder, bootstrap, settings)
    load = LoadProcess(
        *(bootstrap, topics.logs, folder / "journal"),
        rate=RATE,
        alerting=ALERTING,
        bad=BAD,
        seed=choose.getrandbits(32),
    )
    watcher = Watcher(bootstrap, topics.alerts, topics.dead_letters)
    killer = _Killer(service, watcher, folder, choose)
    try:
        watcher.start()
        load.start()
        for method in methods:
            killer.cycle(method)
        service.start()
        killer.recovered()
        journal = load.stop()
        topics.wait_committed(RECOVERY_LIMIT_S)
        correlated.wait_folded(topics)
        correlated.wait_incident(topics)
        difference = unbalanced(service)
        exit_code = service.terminate()
        seen = read_all(bootstrap, topics.alerts, topics.dead_letters)
        plain = [each for each in seen if each.rule not in correlated.COUNTED]
        verdict = judge(journal, plain, ALERTING_RULES | {correlated.EACH})
        alerts = correlated.read_values(bootstrap, topics.alerts)
        faults = correlated.judge_counted(journal.acked, alerts, per_second)
        faults += correlated.judge_incidents(correlated.read_values(bootstrap, f"{topics.alerts}.incidents"))
    finally:
        load.close()
        service.close()
        watcher.close()
        orphans = killer.clean()
    result = Result(
        **asdict(verdict),
        recovery_seconds_max=round(killer.recovery_s, 2),
        happened={method: methods.count(method) for method in METHODS if method in methods},
        orphans_left=orphans,
        unbalanced=difference,
        exit_code=exit_code,
    )
    result.faults += faults
    result.judged(verdict, journal.failed, exactly_once=delivery == "exactly_once")
    return result


class _Killer:
    """Starts lives of the service and ends them."""

    def __init__(self, service: ServiceProcess, watcher: Watcher, folder: Path, choose: random.Random) -> None:
        self._service = service
        self._watcher = watcher
        self._file = folder / "failpoint"
        self._choose = choose
        self._since = time.time()
        self._looked = 0
        self._orphans: list[str] = []
        self.recovery_s = 0.0

    def cycle(self, method: str) -> None:
        """One life, from its start to its end by `method`."""
        service, choose = self._service, self._choose
        if method in get_args(Point):
            self._file.unlink(missing_ok=True)
            passing = choose.randint(2, 40)
            service.start(DETECTOR_FAILPOINT=f"{method}:{passing}", DETECTOR_FAILPOINT_FILE=str(self._file))
            self._failpoint(method)
            self._killed(service.kill)
            return
        service.start()
        if method == "start":
            time.sleep(choose.uniform(0.5, 12.0))
            self._killed(service.kill)
            return
        self.recovered()
        time.sleep(choose.uniform(0.0, 3.0))
        match method:
            case "moment":
                self._killed(service.kill)
            case "driver":
                self._killed(lambda: self._orphans.append(service.kill_driver()))
            case "worker":
                assert service.kill_worker(choose), "there was no worker to kill"
                self._since = time.time()
                self.recovered()
                assert service.alive(), f"the service did not survive the loss of a worker:\n{service.tail()}"
                self._killed(service.kill)

    def recovered(self) -> None:
        """Wait for an alert about a record made after the last kill."""
        since_ms = self._since * 1_000

        def fresh(seen: Seen) -> bool:
            return not seen.dead_letter and seen.token is not None and timestamp_ms(seen.token) > since_ms

        found = self._watcher.wait_for(fresh, RECOVERY_LIMIT_S)
        assert found, f"no alert {RECOVERY_LIMIT_S:.0f} s after a kill; log:\n{self._service.tail()}"
        self.recovery_s = max(self.recovery_s, found.arrived - self._since)

    def clean(self) -> list[str]:
        """End orphans; which there were."""
        names = []
        for mark in self._orphans:
            if not gone(mark, 5.0):
                left = marked(mark)
                names += [(process.cmdline() or [process.name()])[0].strip() for process in left]
                kill(left)
        return names

    def _failpoint(self, method: str) -> None:
        deadline = time.monotonic() + FAILPOINT_LIMIT_S + RECOVERY_LIMIT_S
        while not self._file.exists():
            assert self._service.alive(), f"the service ended by itself:\n{self._service.tail()}"
            assert time.monotonic() < deadline, f"failpoint {method} was not passed; log:\n{self._service.tail()}"
            time.sleep(0.002)

    def _killed(self, how: Any) -> None:
        self._since = time.time()
        how()
