"""Dead letters: the record as it was, with the reason and the place in headers, so that it can be replayed.

Value, key and headers are the record's own. After its headers follow those of this module, `detector.reason` first:
a record that brings headers of these names itself deceives nobody, because only the last block counts.
Two things cannot be kept: a null header value becomes an empty one (the client sends no null), and a header name
that is not UTF-8 gets U+FFFD for its invalid bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from detector.alerts.text import cut, printable
from detector.metrics import DeadLetterReason
from detector.window import Message

Headers = tuple[tuple[str, bytes], ...]

MAX_DETAIL_BYTES = 1_024
_FIRST = "detector.reason"
_OVERHEAD_BYTES = 256  # of a record batch (61), of a record in it (at most 45), and of our headers' numbers
_HEADER_OVERHEAD_BYTES = 10  # two lengths as varints


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A dead letter read back: the record to send again, where it was, and why it was put aside.

    value, key, headers: the record's own; `truncated` tells which of them are not whole.
    timestamp_ms: the record's timestamp.
    ordinal: the event's place within the record, where the reason is about one event.
    position: byte within the value at which it went wrong, where that is known.
    truncated: which parts had to be cut ("value", "key", "headers"); such a letter cannot be replayed whole.
    value_bytes: length of the record's value; None is a null value.
    """

    reason: DeadLetterReason
    detail: str
    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Headers
    ordinal: int | None
    position: int | None
    truncated: tuple[str, ...]
    value_bytes: int | None


def dead_letter(
    reason: DeadLetterReason,
    detail: str,
    *,
    topic: str,
    partition: int,
    offset: int,
    timestamp_ms: int,
    key: bytes | None,
    value: bytes | None,
    headers: Headers,
    ordinal: int | None = None,
    position: int | None = None,
    max_bytes: int | None = None,
) -> Message:
    """Make the message for a record that could not be parsed, evaluated or delivered as it should.

    detail: for people; cut to `MAX_DETAIL_BYTES`.
    max_bytes: as for `fit`; None leaves it to whoever sends the message.
    """
    numbers = {
        "detector.partition": partition,
        "detector.offset": offset,
        "detector.timestamp": timestamp_ms,
        "detector.ordinal": ordinal,
        "detector.position": position,
        "detector.value_bytes": None if value is None else len(value),
    }
    own = (
        (_FIRST, reason.value.encode()),
        ("detector.detail", cut(printable(detail), MAX_DETAIL_BYTES).encode()),
        ("detector.topic", topic.encode()),
        *((name, b"%d" % number) for name, number in numbers.items() if number is not None),
    )
    message = Message("dead_letters", key, value, (*headers, *own), timestamp_ms)
    return message if max_bytes is None else fit(message, max_bytes)


def fit(letter: Message, max_bytes: int) -> Message:
    """Cut a dead letter that its topic would refuse; all others stay as they are.

    max_bytes: what the topic takes (`max.message.bytes`), by a cautious estimate without compression. First the value
        is cut, and where that is not enough, the record's headers and its key are left out; `detector.truncated`
        names what is not whole.

    Raises ValueError if the message is no dead letter.
    """
    key, value = letter.key, letter.value
    start = _own_headers(letter.headers)
    headers, own = letter.headers[:start], letter.headers[start:]
    room = max_bytes - _OVERHEAD_BYTES - _size(own)
    if len(key or b"") + len(value or b"") + _size(headers) <= room:
        return letter
    cut = []
    if len(key or b"") + _size(headers) > room and headers:
        headers = ()
        cut.append("headers")
    if key and len(key) > room:
        key = None
        cut.append("key")
    room = max(0, room - len(key or b"") - _size(headers))
    if value is not None and len(value) > room:
        value = value[:room]
        cut.append("value")
    truncated = ("detector.truncated", ",".join(cut).encode())
    return replace(letter, key=key, value=value, headers=(*headers, *own, truncated))


def parse_dead_letter(key: bytes | None, value: bytes | None, headers: Headers) -> DeadLetter:
    """Read a message of the dead-letter topic back.

    Raises ValueError if it is none.
    """
    start = _own_headers(headers)
    own = dict(headers[start:])
    try:
        return DeadLetter(
            reason=DeadLetterReason(own[_FIRST].decode()),
            detail=own["detector.detail"].decode(errors="replace"),
            topic=own["detector.topic"].decode(),
            partition=int(own["detector.partition"]),
            offset=int(own["detector.offset"]),
            timestamp_ms=int(own["detector.timestamp"]),
            key=key,
            value=value,
            headers=headers[:start],
            ordinal=_number(own, "detector.ordinal"),
            position=_number(own, "detector.position"),
            truncated=tuple(filter(None, own.get("detector.truncated", b"").decode().split(","))),
            value_bytes=_number(own, "detector.value_bytes"),
        )
    except KeyError as error:
        raise ValueError(f"not a dead letter: it has no header {error.args[0]}") from None


def decode_headers(wire: bytes | None) -> Headers:
    """Decode a record's headers as they stand in a record batch of magic 2; None gives no headers.

    The format: a count, then for each header the length of its name, the name, the length of its value (-1: null) and
    the value; numbers are zigzag varints (https://kafka.apache.org/documentation/#recordheader).

    Brokers do not look into headers, so that these bytes may be anything: what is not of this format is kept as it is,
    as the value of one header, `detector.headers`.
    """
    if wire is None:
        return ()
    try:
        return _decoded(wire)
    except ValueError:
        return (("detector.headers", wire),)


def _decoded(wire: bytes) -> Headers:
    count, at = _varint(wire, 0)
    if not 0 <= count <= len(wire):
        raise ValueError(f"{count} headers in {len(wire)} bytes")
    headers = []
    for _ in range(count):
        name, at = _chunk(wire, at)
        if name is None:
            raise ValueError("a header without a name")
        value, at = _chunk(wire, at)
        headers.append((name.decode(errors="replace"), value or b""))
    if at != len(wire):
        raise ValueError(f"bytes after the last header, from {at}")
    return tuple(headers)


def _varint(wire: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    for index in range(at, min(at + 5, len(wire))):
        byte = wire[index]
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return (number >> 1) ^ -(number & 1), index + 1
        shift += 7
    raise ValueError(f"a number that does not end, at byte {at}")


def _chunk(wire: bytes, at: int) -> tuple[bytes | None, int]:
    length, at = _varint(wire, at)
    if length == -1:
        return None, at
    if not 0 <= length <= len(wire) - at:
        raise ValueError(f"a length of {length} with {len(wire) - at} bytes left")
    return wire[at : at + length], at + length


def _size(headers: Headers) -> int:
    return sum(len(name.encode()) + len(value) + _HEADER_OVERHEAD_BYTES for name, value in headers)


def _own_headers(headers: Headers) -> int:
    """Where the last block of our headers begins."""
    for index in range(len(headers) - 1, -1, -1):
        if headers[index][0] == _FIRST:
            return index
    raise ValueError(f"not a dead letter: it has no header {_FIRST}")


def _number(headers: dict[str, bytes], name: str) -> int | None:
    return int(headers[name]) if name in headers else None
