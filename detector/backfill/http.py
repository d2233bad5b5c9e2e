"""Files behind HTTP, for which Arrow has no file system: read in ranges if the server gives them, else as a stream."""

from __future__ import annotations

import io
import urllib.error
import urllib.request
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any

import pyarrow as pa

from detector.errors import ConfigError

_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class Http:
    """The part of Arrow's `FileSystem` that reading needs; a path is a URL."""

    def open_input_file(self, path: str) -> Any:
        """Open for reading anywhere."""
        return pa.PythonFile(io.BufferedReader(_Ranges(path), 1 << 20), mode="r")

    def open_input_stream(self, path: str, compression: str | None = None) -> Any:
        """Open for reading from the beginning, decompressed."""
        stream = pa.PythonFile(_open(path), mode="r")
        return pa.CompressedInputStream(stream, compression) if compression else stream


@dataclass(frozen=True, slots=True)
class Head:
    """What a server says of a file. size: bytes; -1 where it gives no length or no ranges."""

    size: int
    changed_ms: int


def head(url: str) -> Head:
    """Ask for a file's size and time.

    Raises:
        ConfigError: the server has no such file, or does not answer.
    """
    try:
        with _open(url, method="HEAD") as answer:
            headers = answer.headers
    except OSError as error:
        raise ConfigError(f"{url}: cannot be looked up ({error}); see the address and your rights") from error
    ranges = headers.get("Accept-Ranges", "none").lower() == "bytes" and "Content-Encoding" not in headers
    length = headers.get("Content-Length", "")
    try:
        changed_ms = int(parsedate_to_datetime(headers.get("Last-Modified", "")).timestamp() * 1_000)
    except ValueError:
        changed_ms = 0
    return Head(int(length) if ranges and length.isdigit() else -1, changed_ms)


def _open(url: str, *, method: str = "GET", headers: dict[str, str] | None = None) -> Any:
    request = urllib.request.Request(url, method=method, headers=headers or {})  # noqa: S310 -- the user's own http URL
    return urllib.request.urlopen(request, timeout=_TIMEOUT_S)  # noqa: S310


class _Ranges(io.RawIOBase):
    """A file of which each read asks for a range."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._size = head(url).size
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        return self._at

    def readinto(self, buffer: Any) -> int:
        end = min(self._at + len(buffer), self._size)
        if end <= self._at:
            return 0
        with _open(self._url, headers={"Range": f"bytes={self._at}-{end - 1}"}) as answer:
            if answer.status != HTTPStatus.PARTIAL_CONTENT:
                raise OSError(f"the server answered {answer.status} to a request for a range")
            part = answer.read(end - self._at)
        buffer[: len(part)] = part
        self._at += len(part)
        return len(part)
