"""Record batches to columns: the same as kafka-python's own decoder makes of them, and no trust in the data."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings
from kafka.consumer.fetcher import Fetcher
from kafka.protocol.consumer import IsolationLevel
from kafka.record import MemoryRecords
from kafka.record.memory_records import MemoryRecordsBuilder

from detector.kafka.answer import Answer
from detector.kafka.batches import Piece, to_arrow
from detector.kafka.failures import CorruptBatch
from detector.kafka.kernels import FAST
from detector.window import Broken
from tests.record_batches import (
    ABORT,
    APPEND_TIME,
    CODECS,
    COMMIT,
    HEADER,
    THREE,
    TP,
    TRANSACTIONAL,
    Record,
    Row,
    batch,
    damaged,
    marker,
    next_offset,
    ours,
    seal,
    set_field,
)


def theirs(data: bytes, start: int = 0, *, aborted: Any = ()) -> tuple[list[Row], int]:
    """The same by kafka-python."""

    class Aborted:
        def __init__(self, producer: int, first: int) -> None:
            self.producer_id, self.first_offset = producer, first

    part = Fetcher.PartitionRecords(
        start,
        TP,
        MemoryRecords(data),
        isolation_level=IsolationLevel.READ_COMMITTED,
        aborted_transactions=[Aborted(*item) for item in aborted],
    )
    rows = [(r.offset, r.timestamp, r.key, r.value, r.headers) for r in part.record_iterator]
    return rows, part.next_fetch_offset


blobs = (
    st.none()
    | st.binary(max_size=40)
    | st.builds(lambda b, n: b * n, st.binary(min_size=1, max_size=3), st.just(9_000))
)
headers = st.lists(st.tuples(st.text(max_size=5), st.none() | st.binary(max_size=5)), max_size=3).map(tuple)


@st.composite
def streams(draw: st.DrawFn, codecs: tuple[int, ...] = (0, 1, 3, 4)) -> bytes:
    """Some batches in a row, with gaps as compaction leaves them."""
    data = b""
    base = draw(st.integers(0, 1 << 34))
    for _ in range(draw(st.integers(1, 4))):
        deltas = sorted(draw(st.sets(st.integers(0, 300), min_size=1, max_size=6)))
        times = st.integers(-(1 << 33), 1 << 33)
        records = [Record(d, draw(times), draw(blobs), draw(blobs), draw(headers)) for d in deltas]
        append_time = draw(st.booleans())
        raw = batch(
            records,
            base_offset=base,
            codec=draw(st.sampled_from(codecs)),
            attributes=APPEND_TIME if append_time else 0,
            max_time=1_700_000_111_111,
            last_delta=deltas[-1] + draw(st.integers(0, 3)),
        )
        data += raw
        base = next_offset(raw) + draw(st.integers(0, 3))
    return data


class TestAgainstKafkaPython:
    @settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
    @given(streams(), st.data())
    def test_same_rows_and_position(self, stream: bytes, data: st.DataObject) -> None:
        """Any answer, begun anywhere and cut off anywhere, gives the same records and the same next position."""
        first = HEADER.unpack_from(stream)[0]
        start = first + data.draw(st.integers(0, 400))
        cut = stream[: data.draw(st.integers(0, len(stream)) | st.just(len(stream)))]
        rows, position, broken = ours(cut, start)
        expected, their_position = theirs(cut, start)

        assert (rows, broken) == (expected, [])
        # Where nothing was left to read, kafka-python goes back to the end of the last batch; we never go back.
        assert position == max(their_position, start)

    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
    @given(streams(codecs=(0, 1, 2, 3, 4)), st.integers(0, 400))
    def test_checked_kernels_agree(self, stream: bytes, skip: int) -> None:
        """The bounds-checked kernels, record by record where need be, give the same as the fast ones."""
        start = HEADER.unpack_from(stream)[0] + skip

        assert ours(stream, start, isolate=True) == ours(stream, start)

    @pytest.mark.parametrize("magic", [0, 1])
    @pytest.mark.parametrize("codec", [0, 1])
    def test_old_formats(self, magic: int, codec: int) -> None:
        """Formats 0 and 1 come through kafka-python's decoder."""
        builder = MemoryRecordsBuilder(magic, codec, 1 << 20, offset=0)
        for number in range(5):
            builder.append(1_000 + number, b"k" if number % 2 else None, None if number == 3 else b"v%d" % number)
        builder.close()
        data = bytes(builder.buffer())
        expected, position = theirs(data, 2)

        rows, our_position, broken = ours(data, 2)
        assert (our_position, broken) == (position, [])
        assert rows == [(o, -1 if t is None else t, k, v, list(h or ())) for o, t, k, v, h in expected]

    def test_old_format_of_an_unknown_codec(self) -> None:
        """What kafka-python cannot decompress is a corrupt batch, not a crash."""
        builder = MemoryRecordsBuilder(1, 0, 1 << 20, offset=4)
        builder.append(1, None, b"v")
        builder.close()
        data = bytearray(builder.buffer())
        data[17] |= 2  # snappy; the checksum does not agree any more
        rows, position, broken = ours(bytes(data), 4)

        assert (rows, position, broken[0].records) == ([], 5, 1)


@st.composite
def transactions(draw: st.DrawFn) -> tuple[bytes, list[tuple[int, int]]]:
    """Interleaved transactions of three producers, and plain batches; with the aborted ones."""
    data, aborted, base = b"", [], 0
    opened: dict[int, int] = {}
    for number in range(draw(st.integers(1, 14))):
        producer = draw(st.integers(1, 3))
        action = draw(st.sampled_from(["data", "data", "end", "plain"]))
        if action == "end" and producer in opened:
            kind = draw(st.sampled_from([ABORT, COMMIT]))
            raw = marker(base, producer, kind)
            first = opened.pop(producer)
            if kind == ABORT:
                aborted.append((producer, first))
        else:
            transactional = action == "data"
            raw = batch(
                [Record(0, value=b"%d" % number), Record(1, value=b"+")],
                base_offset=base,
                attributes=TRANSACTIONAL if transactional else 0,
                producer=producer if transactional or producer in opened else -1,
                codec=draw(st.sampled_from([0, 3])),
            )
            if transactional:
                opened.setdefault(producer, base)
        data += raw
        base = next_offset(raw)
    return data, aborted


class TestTransactions:
    @settings(max_examples=150, deadline=None)
    @given(transactions())
    def test_aborted_are_left_out(self, given_: tuple[bytes, list[tuple[int, int]]]) -> None:
        """Records of aborted transactions and end markers are hidden, and the position passes them."""
        data, aborted = given_
        rows, position, broken = ours(data, aborted=aborted)

        assert (rows, position, broken) == (*theirs(data, aborted=aborted), [])

    def test_marker_without_a_type(self) -> None:
        """An end marker that cannot be read is a corrupt batch."""
        good = marker(0, 5, ABORT)
        fields = list(HEADER.unpack_from(good))
        plain = batch([Record(0, key=b"x", value=b"")])
        bad = seal(fields, plain[HEADER.size :])
        _, position, broken = ours(bad)

        assert (position, broken[0].start, broken[0].end) == (1, 0, 1)
        assert "end marker" in broken[0].reason


class TestColumns:
    def test_absent_columns_are_null(self) -> None:
        """Without keys and headers, the columns hold nulls only; an empty value is not a null."""
        rows, _, _ = ours(batch([Record(0, value=b""), Record(1, value=None)]))

        assert rows == [(0, 1_700_000_000_000, None, b"", []), (1, 1_700_000_000_000, None, None, [])]

    def test_several_spans_in_one_table(self) -> None:
        """Pieces of several spans lie one after the other, each with the index of its span."""
        stream = b"".join(batch(THREE, base_offset=base) for base in (0, 10, 20))
        pieces = [item for item in Answer(TP, stream, 0, end_offset=99) if isinstance(item, Piece)]
        table = to_arrow([(4, pieces[:1]), (5, []), (6, pieces[1:])], FAST)

        assert table.column("span").to_pylist() == [4] * 3 + [6] * 6
        assert table.column("offset").to_pylist() == [0, 1, 2, 10, 11, 12, 20, 21, 22]
        assert table.column("key").null_count == 6

    def test_batch_without_records(self) -> None:
        """Compaction may leave the header of a batch alone; the position passes it."""
        fields = list(HEADER.unpack_from(batch(THREE, base_offset=40, codec=3)))
        fields[12] = 0

        assert ours(seal(fields, b""), 40) == ([], 43, [])


class TestCorruptBatches:
    @pytest.mark.parametrize("isolate", [False, True])
    def test_checksum(self, isolate: bool) -> None:
        """A flipped bit makes the whole batch a broken part; what is before and behind it is read."""
        before, bad, behind = batch(THREE), bytearray(batch(THREE, base_offset=3)), batch(THREE, base_offset=6)
        bad[-2] ^= 4
        rows, position, broken = ours(before + bytes(bad) + behind, isolate=isolate)

        assert [row[0] for row in rows] == [0, 1, 2, 6, 7, 8]
        assert position == 9
        assert broken == [Broken("logs", 3, 3, 6, 3, bytes(bad), "the checksum does not agree with the data")]

    def test_start_inside(self) -> None:
        """Of a corrupt batch that began before the position, only the rest counts."""
        bad = bytearray(batch(THREE, base_offset=3))
        bad[-2] ^= 4
        _, position, broken = ours(bytes(bad), 5)

        assert (position, broken[0].start, broken[0].end, broken[0].records) == (6, 5, 6, 1)

    @pytest.mark.parametrize(
        ("index", "value"),
        [(12, -1), (12, 4), (12, 1 << 30), (6, -1), (6, 1), (6, 1 << 30), (0, -5), (0, 1 << 62)],
        ids=str,
    )
    def test_header_that_cannot_be(self, index: int, value: int) -> None:
        """Counts and offsets that contradict each other or the partition's end are found; the position moves on."""
        rows, position, broken = ours(damaged(set_field(index, value)), 100, end=103)

        assert rows == []
        assert len(broken) == 1
        assert 100 < position <= 103

    @pytest.mark.parametrize("magic", [3, 77])
    def test_unknown_format(self, magic: int) -> None:
        """A format of the future, or a flipped bit there: the checksum does not cover it."""
        _, position, broken = ours(damaged(set_field(3, magic)), 100, end=103)

        assert (position, broken[0].reason) == (103, f"unknown format (magic {magic})")

    @pytest.mark.parametrize("length", [-100, -1, 0, 13])
    def test_length_that_cannot_be(self, length: int) -> None:
        """A batch whose length is nonsense hides all that follows; reading goes on one offset further."""
        data = bytearray(batch(THREE, base_offset=100))
        data[8:12] = length.to_bytes(4, "big", signed=True)
        rows, position, broken = ours(bytes(data) + batch(THREE, base_offset=103), 100, end=106)

        assert (rows, position, broken[0].start, broken[0].end) == ([], 101, 100, 101)

    @pytest.mark.parametrize("codec", sorted(set(CODECS) - {0}))
    def test_body_of_no_codec(self, codec: int) -> None:
        """A body that cannot be decompressed is a corrupt batch."""

        def change(_fields: list[int], body: bytearray) -> None:
            body[:] = b"\xffnonsense" * 9

        rows, position, broken = ours(damaged(change, codec=codec), 100)

        assert (rows, position) == ([], 103)
        assert "cannot decompress" in broken[0].reason

    def test_bomb(self) -> None:
        """A batch that would fill the memory is refused, and the error says where."""
        fields = list(HEADER.unpack_from(batch(THREE, base_offset=100, codec=4)))
        rows, position, broken = ours(seal(fields, CODECS[4](bytes(200 << 20))), 100)

        assert (rows, position, broken[0].start) == ([], 103, 100)
        assert "larger than" in broken[0].reason


class TestLast:
    def test_behind_the_last_whole_batch(self) -> None:
        """The next position is known from the headers alone, before anything is decoded."""
        data = batch(THREE, base_offset=10) + batch(THREE, base_offset=20, last_delta=9)
        answer = Answer(TP, data + batch(THREE, base_offset=30)[:-1], 10, end_offset=99)

        assert answer.last() == (30, 7)

    @pytest.mark.parametrize(
        "data",
        [b"", batch(THREE, base_offset=10)[:-1], batch(THREE, base_offset=200), batch(THREE), b"\x00" * 80],
        ids=["nothing", "cut off", "beyond the end", "before the start", "nonsense"],
    )
    def test_unknown(self, data: bytes) -> None:
        """Headers that make no sense here give no position."""
        assert Answer(TP, data, 10, end_offset=99).last() is None

    def test_corrupt_batch_is_an_error(self) -> None:
        """The errors carry everything that a dead letter needs, also to another process."""
        import pickle

        bad = bytearray(batch(THREE))
        bad[-1] ^= 1
        (item,) = Answer(TP, bytes(bad), 0, end_offset=3)
        copy = pickle.loads(pickle.dumps(item))

        assert isinstance(copy, CorruptBatch)
        assert (copy.topic, copy.partition, copy.offset, copy.broken.end, copy.broken.raw) == (
            "logs",
            3,
            0,
            3,
            bytes(bad),
        )
