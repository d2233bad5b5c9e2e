"""What parsing takes and gives."""

from __future__ import annotations

from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

from detector.events import Event
from detector.metrics import DeadLetterReason


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a record, or one event of it, belongs into the dead letters.

    record: its row in the batch. ordinal: the event's place in the record; None: the record as a whole.
    position: byte of the value at which parsing stopped, where that is known.
    evaluated: whether the part that failed was evaluated all the same (as a raw event, or as far as it was cut).
    """

    record: int
    ordinal: int | None
    reason: DeadLetterReason
    detail: str
    position: int | None
    evaluated: bool


@dataclass(slots=True)
class Parsed:
    """The events of a batch, in the order of their records and ordinals, and what is wrong with its records.

    Each record has at least one event or one failure.
    """

    events: list[Event] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)


@dataclass(slots=True)
class Line:
    """A record's text on its way through a parser.

    row: of the record in the batch. original: its bytes, cut at the limit. text: those without byte order mark and
    line end, invalid UTF-8 replaced; body: the same as bytes. skipped: bytes of the byte order mark.
    reference_us: the record's timestamp, None where it has none. flags: what was noticed so far. zone: of times that
    name none, None: UTC.
    """

    row: int
    original: bytes
    body: bytes
    text: str
    skipped: int
    reference_us: int | None
    flags: tuple[str, ...]
    zone: ZoneInfo | None = None
