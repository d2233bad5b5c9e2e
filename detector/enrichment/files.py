"""The files of the enrichment: private copies, named by what is in them, so that nothing is ever half loaded."""

from __future__ import annotations

import atexit
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from detector.errors import EnrichmentError

_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class File:
    """One file as it was when it was read.

    path: as configured. sha: SHA-256 of its content. copy: of it, on this machine. modified_s: Unix time.
    """

    path: Path
    sha: str
    copy: Path
    modified_s: float

    @property
    def readable(self) -> Path:
        """The copy; on another machine of a cluster, the file itself."""
        return self.copy if self.copy.exists() else self.path


def decoded(content: bytes, path: str) -> str:
    """The text of a file. Raises EnrichmentError with file and line where it is not UTF-8."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise EnrichmentError("is not UTF-8", where=f"{path}:{line}") from None


class Copies:
    """A folder of copies, for as long as this process lives."""

    def __init__(self) -> None:
        self._folder: Path | None = None

    def take(self, paths: Iterable[Path], keep: Iterable[File] = ()) -> tuple[File, ...]:
        """Copies of some files; all others are deleted, but for those to keep.

        Raises EnrichmentError for one that cannot be read or copied.
        """
        files = tuple(self._take(path) for path in paths)
        kept = {file.copy for file in (*files, *keep)}
        for old in self._folder.iterdir() if self._folder else ():
            if old not in kept:
                old.unlink()
        return files

    def _take(self, path: Path) -> File:
        try:
            folder = self._own_folder()
            with path.open("rb") as file, tempfile.NamedTemporaryFile(dir=folder, delete=False) as made:
                digest = hashlib.sha256()
                while block := file.read(_BLOCK):
                    digest.update(block)
                    made.write(block)
                modified_s = os.fstat(file.fileno()).st_mtime
            copy = folder / (digest.hexdigest() + path.suffix)
            Path(made.name).replace(copy)
        except OSError as error:
            detail = f"cannot be read, or not be copied to {tempfile.gettempdir()}: {error.strerror}"
            raise EnrichmentError(detail, where=str(path)) from None
        return File(path, digest.hexdigest(), copy, modified_s)

    def _own_folder(self) -> Path:
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="detector-enrichment-"))
            atexit.register(shutil.rmtree, self._folder, ignore_errors=True)
        return self._folder
