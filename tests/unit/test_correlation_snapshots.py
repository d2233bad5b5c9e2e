"""Snapshots of state: the newest whole one at or before what was told."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from detector.correlation.snapshots import CHUNK_BYTES, newest, write
from detector.window import Message

Records = list[tuple[bytes | None, bytes | None]]


def state(number: int, size: int = 10) -> dict[str, str]:
    """A state that does not become small by packing."""
    return {"number": str(number), "noise": random.Random(number).randbytes(size).hex()}


def snapshot(number: int, *, slot: int, size: int = 10, partitions: int = 8) -> tuple[Message, ...]:
    return write(state(number, size), partition=3, partitions=partitions, offset=number, slot=slot)


def records(*snapshots: Sequence[Message]) -> Records:
    return [(message.key, message.value) for messages in snapshots for message in messages]


def compacted(everything: Records) -> Records:
    """What compaction leaves: of each key the last value, in its place."""
    last = {key: index for index, (key, _) in enumerate(everything)}
    return [record for index, record in enumerate(everything) if last[record[0]] == index]


class TestNewest:
    """Which one counts."""

    def test_none(self) -> None:
        """An empty topic has none."""
        assert newest([], partition=3, partitions=8, until=100) is None

    @pytest.mark.parametrize("size", [10, 3 * CHUNK_BYTES])
    def test_round_trip(self, size: int) -> None:
        """A state of any size comes back, in messages that fit their topic."""
        messages = snapshot(5, slot=0, size=size)

        found = newest(records(messages), partition=3, partitions=8, until=5)

        assert found is not None
        assert (found.offset, found.state) == (5, state(5, size))
        assert {message.partition for message in messages} == {3}
        assert max(len(message.value or b"") for message in messages) <= CHUNK_BYTES
        assert len(messages) == 2 if size == 10 else len(messages) > 3

    @pytest.mark.parametrize(("until", "offset"), [(4, None), (5, 5), (7, 5), (9, 9), (20, 9)])
    def test_at_or_before(self, until: int, offset: int | None) -> None:
        """What is further than what was told cannot be used: it would leave out what is to be told."""
        found = newest(records(snapshot(5, slot=0), snapshot(9, slot=1)), partition=3, partitions=8, until=until)

        assert (found and found.offset) == offset

    @pytest.mark.parametrize("compact", [False, True])
    @pytest.mark.parametrize("written", range(4))
    def test_cut_off(self, written: int, compact: bool) -> None:
        """One that was not written to its end does not count, nor does what it wrote over; the other slot does."""
        last = snapshot(13, slot=0, size=2 * CHUNK_BYTES)[:written]
        everything = records(snapshot(5, slot=0, size=2 * CHUNK_BYTES), snapshot(9, slot=1, size=CHUNK_BYTES), last)

        found = newest(compacted(everything) if compact else everything, partition=3, partitions=8, until=20)

        assert found is not None
        assert (found.offset, found.state) == (9, state(9, CHUNK_BYTES))

    def test_others(self) -> None:
        """Of another number of partitions, or not ours at all: passed over."""
        strange: Records = [(None, b"x"), (b"3/0/manifest", b"{"), (b"3/0/manifest", b"[]"), (b"3/1/manifest", None)]

        assert newest(records(snapshot(5, slot=0, partitions=4)), partition=3, partitions=8, until=9) is None
        assert newest(strange, partition=3, partitions=8, until=9) is None
        assert newest(records(snapshot(5, slot=0)), partition=4, partitions=8, until=9) is None
