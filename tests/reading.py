"""What the tests of the reader share: reading to an end, and a look at every window on the way."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from detector.alerts.dead_letters import decode_headers
from detector.config import Input, InputTopic, Kafka
from detector.kafka.reader import Reader
from detector.window import RECORDS, Broken, Window


def reader(bootstrap: str, starts: Mapping[tuple[str, int], int], *, isolate: bool = False, **settings: Any) -> Reader:
    """A reader of a test's topics."""
    topics = tuple(InputTopic(name=name) for name in sorted({topic for topic, _ in starts} or {"none"}))
    return Reader(
        Kafka(bootstrap_servers=(bootstrap,)),
        Input(topics=topics, **settings),
        starts,
        isolate=isolate,
    )


@dataclass
class Track:
    """All that windows gave, and that each began where the last one ended.

    rows: by partition, (offset, timestamp, key, value, headers).
    """

    positions: dict[tuple[str, int], int]
    rows: dict[tuple[str, int], list[tuple[Any, ...]]] = field(default_factory=dict)
    consumed: dict[tuple[str, int], int] = field(default_factory=dict)
    ends: dict[tuple[str, int], int] = field(default_factory=dict)
    broken: list[Broken] = field(default_factory=list)
    windows: list[Window] = field(default_factory=list)

    def add(self, window: Window) -> None:
        window.records.validate(full=True)
        assert window.records.schema == RECORDS
        self.windows.append(window)
        self.broken += window.broken
        last: dict[tuple[str, int], int] = {}
        for span in window.spans:
            tp = (span.topic, span.partition)
            assert self.positions[tp] == span.start <= span.end
            self.positions[tp] = span.end
            self.ends[tp] = span.end_offset
            self.consumed[tp] = self.consumed.get(tp, 0) + span.consumed
        for row in window.records.to_pylist():
            span = window.spans[row["span"]]
            tp = (span.topic, span.partition)
            assert span.start <= row["offset"] < span.end
            assert row["offset"] > last.get(tp, -1)
            last[tp] = row["offset"]
            headers = list(decode_headers(row["headers"]))
            self.rows.setdefault(tp, []).append((row["offset"], row["timestamp"], row["key"], row["value"], headers))

    def values(self, tp: tuple[str, int]) -> list[bytes | None]:
        return [row[3] for row in self.rows.get(tp, [])]

    def offsets(self, tp: tuple[str, int]) -> list[int]:
        return [row[0] for row in self.rows.get(tp, [])]


def read_until(
    source: Reader, ends: Mapping[tuple[str, int], int], starts: Mapping[tuple[str, int], int], timeout_s: float = 20
) -> Track:
    """Read until each partition's position has reached its end."""
    track = Track(dict(starts))
    deadline = time.monotonic() + timeout_s
    while any(track.positions[tp] < end for tp, end in ends.items()):
        assert time.monotonic() < deadline, f"not there after {timeout_s} s: {track.positions}, want {dict(ends)}"
        track.add(source.read(0.5, 0.005))
    return track


def read_all(bootstrap: str, topic: str, end: int, *, start: int = 0, **settings: Any) -> Track:
    """Read partition 0 of a topic from `start` to position `end`."""
    starts = {(topic, 0): start}
    source = reader(bootstrap, starts, **settings)
    try:
        return read_until(source, {(topic, 0): end}, starts)
    finally:
        source.close()


def produce(bootstrap: str, topic: str, records: Iterable[Mapping[str, Any]], **settings: Any) -> None:
    """Write records (arguments of librdkafka's `produce`) and wait for their acknowledgement."""
    from confluent_kafka import Producer

    producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 50, **settings})
    errors: list[Any] = []
    for record in records:
        producer.produce(
            topic, **{"partition": 0, "on_delivery": lambda error, _: errors.append(error) if error else None, **record}
        )
    assert (producer.flush(20), errors) == (0, [])


def read_until_error(source: Reader, track: Track, timeout_s: float = 30) -> None:
    """Read until the reader raises."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        track.add(source.read(0.2, 0.005))
