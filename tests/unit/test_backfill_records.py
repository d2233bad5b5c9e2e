"""From the bytes of files to records."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from detector.backfill import records
from detector.backfill.files import UnreadableFileError
from detector.backfill.kernels import REACH_BYTES, UNDATED, references
from tests.backfill import pieces_of, read, read_until_failure

ODD = b"plain\r\n\n\xff\xfe not utf-8\nnul\x00inside\nline\xe2\x80\xa8separator\x0bmore\x85\n\r\n\nlast without newline"
COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "plain": bytes,
    "gzip": gzip.compress,
    "gzip of members": lambda data: gzip.compress(data[:20]) + gzip.compress(data[20:]),
    "zstd": lambda data: zstandard.ZstdCompressor().compress(data),
    "zstd of frames": lambda data: zstandard.compress(data[:20]) + zstandard.compress(data[20:]),
}
OPEN = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def lines_of(data: bytes) -> list[tuple[int, bytes]]:
    """The plain twin: where each line begins, and its bytes without the newline."""
    found, at = [], 0
    for line in data.split(b"\n"):
        found.append((at, line))
        at += len(line) + 1
    return found[:-1] if not found[-1][1] else found


def placed(path: Path, block_bytes: int) -> list[tuple[int, bytes]]:
    return [(place, value) for place, _, value in read(path, block_bytes, 0)]


class TestLines:
    @pytest.mark.parametrize("how", COMPRESS)
    @pytest.mark.parametrize("block_bytes", [1, 7, 30, 1 << 20])
    def test_bytes_are_kept(self, tmp_path: Path, how: str, block_bytes: int) -> None:
        """Nothing in a line is changed, however it is stored and cut: not invalid UTF-8, NUL, CR, U+2028, emptiness."""
        path = tmp_path / "odd.log"
        path.write_bytes(COMPRESS[how](ODD))

        assert placed(path, block_bytes) == lines_of(ODD)

    @OPEN
    @given(data=st.lists(st.sampled_from([b"\n", b"a", b"bb", b"\r", b"\xff", b"cc cc"]), min_size=1).map(b"".join))
    def test_any_cut(self, tmp_path: Path, data: bytes) -> None:
        """Whatever a file holds, each of its lines is read once, at any size of blocks."""
        path = tmp_path / "any.log"
        path.write_bytes(data)

        for block_bytes in (1, 2, 3, 5, 8, 1_000):
            assert placed(path, block_bytes) == lines_of(data), block_bytes

    @pytest.mark.parametrize("how", ["plain", "gzip"])
    def test_endless_line(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
        """A line is kept as far as its bound, and what follows it is read as ever."""
        monkeypatch.setattr(records, "LONGEST_RECORD_BYTES", 100)
        monkeypatch.setattr(records, "_READ_BYTES", 64)
        path = tmp_path / "long.log"
        path.write_bytes(COMPRESS[how](b"first\n" + b"x" * 1_000 + b"\nlast\n"))

        found = placed(path, 50)

        assert [place for place, _ in found] == [0, 6, 1007]
        assert [value[:5] for _, value in found] == [b"first", b"xxxxx", b"last"]
        assert len(found[1][1]) == 100

    def test_truncated_gzip(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Of a file that breaks off, the lines before are read, and the last chunk is marked as not whole."""
        monkeypatch.setattr(records, "_READ_BYTES", 1 << 10)
        data = b"".join(b"line %d of many %d\n" % (number, number * number) for number in range(20_000))
        path = tmp_path / "cut.log.gz"
        packed = gzip.compress(data)
        path.write_bytes(packed[: len(packed) // 2])

        values, whole, reason = read_until_failure(path, 64 << 10)

        assert values == [line for _, line in lines_of(data)[: len(values)]]
        assert 5_000 < len(values) < 15_000
        assert whole == [*[True] * (len(whole) - 1), False]
        assert reason

    def test_shrunk(self, tmp_path: Path) -> None:
        """A file that became shorter after it was planned is named, not read as if it were whole."""
        path = tmp_path / "shrunk.log"
        path.write_bytes(b"a line\n" * 100)
        pieces = pieces_of(path, 1 << 20)
        path.write_bytes(b"a line\n" * 10)

        with pytest.raises(UnreadableFileError, match="shorter: 70 bytes"):
            list(records.chunks(pieces[0], 1 << 20, 0))


class TestArray:
    ELEMENTS = (
        b'{"a": "x,]}\\"{"}',
        b'{"b": [1, {"c": [2]}]}',
        b"{}",
        b'"text"',
        b"12",
        b"null",
        b'{"u": "\xe2\x80\xa8"}',
    )

    @pytest.mark.parametrize("how", ["plain", "gzip"])
    @pytest.mark.parametrize("part", [64, 71, 1 << 20])
    @pytest.mark.parametrize(
        "wrap", [b"[%s]", b" [\n %s\n]\n", b'{"Records": [%s], "more": {"x": [1]}}', b"\xef\xbb\xbf[%s] [%s]"]
    )
    def test_elements(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str, part: int, wrap: bytes) -> None:
        """Each element is a record, as it is written and where it stands, however the file is cut and wrapped."""
        monkeypatch.setattr(records, "_READ_BYTES", part)
        text = wrap.replace(b"%s", b" ,\n".join(self.ELEMENTS))
        path = tmp_path / "array.json"
        path.write_bytes(COMPRESS[how](text))

        for block_bytes in (1, 40, 1 << 20):
            found = placed(path, block_bytes)

            assert [value for _, value in found] == [*self.ELEMENTS] * wrap.count(b"%s")
            assert all(text[place : place + len(value)] == value for place, value in found)

    @OPEN
    @given(
        st.lists(
            st.dictionaries(
                st.text(max_size=4),
                st.recursive(st.none() | st.integers() | st.text(), lambda inner: st.lists(inner, max_size=3)),
                min_size=1,
                max_size=3,
            ),
            min_size=1,
            max_size=8,
        ),
        st.sampled_from([None, 1, 4]),
    )
    def test_any_array(self, tmp_path: Path, values: list[dict[str, object]], indent: int | None) -> None:
        """Any array of objects, however it is indented, gives its objects back."""
        path = tmp_path / "any.json"
        path.write_text(json.dumps(values, indent=indent))

        assert [json.loads(value) for _, value in placed(path, 64)] == values

    def test_breaks_off(self, tmp_path: Path) -> None:
        """An array without an end gives what is whole, and says what is wrong."""
        path = tmp_path / "broken.json"
        path.write_bytes(b'[{"a": 1}, {"b": 2}, {"c"')

        values, whole, reason = read_until_failure(path)

        assert values == [b'{"a": 1}', b'{"b": 2}']
        assert whole == [False]
        assert reason == "it ends within the array"

    def test_something_behind(self, tmp_path: Path) -> None:
        """What stands behind an array and is no array is named with its place."""
        path = tmp_path / "behind.json"
        path.write_bytes(b'[{"a": 1}]\n{"b": 2}\n')

        values, _, reason = read_until_failure(path)

        assert values == [b'{"a": 1}']
        assert "at byte 11" in reason


class TestReferenceTime:
    DATED = (
        ("2024-05-17T10:05:03Z x", "2024-05-17T10:05:03"),
        ("x [17/May/2024:10:05:03 +0200] x", "2024-05-17T10:05:03"),
        ("[Fri May 17 10:05:03.123456 2024] x", "2024-05-17T10:05:03"),
        ("[Fri May  7 10:05:03 2024] x", "2024-05-07T10:05:03"),
        ("2000/02/29 23:59:59 [error]", "2000-02-29T23:59:59"),
        ('{"time":"1999-12-31 00:00:00"}', "1999-12-31T00:00:00"),
    )
    UNDATED = (
        "May 17 10:05:03 host sshd[1]: x",
        "2024-13-01T10:05:03",
        "2024-05-17",
        "x" * 300 + " 2024-05-17T10:05:03",
    )

    @staticmethod
    def of(*lines: str) -> list[int]:
        data = "\n".join(lines).encode()
        starts = np.array([at for at, _ in lines_of(data)] or [0], np.int64)
        ends = np.append(starts[1:] - 1, len(data))
        out = np.empty(len(starts), np.int64)
        references(np.frombuffer(data, np.uint8), starts, ends, 0, -7, np.array([UNDATED, 0], np.int64), out)
        return [int(value) for value in out]

    @pytest.mark.parametrize(("line", "time"), DATED)
    def test_dated(self, line: str, time: str) -> None:
        """A line with a year tells the time of the next one; the first takes the fallback."""
        expected = int(datetime.fromisoformat(time).replace(tzinfo=UTC).timestamp() * 1_000)

        assert self.of(line, "after") == [-7, expected]

    @pytest.mark.parametrize("line", UNDATED)
    def test_undated(self, line: str) -> None:
        """A time without a year, an impossible one, or one far into the line tells nothing."""
        assert self.of(line, "after") == [-7, -7]

    @given(st.datetimes(datetime(1970, 1, 1), datetime(9999, 12, 31)))  # noqa: DTZ001
    def test_calendar(self, moment: datetime) -> None:
        """Every date of the calendar is the instant that Python's calendar says."""
        expected = int(moment.replace(microsecond=0, tzinfo=UTC).timestamp() * 1_000)

        assert self.of(moment.isoformat(timespec="seconds"), "after")[1] == expected

    @pytest.mark.parametrize("how", ["plain", "gzip"])
    @pytest.mark.parametrize("block_bytes", [50, 4_000, 1 << 20])
    def test_same_for_any_cut(self, tmp_path: Path, how: str, block_bytes: int) -> None:
        """A line has the same reference time however the file is cut: dates reach a bounded way."""
        undated = b"May 17 10:05:03 host sshd[1]: nothing to see here\n"
        data = (undated + b"2024-05-17T10:05:03Z dated\n" + undated * 3_000 + b"17/May/2025:10:05:03 x\n" + undated) * 2
        path = tmp_path / "mixed.log"
        path.write_bytes(COMPRESS[how](data))
        if block_bytes == 50:
            block_bytes = 997  # as odd, and fewer blocks
        whole, expected, dated = 1_000, [], (UNDATED, 0)
        for at, line in lines_of(data):
            expected.append(dated[0] if dated[0] != UNDATED and at - dated[1] <= REACH_BYTES else whole)
            if line.startswith(b"2024"):
                dated = 1_715_940_303_000, at
            elif line.startswith(b"17/"):
                dated = 1_747_476_303_000, at

        assert [time for _, time, _ in read(path, block_bytes, whole)] == expected
        assert len(set(expected)) == 3

    def test_of_the_file(self, tmp_path: Path) -> None:
        """Without a date before it and a --reference-time, a line has the file's time."""
        path = tmp_path / "plain.log"
        path.write_bytes(b"undated\n")

        assert [time for _, time, _ in read(path)] == [path.stat().st_mtime_ns // 1_000_000]
