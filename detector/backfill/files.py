"""From what a user names to the files to read: local, or in a store that Arrow's file systems reach by URI."""

from __future__ import annotations

import glob
import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Literal

import re2
from pyarrow import fs

from detector.backfill import http
from detector.errors import ConfigError

Container = Literal["lines", "array", "parquet"]
"""How a file holds its records: one a line, as elements of a JSON array, as rows of a table."""

System = Any
"""An Arrow file system, or `Http`, which has the part of one that is needed here."""

_HEAD_BYTES = 64 << 10
_COMPRESSIONS = ((b"\x1f\x8b", "gzip"), (b"\x28\xb5\x2f\xfd", "zstd"), (b"BZh", "bz2"))
_UNREADABLE = ((b"\xfd7zXZ\x00", "xz"), (b"PK\x03\x04", "zip"), (b"7z\xbc\xaf", "7z"), (b"\x04\x22\x4d\x18", "lz4"))
_GLOB = "*?["
_BOM = b"\xef\xbb\xbf"
_ARRAY = re2.compile(rb'\s*(?:\{\s*"Records"\s*:\s*)?\[')


class UnreadableFileError(Exception):
    """A file cannot be read, or not further; the message is for the user."""


@dataclass(frozen=True, slots=True)
class Source:
    """What one argument names. format: name of a parser, or `auto`."""

    path: str
    format: str


@dataclass(frozen=True, slots=True)
class File:
    """A file to read.

    name: as alerts name it: the path, absolute, or the URI. path: as its file system knows it.
    size: bytes as stored; -1 where it can only be read from its beginning to its end.
    changed_ms: its time, Unix milliseconds; 0 where the store tells none.
    """

    name: str
    path: str
    system: System
    format: str
    size: int
    changed_ms: int


@dataclass(frozen=True, slots=True)
class Shape:
    """How a file is to be read, by its first bytes. compression: of Arrow; None: none."""

    container: Container
    compression: str | None


def source(argument: str, formats: Collection[str]) -> Source:
    """Take `PATH` or `PATH=FORMAT` apart; what follows a `=` belongs to the path unless it is a format's name."""
    path, equals, form = argument.rpartition("=")
    if equals and form in formats:
        return Source(path, form)
    if equals and form.isidentifier() and "/" not in path.rpartition("/")[2] and not _exists(argument):
        known = ", ".join(sorted(formats))
        raise ConfigError(f"{argument}: there is no such file, and no format is named {form!r}; there are {known}")
    return Source(argument, "auto")


def find(sources: list[Source]) -> list[File]:
    """The files that the sources name, each once, in the order of the sources and by name.

    A pattern (`*`, `?`, `[…]`, `**`) and a folder name those below them, without what is hidden.

    Raises:
        ConfigError: a source names nothing, or its store cannot be asked.
    """
    found: dict[str, File] = {}
    for each in sources:
        files = list(_local(each) if "://" not in each.path else _remote(each))
        if not files:
            raise ConfigError(f"{each.path}: no such file; name files, folders or patterns (in quotes)")
        for file in files:
            found.setdefault(file.name, file)
    return list(found.values())


def shape(file: File) -> Shape:
    """Look at a file's first bytes.

    Raises:
        UnreadableFileError: it cannot be opened, or is in a form that is not read.
    """
    with readable(file), file.system.open_input_stream(file.path, compression=None) as stream:
        head = stream.read(_HEAD_BYTES)
    for magic, name in _UNREADABLE:
        if head.startswith(magic):
            raise UnreadableFileError(f"{name} is not read: decompress it, or compress it with gzip or zstd")
    if head.startswith(b"PAR1"):
        return Shape("parquet", None)
    compression = next((name for magic, name in _COMPRESSIONS if head.startswith(magic)), None)
    if compression:
        with readable(file), file.system.open_input_stream(file.path, compression=compression) as stream:
            head = stream.read(_HEAD_BYTES)
    return Shape("lines" if array_start(head) is None else "array", compression)


def array_start(head: bytes) -> int | None:
    """Where the first element of a JSON array of objects begins, in the first bytes of a file; None: it holds lines.

    The array is the whole document, or its first member, named `Records` (as CloudTrail's files have it).
    """
    mark = len(_BOM) if head.startswith(_BOM) else 0
    opening = _ARRAY.match(head[mark:])
    if opening is None:
        return None
    start = mark + int(opening.end())
    rest = head[start:].lstrip()
    return start if rest.startswith(b"{") or rest.rstrip() == b"]" else None


class readable:  # noqa: N801 -- used like contextlib.suppress
    """What goes wrong in reading a file is an UnreadableFileError."""

    def __init__(self, file: File) -> None:
        self._file = file

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, OSError | EOFError | ValueError):  # Arrow's errors are among them
            reason = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
            raise UnreadableFileError(reason.splitlines()[0]) from error


def _exists(path: str) -> bool:
    return "://" in path or Path(path).exists() or any(mark in path for mark in _GLOB)


def _local(source: Source) -> Iterator[File]:
    path = source.path
    if Path(path).exists():
        paths = sorted(_below(Path(path))) if Path(path).is_dir() else [path]
    else:
        paths = sorted(
            each
            for each in glob.glob(path, recursive=True)  # noqa: PTH207 -- Path.glob takes no absolute pattern
            if Path(each).is_file()
        )
    system = fs.LocalFileSystem(use_mmap=False)
    for each in paths:
        full = str(Path(each).absolute())
        try:
            status = Path(full).stat()
            size, changed_ms = status.st_size, status.st_mtime_ns // 1_000_000
        except OSError:
            size, changed_ms = 0, 0  # it is named when it is opened
        name = os.fsencode(full).decode("utf-8", "backslashreplace")
        yield File(name, full, system, source.format, size, changed_ms)


def _below(folder: Path) -> Iterator[str]:
    for path, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (os.path.join(path, name) for name in names if not name.startswith("."))  # noqa: PTH118


def _remote(source: Source) -> Iterator[File]:
    scheme = source.path.partition("://")[0]
    if scheme in ("http", "https"):
        head = http.head(source.path)
        yield File(source.path, source.path, http.Http(), source.format, head.size, head.changed_ms)
        return
    # What follows a pattern's first mark is not for the store to look up.
    plain = source.path[: min((source.path.find(mark) for mark in _GLOB if mark in source.path), default=None)]
    folder = plain if plain == source.path else plain.rpartition("/")[0] + "/"
    query = source.path.partition("?")[2] if "=" in source.path.partition("?")[2] else ""
    if query:  # options of the store, as `?endpoint_override=…`
        plain = folder = source.path
    try:
        system, path = fs.FileSystem.from_uri(folder)
        info = system.get_file_info(path)
        if info.type is fs.FileType.Directory:
            infos = system.get_file_info(fs.FileSelector(path, recursive=True))
        else:
            infos = [info]
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(f"{source.path}: cannot be looked up ({reason}); see its address and your rights") from error
    pattern = source.path.partition("://")[2] if plain != source.path else None
    for each in sorted(infos, key=lambda each: str(each.path)):
        hidden = any(part.startswith(".") for part in str(each.path).removeprefix(path).split("/"))
        if each.type is fs.FileType.File and not hidden and (pattern is None or fnmatch(each.path, pattern)):
            changed_ms = (each.mtime_ns or 0) // 1_000_000
            yield File(f"{scheme}://{each.path}", each.path, system, source.format, each.size, changed_ms)
