"""Windows cut into smaller ones, contiguous, so that none of them takes longer than a reader may be silent."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice

import pyarrow as pa
import pyarrow.compute as pc

from detector.window import RECORDS, Broken, Window


def pieces(window: Window, size: Callable[[], int]) -> Iterator[Window]:
    """The window, or windows of one span and at most `size()` records each if it has more; asked anew for each."""
    if window.records.num_rows <= size():
        yield window
        return
    for number in range(len(window.spans)):
        yield from cut(part_of(window, number), size)


def part_of(window: Window, number: int) -> Window:
    """The part of a window that is of one of its spans."""
    span = window.spans[number]
    records = window.records.filter(pc.equal(window.records.column("span"), number))
    records = records.set_column(0, RECORDS.field(0), pa.array([0] * records.num_rows, pa.int32()))
    broken = tuple(each for each in window.broken if (each.topic, each.partition) == (span.topic, span.partition))
    return Window((span,), records, broken)


def cut(window: Window, size: Callable[[], int]) -> Iterator[Window]:
    """A window of one span as windows of at most `size()` records and broken parts each; nothing if it did not move."""
    (span,) = window.spans
    if span.start == span.end:
        return
    offsets = window.records.column("offset").to_pylist()
    parts: list[tuple[int, int, int | Broken]] = [(offset, offset + 1, row) for row, offset in enumerate(offsets)]
    parts += [(broken.start, broken.end, broken) for broken in window.broken]
    ordered = iter(sorted(parts, key=lambda part: part[:2]))
    position, left, count = span.start, span.consumed, len(parts)
    while position < span.end:
        chosen = list(islice(ordered, size()))
        count -= len(chosen)
        rows = [part for *_, part in chosen if isinstance(part, int)]
        broken = tuple(part for *_, part in chosen if isinstance(part, Broken))
        # What lies behind the last part belongs to it, and what the header counts and nobody sees.
        end = chosen[-1][1] if count else span.end
        consumed = len(rows) + sum(part.records for part in broken) if count else left
        left -= consumed
        records = window.records.slice(rows[0], len(rows)) if rows else window.records.slice(0, 0)
        yield Window((replace(span, start=position, end=end, consumed=consumed),), records, broken)
        position = end
