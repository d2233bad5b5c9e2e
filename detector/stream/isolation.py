"""Find the record that kills a worker: a crash of native code, a kernel that never returns.

Partitions whose reader died twice without progress are read here. A child process, with bounds-checked kernels and a
time limit for each record, says which record it begins before it begins it. One on which it dies or stalls becomes a
dead letter, and reading goes on behind it.
"""

from __future__ import annotations

import os
import pickle
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import IO, Any, Self

from kafka import TopicPartition

from detector import config
from detector.alerts.dead_letters import dead_letter, decode_headers
from detector.kafka.reader import Reader
from detector.metrics import DeadLetterReason
from detector.pipeline import Pipeline, Spec
from detector.stream.pieces import cut, part_of
from detector.window import Counts, Span, SpanResult, Window, WindowResult, from_row, merge, to_row

RECORD_S = 5.0
"""How long one record may take; a thousand times what a slow one does."""

START_S = 60.0
"""How long a child may take to start, compile and fetch."""

YIELD_S = 0.5
_SIZE = 8  # bytes of a message's length


@dataclass(frozen=True, slots=True)
class Order:
    """Read partitions record by record.

    starts: where each begins.
    ends: how far to read, at least; where it is not known, to where the partition ends now, within a window.
    """

    spec: Spec
    kafka: config.Kafka
    input: config.Input
    starts: Mapping[TopicPartition, int]
    ends: Mapping[TopicPartition, int] = field(default_factory=dict)

    @property
    def done(self) -> bool:
        """Whether there is nothing left to read."""
        return all(tp in self.ends and start >= self.ends[tp] for tp, start in self.starts.items())


class ChildError(Exception):
    """A child died or stalled while it did not work on a record."""


def isolated(order: Order) -> Iterator[WindowResult | None]:
    """Results of the partitions, each beginning where the one of its partition before it ended, until the order's ends.

    None is a sign of life: this takes longer than a reader may be silent.

    Raises:
        ChildError: the partitions cannot be read at all.
    """
    waiting: dict[TopicPartition, list[WindowResult]] = {}
    last = time.monotonic()
    for result in _results(order):
        if result is not None:
            waiting.setdefault(_partition(result.spans[0].span), []).append(result)
        if time.monotonic() - last > YIELD_S:
            yield from map(merge, waiting.values()) if waiting else (None,)
            waiting, last = {}, time.monotonic()
    yield from map(merge, waiting.values())


def _results(order: Order) -> Iterator[WindowResult | None]:
    while not order.done:
        with _Child(order) as child:
            begun: Window | None = None
            deadline = time.monotonic() + START_S
            while True:
                kind, value = child.receive(deadline)
                if kind == "wait":
                    yield None
                    continue
                if kind == "limit":
                    order = replace(order, ends={**order.ends, **value})
                elif kind == "begin":
                    begun = from_row(value)
                elif kind == "done":
                    begun = None
                    order = _behind(order, value)
                    yield value
                else:
                    break
                deadline = time.monotonic() + (RECORD_S if begun else START_S)
        if kind == "end":
            return
        if begun is None:
            raise ChildError(f"the process that isolates records of {', '.join(map(str, order.starts))} {value}")
        result = _poison(begun, f"the process that evaluated it {value}")
        order = _behind(order, result)
        yield result


def _behind(order: Order, result: WindowResult) -> Order:
    span = result.spans[0].span
    return replace(order, starts={**order.starts, _partition(span): span.end})


def _partition(span: Span) -> TopicPartition:
    return TopicPartition(span.topic, span.partition)


class _Child:
    """A child process; each message from it is a length and a pickled pair (kind, value)."""

    def __init__(self, order: Order) -> None:
        with tempfile.TemporaryFile() as file:  # a pipe would hold us up until the child has started and reads it
            pickle.dump(order, file)
            file.seek(0)
            self._process = subprocess.Popen(
                [sys.executable, "-m", __name__], stdin=file, stdout=subprocess.PIPE, close_fds=True
            )
        assert self._process.stdout is not None
        self._output = self._process.stdout.fileno()
        self._data = bytearray()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def receive(self, deadline: float) -> tuple[str, Any]:
        """The next message; ("wait", None) when there is none yet, ("dead", what happened) when there will be none."""
        wait_until = min(deadline, time.monotonic() + YIELD_S)
        while True:
            size = int.from_bytes(self._data[:_SIZE])
            if len(self._data) >= _SIZE + size > _SIZE:
                body = bytes(self._data[_SIZE : _SIZE + size])
                del self._data[: _SIZE + size]
                message: tuple[str, Any] = pickle.loads(body)  # noqa: S301 -- our own process wrote it
                return message
            ready, _, _ = select.select([self._output], [], [], max(0.0, wait_until - time.monotonic()))
            if not ready:
                late = time.monotonic() >= deadline
                return ("dead", "took too long") if late else ("wait", None)
            chunk = os.read(self._output, 1 << 20)
            if not chunk:
                return "dead", f"ended with exit code {self._process.wait()}"
            self._data += chunk


def _poison(window: Window, detail: str) -> WindowResult:
    (span,) = window.spans
    record = window.records.to_pylist()[0]
    letter = dead_letter(
        DeadLetterReason.POISON,
        detail,
        topic=span.topic,
        partition=span.partition,
        offset=record["offset"],
        timestamp_ms=record["timestamp"],
        key=record["key"],
        value=record["value"],
        headers=decode_headers(record["headers"]),
    )
    return WindowResult((SpanResult(span, 0, span.consumed),), (letter,), Counts(errors={"detect": 1}))


def _main(order: Order, output: IO[bytes]) -> None:
    """In the child: do as ordered, and say so record by record."""

    def say(kind: str, value: Any) -> None:
        body = pickle.dumps((kind, value), 5)
        output.write(len(body).to_bytes(_SIZE) + body)
        output.flush()

    pipeline = Pipeline(order.spec)
    reader = Reader(order.kafka, order.input, dict(order.starts), isolate=True)
    while not order.done:
        window = reader.read(timeout_s=1.0, linger_s=0.0)
        for number, span in enumerate(window.spans):
            tp = _partition(span)
            if tp not in order.ends and span.end_offset >= 0:
                end = min(span.end_offset, order.starts[tp] + order.input.max_window_records)
                order = replace(order, ends={**order.ends, tp: end})
                say("limit", {tp: end})
            for single in cut(part_of(window, number), lambda: 1):
                say("begin", to_row(single))
                result = pipeline.run(single)
                say("done", result)
                order = _behind(order, result)
    say("end", None)


if __name__ == "__main__":
    # What other code prints must not come between the messages.
    messages = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    _main(pickle.load(sys.stdin.buffer), messages)  # noqa: S301 -- our own process wrote it
