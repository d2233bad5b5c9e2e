"""How fast access-log lines come out of Kafka: our reader against confluent-kafka and kafka-python.

One topic of two partitions, every line different, with a key and a header each, in lz4. Each way reads the same topic
from begin to end in a process of its own, in turn, several times over. Time runs from its first records to its last,
so that neither imports nor connections count. Figures are medians.

confluent-kafka comes twice. With librdkafka's defaults, as nearly everybody runs it, it fetches 100,000 messages ahead
and then pauses for a second; `confluent_tuned` pauses for 5 ms instead, and keeps two cores busy. So the processor
time of each way is given, too.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

from detector.kafka.local import LocalKafka

LINES = 2_000_000
SHORT_LINES = 200_000
ROUNDS = 3
PARTITIONS = 2
FETCH_BYTES = 4 << 20

Counts = tuple[int, int]
"""Records and bytes of their values."""


def run(*, short: bool) -> dict[str, Any]:
    """Records per second of each way, and how many times faster ours is."""
    lines = SHORT_LINES if short else LINES
    results: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
    with LocalKafka() as node:
        size = _fill(node.bootstrap, lines)
        for _ in range(1 if short else ROUNDS):
            for way, measured in results.items():
                measured.append(_measure(way, node.bootstrap, lines, size))
    rate = {way: statistics.median(item["rate"] for item in measured) for way, measured in results.items()}
    cpu = {way: statistics.median(item["cpu_us"] for item in measured) for way, measured in results.items()}
    return {
        **{f"{way}_records_per_second": round(value) for way, value in rate.items()},
        **{f"{way}_cpu_us_per_record": round(value, 3) for way, value in cpu.items()},
        "ratio_confluent": round(rate["values"] / rate["confluent"], 2),
        "ratio_confluent_all": round(rate["all"] / rate["confluent"], 2),
        "ratio_confluent_tuned": round(rate["values"] / rate["confluent_tuned"], 2),
        "ratio_confluent_tuned_cpu": round(cpu["confluent_tuned"] / cpu["values"], 2),
        "ratio_kafka_python": round(rate["values"] / rate["kafka_python"], 2),
        "lines": lines,
        "bytes_per_line": round(size / lines),
    }


def _fill(bootstrap: str, lines: int) -> int:
    """Write the topic; the size of all lines in bytes."""
    from confluent_kafka import Producer
    from confluent_kafka.admin import AdminClient, NewTopic

    from detector.demo.lines import Stamp
    from detector.demo.web import Web

    admin = AdminClient({"bootstrap.servers": bootstrap})
    for done in admin.create_topics([NewTopic(TOPIC, PARTITIONS, 1)]).values():
        done.result()
    producer = Producer(
        {"bootstrap.servers": bootstrap, "compression.type": "lz4", "linger.ms": 50, "acks": "all"}
        | {"queue.buffering.max.messages": 1_000_000}
    )
    web, stamp = Web(Random(0)), Stamp()
    begin = time.time_ns() // 1_000
    size = 0
    for number in range(lines):
        stamp.set(begin + number * 100)
        line = web.line(stamp).encode()
        size += len(line)
        while True:
            try:
                producer.produce(
                    TOPIC,
                    line,
                    key=b"web-%d" % (number % 64),
                    headers=[("source", b"access.log")],
                    partition=number // 1_000 % PARTITIONS,
                )
                break
            except BufferError:
                producer.poll(0.05)
    if producer.flush(120):
        raise RuntimeError("the broker did not acknowledge all lines")
    return size


def _measure(way: str, bootstrap: str, lines: int, size: int) -> dict[str, float]:
    """Records per second and processor time of one way, once over the topic."""
    command = [sys.executable, "-m", "tests.bench.ingest", way, bootstrap]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=600)
    result = json.loads(done.stdout.splitlines()[-1])
    if (result["records"], result["bytes"]) != (lines, size):
        raise RuntimeError(f"{way} read {result['records']} records of {result['bytes']} bytes, not {lines} of {size}")
    print(f"  {way:16} {result['rate']:>12,.0f} records/s {result['cpu_us']:>7.3f} us of processor time", flush=True)
    return {"rate": result["rate"], "cpu_us": result["cpu_us"]}


def _ours(bootstrap: str, columns: tuple[str, ...]) -> Iterator[Counts]:
    from kafka import TopicPartition

    from detector.config import Input, InputTopic, Kafka
    from detector.kafka.reader import Reader
    from detector.kafka.warm import warm

    warm()
    settings = Input(topics=(InputTopic(name=TOPIC),), max_partition_fetch_bytes=FETCH_BYTES)
    starts = {TopicPartition(TOPIC, number): 0 for number in range(PARTITIONS)}
    reader = Reader(Kafka(bootstrap_servers=(bootstrap,)), settings, starts)
    while True:
        records = reader.read(1.0, 0.01).records
        for column in columns:
            records[column].validate()
        yield records.num_rows, records["value"].buffers()[2].size if records.num_rows else 0


def _values(bootstrap: str) -> Iterator[Counts]:
    return _ours(bootstrap, ("value",))


def _all(bootstrap: str) -> Iterator[Counts]:
    return _ours(bootstrap, ("value", "offset", "timestamp", "key", "headers"))


def _confluent(bootstrap: str, **settings: Any) -> Iterator[Counts]:
    from confluent_kafka import Consumer, TopicPartition

    consumer = Consumer(
        {"bootstrap.servers": bootstrap, "group.id": "bench", "enable.auto.commit": False}
        | {"enable.auto.offset.store": False, "max.partition.fetch.bytes": FETCH_BYTES, "check.crcs": True}
        | settings
    )
    consumer.assign([TopicPartition(TOPIC, number, 0) for number in range(PARTITIONS)])
    while True:
        values = [message.value() for message in consumer.consume(num_messages=10_000, timeout=1.0)]
        yield len(values), sum(map(len, values))


def _confluent_tuned(bootstrap: str) -> Iterator[Counts]:
    return _confluent(bootstrap, **{"fetch.queue.backoff.ms": 5})


def _kafka_python(bootstrap: str) -> Iterator[Counts]:
    from kafka import KafkaConsumer, TopicPartition

    consumer = KafkaConsumer(
        bootstrap_servers=bootstrap,
        enable_auto_commit=False,
        max_poll_records=10_000,
        max_partition_fetch_bytes=FETCH_BYTES,
        metrics_enabled=False,
    )
    starts = {TopicPartition(TOPIC, number): 0 for number in range(PARTITIONS)}
    consumer.assign(list(starts))
    for partition, offset in starts.items():
        consumer.seek(partition, offset)
    while True:
        values = [record.value for records in consumer.poll(1_000).values() for record in records]
        yield len(values), sum(map(len, values))


TOPIC = "access-log"
WAYS: dict[str, Callable[[str], Iterator[Counts]]] = {
    "values": _values,
    "all": _all,
    "confluent": _confluent,
    "confluent_tuned": _confluent_tuned,
    "kafka_python": _kafka_python,
}


def _main(way: str, bootstrap: str) -> None:
    """In a process of its own: read the topic to its end, and print how fast."""
    from kafka import KafkaConsumer, TopicPartition

    ends = KafkaConsumer(bootstrap_servers=bootstrap)
    lines = sum(ends.end_offsets([TopicPartition(TOPIC, number) for number in range(PARTITIONS)]).values())
    ends.close()
    records = size = first = 0
    begin = used = 0.0
    for count, length in WAYS[way](bootstrap):
        records += count
        size += length
        if count and not first:
            first, begin, used = count, time.perf_counter(), time.process_time()
        if records >= lines:
            break
    rate = (records - first) / (time.perf_counter() - begin)
    cpu_us = 1e6 * (time.process_time() - used) / (records - first)
    print(json.dumps({"records": records, "bytes": size, "rate": rate, "cpu_us": cpu_us}))


if __name__ == "__main__":
    _main(*sys.argv[1:])
