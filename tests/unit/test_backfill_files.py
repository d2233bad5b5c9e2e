"""From what a user names to files, and from files to tasks."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from detector.backfill import files, parquet, plan, records
from detector.backfill.files import Shape, Source, UnreadableFileError
from detector.backfill.plan import Piece, Unreadable
from detector.errors import ConfigError
from tests.backfill import file_of, pieces_of

FORMATS = {"auto", "syslog", "apache_combined"}


class TestSource:
    @pytest.mark.parametrize(
        ("argument", "expected"),
        [
            ("a.log", Source("a.log", "auto")),
            ("a.log=syslog", Source("a.log", "syslog")),
            ("day=1/*.log", Source("day=1/*.log", "auto")),
            ("day=1/*.log=syslog", Source("day=1/*.log", "syslog")),
            ("s3://bucket/x?region=eu", Source("s3://bucket/x?region=eu", "auto")),
        ],
    )
    def test_format_behind_it(self, argument: str, expected: Source) -> None:
        """What follows the last `=` is a format if it is a format's name, else part of the path."""
        assert files.source(argument, FORMATS) == expected

    def test_unknown_format(self) -> None:
        """A mistyped format is named with the known ones, unless there is such a file."""
        with pytest.raises(ConfigError, match="'apache'; there are apache_combined, auto, syslog"):
            files.source("a.log=apache", FORMATS)


class TestFind:
    def test_folders_and_patterns(self, tmp_path: Path) -> None:
        """A folder and a pattern name what is below them, without hidden files; each file is read once."""
        (tmp_path / "in" / "deep").mkdir(parents=True)
        for name in ("b.log", "a.log", ".hidden.log", "in/c.log", "in/deep/d.log", "in/e.txt"):
            (tmp_path / name).write_bytes(b"x")

        found = files.find([Source(f"{tmp_path}/**/*.log", "auto"), Source(str(tmp_path / "in"), "syslog")])

        names = [file.name.removeprefix(f"{tmp_path}/") for file in found]
        assert names == ["a.log", "b.log", "in/c.log", "in/deep/d.log", "in/e.txt"]
        assert [file.format for file in found] == ["auto"] * 4 + ["syslog"]

    def test_by_uri(self, tmp_path: Path) -> None:
        """A URI goes through Arrow's file systems, with patterns."""
        for name in ("a.log", "b.txt"):
            (tmp_path / name).write_bytes(b"line\n")

        (file,) = files.find([Source(f"file://{tmp_path}/*.log", "auto")])
        (piece,) = plan.pieces([(0, file)], 100)
        assert isinstance(piece, Piece)
        (chunk,) = records.chunks(piece, 100, 0)

        assert file.name == f"file://{tmp_path}/a.log"
        assert chunk.records.column("value").to_pylist() == [b"line"]

    def test_nothing(self, tmp_path: Path) -> None:
        """A source that names nothing is an error that says so."""
        with pytest.raises(ConfigError, match=r"none\.log: no such file"):
            files.find([Source(str(tmp_path / "none.log"), "auto")])


class TestShape:
    @pytest.mark.parametrize(
        ("data", "expected"),
        [
            (b"", Shape("lines", None)),
            (b"[Wed Oct 11 14:32:52 2023] [error] x\n", Shape("lines", None)),
            (b'{"a": 1}\n{"a": 2}\n', Shape("lines", None)),
            (b' [ {"a": 1}]', Shape("array", None)),
            (b"[]\n", Shape("array", None)),
            (b"[] no array\n", Shape("lines", None)),
            (b'{"Records" : [{"a": 1}]}', Shape("array", None)),
            (b'{"records": [{"a": 1}]}', Shape("lines", None)),
            (gzip.compress(b'[{"a": 1}]'), Shape("array", "gzip")),
            (gzip.compress(b"line"), Shape("lines", "gzip")),
        ],
    )
    def test_by_its_first_bytes(self, tmp_path: Path, data: bytes, expected: Shape) -> None:
        """The first bytes of a file, not its name, say how it is read."""
        path = tmp_path / "file.bin"
        path.write_bytes(data)

        assert files.shape(file_of(path)) == expected

    @pytest.mark.parametrize(("data", "name"), [(b"\xfd7zXZ\x00...", "xz"), (b"PK\x03\x04...", "zip")])
    def test_what_is_not_read(self, tmp_path: Path, data: bytes, name: str) -> None:
        """An archive that cannot be read is named, not taken for lines."""
        path = tmp_path / "packed"
        path.write_bytes(data)

        with pytest.raises(UnreadableFileError, match=f"{name} is not read: decompress it"):
            files.shape(file_of(path))

    def test_gone(self, tmp_path: Path) -> None:
        """A file that has gone since it was found is named, and stops no other."""
        path = tmp_path / "gone.log"
        path.write_bytes(b"x")
        file = file_of(path)
        path.unlink()

        (found,) = plan.pieces([(0, file)], 100)

        assert isinstance(found, Unreadable)
        assert (found.name, "No such file" in found.reason) == (str(path), True)


class TestTasks:
    def test_large_are_cut_and_small_put_together(self, tmp_path: Path) -> None:
        """A task reads about a block: a part of a large file, or several small ones."""
        for name, size in (("a", 250), ("b", 30), ("c", 30), ("d", 90)):
            (tmp_path / name).write_bytes(b"x" * size)
        found = files.find([Source(str(tmp_path), "auto")])
        pieces = [piece for piece in plan.pieces(enumerate(found), 100) if isinstance(piece, Piece)]

        tasks = [[(piece.file.name[-1], piece.start, piece.end) for piece in task] for task in plan.tasks(pieces, 100)]

        assert tasks == [
            [("a", 0, 100)],
            [("a", 100, 200)],
            [("a", 200, 250), ("b", 0, 30)],
            [("c", 0, 30)],
            [("d", 0, 90)],
        ]


class TestParquet:
    @staticmethod
    def rows(path: Path, block_bytes: int = 1 << 20) -> list[tuple[int, int, bytes]]:
        found = []
        for piece in pieces_of(path, block_bytes):
            for chunk in parquet.rows(piece, 7):
                columns = (chunk.records.column(name).to_pylist() for name in ("offset", "timestamp", "value"))
                found += list(zip(*columns, strict=True))
        return found

    def test_records(self, tmp_path: Path) -> None:
        """A file of one column of texts, and a lake's, hold records as they were; a row's place is its number."""
        pq.write_table(pa.table({"message": ["a", "b", "c"]}), tmp_path / "plain", row_group_size=1)
        times = pa.array([1_000_000, None], pa.timestamp("us", "UTC"))
        pq.write_table(
            pa.table({"@timestamp": times, "event.original": [b"\xff", b"y"], "n": [1, 2]}), tmp_path / "lake"
        )

        assert self.rows(tmp_path / "plain", 1) == [(0, 7, b"a"), (1, 7, b"b"), (2, 7, b"c")]
        assert self.rows(tmp_path / "lake") == [(0, 1_000, b"\xff"), (1, 7, b"y")]

    def test_objects(self, tmp_path: Path) -> None:
        """Rows of other tables are JSON objects."""
        pq.write_table(pa.table({"message": ["a"], "n": [1], "b": [b"\xff"], "s": [{"x": [1.5]}]}), tmp_path / "table")

        assert self.rows(tmp_path / "table") == [(0, 7, b'{"message":"a","n":1,"b":"\\\\xff","s":{"x":[1.5]}}')]

    def test_cut(self, tmp_path: Path) -> None:
        """A file that is no longer whole is named."""
        pq.write_table(pa.table({"message": ["a"] * 1_000}), tmp_path / "whole")
        (tmp_path / "cut").write_bytes((tmp_path / "whole").read_bytes()[:-20])

        (found,) = plan.pieces([(0, file_of(tmp_path / "cut"))], 100)

        assert isinstance(found, Unreadable)


class _Handler(BaseHTTPRequestHandler):
    """Serves a text, in ranges if asked to."""

    def __init__(self, *arguments: object, text: bytes, ranges: bool) -> None:
        self._text = text
        self._ranges = ranges
        super().__init__(*arguments)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        part, status = self._text, 200
        asked = self.headers.get("Range")
        if asked and self._ranges:
            start, end = map(int, asked.removeprefix("bytes=").split("-"))
            part, status = self._text[start : end + 1], 206
        self.send_response(status)
        if self._ranges:
            self.send_header("Accept-Ranges", "bytes")
        self.send_header("Last-Modified", "Tue, 24 Nov 2026 08:00:00 GMT")
        self.send_header("Content-Length", str(len(part)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(part)

    do_HEAD = do_GET  # noqa: N815

    def log_message(self, *_arguments: object) -> None:
        pass


class TestHttp:
    TEXT = b"".join(b"line %d\n" % number for number in range(500))

    @pytest.fixture(params=[True, False], ids=["ranges", "stream"])
    def url(self, request: pytest.FixtureRequest) -> Iterator[str]:
        """A server that has a file, with or without ranges."""
        handler = partial(_Handler, text=self.TEXT, ranges=request.param)
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/a.log"
        server.shutdown()
        thread.join()
        server.server_close()

    def test_read(self, url: str) -> None:
        """A file behind HTTP is read, cut where the server gives ranges and as a stream elsewhere."""
        (file,) = files.find([Source(url, "auto")])
        pieces = [piece for piece in plan.pieces([(0, file)], 1_000) if isinstance(piece, Piece)]
        found = [chunk.records for piece in pieces for chunk in records.chunks(piece, 1_000, None)]

        assert [value for each in found for value in each.column("value").to_pylist()] == self.TEXT.splitlines()
        assert found[0].column("timestamp")[0].as_py() == 1_795_507_200_000
        assert len(pieces) == (5 if file.size >= 0 else 1)

    def test_not_there(self, url: str) -> None:
        """A server that does not answer is an error that says so."""
        with pytest.raises(ConfigError, match="cannot be looked up"):
            files.find([Source("http://127.0.0.1:1/none.log", "auto")])
