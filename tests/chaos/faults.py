"""The faults besides SIGKILL, each on a stage of its own. Each function does what its name says, and judges."""

from __future__ import annotations

import itertools
import os
import random
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import psutil

from detector.demo.lines import Stamp
from detector.demo.web import Web
from detector.metrics import DeadLetterReason
from tests.bench.memory import usage
from tests.chaos.result import Result
from tests.chaos.scene import Scene, settled
from tests.harness.load import alerting_line, token
from tests.harness.processes import kill
from tests.harness.service import ServiceProcess

TAKEN_OVER_S = 2.0
"""After a replica has left, its peers own its partitions within this time."""
ZOMBIE_S = 20.0
"""Twice the session timeout of the group."""
MOVED_S = 5.0
"""A partition that moves may pause so long."""
GROWTH_MB = 30.0

DELAYED_S = {"raise": 1.0, "crash": 10.0, "stall": None}
"""What a record does to who evaluates it, and for how long it may delay others."""
BACKLOG_MB = 200.0
DAY_S = 86_400
CLOCK = Path(__file__).parents[1] / "harness" / "clock"

_HUGE: tuple[tuple[str, Callable[[str], bytes], DeadLetterReason], ...] = (
    ("long_line", lambda marked: marked.encode() + b" x" * (5 << 20), DeadLetterReason.TRUNCATED),
    ("bomb", lambda marked: marked.encode() + bytes(15 << 20), DeadLetterReason.TRUNCATED),
    (
        "deep_json",
        lambda marked: b'{"marked": "%b", "a": %b1%b}' % (marked.encode(), b'{"a": ' * 10_000, b"}" * 10_000),
        DeadLetterReason.UNPARSED,
    ),
)
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


def clock(scene: Scene, *, short: bool) -> Result:
    """The machine's clock is stepped by a day and back, and sources write times that are a day off: nothing changes."""
    off = scene.folder / "clock"
    off.write_text("0")
    path = os.pathsep.join(filter(None, (str(CLOCK), os.environ.get("PYTHONPATH"))))
    scene.variables |= {"PYTHONPATH": path, "FAKED_CLOCK_FILE": str(off)}
    (service,) = scene.begin("a")
    numbers = itertools.count(0xF0000000)
    for step in (DAY_S, 0, -DAY_S, 0) * (1 if short else 5):
        off.write_text(str(step))
        time.sleep(1.0)
        scene.count("stepped")
        scene.struck()
        now = time.time()
        records = [(token(next(numbers), int(now * 1_000)), now + aside) for aside in (-DAY_S, DAY_S)]
        scene.send((marked, "alert", alerting_line(marked, int(second))) for marked, second in records)
        scene.recovered()
        if not service.live() or not settled(service.ready, 10):
            scene.fault(f"not ready and alive with a clock that is {step} s off")
    return scene.finish([service])


def sink(scene: Scene, *, short: bool) -> Result:
    """What is produced is taken only now and then, and a quarter of it refused: back-pressure, no growth."""
    (service,) = scene.begin("a")
    before = usage(service).driver_mb
    scene.proxy.refused = 0.25
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
    scene.proxy.refused = 0.0
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


def poison(scene: Scene, *, short: bool) -> Result:
    """Records that raise, crash native code or never return, and huge ones: dead letters, and others hardly wait."""
    scene.variables["DETECTOR_POISON"] = ",".join(f"{effect}-please:{effect}" for effect in ("raise", "crash", "stall"))
    (service,) = scene.begin("a")
    numbers = itertools.count(0xF0000000)

    def send(make: Callable[[str], bytes], reason: DeadLetterReason) -> float:
        """The longest delay of an alert about a record of the next seconds."""
        began = time.time()
        marked = token(next(numbers), int(began * 1_000))
        scene.struck()
        scene.send([(marked, "dead_letter", make(marked))])
        found = scene.watcher.wait_for(lambda seen: seen.dead_letter and seen.token == marked, 90)
        if found is None or found.reason != reason:
            scene.fault(f"{make(marked)[:20]!r} became {found}, not a dead letter with the reason {reason}")
        scene.recovered()
        time.sleep(2.0)
        return scene.delay(began, time.time() - 1.0)

    before = usage(service)
    for _ in range(1 if short else 5):
        for effect, limit_s in DELAYED_S.items():
            scene.count(effect)
            delay = send(lambda marked: f"{effect}-please {marked}".encode(), DeadLetterReason.POISON)  # noqa: B023
            scene.most(f"delayed_by_{effect}_seconds_max", delay)
            if limit_s is not None and delay > limit_s:
                scene.fault(f"a record that does {effect} delayed others by {delay:.1f} s")
        for name, make, reason in _HUGE:
            scene.count(name)
            scene.most("delayed_by_size_seconds_max", send(make, reason))
    after = usage(service)
    scene.most("growth_mb", after.driver_mb + after.workers_mb - before.driver_mb - before.workers_mb)
    return scene.finish([service])


def backlog(scene: Scene, *, short: bool) -> Result:
    """Many records wait when it starts: it works them off as fast at the end as at first, in order, in flat memory."""
    lines = 600_000 if short else 10_000_000
    web, stamp, begin = Web(random.Random(scene.choose.random())), Stamp(), time.time_ns() // 1_000

    def records() -> Iterator[tuple[str, str, bytes]]:
        for number in range(lines):
            if number % 5_000 == 0:
                marked = token(number, begin // 1_000)
                yield marked, "alert", alerting_line(marked, begin // 1_000_000)
            else:
                stamp.set(begin + number * 100)
                yield "", "", web.line(stamp).encode()

    scene.send(records())
    scene.count("records", lines)
    service = scene.start("a")
    service.wait_ready()
    most, done, seen = usage(service), 0.0, list[tuple[float, float]]()
    least = most
    while done < lines:
        assert service.alive(), service.tail()
        use, done = usage(service), service.metric("detector_records_evaluated_total")
        seen.append((time.monotonic(), done))
        most = max(most, use, key=lambda each: each.driver_mb + each.workers_mb)
        time.sleep(0.1)
    rates = [_rate(seen, lines * low, lines * high) for low, high in ((0.1, 0.5), (0.5, 0.9), (0.1, 0.9))]
    scene.most("records_per_second", rates[2])
    scene.most("rate_kept", rates[1] / rates[0])
    scene.most("growth_mb", most.driver_mb + most.workers_mb - least.driver_mb - least.workers_mb)
    if rates[1] < 0.8 * rates[0]:
        scene.fault(f"it became slower: {rates[0]:,.0f} records a second, then {rates[1]:,.0f}")
    if scene.result.figures["growth_mb"] > BACKLOG_MB:
        scene.fault(f"memory grew by {scene.result.figures['growth_mb']} MB")
    result = scene.finish([service])
    reached: dict[int, int] = {}
    for alert in scene.seen:  # all about one entity
        if alert.offset < reached.get(alert.partition, 0):
            scene.fault(f"alerts about one entity are out of order at offset {alert.offset} of {alert.partition}")
            break
        reached[alert.partition] = alert.offset
    return result


FAULTS: dict[str, Callable[..., Result]] = {
    each.__name__: each for each in (stop, worker, broker, rebalance, zombie, poison, clock, sink, reload, backlog)
}


def _rate(seen: Sequence[tuple[float, float]], low: float, high: float) -> float:
    """Records a second between two counts of records."""
    part = [(at, done) for at, done in seen if low <= done <= high]
    assert len(part) > 1, "there were too few records to tell a rate"
    return (part[-1][1] - part[0][1]) / (part[-1][0] - part[0][0])


def _signal(service: ServiceProcess, number: signal.Signals) -> None:
    for process in service.processes():
        try:
            process.send_signal(number)
        except psutil.Error:  # it ended while we looked
            continue
