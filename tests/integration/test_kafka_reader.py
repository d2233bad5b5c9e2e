"""The reader on a real broker: every way in which records can lie in a partition."""

from __future__ import annotations

import time
import uuid
from typing import Any

import pytest
from confluent_kafka import Producer
from kafka import KafkaAdminClient
from kafka.admin import NewPartitions

from detector.kafka.failures import OffsetOutOfRange, PartitionGone
from detector.kafka.local import free_port
from tests.conftest import Broker
from tests.reading import Track, produce, read_all, read_until, read_until_error, reader

pytestmark = pytest.mark.kafka

LINES = [b"10.0.0.%d - - line %d" % (number % 250, number) for number in range(3_000)]
CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]


def plain(values: list[bytes]) -> list[dict[str, Any]]:
    return [{"value": value} for value in values]


class TestRecords:
    @pytest.mark.parametrize("codec", CODECS)
    def test_codecs_of_librdkafka(self, kafka: Broker, codec: str) -> None:
        """Every codec as librdkafka writes it."""
        topic = kafka.topic()
        produce(kafka.bootstrap, topic, plain(LINES), **{"compression.type": codec})
        track = read_all(kafka.bootstrap, topic, len(LINES))

        assert track.values((topic, 0)) == LINES
        assert track.consumed == {(topic, 0): len(LINES)}

    @pytest.mark.parametrize("codec", CODECS[1:])
    def test_codecs_of_java(self, kafka: Broker, codec: str) -> None:
        """Every codec as Kafka's own code writes it: the broker compresses anew."""
        topic = kafka.topic(compression_type=codec)
        produce(kafka.bootstrap, topic, plain(LINES))
        track = read_all(kafka.bootstrap, topic, len(LINES))

        assert track.values((topic, 0)) == LINES

    def test_all_columns(self, kafka: Broker) -> None:
        """Keys, tombstones, empty values, timestamps and headers arrive as they were sent."""
        topic = kafka.topic()
        now = int(time.time() * 1000)
        records: list[dict[str, Any]] = [
            {"key": b"k", "value": b"v", "timestamp": now, "headers": [("a", b"1"), ("a", b"2")]},
            {"key": b"k", "value": None, "timestamp": now - 1},
            {"key": None, "value": b"", "timestamp": now - 86_400_000, "headers": [("empty", b"")]},
            {"key": b"", "value": b"\x00\xff" * 40_000, "timestamp": now + 60_000},
        ]
        produce(kafka.bootstrap, topic, records)
        track = read_all(kafka.bootstrap, topic, 4)

        assert track.rows[topic, 0] == [
            (offset, record["timestamp"], record["key"], record["value"], record.get("headers", []))
            for offset, record in enumerate(records)
        ]

    def test_append_time(self, kafka: Broker) -> None:
        """Where the topic appends log time, that is every record's time, not what the producer claims."""
        topic = kafka.topic(message_timestamp_type="LogAppendTime")
        before = int(time.time() * 1000)
        produce(kafka.bootstrap, topic, [{"value": b"x", "timestamp": 5 + number} for number in range(3)])
        times = {row[1] for row in read_all(kafka.bootstrap, topic, 3).rows[topic, 0]}

        assert len(times) == 1
        assert before <= times.pop() <= time.time() * 1000

    @pytest.mark.parametrize("start", [1, 1_234, 2_999])
    def test_start_inside_a_batch(self, kafka: Broker, start: int) -> None:
        """A position inside a batch begins there, though the broker sends the batch whole."""
        topic = kafka.topic()
        produce(kafka.bootstrap, topic, plain(LINES), **{"compression.type": "lz4", "linger.ms": 500})
        track = read_all(kafka.bootstrap, topic, len(LINES), start=start)

        assert track.offsets((topic, 0)) == list(range(start, len(LINES)))
        assert track.consumed == {(topic, 0): len(LINES) - start}


class TestTransactions:
    def test_aborted_open_and_committed(self, kafka: Broker) -> None:
        """Aborted records are left out and not counted, end markers are passed, an open transaction is waited for."""
        topic = kafka.topic()
        producer = Producer({"bootstrap.servers": kafka.bootstrap, "transactional.id": f"tx-{uuid.uuid4()}"})
        producer.init_transactions()

        def transaction(values: list[bytes], *, commit: bool | None) -> None:
            producer.begin_transaction()
            for value in values:
                producer.produce(topic, value, partition=0)
            producer.flush()
            if commit is not None:
                (producer.commit_transaction if commit else producer.abort_transaction)()

        transaction([b"a1", b"a2"], commit=False)  # offsets 0, 1; marker 2
        transaction([b"c1", b"c2", b"c3"], commit=True)  # 3, 4, 5; marker 6
        produce(kafka.bootstrap, topic, plain([b"p"]))  # 7
        transaction([b"a3"], commit=False)  # 8; marker 9
        track = read_all(kafka.bootstrap, topic, 10)

        assert track.values((topic, 0)) == [b"c1", b"c2", b"c3", b"p"]
        assert track.consumed == {(topic, 0): 4}

        transaction([b"o1"], commit=None)  # 10, open
        produce(kafka.bootstrap, topic, plain([b"behind"]))  # 11
        starts = {(topic, 0): 10}
        source = reader(kafka.bootstrap, starts)
        waiting = Track(dict(starts))
        for _ in range(3):
            waiting.add(source.read(0.3, 0))
        assert (waiting.positions, waiting.rows, waiting.ends) == (starts, {}, {(topic, 0): 10})

        producer.commit_transaction()
        assert read_until(source, {(topic, 0): 13}, starts).values((topic, 0)) == [b"o1", b"behind"]
        source.close()


class TestWindows:
    def test_limits(self, kafka: Broker) -> None:
        """A window keeps to its number of records and bytes, except for a single batch that is larger."""
        topic = kafka.topic()
        for begin in range(0, 3_000, 100):
            produce(kafka.bootstrap, topic, plain(LINES[begin : begin + 100]), **{"linger.ms": 5_000})
        by_records = read_all(kafka.bootstrap, topic, 3_000, max_window_records=250)
        by_bytes = read_all(kafka.bootstrap, topic, 3_000, max_window_bytes=1 << 16)
        tiny = read_all(kafka.bootstrap, topic, 3_000, max_window_records=1)

        sizes = [window.records.num_rows for window in by_records.windows if window.records.num_rows]
        assert max(sizes) == 200
        assert [window.records.num_rows for window in tiny.windows if window.records.num_rows] == [100] * 30
        assert max(window.records["value"].nbytes for window in by_bytes.windows) <= (1 << 16) + 4 * 3_001
        assert by_records.values((topic, 0)) == by_bytes.values((topic, 0)) == tiny.values((topic, 0)) == LINES

    def test_idle_window_names_all_partitions(self, kafka: Broker) -> None:
        """A window without records has a span for each partition, with its end where that is known."""
        topic = kafka.topic(partitions=3)
        produce(kafka.bootstrap, topic, plain([b"x"]))
        starts = {(topic, number): 0 for number in range(3)}
        source = reader(kafka.bootstrap, starts)
        track = read_until(source, {(topic, 0): 1}, starts)
        while min(track.ends.values()) < 0:  # leaders of a fresh topic may be elected one after the other
            track.add(source.read(0.3, 0))
        started = time.monotonic()
        window = source.read(0.3, 0.1)
        took = time.monotonic() - started
        track.add(window)
        source.close()

        assert 0.25 < took < 2
        assert window.records.num_rows == 0
        assert {(span.topic, span.partition): (span.start, span.end) for span in window.spans} == {
            (topic, 0): (1, 1),
            (topic, 1): (0, 0),
            (topic, 2): (0, 0),
        }
        assert track.ends == {(topic, 0): 1, (topic, 1): 0, (topic, 2): 0}

    def test_no_partitions(self, kafka: Broker) -> None:
        """A reader without partitions has nothing to say, but knows whether the cluster is there."""
        source = reader(kafka.bootstrap, {})
        deadline = time.monotonic() + 10
        windows = [source.read(0.1, 0)]
        while not source.reachable and time.monotonic() < deadline:
            windows.append(source.read(0.1, 0))
        reachable = source.reachable
        source.close()

        assert reachable
        assert [(window.spans, window.records.num_rows) for window in windows] == [((), 0)] * len(windows)

    def test_all_partitions_get_their_turn(self, kafka: Broker) -> None:
        """A partition with a long backlog does not keep the others waiting."""
        topic = kafka.topic(partitions=3)
        for _ in range(20):
            produce(kafka.bootstrap, topic, plain(LINES))
        for partition in (1, 2):
            produce(kafka.bootstrap, topic, [{"value": b"x", "partition": partition}])
        starts = {(topic, number): 0 for number in range(3)}
        source = reader(kafka.bootstrap, starts, max_window_records=3_000, max_partition_fetch_bytes=1 << 16)
        track = read_until(source, {(topic, 1): 1, (topic, 2): 1}, starts)
        source.close()

        assert track.positions[topic, 0] < 30_000

    def test_fresh_record_comes_at_once(self, kafka: Broker) -> None:
        """A reader that waits returns a new record within milliseconds, not at the end of the broker's wait."""
        topic = kafka.topic()
        starts = {(topic, 0): 0}
        source = reader(kafka.bootstrap, starts)
        track = Track(dict(starts))
        producer = Producer({"bootstrap.servers": kafka.bootstrap, "linger.ms": 0})
        delays = []
        for number in range(20):
            while not source.reachable:
                track.add(source.read(0.1, 0))
            producer.produce(topic, b"%d" % number, timestamp=int(time.time() * 1000))
            producer.flush()
            acknowledged = time.monotonic()
            while len(track.values((topic, 0))) <= number:
                track.add(source.read(0.1, 0))
            delays.append(time.monotonic() - acknowledged)
        source.close()

        assert sorted(delays)[10] < 0.05

    def test_topic_that_appears_in_more_partitions(self, kafka: Broker) -> None:
        """Partitions added to a topic change nothing for those that are read."""
        topic = kafka.topic()
        starts = {(topic, 0): 0}
        source = reader(kafka.bootstrap, starts)
        source.read(0.2, 0)
        admin = KafkaAdminClient(bootstrap_servers=kafka.bootstrap)
        admin.create_partitions({topic: NewPartitions(2)})
        admin.close()
        produce(kafka.bootstrap, topic, plain([b"x"]))
        track = read_until(source, {(topic, 0): 1}, starts)
        source.close()

        assert track.values((topic, 0)) == [b"x"]


class TestFailures:
    @pytest.mark.parametrize("start", [50, 4])
    def test_out_of_range(self, kafka: Broker, start: int) -> None:
        """An offset beyond the end, or removed by retention, is an error that names it; other partitions come first."""
        topic = kafka.topic(partitions=2)
        produce(kafka.bootstrap, topic, plain(LINES[:10]))
        produce(kafka.bootstrap, topic, [{"value": b"other", "partition": 1}])
        admin = KafkaAdminClient(bootstrap_servers=kafka.bootstrap)
        from kafka import TopicPartition

        admin.delete_records({TopicPartition(topic, 0): 5})
        admin.close()
        starts = {(topic, 0): start, (topic, 1): 0}
        source = reader(kafka.bootstrap, starts)
        track = Track(dict(starts))
        with pytest.raises(OffsetOutOfRange) as raised:
            read_until_error(source, track)
        source.close()

        error = raised.value
        assert (error.topic, error.partition, error.offset) == (topic, 0, start)
        assert track.values((topic, 1)) in ([], [b"other"])
        assert track.rows.keys() <= {(topic, 1)}

    def test_deleted_topic(self, kafka: Broker) -> None:
        """A topic that is deleted under the reader is a clear error, and is not created anew."""
        topic = kafka.topic()
        produce(kafka.bootstrap, topic, plain([b"x"]))
        source = reader(kafka.bootstrap, {(topic, 0): 0})
        track = read_until(source, {(topic, 0): 1}, {(topic, 0): 0})
        admin = KafkaAdminClient(bootstrap_servers=kafka.bootstrap)
        admin.delete_topics([topic])
        with pytest.raises(PartitionGone, match=f"{topic}-0 at offset 1"):
            read_until_error(source, track)
        names = admin.list_topics()
        admin.close()
        source.close()

        assert topic not in names

    def test_topic_made_anew(self, kafka: Broker) -> None:
        """A topic that is deleted and made again under the same name is another topic, not the next part of this."""
        topic = kafka.topic()
        produce(kafka.bootstrap, topic, plain([b"old"]))
        source = reader(kafka.bootstrap, {(topic, 0): 0})
        track = read_until(source, {(topic, 0): 1}, {(topic, 0): 0})
        admin = KafkaAdminClient(bootstrap_servers=kafka.bootstrap)
        admin.delete_topics([topic])
        deadline = time.monotonic() + 20
        while topic in admin.list_topics():
            assert time.monotonic() < deadline
        admin.create_topics({topic: {"num_partitions": 1, "replication_factor": 1}}, timeout_ms=10_000)
        admin.close()
        produce(kafka.bootstrap, topic, plain([b"new %d" % number for number in range(5)]))
        with pytest.raises(PartitionGone, match="made anew"):
            read_until_error(source, track)
        source.close()

        assert track.values((topic, 0)) == [b"old"]

    def test_no_broker(self) -> None:
        """While nothing answers, windows are empty and `reachable` is false; making and closing do not block."""
        started = time.monotonic()
        source = reader(f"127.0.0.1:{free_port()}", {("logs", 0): 7})
        windows = [source.read(0.1, 0.01) for _ in range(3)]
        source.close()
        took = time.monotonic() - started

        assert took < 3
        assert not source.reachable
        assert [[(s.start, s.end, s.end_offset) for s in window.spans] for window in windows] == [[(7, 7, -1)]] * 3
