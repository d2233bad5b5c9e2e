"""A hash chain over the files of a lake: whoever holds its last link can tell whether any file was changed since.

`LAKE/_chain.jsonl` has a line for each file that was sealed, in order: its path, size and SHA-256, and the link, which
is the SHA-256 of the link before and of these. A file that is written again gets a new line; its last one counts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import orjson

from detector.backfill.atomic import replaced
from detector.errors import ConfigError

NAME = "_chain.jsonl"
START = "0" * 64
_READ_BYTES = 1 << 20


@dataclass(slots=True)
class Verified:
    """What became of the files that were sealed. head: the last link. broken: first line that does not follow."""

    head: str = START
    intact: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    added: list[str] = field(default_factory=list)
    broken: int | None = None
    sealed: bool = True

    @property
    def whole(self) -> bool:
        """Whether everything is as it was sealed."""
        return self.sealed and self.broken is None and not (self.changed or self.missing or self.added)


def seal(lake: Path) -> str:
    """Add the lake's new and rewritten files to its chain; return the last link.

    Raises:
        ConfigError: the chain that is there is broken.
    """
    entries, head, broken = _read(lake)
    if broken is not None:
        raise ConfigError(f"{lake / NAME}: line {broken} does not follow: see `detector lake verify`")
    known = {entry["file"]: entry["sha256"] for entry in entries}
    lines = [orjson.dumps(entry) for entry in entries]
    for name, size, sha in _hashes(lake, _files(lake)):
        if known.get(name) != sha:
            head = _link(head, name, size, sha)
            lines.append(orjson.dumps({"file": name, "bytes": size, "sha256": sha, "link": head}))
    with replaced(lake / NAME) as temporary:
        temporary.write_bytes(b"".join(line + b"\n" for line in lines))
    return head


def verify(lake: Path) -> Verified:
    """Compare the lake's files with its chain."""
    entries, head, broken = _read(lake)
    found = Verified(head=head, broken=broken, sealed=(lake / NAME).is_file())
    sealed = {entry["file"]: entry["sha256"] for entry in entries}
    there = _files(lake)
    now = {name: sha for name, _, sha in _hashes(lake, [name for name in there if name in sealed])}
    for name, sha in sorted(sealed.items()):
        if name not in now:
            found.missing.append(name)
        elif now[name] == sha:
            found.intact.append(name)
        else:
            found.changed.append(name)
    found.added = [name for name in there if name not in sealed]
    return found


def _files(lake: Path) -> list[str]:
    paths = (path.relative_to(lake) for path in lake.rglob("*") if path.is_file())
    return sorted(path.as_posix() for path in paths if not path.name.startswith((".", "_")))


def _hashes(lake: Path, names: list[str]) -> Iterator[tuple[str, int, str]]:
    """Path, size and SHA-256 of files; the hash is computed beside Python's lock."""
    with ThreadPoolExecutor(max_workers=4) as pool:
        yield from pool.map(lambda name: (name, *_hash(lake / name)), names)


def _hash(path: Path) -> tuple[int, str]:
    total, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        while part := file.read(_READ_BYTES):
            total.update(part)
            size += len(part)
    return size, total.hexdigest()


def _link(before: str, name: str, size: int, sha: str) -> str:
    return hashlib.sha256(orjson.dumps([before, name, size, sha])).hexdigest()


def _read(lake: Path) -> tuple[list[dict[str, str]], str, int | None]:
    """Entries, last link, and the line (from 1) of the first entry that does not follow from the one before."""
    path = lake / NAME
    entries: list[dict[str, str]] = []
    head = START
    if not path.is_file():
        return entries, head, None
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        try:
            entry = orjson.loads(line)
            link = _link(head, entry["file"], entry["bytes"], entry["sha256"])
        except (orjson.JSONDecodeError, KeyError, TypeError):
            return entries, head, number
        if link != entry.get("link"):
            return entries, head, number
        entries.append(entry)
        head = link
    return entries, head, None
