"""What a source of enrichment is: it looks up distinct values of fields and says which fields these give."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from detector.events import JsonValue


class Answer(NamedTuple):
    """What is known of a value.

    fields: ECS names and their values. since_us, until_us: of which event times, UTC microseconds, `[since, until)`.
    """

    fields: Mapping[str, JsonValue]
    since_us: int | None = None
    until_us: int | None = None

    def at(self, time_us: int) -> bool:
        """Whether it is true of an event at that time."""
        return (self.since_us is None or self.since_us <= time_us) and (
            self.until_us is None or time_us < self.until_us
        )


NOTHING = Answer({})


class Provider(Protocol):
    """A source of enrichment. It never changes: changed files make a new one.

    key: a name without which an answer is nothing: an event that has it is given no other answer, for half of it would
        be of another; None: each field of an answer stands for itself.
    """

    key: str | None

    def asked(self) -> Mapping[str, Mapping[str, type]]:
        """The ECS fields that it looks at, each with the names that their values may give, and the names' types."""

    def look_up(self, field: str, values: Sequence[str]) -> list[Answer]:
        """What is known of distinct values of a field, in their order. Whatever they are, nothing raises."""
