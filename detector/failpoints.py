"""Named points at which the chaos tests end a process, as a crash there would.

`DETECTOR_FAILPOINT=name[:n]` kills the process with SIGKILL when it passes the point for the n-th time (1 by default).
`DETECTOR_FAILPOINT_FILE` names a file that the process makes first: of all processes with the same one only the
first dies, and whoever watches the file sees when. Without the first variable a point costs one comparison.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable
from typing import Literal

Point = Literal["after_poll", "in_pipeline", "after_produce", "after_ack", "in_commit"]

_armed, _, _count = os.environ.get("DETECTOR_FAILPOINT", "").partition(":")
_left = int(_count or 1)


def failpoint(name: Point) -> None:
    """Pass the point `name`; nothing happens unless the environment names it."""
    global _left  # noqa: PLW0603 -- a counter of the process
    if name != _armed:
        return
    _left -= 1
    if _left == 0:
        _die()


def _die() -> None:
    file = os.environ.get("DETECTOR_FAILPOINT_FILE")
    if file:
        try:
            os.close(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        except FileExistsError:
            return  # another process was first
    os.kill(os.getpid(), signal.SIGKILL)
    signal.pause()  # SIGKILL comes at once, but not necessarily before kill returns


_poisons = [part.partition(":")[::2] for part in os.environ.get("DETECTOR_POISON", "").split(",") if part]
"""`TEXT:raise`, `TEXT:crash`, `TEXT:stall`: what a record with that text does to its process; several with commas."""


def poison(values: Iterable[bytes | None]) -> None:
    """Do as the environment says where a value holds its text; without the variable, look at nothing."""
    if not _poisons:
        return
    found = [value for value in values if value is not None]
    for text, effect in _poisons:
        if any(text.encode() in value for value in found):
            if effect == "raise":
                raise RuntimeError(f"a record holds {text}")
            if effect == "crash":
                os.kill(os.getpid(), signal.SIGSEGV)
            while True:
                time.sleep(1)
