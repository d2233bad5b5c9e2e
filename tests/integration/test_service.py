"""The service as a process of its own, on a real broker and a real Ray: what its users see of it."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import psutil
import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewPartitions

import detector.stream  # noqa: F401 -- the token by which a cluster of ours knows its clients
from detector.kafka.local import LocalKafka
from tests.conftest import Broker
from tests.harness.load import alerting_line, token, unparseable_line
from tests.harness.processes import kill
from tests.harness.service import ServiceProcess
from tests.harness.topics import Topics
from tests.harness.watch import Seen, Watcher

RULE = """
title: A word that only this test has
id: 8d2f7a52-5f0e-4c39-9a0b-6a6a6a6a6a6a
status: test
logsource:
    category: webserver
detection:
    selection:
        cs-uri-stem|contains: '{word}'
    condition: selection
level: medium
"""

pytestmark = [pytest.mark.kafka, pytest.mark.ray, pytest.mark.timeout(300)]

_numbers = itertools.count(1)


def wait(condition: Callable[[], bool], timeout_s: float) -> bool:
    """Wait until a condition holds; whether it came true."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def send(bootstrap: str, topic: str, values: Iterable[bytes | None], partition: int) -> None:
    """Write records and wait for their acknowledgement."""
    producer = Producer({"bootstrap.servers": bootstrap})
    for value in values:
        producer.produce(topic, value, partition=partition)
    assert producer.flush(20) == 0


class World:
    """A broker that can be stopped, a service that reads from it, and somebody who watches what it writes."""

    def __init__(self, folder: Path) -> None:
        self.rules = folder / "rules"
        self.rules.mkdir()
        self.broker = LocalKafka().start()
        self.topics = Topics.create(self.broker.bootstrap)
        settings = self.topics.settings(rules={"paths": [str(self.rules)]})
        self.service = ServiceProcess(folder, self.broker.bootstrap, settings)
        self.watcher = Watcher(self.broker.bootstrap, self.topics.alerts, self.topics.dead_letters)
        self.watcher.start()

    def close(self) -> None:
        self.watcher.close()
        self.service.close()
        self.broker.close()

    def send(self, *values: bytes | None, partition: int = 0) -> None:
        send(self.broker.bootstrap, self.topics.logs, values, partition)

    def attack(self, partition: int = 0) -> str:
        """Send an attack; what marks it."""
        marked = token(next(_numbers), 0)
        self.send(alerting_line(marked, int(time.time())), partition=partition)
        return marked

    def seen(self, marked: str, timeout_s: float = 20.0, *, dead_letter: bool = False) -> Seen | None:
        """Wait for what came of a record."""
        return self.watcher.wait_for(
            lambda seen: seen.token == marked and seen.dead_letter is dead_letter, timeout_s=timeout_s
        )


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A running service, the same for all tests: each leaves it as it found it."""
    made = World(tmp_path_factory.mktemp("service"))
    try:
        made.service.start()
        made.service.wait_ready()
        yield made
    finally:
        made.close()


class TestService:
    def test_balance(self, world: World) -> None:
        """Every record is evaluated or rejected: an attack is an alert, noise and a null value are dead letters."""
        world.topics.wait_committed(20)
        time.sleep(1)  # records of other tests count when the commit's answer has come
        before = {name: world.service.metric(f"detector_records_{name}_total") for name in ("evaluated", "rejected")}
        noise = token(next(_numbers), 0)

        marked = world.attack()
        world.send(unparseable_line(noise), None)

        assert world.seen(marked)
        assert world.seen(noise, dead_letter=True)
        world.topics.wait_committed(20)
        assert wait(lambda: world.service.metric("detector_records_rejected_total") == before["rejected"] + 1, 10)
        assert world.service.metric("detector_records_evaluated_total") == before["evaluated"] + 2
        assert world.service.metric("detector_records_consumed_total") == sum(
            world.service.metric(f"detector_records_{name}_total") for name in ("evaluated", "rejected")
        )

    def test_new_partition(self, world: World) -> None:
        """A partition that is added while the service runs is read from its beginning."""
        admin = AdminClient({"bootstrap.servers": world.broker.bootstrap})
        number = len(admin.list_topics(world.topics.logs).topics[world.topics.logs].partitions)
        for made in admin.create_partitions([NewPartitions(world.topics.logs, number + 1)]).values():
            made.result(10)

        marked = world.attack(partition=number)

        seen = world.seen(marked, 30)
        assert seen is not None
        assert seen.partition == number

    def test_rules_change(self, world: World) -> None:
        """A new rule takes effect while records flow, a broken one beside it hinders nothing, and a rule can go."""
        reloads = world.service.metric("detector_rule_reloads_total")
        (world.rules / "broken.yml").write_text("title: [")
        (world.rules / "word.yml").write_text(RULE.format(word="xylophone"))
        assert wait(lambda: world.service.metric("detector_rule_reloads_total") > reloads, 20)
        marked = token(next(_numbers), 0)

        world.send(f'192.0.2.1 - - [24/Nov/2026:08:00:00 +0000] "GET /xylophone/{marked} HTTP/1.1" 200 1'.encode())

        seen = world.seen(marked)
        assert seen is not None
        assert seen.rule == "8d2f7a52-5f0e-4c39-9a0b-6a6a6a6a6a6a"
        assert world.service.metric("detector_rules_refused") == 1
        for file in world.rules.iterdir():
            file.unlink()
        assert wait(lambda: world.service.metric("detector_rules_refused") == 0, 20)

    def test_broker_outage(self, world: World) -> None:
        """While the broker is gone the service is alive but not ready; then it goes on where it was."""
        world.broker.stop()
        gone = wait(lambda: not world.service.ready(), 30)
        live = world.service.live()
        world.broker.start()
        marked = world.attack()

        assert gone
        assert live
        assert world.seen(marked, 40)
        assert wait(world.service.ready, 20)

    def test_worker_killed(self, world: World) -> None:
        """Whichever process of Ray's workers is killed, the service goes on where it was."""
        failures = world.service.metric("detector_epochs_total")
        workers = world.service.workers()

        for worker in workers:
            kill([worker])
            marked = world.attack()
            assert world.seen(marked, 40), f"after the death of {worker}"

        assert len(workers) >= 3, "two readers and the holder of the tickets"
        assert world.service.metric("detector_epochs_total") > failures

    def test_log_without_records(self, world: World) -> None:
        """What an attacker writes into a record is nowhere in the service's own log."""
        marked = world.attack()

        assert world.seen(marked)
        assert marked not in world.service.log.read_text()


class TestLife:
    def test_stop(self, kafka: Broker, tmp_path: Path) -> None:
        """SIGTERM delivers and commits what is under way, ends with code 0, and leaves no process."""
        topics = Topics.create(kafka.bootstrap)
        service = ServiceProcess(tmp_path, kafka.bootstrap, topics.settings(input={"readers": 1}))
        try:
            service.start()
            service.wait_ready()
            marks = [token(next(_numbers), 0) for _ in range(20)]
            send(kafka.bootstrap, topics.logs, [alerting_line(mark, int(time.time())) for mark in marks], 0)
            wait(lambda: topics.uncommitted() < len(marks), 20)
            code = service.terminate()
            left = wait(lambda: not service.processes(), 10)
        finally:
            service.close()

        assert code == 0
        assert left
        assert topics.uncommitted() == 0

    def test_node_dies(self, kafka: Broker, tmp_path: Path) -> None:
        """Without its Ray node the service ends, not with code 0, so that whoever watches over it starts it anew."""
        topics = Topics.create(kafka.bootstrap)
        service = ServiceProcess(tmp_path, kafka.bootstrap, topics.settings(input={"readers": 1}))
        try:
            service.start()
            service.wait_ready()
            nodes = service.node()
            kill(nodes)
            ended = wait(lambda: not service.alive(), 60)
        finally:
            service.close()

        assert len(nodes) == 1
        assert ended
        assert service.process is not None
        assert service.process.returncode != 0

    def test_missing_topic(self, kafka: Broker, tmp_path: Path) -> None:
        """A topic that is not there is a clear error at the start, with its own exit code."""
        topics = Topics.create(kafka.bootstrap)
        settings = topics.settings(input={"readers": 1}, output={"alerts_topic": "nobody-made-this"})
        service = ServiceProcess(tmp_path, kafka.bootstrap, settings)
        try:
            service.start()
            ended = wait(lambda: not service.alive(), 90)
        finally:
            service.close()

        assert ended
        assert service.process is not None
        assert service.process.returncode == 4
        assert "nobody-made-this" in service.tail()
        assert "create-topics" in service.tail()

    def test_two_nodes(self, kafka: Broker, tmp_path: Path) -> None:
        """On an existing Ray cluster of two nodes, each reads a partition."""
        from ray.cluster_utils import Cluster

        topics = Topics.create(kafka.bootstrap)
        nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
        settings = topics.settings(ray={"address": nodes.address}, input={"readers": 2})
        service = ServiceProcess(tmp_path, kafka.bootstrap, settings)
        watcher = Watcher(kafka.bootstrap, topics.alerts, topics.dead_letters)
        try:
            nodes.add_node(num_cpus=1)
            service.start()
            watcher.start()
            service.wait_ready(120)
            marks = [token(next(_numbers), 0) for _ in range(2)]
            for partition, mark in enumerate(marks):
                send(kafka.bootstrap, topics.logs, [alerting_line(mark, int(time.time()))], partition)
            seen = [watcher.wait_for(lambda seen, mark=mark: seen.token == mark, 30) for mark in marks]  # type: ignore[misc]
            raylets = {node.all_processes["raylet"][0].process.pid for node in nodes.list_all_nodes()}
            at_work = {
                process.info["ppid"]
                for process in psutil.process_iter(["ppid", "cmdline"])
                if (process.info["cmdline"] or [""])[0].startswith("ray::Read")
            }
        finally:
            watcher.close()
            service.close()
            nodes.shutdown()

        assert all(seen)
        assert len(raylets) == 2
        assert raylets <= at_work
