"""Epochs on a real Ray and a real broker: what Ray is asked to do, and what happens when it does not."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import islice, pairwise

import pytest
from kafka import TopicPartition

from detector.config import Config
from detector.metrics import DeadLetterReason
from detector.pipeline import Spec
from detector.reload import load
from detector.stream import cluster, internals
from detector.stream.epoch import Epoch, EpochError, Streamer, dataset, share
from detector.stream.positions import Positions
from detector.stream.worker import Row
from detector.window import Message
from tests.conftest import Broker
from tests.kafka_world import World

LINE = b'192.0.2.7 - - [24/Nov/2026:08:00:00 +0000] "GET /item/%d HTTP/1.1" 200 12 "-" "Mozilla/5.0"'

pytestmark = [pytest.mark.kafka, pytest.mark.ray]


@pytest.fixture(scope="module", autouse=True)
def ray() -> Iterator[None]:
    """A Ray cluster of two readers and a spare process, on which some records are poison."""
    patch = pytest.MonkeyPatch()
    patch.setenv("DETECTOR_POISON", "segfault-please:crash,stall-please:stall")
    with cluster.running(Config().ray, readers=2):
        yield
    patch.undo()


class Run:
    """Epochs over the topic of a test, with positions as the driver keeps them."""

    def __init__(self, broker: Broker, partitions: int, **settings: object) -> None:
        self.world = World.make(broker.bootstrap, partitions)
        config = self.world.config()
        update = {"input": config.input.model_copy(update={"linger_ms": 5})} | settings
        self.config = config.model_copy(update=update)
        self.spec: Spec = load(self.config)[0]
        self.streamer = Streamer(self.config)
        self.positions = Positions()
        self.messages: list[Message] = []
        self.consumed = self.evaluated = self.rejected = 0
        for number in range(partitions):
            self.positions.assign(TopicPartition(self.world.logs, number), 0)

    def start(self) -> Epoch:
        return self.streamer.start(self.spec, self.positions.starts, suspects=self.positions.suspects)

    def accept(self, row: Row) -> bool:
        """Take a row as the driver does; whether it moved a position."""
        if row.result is None:
            return False
        self.positions.commit(self.positions.accept(row.result))
        self.messages += row.result.messages
        self.consumed += sum(part.span.consumed for part in row.result.spans)
        self.evaluated += sum(part.evaluated for part in row.result.spans)
        self.rejected += sum(part.rejected for part in row.result.spans)
        return any(part.span.end > part.span.start for part in row.result.spans)

    def follow(self, epoch: Epoch, until: Mapping[int, int], timeout_s: float = 40.0) -> None:
        """Take rows until the partitions are read up to these offsets."""
        wanted = {TopicPartition(self.world.logs, number): offset for number, offset in until.items()}
        for row in epoch.rows(timeout_s):
            self.accept(row)
            if self.positions.reached(wanted):
                return
        raise AssertionError(f"at {self.positions.starts}, not at {wanted}")

    def lines(self, partition: int, numbers: range) -> None:
        self.world.produce(self.world.logs, [LINE % number for number in numbers], partition)


class TestShare:
    def test_even(self) -> None:
        """Partitions are dealt out, so that no reader has two more than another."""
        starts = {TopicPartition("t", number): 0 for number in range(5)}

        assert sorted(len(part) for part in share(starts, 2)) == [2, 3]

    def test_few_partitions(self) -> None:
        """No reader is started without a partition."""
        assert [[TopicPartition("t", 0)]] == share({TopicPartition("t", 0): 7}, 4)


class TestPlan:
    def test_fused(self, kafka: Broker) -> None:
        """Reading and evaluating are one task: unfused, the readers would hold all slots, and nothing be evaluated."""
        run = Run(kafka, 1)
        run.streamer.warm(run.spec, while_waiting=lambda: None)
        tasks = run.streamer.tasks(1, run.spec, [[TopicPartition(run.world.logs, 0)]], run.positions.starts)

        assert internals.operators(dataset(tasks)) == ("Read_Windows->MapBatches(evaluate)",)

    def test_internals(self, kafka: Broker) -> None:
        """This release of Ray has all the private parts that are relied on."""
        from ray.data import DataContext

        assert internals.apply(DataContext.get_current().copy()) == ()


class TestEpoch:
    def test_more_partitions_than_readers(self, kafka: Broker) -> None:
        """Five partitions, one of them empty, are read by two readers, contiguously and completely."""
        run = Run(kafka, 5)
        for number in range(4):
            run.lines(number, range(number * 100 + 50))
        epoch = run.start()

        run.follow(epoch, {0: 50, 1: 150, 2: 250, 3: 350, 4: 0})
        epoch.close()

        assert (epoch.readers, run.consumed, run.evaluated, run.rejected) == (2, 800, 800, 0)

    def test_idle(self, kafka: Broker) -> None:
        """A reader of an empty topic gives a window at least about once a second."""
        run = Run(kafka, 1)
        epoch = run.start()
        results = (row for row in epoch.rows(60.0) if row.result is not None)
        times = [time.monotonic() for _row in islice(results, 4)]
        epoch.close()

        assert len(times) == 4
        assert max(after - before for before, after in pairwise(times)) < 2.0

    def test_ends_by_ticket(self, kafka: Broker) -> None:
        """Readers return by themselves when their ticket is withdrawn, and the next epoch goes on where they were."""
        run = Run(kafka, 2)
        run.lines(0, range(100))
        first = run.start()
        run.follow(first, {0: 100})
        first.withdraw()
        for row in first.rows(5.0):
            run.accept(row)
        run.lines(0, range(100, 200))
        second = run.start()
        run.follow(second, {0: 200})
        second.close()

        assert first.over
        assert run.consumed == 200
        assert set(second.processes) == set(first.processes), "processes were started anew"

    def test_ends_by_number_of_windows(self, kafka: Broker) -> None:
        """An epoch ends by itself after about its number of windows, also for the reader that had nothing to read."""
        config = Config()
        run = Run(kafka, 2, epochs=config.epochs.model_copy(update={"max_windows": 10}))
        epoch = run.start()
        windows = 0
        deadline = time.monotonic() + 40
        while not epoch.over and time.monotonic() < deadline:
            run.lines(0, range(1))
            while (row := epoch.next(0.05)) is not None:
                windows += row.result is not None

        assert epoch.over
        assert windows >= 10

    def test_prepares(self, kafka: Broker) -> None:
        """Readers compile what takes over next while they go on reading, and then run it."""
        run = Run(kafka, 2)
        first = run.start()
        run.lines(0, range(1))
        run.follow(first, {0: 1})
        following = replace(run.spec, sha="another")
        asked = first.prepared(following)
        deadline = time.monotonic() + 15
        while not first.prepared(following) and time.monotonic() < deadline:
            run.lines(0, range(1))
            run.follow(first, {0: run.consumed + 1})
        done = first.prepared(following)
        first.close()
        run.spec = following
        second = run.start()
        run.lines(0, range(1))
        run.follow(second, {0: run.consumed + 1})
        second.close()

        assert not asked
        assert done
        assert run.evaluated == run.consumed

    def test_back_pressure(self, kafka: Broker) -> None:
        """While the driver takes nothing, each reader stops at most eight windows ahead."""
        run = Run(kafka, 2)
        epoch = run.start()
        run.lines(0, range(1))
        run.follow(epoch, {0: 1})
        for number in range(120):
            run.lines(number % 2, range(number, number + 1))
            time.sleep(0.03)
        stopped = time.time()
        windows = [0, 0]
        deadline = time.monotonic() + 0.4  # long enough to take what waits, too short for many new ones
        while time.monotonic() < deadline and (row := epoch.next(0.1)) is not None:
            if row.result and row.result.read_at < stopped:
                windows[row.reader] += run.accept(row)
        epoch.close()

        assert 0 < max(windows) <= 8


class TestFailure:
    def test_worker_killed(self, kafka: Broker) -> None:
        """A reader whose process is killed fails the epoch at once; the next one reads the rest, nothing twice."""
        run = Run(kafka, 1)
        run.lines(0, range(100))
        epoch = run.start()
        run.follow(epoch, {0: 100})
        (process,) = epoch.processes
        started = time.monotonic()

        os.kill(process, signal.SIGKILL)
        with pytest.raises(EpochError):
            run.follow(epoch, {0: 101}, timeout_s=10.0)
        seen = time.monotonic() - started
        epoch.close()
        run.lines(0, range(100, 150))
        epoch = run.start()
        run.follow(epoch, {0: 150})
        epoch.close()

        assert seen < 1.0
        assert run.consumed == 150

    def test_unknown_offset(self, kafka: Broker) -> None:
        """A reader never jumps to another offset by itself: one that is not there fails the epoch, and says so."""
        run = Run(kafka, 1)
        run.positions.assign(TopicPartition(run.world.logs, 0), 5_000)
        epoch = run.start()

        with pytest.raises(EpochError, match="5000"):
            run.follow(epoch, {0: 5_001}, timeout_s=20.0)
        epoch.close()

    @pytest.mark.parametrize("poison", [b"segfault-please", b"stall-please"])
    def test_record_that_kills(self, kafka: Broker, monkeypatch: pytest.MonkeyPatch, poison: bytes) -> None:
        """A record on which native code crashes or hangs is found and dead-lettered; the others are evaluated."""
        monkeypatch.setattr("detector.stream.epoch.STALL_S", 3.0)
        run = Run(kafka, 2)
        run.lines(0, range(40))
        run.world.produce(run.world.logs, [poison])
        run.lines(0, range(41, 60))
        run.lines(1, range(10))
        deaths = 0
        wanted = {TopicPartition(run.world.logs, 0): 60, TopicPartition(run.world.logs, 1): 10}
        while not run.positions.reached(wanted) and deaths < 4:
            epoch = run.start()
            try:
                run.follow(epoch, {0: 60, 1: 10}, timeout_s=60.0)
            except EpochError:
                deaths += 1
                for tp, offset in run.positions.committed.items():
                    run.positions.assign(tp, offset)
                run.positions.blame()
            finally:
                epoch.close()
        letters = [message for message in run.messages if message.topic == "dead_letters"]
        headers = [dict(letter.headers) for letter in letters]

        assert deaths == 2
        assert [letter.value for letter in letters] == [poison]
        assert [header["detector.reason"] for header in headers] == [DeadLetterReason.POISON.encode()]
        assert [header["detector.offset"] for header in headers] == [b"40"]
        assert (run.consumed, run.evaluated, run.rejected) == (70, 69, 1)
