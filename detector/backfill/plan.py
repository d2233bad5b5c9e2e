"""What is read in one task: a part of a large file, or some small files one after the other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import pyarrow.parquet as pq

from detector.backfill.files import File, Shape, UnreadableFileError, readable, shape

MAX_PIECES = 500
"""Files of a task, so that tasks of tiny files are not for ever."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a file, `[start, end)`: bytes of lines, row groups of Parquet; end -1: all of it, as a stream.

    number: of the file in the run; it names what is written of it.
    """

    number: int
    file: File
    shape: Shape
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A file that could not be read, or not to its end."""

    name: str
    reason: str


def pieces(files: Iterable[tuple[int, File]], block_bytes: int) -> Iterator[Piece | Unreadable]:
    """Cut the files: lines at multiples of `block_bytes`, Parquet between row groups, all else not at all."""
    for number, file in files:
        try:
            form = shape(file)
            if form.container == "parquet":
                yield from _row_groups(number, file, form, block_bytes)
            elif form.container == "lines" and form.compression is None and file.size >= 0:
                for start in range(0, file.size, block_bytes):
                    yield Piece(number, file, form, start, min(start + block_bytes, file.size))
            else:
                yield Piece(number, file, form, 0, -1)
        except UnreadableFileError as error:
            yield Unreadable(file.name, str(error))


def tasks(planned: Iterable[Piece], block_bytes: int) -> list[list[Piece]]:
    """Deal the pieces out: each task reads about a block, a file that cannot be cut alone, tiny files together."""
    found: list[list[Piece]] = []
    size = block_bytes
    for piece in planned:
        part = piece.end - piece.start if piece.end >= 0 and piece.shape.container == "lines" else piece.file.size
        part = part if part >= 0 else block_bytes
        if size + part > block_bytes or len(found[-1]) >= MAX_PIECES:
            found.append([])
            size = 0
        found[-1].append(piece)
        size += part
    return found


def _row_groups(number: int, file: File, form: Shape, block_bytes: int) -> Iterator[Piece]:
    with readable(file), file.system.open_input_file(file.path) as stream:
        metadata = pq.ParquetFile(stream).metadata
        sizes = [metadata.row_group(index).total_byte_size for index in range(metadata.num_row_groups)]
    start = size = 0
    for index, each in enumerate(sizes):
        if size and size + each > block_bytes:
            yield Piece(number, file, form, start, index)
            start, size = index, 0
        size += each
    if sizes:
        yield Piece(number, file, form, start, len(sizes))
