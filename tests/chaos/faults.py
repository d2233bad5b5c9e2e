"""The faults besides SIGKILL, each on a stage of its own. Each function does what its name says, and judges."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable

import psutil

from tests.bench.memory import usage
from tests.chaos.result import Result
from tests.chaos.scene import Scene, settled
from tests.harness.processes import kill
from tests.harness.service import ServiceProcess

TAKEN_OVER_S = 2.0
"""After a replica has left, its peers own its partitions within this time."""
ZOMBIE_S = 20.0
"""Twice the session timeout of the group."""
MOVED_S = 5.0
"""A partition that moves may pause so long."""
GROWTH_MB = 30.0

_RULE = """
title: A Rule That Changes All the Time
id: 5d3a1b0e-8a64-4a0c-9a51-1f0a7f9f2c11
logsource:
    category: webserver
detection:
    selection:
        cs-uri-query|contains: 'nothing-of-this-name-{number}'
    condition: {condition}
level: low
"""


def stop(scene: Scene, *, short: bool) -> Result:
    """SIGTERM under load, with a peer: it drains, ends with code 0, and the peer owns the partitions soon after."""
    first, second = scene.begin("a", "b")
    for _ in range(2 if short else 20):
        scene.struck()
        scene.most("stop_seconds_max", scene.stop(first))
        left = time.monotonic()
        if not settled(lambda: second.metric("detector_assigned_partitions") == 2, 30):  # noqa: B023 -- run at once
            scene.fault("the peer did not take the partitions over")
        scene.most("taken_over_seconds_max", time.monotonic() - left)
        scene.recovered()
        first.start()
        first.wait_ready()
        first, second = second, first
    if scene.result.figures["taken_over_seconds_max"] > TAKEN_OVER_S:
        scene.fault(f"the peer owned the partitions only after {scene.result.figures['taken_over_seconds_max']} s")
    result = scene.finish([first, second])
    if result.raw_duplicates:
        result.faults.append(f"raw duplicates although nothing was killed: {result.raw_duplicates}")
    return result


def worker(scene: Scene, *, short: bool) -> Result:
    """SIGKILL of Ray's workers, which the service survives, and of its node, after which it is started anew."""
    (service,) = scene.begin("a")
    for _ in range(3 if short else 10):
        scene.struck()
        assert service.kill_worker(scene.choose), "there was no worker to kill"
        scene.count("worker")
        scene.recovered()
        assert service.alive(), f"the service did not survive the loss of a worker:\n{service.tail()}"
        time.sleep(scene.choose.uniform(1.0, 3.0))
    for _ in range(1 if short else 5):
        scene.struck()
        node = service.node()
        assert node, "there was no raylet to kill"
        kill(node)
        scene.count("raylet")
        if not settled(lambda: not service.alive(), 60):
            scene.fault("the service did not end although its node is dead")
        service.close()
        service.start()
        scene.recovered()
    return scene.finish([service])


def broker(scene: Scene, *, short: bool) -> Result:
    """The broker restarts, then is gone for a minute: not ready, but alive, and no process ends."""
    (service,) = scene.begin("a")
    for away in (2.0, 15.0 if short else 60.0):
        scene.broker.stop()
        gone = time.monotonic()
        scene.count("outage")
        if away > TAKEN_OVER_S and not settled(lambda: not service.ready(), 30):
            scene.fault("the service called itself ready although the broker is gone")
        while time.monotonic() - gone < away:
            if not service.live():
                scene.fault("/healthz was red while the broker was gone")
                break
            time.sleep(0.5)
        scene.broker.start()
        scene.struck()
        scene.recovered()
        if not settled(service.ready, 30):
            scene.fault("the service was not ready after the broker came back")
    if not service.alive():
        scene.fault("the service ended while the broker was gone")
    return scene.finish([service])


def rebalance(scene: Scene, *, short: bool) -> Result:
    """A replica comes and goes, again and again: partitions that move pause shortly, and nothing comes twice."""
    (first,) = scene.begin("a")
    pause = 10.0 if short else 25.0  # and as long again until it is ready
    for _ in range(2 if short else 4):
        second = scene.start("b")
        second.wait_ready()
        scene.count("joined")
        time.sleep(pause)
        scene.stop(second)
        time.sleep(pause)
    scene.most("pause_seconds_max", max(scene.pauses().values()))
    if scene.result.figures["pause_seconds_max"] > MOVED_S:
        scene.fault(f"a partition paused for {scene.result.figures['pause_seconds_max']} s")
    return scene.finish([first])


def zombie(scene: Scene, *, short: bool) -> Result:
    """A replica stands still beyond its session and wakes up: what it still had in hand is refused."""
    first, second = scene.begin("a", "b")
    for _ in range(1 if short else 4):
        scene.struck()
        _signal(first, signal.SIGSTOP)
        scene.count("frozen")
        try:
            if not settled(lambda: second.metric("detector_assigned_partitions") == 2, ZOMBIE_S):  # noqa: B023
                scene.fault("the peer did not take the partitions over")
            time.sleep(scene.choose.uniform(0.0, 2.0))
        finally:
            _signal(first, signal.SIGCONT)
        scene.recovered()
        if settled(lambda: not first.alive(), 15):  # noqa: B023 -- it may end: a new one takes up
            scene.count("ended")
            first.close()
            first.start()
        first.wait_ready()
        first, second = second, first
    return scene.finish([first, second])


def sink(scene: Scene, *, short: bool) -> Result:
    """The broker takes what is produced only now and then: back-pressure, no growth."""
    (service,) = scene.begin("a")
    before = usage(service).driver_mb
    end = time.monotonic() + (20 if short else 120)
    while time.monotonic() < end:
        time.sleep(scene.choose.uniform(0.1, 1.0))
        scene.proxy.hold()
        scene.count("held")
        scene.most("driver_growth_mb", usage(service).driver_mb - before)
        time.sleep(scene.choose.uniform(0.1, 5.0))
        scene.proxy.release()
        scene.struck()
        scene.recovered()
    if scene.result.figures["driver_growth_mb"] > GROWTH_MB:
        scene.fault(f"the driver grew by {scene.result.figures['driver_growth_mb']} MB")
    return scene.finish([service])


def reload(scene: Scene, *, short: bool) -> Result:
    """Rule files change many times while records flow, and are broken in between: nothing is lost, nothing grows."""
    (service,) = scene.begin("a")
    rule = scene.rules / "changing.yml"
    before = usage(service)
    changes, pause = (20, 1.0) if short else (1_000, 0.6)
    for number in range(changes):
        broken = scene.choose.random() < 0.2
        rule.write_text(_RULE.format(number=number, condition="selection and" if broken else "selection"))
        scene.count("broken" if broken else "changed")
        time.sleep(pause)
        if number == changes // 2:
            before = usage(service)
    scene.struck()
    scene.recovered()
    after = usage(service)
    scene.most("driver_growth_mb", after.driver_mb - before.driver_mb)
    scene.most("workers_growth_mb", after.workers_mb - before.workers_mb)
    scene.most("reloads", service.metric("detector_rule_reloads_total"))
    if scene.result.figures["reloads"] < 2:
        scene.fault("the rules were hardly ever loaded again")
    if max(after.driver_mb - before.driver_mb, after.workers_mb - before.workers_mb) > GROWTH_MB:
        scene.fault(f"memory grew: {scene.result.figures}")
    return scene.finish([service])


FAULTS: dict[str, Callable[..., Result]] = {
    each.__name__: each for each in (stop, worker, broker, rebalance, zombie, sink, reload)
}


def _signal(service: ServiceProcess, number: signal.Signals) -> None:
    for process in service.processes():
        try:
            process.send_signal(number)
        except psutil.Error:  # it ended while we looked
            continue
