"""Files that are there whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """A place to write to, which takes the place of `path` at the end; what fails leaves nothing behind."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")  # hidden, so that nobody reads it by a pattern
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
