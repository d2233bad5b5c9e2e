"""From the values of records to lines of text."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from detector.parsing.model import Line

TRUNCATED = "truncated"
_BOM = b"\xef\xbb\xbf"
_LAST_MS = 253_402_300_799_000  # of the year 9999


def lines(records: pa.RecordBatch, max_bytes: int) -> Iterator[Line | int]:
    """The line of each record; the row alone of one that has no value (a tombstone).

    A longer value is cut to `max_bytes`, before a character that does not fit, and flagged `truncated`. A byte order
    mark and line ends are left away. Invalid UTF-8 becomes U+FFFD, flagged `invalid_utf8`. Everything else stays: NUL,
    control characters, terminal escapes, line ends inside.
    """
    values = records.column("value").to_pylist()
    for row, (value, timestamp) in enumerate(zip(values, records.column("timestamp").to_pylist(), strict=True)):
        if value is None:
            yield row
            continue
        flags: tuple[str, ...] = ()
        if len(value) > max_bytes:
            value = value[: _whole_characters(value, max_bytes)]  # noqa: PLW2901 -- the long one is not needed again
            flags = (TRUNCATED,)
        skipped = len(_BOM) if value.startswith(_BOM) else 0
        body = value[skipped:].rstrip(b"\r\n")
        try:
            text = body.decode()
        except UnicodeDecodeError:
            text = body.decode("utf-8", "replace")
            body = text.encode()
            flags += ("invalid_utf8",)
        reference_us = timestamp * 1_000 if 0 <= timestamp <= _LAST_MS else None
        yield Line(row, value, body, text, skipped, reference_us, flags)


def _whole_characters(value: bytes, end: int) -> int:
    """The last position up to `end` that does not cut a character of valid UTF-8."""
    for back in range(4):
        if value[end - back] & 0xC0 != 0x80:  # no continuation byte: a character begins here
            return end - back
    return end
