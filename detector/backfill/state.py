"""What a run remembers in its folder, so that one that was interrupted can go on: its files, and the chunks done."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

import orjson

from detector.backfill.atomic import replaced
from detector.backfill.files import File
from detector.backfill.worker import Outcome
from detector.errors import ConfigError
from detector.window import Counts

_RUN = "run.json"
_JOURNAL = "journal.jsonl"
_LOCK = ".lock"


class State:
    """The memory of one run. done: outcomes of the chunks that earlier attempts finished, by name.

    A chunk is noted after all that it caused is written under its name, so one that is not noted is written again in
    the same place.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._journal: Any = None
        self.done: dict[str, Outcome] = {}

    @classmethod
    @contextmanager
    def opened(
        cls, folder: Path, settings: Mapping[str, Any], files: Sequence[File], *, resume: bool
    ) -> Iterator[Self]:
        """Begin a run in `folder`, or go on with the one there.

        settings: what its results depend on.

        Raises:
            ConfigError: there is a run already (without `resume`), or one of other settings or files; another process
                is at it.
        """
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / _LOCK).open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise ConfigError(f"{folder}: another back-fill is at work in it") from None
            state = cls(folder)
            run = {"settings": dict(settings), "files": [[file.name, file.size, file.changed_ms] for file in files]}
            state._check(orjson.loads(orjson.dumps(run)), resume=resume)
            state._journal = (folder / _JOURNAL).open("ab")
            try:
                yield state
            finally:
                state._journal.close()

    def note(self, outcome: Outcome) -> None:
        """A chunk is done."""
        self._journal.write(orjson.dumps(asdict(outcome)) + b"\n")
        self._journal.flush()
        os.fdatasync(self._journal.fileno())

    def _check(self, run: dict[str, Any], *, resume: bool) -> None:
        path = self._folder / _RUN
        if not path.exists():
            with replaced(path) as temporary:
                temporary.write_bytes(orjson.dumps(run, option=orjson.OPT_INDENT_2))
            return
        if not resume:
            raise ConfigError(f"{self._folder} holds a back-fill: go on with it by --resume, or name another folder")
        before = orjson.loads(path.read_bytes())
        for name, value in run["settings"].items():
            if before["settings"].get(name) != value:
                raise ConfigError(f"{self._folder}: its run had another {name}; name another folder for this one")
        if changed := [after[0] for was, after in zip(before["files"], run["files"], strict=False) if was != after]:
            raise ConfigError(f"{changed[0]} has changed since {self._folder} was begun: name another folder")
        if len(before["files"]) != len(run["files"]):
            raise ConfigError(
                f"{self._folder}: its run had {len(before['files'])} files, now there are {len(run['files'])}"
            )
        self._read_journal()

    def _read_journal(self) -> None:
        path = self._folder / _JOURNAL
        if not path.exists():
            return
        text = path.read_bytes()
        end = text.rfind(b"\n") + 1
        for line in text[:end].splitlines():
            entry = orjson.loads(line)
            self.done[entry["name"]] = Outcome(**entry | {"counts": Counts(**entry["counts"])})
        os.truncate(path, end)  # a line that an interruption cut
