"""The demo from beginning to end: a real Kafka, the service as a process of its own, traffic with known attacks in it.

Kafka and the service start at the same time, because both take a while; traffic begins when both are ready.
"""

from __future__ import annotations

import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import orjson

from detector.config import Config
from detector.config_sources import load_config
from detector.demo.child import Child
from detector.demo.expected import ALLOWED
from detector.demo.generator import Generator
from detector.demo.guard import Guard
from detector.demo.judge import Judge
from detector.demo.lines import Topic
from detector.demo.traffic import Traffic
from detector.demo.view import Scene, View, make_view
from detector.demo.watch import Watch
from detector.kafka.client import arguments, connect, quiet_arguments
from detector.kafka.local import LocalKafka, class_path, downloaded
from detector.kafka.topics import create_topics

_READY_S = 120.0
_DRAIN_S = 20.0
_FRAME_S = 0.125
_PARTITIONS = 2
_LAST_LOOK_S = 0.5  # for alerts that should not come


@dataclass(frozen=True, slots=True)
class Options:
    """What was asked for: records a second, seconds (0: for ever), seed, and a broker other than our own."""

    rate: int
    seconds: float
    seed: int
    bootstrap: str | None


@dataclass(frozen=True, slots=True)
class Summary:
    """What came of it.

    records: acknowledged by the broker.
    evaluated, rejected, dead_letters: by the service's metrics.
    alerts: that a subscriber saw, each counted once.
    unexpected_alerts: about harmless records, or of rules that are about something else.
    missed_attacks: planted records without an alert.
    lost: records that the service has neither evaluated nor rejected.
    latency_p50_ms, latency_p99_ms: from a record's timestamp to the arrival of its alert at a subscriber.
    """

    records: int
    evaluated: int
    rejected: int
    dead_letters: int
    alerts: int
    unexpected_alerts: int
    missed_attacks: int
    lost: int
    latency_p50_ms: float | None
    latency_p99_ms: float | None
    records_per_second: float

    @property
    def clean(self) -> bool:
        """Whether every planted attack was found, and nothing else."""
        return not (self.unexpected_alerts or self.missed_attacks or self.lost)


@dataclass(frozen=True, slots=True)
class Outcome:
    """The summary, the tallies behind it, and whether Ctrl-C ended the demo before its time."""

    summary: Summary
    judge: Judge
    interrupted: bool


@dataclass(slots=True)
class _Stage:
    """What the view shows while the parts start and run."""

    view: View
    judge: Judge
    traffic: Traffic | None = None
    watch: Watch | None = None

    def check(self) -> None:
        """Raise what went wrong in a thread."""
        for part in (self.traffic, self.watch):
            if part is not None and part.error is not None:
                raise part.error

    def say(self, phase: str, detail: str = "") -> None:
        arrivals = self.watch.take() if self.watch else []
        self.view.show(Scene(phase, detail, self.traffic, self.judge), arrivals)


def run(options: Options) -> Outcome:
    """Run the demo; Ctrl-C ends it early, with the summary of what has been.

    Raises:
        DetectorError: Kafka or the service does not start, or fails on the way.
    """
    judge = Judge(ALLOWED)
    with ExitStack() as stack:
        stack.enter_context(_terminable())
        folder = _folder()
        stack.enter_context(Guard(folder))
        stage = _Stage(stack.enter_context(make_view()), judge)
        broker = None if options.bootstrap else _broker(stage, folder)
        if broker:
            stack.callback(broker.close)
        child = Child(folder / "detector.yaml", folder / "service.log")
        stack.callback(child.stop)
        config = _settings(folder, options.bootstrap or (broker.bootstrap if broker else ""), child.port)
        _start(stage, stack, config, broker, child)
        producer, consumer = _clients(stack, config)
        stage.watch = Watch(consumer, judge)
        stack.callback(stage.watch.stop)
        stage.watch.start()
        generator = Generator(options.seed)
        count = int(options.rate * options.seconds)
        stage.traffic = Traffic(producer, generator, judge, partial(_name, folder), rate=options.rate, count=count)
        interrupted = _traffic(stage, stage.traffic, options, child)
        summary = _drain(stage, stage.traffic, child)
        stage.say("stopping the service" + (" and Kafka" if broker else ""))
    return Outcome(summary, judge, interrupted and bool(options.seconds))


def _broker(stage: _Stage, folder: Path) -> LocalKafka:
    if not downloaded():
        stage.say("first start on this machine: downloading Apache Kafka (54 MB) from Maven Central")
        class_path()
    return LocalKafka(folder / "kafka")


def _settings(folder: Path, bootstrap: str, port: int) -> Config:
    """Write the settings that the service reads, and read them as it does: environment variables count too."""
    file = folder / "detector.yaml"
    settings = {
        "kafka": {"bootstrap_servers": [bootstrap], "group_id": folder.name, "instance_id": folder.name},
        "input": {"topics": [{"name": _name(folder, topic)} for topic in Topic]},
        "output": {
            "alerts_topic": _name(folder, "alerts"),
            "dead_letters_topic": _name(folder, "alerts.dead-letters"),
        },
        "ray": {"temp_dir": str(folder / "ray")},
        "http": {"host": "127.0.0.1", "port": port},
    }
    file.write_bytes(orjson.dumps(settings))  # JSON is YAML
    return load_config(file)


def _name(folder: Path, topic: str) -> str:
    """A topic's full name: on a broker of others it must not meet an earlier demo's."""
    return f"{folder.name}.{topic}"


def _start(stage: _Stage, stack: ExitStack, config: Config, broker: LocalKafka | None, child: Child) -> None:
    """Start everything at once: the service needs Kafka last, after Ray."""
    what = "Kafka, Ray and the service" if broker else "Ray and the service"
    stage.say(f"starting {what} (about 15 seconds, some more the first time)")
    child.start()
    if broker:
        broker.start()
    create_topics(config, partitions=_PARTITIONS, replication_factor=1 if broker else -1)
    if broker is None:
        stack.callback(_delete_topics, config)
    began = time.monotonic()
    child.wait_ready(_READY_S, lambda: stage.say("Kafka is up, waiting for Ray", f"({time.monotonic() - began:.0f} s)"))


def _clients(stack: ExitStack, config: Config) -> tuple[Any, Any]:
    from kafka import KafkaConsumer, KafkaProducer, TopicPartition

    producer = connect(
        KafkaProducer, **quiet_arguments(config.kafka, "demo-traffic"), linger_ms=5, compression_type="lz4"
    )
    stack.callback(producer.close, timeout=5)
    consumer = connect(
        KafkaConsumer,
        **quiet_arguments(config.kafka, "demo-watch"),
        group_id=None,
        enable_auto_commit=False,
        isolation_level="read_committed",
        auto_offset_reset="earliest",
    )
    stack.callback(consumer.close)
    topic = config.output.alerts_topic
    consumer.assign([TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic)])
    return producer, consumer


def _traffic(stage: _Stage, traffic: Traffic, options: Options, child: Child) -> bool:
    """Let traffic flow as long as asked for; whether Ctrl-C ended it."""
    began = time.monotonic()
    try:
        traffic.start()
        while not traffic.over:
            child.check()
            stage.check()
            left = max(0.0, options.seconds - (time.monotonic() - began))
            detail = f"({left:.0f} s left)" if options.seconds else "(Ctrl-C ends)"
            stage.say(f"sending {options.rate:,} records a second, attacks among them", detail)
            time.sleep(_FRAME_S)
    except KeyboardInterrupt:
        return True
    finally:
        traffic.stop()
    stage.check()
    return False


def _drain(stage: _Stage, traffic: Traffic, child: Child) -> Summary:
    """Wait until the service has done all, and add up."""
    deadline = time.monotonic() + _DRAIN_S
    while True:
        stage.say("waiting for the last alerts")
        evaluated, rejected, dead_letters = child.metrics(
            "detector_records_evaluated_total", "detector_records_rejected_total", "detector_dead_letters_total"
        )
        done = evaluated + rejected >= traffic.acknowledged and not stage.judge.missed
        if done or time.monotonic() > deadline:
            break
        child.check()
        time.sleep(_FRAME_S)
    time.sleep(_LAST_LOOK_S)
    stage.say("waiting for the last alerts")
    judge = stage.judge
    return Summary(
        records=traffic.acknowledged,
        evaluated=evaluated,
        rejected=rejected,
        dead_letters=dead_letters,
        alerts=judge.alerts,
        unexpected_alerts=judge.unexpected,
        missed_attacks=judge.missed,
        lost=max(0, traffic.acknowledged - evaluated - rejected),
        latency_p50_ms=judge.latencies.percentile(0.5),
        latency_p99_ms=judge.latencies.percentile(0.99),
        records_per_second=round(traffic.rate, 1),
    )


def _folder() -> Path:
    """A folder for this run; Ray's sockets lie in it, and their paths must stay below 108 characters."""
    default = tempfile.gettempdir()
    return Path(tempfile.mkdtemp(prefix="detector-demo-", dir=default if len(default) < 20 else "/tmp"))  # noqa: S108


def _delete_topics(config: Config) -> None:
    from kafka import KafkaAdminClient

    names = [topic.name for topic in config.input.topics]
    admin = connect(KafkaAdminClient, **arguments(config.kafka, "demo"))
    try:
        admin.delete_topics([*names, config.output.alerts_topic, config.output.dead_letters_topic])
    finally:
        admin.close()


@contextmanager
def _terminable() -> Iterator[None]:
    """While in it, SIGTERM and SIGHUP end the demo as an exception does: everything that was started is stopped."""

    def end(number: int, _frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
