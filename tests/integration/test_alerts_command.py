from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from detector.alerts.follow import follow
from detector.alerts.text import printable
from detector.config import Config, Level
from detector.config_sources import load_config
from detector.errors import KafkaSetupError
from tests.alert_samples import alert_message, event, rule
from tests.conftest import Broker

pytestmark = pytest.mark.kafka

Start = Callable[..., subprocess.Popen[str]]

HOSTILE = "mallory\x1b]0;pwned\x07\x9b31m\r\n\u202e"


@pytest.fixture
def topic(kafka: Broker) -> str:
    """An alert topic with two partitions."""
    return kafka.topic(partitions=2)


@pytest.fixture
def send(kafka: Broker, topic: str) -> Iterator[Callable[..., None]]:
    """Sends values to the alert topic, acknowledged before it returns."""
    from kafka import KafkaProducer

    producer = KafkaProducer(bootstrap_servers=kafka.bootstrap)

    def _send(*values: bytes | None, partition: int = 0, timestamp_ms: int | None = None) -> None:
        for value in values:
            sent = producer.send(topic, value=value, key=b"k", partition=partition, timestamp_ms=timestamp_ms)
            sent.get(timeout=10)

    yield _send
    producer.close()


@pytest.fixture
def alerts(kafka: Broker, topic: str, tmp_path: Path) -> Iterator[Start]:
    """Starts `detector alerts` as a user would; whatever still runs at the end is killed."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("DETECTOR_")}
    env |= {"DETECTOR_KAFKA__BOOTSTRAP_SERVERS": kafka.bootstrap, "DETECTOR_OUTPUT__ALERTS_TOPIC": topic}
    started = []

    def _start(*arguments: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "detector", "alerts", *arguments],
            env=env,
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield _start
    for process in started:
        with process:
            process.kill()


def config(kafka: Broker, topic: str) -> Config:
    """Settings of these."""
    return load_config(None, {}, {"kafka.bootstrap_servers": [kafka.bootstrap], "output.alerts_topic": topic})


def lines(process: subprocess.Popen[str], count: int) -> list[str]:
    """The first lines of a process that goes on, without waiting for ever for them."""
    watchdog = threading.Timer(60, process.kill)
    watchdog.start()
    try:
        assert process.stdout is not None
        return [line.rstrip("\n") for line in islice(process.stdout, count)]
    finally:
        watchdog.cancel()


def alert(**changes: Any) -> bytes:
    """An alert as it is on the topic."""
    value = alert_message(**changes).value
    assert value is not None
    return value


class TestReadable:
    def test_shows_a_line_for_each_alert_as_it_comes(self, alerts: Start, send: Callable[..., None]) -> None:
        """What was there is shown with --from-beginning, and what comes later follows."""
        send(alert(), timestamp_ms=1_778_846_400_295)
        process = alerts("--from-beginning")
        first = lines(process, 1)
        send(alert(rule=rule(title="Second")), partition=1)

        assert re.split(" {2,}", first[0]) == [
            "2026-05-15 12:00:00.000",
            "high",
            "SQL Injection in a Query String",
            "source.ip=203.0.113.9",
            "cs-uri-query=id=1 UNION SELECT",
            "45 ms",
        ]
        assert "Second" in lines(process, 1)[0]

    def test_lets_no_control_character_through(self, alerts: Start, send: Callable[..., None]) -> None:
        """An attacker's user name is text on the terminal, and stays on its line."""
        send(alert(event=event(ecs={"user.name": HOSTILE})), json.dumps({"time": HOSTILE, "rule": HOSTILE}).encode())
        shown = lines(alerts("--from-beginning"), 2)

        assert all(line == printable(line) for line in shown)
        assert r"mallory\x1b]0;pwned\x07\x9b31m\x0d\x0a\u202e" in shown[0]
        assert r"mallory\x1b" in shown[1]

    def test_begins_at_the_end_unless_asked(self, alerts: Start, send: Callable[..., None]) -> None:
        """Like tail -f: only what comes after the start."""
        send(alert(rule=rule(title="Old")))
        process = alerts()
        stop = threading.Event()

        def _keep_sending() -> None:
            while not stop.wait(0.3):
                send(alert(rule=rule(title="New")))

        sender = threading.Thread(target=_keep_sending)
        sender.start()
        try:
            shown = lines(process, 2)
        finally:
            stop.set()
            sender.join()

        assert all("New" in line for line in shown)


class TestJson:
    def test_prints_the_alert_as_it_is(self, alerts: Start, send: Callable[..., None]) -> None:
        """One object a line, the same value as on the topic."""
        value = alert(event=event(ecs={"user.name": HOSTILE}))
        send(value)
        (line,) = lines(alerts("--from-beginning", "--json"), 1)

        assert json.loads(line) == json.loads(value)
        assert line == printable(line)


class TestFilters:
    @pytest.mark.parametrize(
        ("arguments", "title"),
        [
            (("--level", "critical"), "C"),
            (("--rule", "9d3a1f00-0000-4000-8000-000000000001"), "B"),
            (("--rule", "special"), "A special Rule"),
            (("--entity", "ALICE"), "B"),
        ],
    )
    def test_leave_out_the_others(
        self, arguments: tuple[str, ...], title: str, alerts: Start, send: Callable[..., None]
    ) -> None:
        """Level and above, id or part of the title, entity: without case."""
        send(
            alert(rule=rule(title="none", level=Level.LOW)),
            alert(rule=rule(title="A special Rule")),
            alert(
                rule=rule(title="B", key="9d3a1f00-0000-4000-8000-000000000001"),
                event=event(ecs={"user.name": "alice"}),
            ),
            alert(rule=rule(title="C", level=Level.CRITICAL)),
            b'{"severity": "x", "rule": 3, "entity": []}',
        )
        (line,) = lines(alerts("--from-beginning", "--json", *arguments), 1)

        assert json.loads(line)["rule"]["title"] == title


class TestSince:
    def test_begins_at_the_time(self, alerts: Start, send: Callable[..., None]) -> None:
        """The first alert at or after it; a partition without one is read from its end."""
        now = int(time.time() * 1_000)
        send(alert(rule=rule(title="Old")), timestamp_ms=now - 3_600_000)
        send(alert(rule=rule(title="Old")), partition=1, timestamp_ms=now - 3_600_000)
        send(alert(rule=rule(title="New")), timestamp_ms=now - 60_000)
        (line,) = lines(alerts("--since", "10m"), 1)

        assert "New" in line


class TestForeignMessages:
    def test_are_named_and_passed_over(self, alerts: Start, send: Callable[..., None]) -> None:
        """A tombstone, garbage and other JSON do not stop the command; their place goes to standard error."""
        send(None, b"\xff\xfe", b"[1]", b"{", alert())
        process = alerts("--from-beginning")
        shown = lines(process, 1)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)

        assert "SQL Injection" in shown[0]
        assert errors.count("is not an alert\n") == 4


class TestEnd:
    def test_ctrl_c_ends_without_a_traceback(self, alerts: Start, send: Callable[..., None]) -> None:
        """128 + SIGINT, and nothing on standard error."""
        send(alert())
        process = alerts("--from-beginning")
        lines(process, 1)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)

        assert (process.returncode, errors) == (130, "")

    def test_a_reader_that_goes_away_ends_it(self, alerts: Start, send: Callable[..., None]) -> None:
        """`detector alerts | head -1` ends well."""
        send(*[alert() for _ in range(2)])
        process = alerts("--from-beginning")
        lines(process, 1)
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        deadline = time.monotonic() + 30
        while process.poll() is None and time.monotonic() < deadline:
            send(alert())

        assert (process.poll(), process.stderr.read()) == (0, "")

    def test_a_missing_topic_is_a_line_and_a_code(self, kafka: Broker, alerts: Start) -> None:
        """The error says what to do."""
        with pytest.raises(KafkaSetupError, match="there is no topic t-none: `detector create-topics` makes it"):
            next(follow(config(kafka, "t-none"), "end"))


class TestFollow:
    def test_shows_only_what_was_committed(self, kafka: Broker, topic: str, send: Callable[..., None]) -> None:
        """Alerts of an aborted transaction were never sent."""
        from kafka import KafkaProducer

        producer = KafkaProducer(bootstrap_servers=kafka.bootstrap, transactional_id=f"tx-{topic}")
        producer.init_transactions()
        producer.begin_transaction()
        producer.send(topic, value=alert(rule=rule(title="Aborted")), partition=0).get(timeout=10)
        producer.abort_transaction()
        producer.close()
        send(alert(rule=rule(title="Sent")))
        arrival = next(follow(config(kafka, topic), "beginning"))

        assert arrival.alert is not None
        assert arrival.alert["rule"]["title"] == "Sent"
        assert arrival.place.startswith(f"{topic}-0@")

    def test_finds_partitions_that_appear_later(
        self, kafka: Broker, topic: str, send: Callable[..., None], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A topic that grows while it is followed is followed whole, the new partition from its beginning."""
        from kafka import KafkaAdminClient, KafkaProducer

        monkeypatch.setattr("detector.alerts.follow._LOOK_FOR_PARTITIONS_S", 0.2)
        monkeypatch.setattr("detector.alerts.follow._METADATA_MAX_AGE_MS", 500)
        send(alert(rule=rule(title="First")))
        arrivals = follow(config(kafka, topic), "beginning")
        first = next(arrivals)
        admin = KafkaAdminClient(bootstrap_servers=kafka.bootstrap)
        admin.create_partitions({topic: 3})
        admin.close()
        producer = KafkaProducer(bootstrap_servers=kafka.bootstrap)
        producer.send(topic, value=alert(rule=rule(title="Later")), partition=2).get(timeout=30)
        producer.close()
        second = next(arrivals)
        arrivals.close()  # type: ignore[attr-defined]

        assert [first.place, second.place] == [f"{topic}-0@0", f"{topic}-2@0"]

    def test_a_missing_right_is_an_error_that_says_so(
        self, kafka: Broker, topic: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What waiting does not mend ends the command with a message, not with a traceback."""
        from kafka import KafkaConsumer
        from kafka.errors import TopicAuthorizationFailedError

        def _refuse(*_: object, **__: object) -> None:
            raise TopicAuthorizationFailedError(topic)

        monkeypatch.setattr(KafkaConsumer, "poll", _refuse)
        with pytest.raises(KafkaSetupError, match="cannot be read: TopicAuthorizationFailedError"):
            next(follow(config(kafka, topic), "end"))
