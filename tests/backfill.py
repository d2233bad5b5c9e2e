"""What tests of the back-fill share."""

from __future__ import annotations

from pathlib import Path

from detector.backfill import files, plan, records
from detector.backfill.files import File, Source, UnreadableFileError
from detector.backfill.plan import Piece, Unreadable

Place = tuple[int, bytes]
"""Where a record begins, and its value."""


def file_of(path: Path, form: str = "auto") -> File:
    """The file at a path."""
    (found,) = files.find([Source(str(path), form)])
    return found


def pieces_of(path: Path, block_bytes: int) -> list[Piece]:
    """The pieces of a readable file."""
    pieces = list(plan.pieces([(0, file_of(path))], block_bytes))
    return [piece for piece in pieces if not isinstance(piece, Unreadable)]


def read(path: Path, block_bytes: int = 1 << 20, reference_ms: int | None = None) -> list[tuple[int, int, bytes]]:
    """Place, reference time and value of each record of a file."""
    found = []
    for piece in pieces_of(path, block_bytes):
        for chunk in records.chunks(piece, block_bytes, reference_ms):
            columns = (chunk.records.column(name).to_pylist() for name in ("offset", "timestamp", "value"))
            found += list(zip(*columns, strict=True))
    return found


def read_until_failure(path: Path, block_bytes: int = 1 << 20) -> tuple[list[bytes], list[bool], str]:
    """Values up to where a file can be read, whether each chunk was whole, and why it ended."""
    values, whole = [], []
    try:
        for piece in pieces_of(path, block_bytes):
            for chunk in records.chunks(piece, block_bytes, 0):
                values += chunk.records.column("value").to_pylist()
                whole.append(chunk.whole)
    except UnreadableFileError as error:
        return values, whole, str(error)
    return values, whole, ""
