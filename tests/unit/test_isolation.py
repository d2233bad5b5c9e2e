"""Record by record: how a window is cut, and what is said while it takes long."""

from __future__ import annotations

import pyarrow as pa

from detector.stream.isolation import _part, singles
from detector.window import RECORDS, Broken, Span, Window


def window(offsets: list[int], span: Span, *broken: Broken) -> Window:
    count = len(offsets)
    columns = [
        pa.array([0] * count, pa.int32()),
        pa.array(offsets, pa.int64()),
        pa.array([1] * count, pa.int64()),
        pa.nulls(count, pa.binary()),
        pa.array([b"%d" % offset for offset in offsets], pa.binary()),
        pa.nulls(count, pa.binary()),
    ]
    return Window((span,), pa.RecordBatch.from_arrays(columns, schema=RECORDS), broken)


def cut(made: Window) -> list[tuple[int, int, int, list[int], int]]:
    return [
        (
            single.spans[0].start,
            single.spans[0].end,
            single.spans[0].consumed,
            single.records.column("offset").to_pylist(),
            len(single.broken),
        )
        for single in singles(made)
    ]


class TestSingles:
    def test_contiguous(self) -> None:
        """Each record has a window of its own; the last one takes along what lies behind it."""
        made = window([10, 11, 14], Span("t", 0, 10, 20, 3, 99))

        assert cut(made) == [(10, 11, 1, [10], 0), (11, 12, 1, [11], 0), (12, 20, 1, [14], 0)]

    def test_lost_record(self) -> None:
        """A record that the header counts and nobody sees stays in the balance, where it is missed."""
        made = window([10, 11], Span("t", 0, 10, 12, 3, 99))

        assert [part[2] for part in cut(made)] == [1, 2]

    def test_broken(self) -> None:
        """What cannot be decoded is cut out at its place."""
        broken = Broken("t", 0, 11, 13, 2, b"raw", "why")
        made = window([10, 13], Span("t", 0, 10, 14, 4, 99), broken)

        assert cut(made) == [(10, 11, 1, [10], 0), (11, 13, 2, [], 1), (13, 14, 1, [13], 0)]

    def test_no_records(self) -> None:
        """A part with control batches only moves the position."""
        assert cut(window([], Span("t", 0, 10, 12, 0, 99))) == [(10, 12, 0, [], 0)]

    def test_nothing(self) -> None:
        """A window that did not move is none."""
        assert cut(window([], Span("t", 0, 10, 10, 0, 99))) == []


class TestPart:
    def test_each_span(self) -> None:
        """A window of several partitions falls into the windows of each."""
        spans = (Span("t", 0, 10, 12, 2, 99), Span("t", 1, 5, 6, 1, 99))
        broken = Broken("t", 1, 5, 6, 1, b"raw", "why")
        both = window([10, 11, 5], spans[0], broken)
        columns = [pa.array([0, 0, 1], pa.int32()), *both.records.columns[1:]]
        made = Window(spans, pa.RecordBatch.from_arrays(columns, schema=RECORDS), (broken,))

        parts = [_part(made, number) for number in range(2)]

        assert [part.spans for part in parts] == [spans[:1], spans[1:]]
        assert [part.records.column("offset").to_pylist() for part in parts] == [[10, 11], [5]]
        assert [part.records.column("span").to_pylist() for part in parts] == [[0, 0], [0]]
        assert [part.broken for part in parts] == [(), (broken,)]
