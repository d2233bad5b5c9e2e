"""Signals: what a window is to the correlations of one partition of the signals topic, as a message.

A message is JSON, columnar:

    v   1, the version of this form
    s   the source: topic, partition and topic id that the window is from
    f,t the window's positions there, [f, t)
    w   the source's watermark, UTC microseconds: no event before it is to come; null while it is not known
    d   definitions of correlations
    e   columns of the entries, in order of their offsets: definition (an index into d), place of the rule, group,
        time, offset, ordinal, value, timestamp of the record

Every window goes to every partition, also without entries: positions there have no gaps, and watermarks move on.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from detector.correlation.inputs import Entry
from detector.correlation.outgoing import body_bytes
from detector.window import Message, SpanResult, WindowResult

VERSION = 1
_COLUMNS = len(Entry._fields) - 1  # the shard is what the message was sent by
_ENTRY_BYTES = 200
"""About what an entry without long values takes."""
_OVERHEAD_BYTES = 1_024


@dataclass(frozen=True, slots=True)
class Signal:
    """A message of the signals topic."""

    source: str
    start: int
    end: int
    watermark_us: int | None
    entries: Sequence[Entry] = ()


class SignalsError(Exception):
    """A message of the signals topic is none of ours."""


@dataclass(slots=True)
class _Source:
    """newest_us: the latest time of an event; seen_us: when it came."""

    newest_us: int | None = None
    seen_us: int = 0


@dataclass(slots=True)
class Signals:
    """Makes the messages of windows.

    partitions: of the signals topic. max_bytes: of a message there. lateness_us: how far watermarks stay behind.
    ids: of the input topics. dropped: entries of single records that no message takes.
    """

    partitions: int
    max_bytes: int
    lateness_us: int
    ids: Mapping[str, str] = field(default_factory=dict)
    dropped: int = 0
    _sources: dict[str, _Source] = field(default_factory=dict)

    def of(self, result: WindowResult, now_us: int) -> tuple[Message, ...]:
        """The messages of a window.

        now_us: the time of day, for sources without events.
        """
        return tuple(message for part in result.spans for message in self._of(part, now_us))

    def forget(self, topic: str, partition: int) -> None:
        """Somebody else reads it from now on."""
        self._sources.pop(source_of(topic, partition, self.ids.get(topic, "")), None)

    def _of(self, part: SpanResult, now_us: int) -> Iterator[Message]:
        span = part.span
        source = source_of(span.topic, span.partition, self.ids.get(span.topic, ""))
        watermark_us = self._watermark(source, part, now_us)
        if span.start == span.end and watermark_us is None:
            return
        yield from self.spread(Signal(source, span.start, span.end, watermark_us, part.entries))

    def spread(self, signal: Signal) -> Iterator[Message]:
        """The messages of a signal, each with the entries of its partition."""
        shares: list[list[Entry]] = [[] for _ in range(self.partitions)]
        for entry in signal.entries:
            shares[zlib.crc32(entry.shard.encode()) % self.partitions].append(entry)
        for number, share in enumerate(shares):
            for piece in self._pieces(replace(signal, entries=share)):
                yield Message("signals", None, encode(piece), (), None, number)

    def _watermark(self, source: str, part: SpanResult, now_us: int) -> int | None:
        """No event before it is to come, by what is known; where nothing comes, time passes as elsewhere."""
        state = self._sources.setdefault(source, _Source())
        if part.newest_us is not None and (state.newest_us is None or part.newest_us > state.newest_us):
            state.newest_us, state.seen_us = part.newest_us, now_us
        if part.span.end != part.span.end_offset or part.span.end > part.span.start:
            return None if state.newest_us is None else state.newest_us - self.lateness_us
        if state.newest_us is None:
            return now_us - self.lateness_us
        return state.newest_us + max(0, now_us - state.seen_us) - self.lateness_us

    def _pieces(self, signal: Signal) -> Iterator[Signal]:
        """The signal in pieces that fit a message, cut between records."""
        entries = signal.entries
        if not entries or _size(entries) <= self.max_bytes - _OVERHEAD_BYTES:
            yield signal
            return
        middle = _cut(entries)
        if middle == 0:
            fitting = max(1, (self.max_bytes - _OVERHEAD_BYTES) * len(entries) // (2 * _size(entries)))
            self.dropped += len(entries) - fitting
            yield Signal(signal.source, signal.start, signal.end, signal.watermark_us, entries[:fitting])
            return
        offset = entries[middle].offset
        # The watermark is that of the whole window: it comes with the last piece.
        yield from self._pieces(Signal(signal.source, signal.start, offset, None, entries[:middle]))
        yield from self._pieces(Signal(signal.source, offset, signal.end, signal.watermark_us, entries[middle:]))


def source_of(topic: str, partition: int, topic_id: str = "") -> str:
    """The name of a source: `topic:partition:id`; neither a topic's name nor its id holds a colon.

    topic_id: a topic that is made anew is another source, whose offsets begin again.
    """
    return f"{topic}:{partition}:{topic_id}" if topic_id else f"{topic}:{partition}"


def topic_of(source: str) -> tuple[str, int]:
    """Topic and partition of a source."""
    topic, partition = source.split(":")[:2]
    return topic, int(partition)


def encode(signal: Signal) -> bytes:
    """The message of a signal."""
    names: dict[str, int] = {}
    columns: list[Any] = [list(column) for column in zip(*signal.entries, strict=True)][:_COLUMNS]
    if columns:
        columns[0] = [names.setdefault(name, len(names)) for name in columns[0]]
    body = {
        "v": VERSION,
        "s": signal.source,
        "f": signal.start,
        "t": signal.end,
        "w": signal.watermark_us,
        "d": list(names),
        "e": columns,
    }
    return orjson.dumps(body)


@dataclass(frozen=True, slots=True)
class Columns:
    """A message as it is read: `columns` are those of its entries, in the order of `Entry`."""

    source: str
    start: int
    end: int
    watermark_us: int | None
    definitions: Sequence[str]
    columns: Sequence[Sequence[Any]]


def decode(value: bytes | None) -> Columns:
    """Read a message. Raises SignalsError."""
    try:
        body: Mapping[str, Any] = orjson.loads(value or b"")
        if body["v"] != VERSION:
            raise SignalsError(f"signals of version {body['v']}, known is {VERSION}")
        columns = body["e"]
        if columns and (len(columns) != _COLUMNS or len({len(column) for column in columns}) > 1):
            raise SignalsError("columns are missing")
        return Columns(str(body["s"]), int(body["f"]), int(body["t"]), body["w"], body["d"], columns)
    except (KeyError, TypeError, ValueError) as error:
        raise SignalsError(f"not a message of signals: {type(error).__name__}: {error}") from error


def _size(entries: Sequence[Entry]) -> int:
    """Upper bound of what entries take; JSON may escape each byte of their texts."""
    texts = sum(len(entry.group) for entry in entries)
    texts += sum(len(entry.value) for entry in entries if isinstance(entry.value, str))
    bodies = sum(body_bytes(entry.value) for entry in entries if isinstance(entry.value, list))
    return _ENTRY_BYTES * len(entries) + 6 * texts + bodies


def _cut(entries: Sequence[Entry]) -> int:
    """Where to cut entries in two, between records; 0 where they are all of one."""
    middle = len(entries) // 2
    indexes: list[int] = [*range(middle, 0, -1), *range(middle + 1, len(entries))]
    for index in indexes:
        if entries[index].offset != entries[index - 1].offset:
            return index
    return 0
