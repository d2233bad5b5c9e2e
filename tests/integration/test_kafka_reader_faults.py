"""The reader on a broker of its own: what the disk did to the data, and what an outage does to the reader."""

from __future__ import annotations

import struct
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from detector.config import Input, InputTopic, Kafka
from detector.kafka.failures import CorruptBatch
from detector.kafka.local import LocalKafka
from detector.kafka.reader import Reader
from tests.conftest import Broker
from tests.reading import Track, produce, read_all, read_until, read_until_error, reader

pytestmark = pytest.mark.kafka


@pytest.fixture(scope="module")
def node() -> Iterator[LocalKafka]:
    """A broker that these tests may stop, and whose disk they may spoil."""
    with LocalKafka(
        log_cleaner_backoff_ms=200, log_cleaner_min_cleanable_ratio="0.01", log_initial_task_delay_ms=100
    ) as node:
        yield node


def segments(node: LocalKafka, topic: str) -> list[Path]:
    return sorted((node.folder / "data" / f"{topic}-0").glob("*.log"))


class TestCompaction:
    def test_gaps(self, node: LocalKafka) -> None:
        """Compaction leaves gaps inside batches and behind them; every position is passed and no record is missed."""
        topic = Broker(node.bootstrap).topic(
            cleanup_policy="compact", segment_bytes=1 << 20, min_cleanable_dirty_ratio="0.01", segment_ms=500
        )
        # In the first batch keys 0 to 9 appear twice; the second makes the later ones of it obsolete.
        first = [{"key": b"k%d" % (number % 10), "value": b"first %d" % number} for number in range(20)]
        second = [{"key": b"k%d" % number, "value": b"second %d" % number} for number in range(5, 10)]
        produce(node.bootstrap, topic, first, **{"linger.ms": 500})
        produce(node.bootstrap, topic, second, **{"linger.ms": 500})
        deadline = time.monotonic() + 60
        end = 25
        while True:
            time.sleep(0.7)
            produce(node.bootstrap, topic, [{"key": b"roll", "value": b"x"}])  # the active segment is never cleaned
            end += 1
            track = read_all(node.bootstrap, topic, end)
            offsets = [offset for offset in track.offsets((topic, 0)) if offset < 25]
            if len(offsets) < 25:
                break
            assert time.monotonic() < deadline, "the log cleaner did not run"

        assert offsets == [10, 11, 12, 13, 14, 20, 21, 22, 23, 24]
        assert track.consumed[topic, 0] == len(track.rows[topic, 0])

        inside = read_all(node.bootstrap, topic, end, start=17)
        assert [offset for offset in inside.offsets((topic, 0)) if offset < 25] == [20, 21, 22, 23, 24]


class TestDamage:
    def test_flipped_bits(self, node: LocalKafka) -> None:
        """A batch with flipped bits stops a reader behind the records before it, or becomes data if it isolates."""
        topic = Broker(node.bootstrap).topic()
        for begin in (0, 10, 20):
            values = [{"value": b"line %02d" % number} for number in range(begin, begin + 10)]
            produce(node.bootstrap, topic, values, **{"linger.ms": 500})
        node.stop()
        (file,) = segments(node, topic)
        data = bytearray(file.read_bytes())
        place = data.index(b"line 15")
        data[place] ^= 1
        file.write_bytes(data)
        node.start()
        second = 12 + struct.unpack_from(">i", data, 8)[0]
        size = 12 + struct.unpack_from(">i", data, second + 8)[0]

        starts = {(topic, 0): 0}
        source = reader(node.bootstrap, starts)
        track = Track(dict(starts))
        with pytest.raises(CorruptBatch, match="checksum") as raised:
            read_until_error(source, track)
        with pytest.raises(CorruptBatch):
            source.read(0.1, 0)
        source.close()

        assert track.offsets((topic, 0)) == list(range(10))
        broken = raised.value.broken
        assert (broken.start, broken.end, broken.records) == (10, 20, 10)
        assert broken.raw == data[second : second + size]

        isolated = read_all(node.bootstrap, topic, 30, isolate=True)
        assert isolated.offsets((topic, 0)) == [*range(10), *range(20, 30)]
        assert isolated.broken == [broken]
        assert isolated.consumed == {(topic, 0): 30}

    def test_start_inside_damage(self, node: LocalKafka) -> None:
        """A reader that begins inside a damaged batch reports the rest of it."""
        topic = Broker(node.bootstrap).topic()
        produce(node.bootstrap, topic, [{"value": b"x%d" % number} for number in range(10)], **{"linger.ms": 500})
        node.stop()
        (file,) = segments(node, topic)
        data = bytearray(file.read_bytes())
        data[17] ^= 0xFF  # of the checksum itself
        file.write_bytes(data)
        node.start()
        track = read_all(node.bootstrap, topic, 10, start=6, isolate=True)

        assert [(part.start, part.end, part.records) for part in track.broken] == [(6, 10, 4)]
        assert track.consumed == {(topic, 0): 4}


class TestOutages:
    def test_restart_in_the_middle(self, node: LocalKafka) -> None:
        """A broker that goes away and comes back interrupts reading, and nothing is missed or read twice."""
        topic = Broker(node.bootstrap).topic()
        produce(node.bootstrap, topic, [{"value": b"%d" % number} for number in range(1_000)])
        starts = {(topic, 0): 0}
        source = reader(node.bootstrap, starts)
        track = read_until(source, {(topic, 0): 1_000}, starts)
        before = source.reachable
        node.stop()
        while source.reachable:
            track.add(source.read(0.1, 0))
        node.start()
        produce(node.bootstrap, topic, [{"value": b"%d" % number} for number in range(1_000, 2_000)])
        deadline = time.monotonic() + 30
        while track.positions[topic, 0] < 2_000:
            assert time.monotonic() < deadline
            track.add(source.read(0.1, 0))
        after = source.reachable
        source.close()

        assert track.values((topic, 0)) == [b"%d" % number for number in range(2_000)]
        assert before
        assert after

    def test_made_before_the_broker(self, node: LocalKafka) -> None:
        """A reader that is made while nothing answers begins when the broker is there."""
        topic = Broker(node.bootstrap).topic()
        produce(node.bootstrap, topic, [{"value": b"x"}])
        node.stop()
        starts = {(topic, 0): 0}
        source = reader(node.bootstrap, starts)
        track = Track(dict(starts))
        track.add(source.read(0.3, 0))
        before = source.reachable
        node.start()
        deadline = time.monotonic() + 30
        while track.positions[topic, 0] < 1:
            assert time.monotonic() < deadline
            track.add(source.read(0.1, 0))
        source.close()

        assert not before
        assert track.values((topic, 0)) == [b"x"]

    def test_broker_that_does_not_answer(self, node: LocalKafka) -> None:
        """While the broker is stopped in its tracks, `read` keeps to its time, and so does `close`."""
        topic = Broker(node.bootstrap).topic()
        starts = {(topic, 0): 0}
        source = reader(node.bootstrap, starts)
        while not source.reachable:
            source.read(0.1, 0)
        node.pause()
        started = time.monotonic()
        window = source.read(0.5, 0)
        read = time.monotonic()
        source.close()
        closed = time.monotonic()
        node.resume()

        assert window.records.num_rows == 0
        assert 0.4 < read - started < 2
        assert closed - read < 1

    def test_reader_that_is_not_asked(self, node: LocalKafka, caplog: pytest.LogCaptureFixture) -> None:
        """A reader that is left alone for longer than a request may take goes on, on the same connection."""
        topic = Broker(node.bootstrap).topic()
        produce(node.bootstrap, topic, [{"value": bytes(1_000), "headers": [("n", b"%d" % n)]} for n in range(9_000)])
        starts = {(topic, 0): 0}
        source = Reader(
            Kafka(bootstrap_servers=(node.bootstrap,), request_timeout_ms=1_000),
            Input(topics=(InputTopic(name=topic),), max_window_records=1_000, max_partition_fetch_bytes=1 << 20),
            starts,
        )
        track = read_until(source, {(topic, 0): 1_000}, starts)
        caplog.clear()
        for _ in range(2):
            time.sleep(1.5)
            track.add(source.read(0.5, 0))
        messages = [record.getMessage() for record in caplog.records if record.levelname in ("WARNING", "ERROR")]
        deadline = time.monotonic() + 20
        while track.positions[topic, 0] < 9_000:
            assert time.monotonic() < deadline
            track.add(source.read(0.5, 0))
        source.close()

        assert messages == []
        assert track.offsets((topic, 0)) == list(range(9_000))
