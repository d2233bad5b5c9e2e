"""No trust in what a producer wrote into a batch: it ends in records or in broken parts, never in a crash."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import hypothesis.strategies as st
import pytest
from hypothesis import example, given, settings

from detector.kafka.answer import Answer
from detector.kafka.batches import Piece, to_arrow
from detector.kafka.failures import MalformedRecord
from detector.kafka.kernels import FAST
from detector.window import Broken
from tests.record_batches import HEADER, THREE, TP, batch, damaged, ours, plain, seal


def cut(index: int, value: int) -> Callable[[list[int], bytearray], None]:
    def change(_fields: list[int], body: bytearray) -> None:
        body[index] = value

    return change


def endless(_fields: list[int], body: bytearray) -> None:
    body[SECOND + 2 : SECOND + 14] = b"\xff" * 12


# Bytes of the second record: its length (18), attributes, time, offset delta, key length and key, value length ...
SECOND = 10
MALFORMED = {
    "length beyond the batch": cut(SECOND, 0x7E),
    "negative length": cut(SECOND, 0x01),
    "no length": cut(SECOND, 0x00),
    "offset does not rise": cut(SECOND + 3, 0x00),
    "offset beyond the last": cut(SECOND + 3, 0x20),
    "negative offset": cut(SECOND + 3, 0x03),
    "key beyond the record": cut(SECOND + 4, 0x70),
    "value beyond the record": cut(SECOND + 6, 0x70),
    "value too short": cut(SECOND + 6, 0x02),
    "negative number of headers": cut(SECOND + 10, 0x01),
    "too many headers": cut(SECOND + 10, 0x7E),
    "header without a name": cut(SECOND + 11, 0x01),
    "header beyond the record": cut(SECOND + 11, 0x7E),
    "endless varint": endless,
}


class TestMalformedRecords:
    def test_layout(self) -> None:
        """The cases below change the bytes that they mean to."""
        body = batch(THREE)[HEADER.size :]

        assert (
            body[SECOND : SECOND + 16]
            == b"\x1c\x00\x0a\x02\x02k\x06two\x02\x02h\x02x" + body[SECOND + 15 : SECOND + 16]
        )

    @pytest.mark.parametrize("change", MALFORMED.values(), ids=MALFORMED)
    def test_whole_batch_without_isolation(self, change: Callable[[list[int], bytearray], None]) -> None:
        """One malformed record makes its batch an error, and nothing of the batch is handed over."""
        data = damaged(change)
        items = list(Answer(TP, data, 100, end_offset=103))

        assert [type(item) for item in items] == [MalformedRecord]
        assert "record 2 of 3" in str(items[0])
        assert items[0].broken == Broken(  # type: ignore[union-attr]
            "logs", 3, 100, 103, 3, data, "record 2 of 3 in the batch is malformed"
        )

    @pytest.mark.parametrize("name", [name for name in MALFORMED if "length" not in name])
    def test_alone_with_isolation(self, name: str) -> None:
        """Where its length makes sense, the malformed record alone is lost."""
        data = damaged(MALFORMED[name])
        rows, position, broken = ours(data, 100, isolate=True)

        assert [row[3] for row in rows] == [b"one", b"three"]
        assert position == 103
        assert [(b.start, b.end, b.records) for b in broken] == [(101, 102, 1)]
        assert broken[0].raw == data[HEADER.size + SECOND + 1 : HEADER.size + SECOND + 15]

    @pytest.mark.parametrize("name", [name for name in MALFORMED if "length" in name])
    def test_rest_with_isolation(self, name: str) -> None:
        """Where its length makes none, all that follows in the batch is lost with it."""
        data = damaged(MALFORMED[name])
        rows, position, broken = ours(data + batch(THREE, base_offset=103), 100, isolate=True)

        assert [row[0] for row in rows] == [100, 103, 104, 105]
        assert position == 106
        assert [(b.start, b.end, b.records) for b in broken] == [(101, 103, 2)]

    def test_bytes_behind_the_last_record(self) -> None:
        """What follows the records of a batch is no record."""

        def change(_fields: list[int], body: bytearray) -> None:
            body += b"more"

        data = damaged(change)
        _, _, broken = ours(data, 100)
        rows, position, isolated = ours(data, 100, isolate=True)

        assert broken[0].reason == "4 bytes follow the last record of the batch"
        assert (len(rows), position) == (3, 103)
        assert [(b.start, b.end, b.records, b.raw) for b in isolated] == [(103, 103, 0, b"more")]

    @settings(max_examples=400, deadline=None)
    @given(st.binary(max_size=80), st.integers(1, 12), st.booleans())
    @example(b"\xff" * 40, 3, False)
    def test_any_bytes(self, body: bytes, count: int, isolate: bool) -> None:
        """Any bytes under a valid checksum end in records or broken parts that together account for every record."""
        fields = list(HEADER.unpack_from(batch(THREE, base_offset=100)))
        fields[12], fields[6] = count, 20
        rows, position, broken = ours(seal(fields, body), 100, isolate=isolate)

        assert position == 121
        assert len(rows) + sum(part.records for part in broken) == count
        assert all(100 <= part.start <= part.end <= 121 for part in broken)

    @settings(max_examples=300, deadline=None)
    @given(st.data())
    def test_changed_bytes(self, data: st.DataObject) -> None:
        """A sound batch with some bytes changed is decoded, or refused, as the plain decoder does."""
        good = batch(THREE, base_offset=100)
        body = bytearray(good[HEADER.size :])
        for _ in range(data.draw(st.integers(1, 3))):
            body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
        items = list(Answer(TP, seal(HEADER.unpack_from(good), bytes(body)), 100, end_offset=103))
        pieces = [item for item in items if isinstance(item, Piece)]
        columns = ("offset", "timestamp", "key", "value", "headers")
        rows = [tuple(row[name] for name in columns) for row in to_arrow([(0, pieces)], FAST).to_pylist()]

        try:
            expected = plain(bytes(body))
        except ValueError:
            expected = []

        assert rows == expected
        assert len(items) == 1


HOSTILE = """
import random, sys
from tests.record_batches import CHECKED, FAST, HEADER, THREE, TP, Answer, Piece, batch, seal, to_arrow
chance = random.Random(int(sys.argv[1]))
good = batch(THREE * 1, base_offset=100)
for turn in range(5_000):
    fields, body = list(HEADER.unpack_from(good)), bytearray(good[HEADER.size:])
    for _ in range(chance.randint(1, 4)):
        place = chance.randrange(len(body))
        body[place] = chance.choice((0, 1, 0x7E, 0x7F, 0x80, 0xFE, 0xFF, chance.randrange(256)))
    if turn % 3 == 0:
        body = bytearray(chance.randbytes(chance.randint(0, 60)))
    fields[6] = fields[12] = chance.choice((3, 1, 2, 8, 1 << 20, (1 << 31) - 1))
    for isolate in (False, True):
        items = list(Answer(TP, seal(fields, bytes(body)), 100, end_offset=1 << 40, isolate=isolate))
        pieces = [item for item in items if isinstance(item, Piece)]
        to_arrow([(0, pieces)], CHECKED if isolate else FAST).validate(full=True)
print("survived")
"""


class TestHostileData:
    @pytest.mark.parametrize("seed", [1])
    def test_no_crash(self, seed: int) -> None:
        """Thousands of mutilated batches end neither the process nor in an endless loop."""
        done = subprocess.run(
            [sys.executable, "-c", HOSTILE, str(seed)], capture_output=True, text=True, timeout=120, check=False
        )

        assert (done.returncode, done.stdout.strip()) == (0, "survived"), done.stderr[-2000:]
