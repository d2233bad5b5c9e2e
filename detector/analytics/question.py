"""What is asked of events: counts and sums by keys."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Question:
    """What is counted by which keys.

    where: name of a derived truth that the events must have; None: all. sums: derived numbers that are added up.
    """

    keys: tuple[str, ...]
    where: str | None = None
    sums: tuple[str, ...] = ()
