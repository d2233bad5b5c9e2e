"""How windows are cut into smaller ones."""

from __future__ import annotations

import pyarrow as pa

from detector.stream.pieces import cut, part_of, pieces
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


def shapes(made: Window, size: int = 1) -> list[tuple[int, int, int, list[int], int]]:
    return [
        (
            single.spans[0].start,
            single.spans[0].end,
            single.spans[0].consumed,
            single.records.column("offset").to_pylist(),
            len(single.broken),
        )
        for single in cut(made, lambda: size)
    ]


class TestCut:
    def test_contiguous(self) -> None:
        """Each record has a window of its own; the last one takes along what lies behind it."""
        made = window([10, 11, 14], Span("t", 0, 10, 20, 3, 99))

        assert shapes(made) == [(10, 11, 1, [10], 0), (11, 12, 1, [11], 0), (12, 20, 1, [14], 0)]

    def test_lost_record(self) -> None:
        """A record that the header counts and nobody sees stays in the balance, where it is missed."""
        made = window([10, 11], Span("t", 0, 10, 12, 3, 99))

        assert [part[2] for part in shapes(made)] == [1, 2]

    def test_broken(self) -> None:
        """What cannot be decoded is cut out at its place."""
        broken = Broken("t", 0, 11, 13, 2, b"raw", "why")
        made = window([10, 13], Span("t", 0, 10, 14, 4, 99), broken)

        assert shapes(made) == [(10, 11, 1, [10], 0), (11, 13, 2, [], 1), (13, 14, 1, [13], 0)]

    def test_several(self) -> None:
        """Of two each: what cannot be decoded counts as one, at its place."""
        broken = Broken("t", 0, 11, 13, 2, b"raw", "why")
        made = window([10, 13, 14, 15], Span("t", 0, 10, 20, 7, 99), broken)

        assert shapes(made, 2) == [(10, 13, 3, [10], 1), (13, 15, 2, [13, 14], 0), (15, 20, 2, [15], 0)]

    def test_no_records(self) -> None:
        """A part with control batches only moves the position."""
        assert shapes(window([], Span("t", 0, 10, 12, 0, 99))) == [(10, 12, 0, [], 0)]

    def test_nothing(self) -> None:
        """A window that did not move is none."""
        assert shapes(window([], Span("t", 0, 10, 10, 0, 99))) == []


class TestPartOf:
    def test_each_span(self) -> None:
        """A window of several partitions falls into the windows of each."""
        spans = (Span("t", 0, 10, 12, 2, 99), Span("t", 1, 5, 6, 1, 99))
        broken = Broken("t", 1, 5, 6, 1, b"raw", "why")
        both = window([10, 11, 5], spans[0], broken)
        columns = [pa.array([0, 0, 1], pa.int32()), *both.records.columns[1:]]
        made = Window(spans, pa.RecordBatch.from_arrays(columns, schema=RECORDS), (broken,))

        parts = [part_of(made, number) for number in range(2)]

        assert [part.spans for part in parts] == [spans[:1], spans[1:]]
        assert [part.records.column("offset").to_pylist() for part in parts] == [[10, 11], [5]]
        assert [part.records.column("span").to_pylist() for part in parts] == [[0, 0], [0]]
        assert [part.broken for part in parts] == [(), (broken,)]


class TestPieces:
    def test_small(self) -> None:
        """A window that is no larger than it may be stays whole, however many spans it has."""
        spans = (Span("t", 0, 10, 12, 2, 99), Span("t", 1, 5, 5, 0, 99))
        made = Window(spans, window([10, 11], spans[0]).records)

        assert list(pieces(made, lambda: 2)) == [made]

    def test_asked_anew(self) -> None:
        """What the first piece has shown counts for the next one."""
        sizes = iter([4, 3, 1, 1, 1])
        made = window([10, 11, 12, 13, 14], Span("t", 0, 10, 15, 5, 99))

        found = [piece.records.column("offset").to_pylist() for piece in pieces(made, lambda: next(sizes))]

        assert found == [[10, 11, 12], [13], [14]]
