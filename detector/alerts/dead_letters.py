"""Dead letters: the record as it was, with the reason and the place in headers, so that it can be replayed.

Value, key and headers are the record's own. After its headers follow those of this module, `detector.reason` first:
a record that brings headers of these names itself deceives nobody, because only the last block counts.
Two things cannot be kept: a null header value becomes an empty one (the client sends no null), and a header name
that is not UTF-8 gets U+FFFD for its invalid bytes.
"""

from __future__ import annotations

from dataclasses import dataclass

from detector.metrics import DeadLetterReason
from detector.window import Message

Headers = tuple[tuple[str, bytes], ...]

MAX_DETAIL_BYTES = 1_024
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
    max_bytes: int,
    ordinal: int | None = None,
    position: int | None = None,
) -> Message:
    """Make the message for a record that could not be parsed, evaluated or delivered as it should.

    detail: for people; cut to `MAX_DETAIL_BYTES`.
    max_bytes: what the dead-letter topic takes (its `max.message.bytes`), by a cautious estimate without compression.
        Only a record beyond it is cut: first its value, and where that is not enough its headers and its key are left
        out; `detector.truncated` names them.
    """
    own: list[tuple[str, bytes]] = [
        ("detector.reason", reason.value.encode()),
        ("detector.detail", _cut_text(detail, MAX_DETAIL_BYTES)),
        ("detector.topic", topic.encode()),
        ("detector.partition", b"%d" % partition),
        ("detector.offset", b"%d" % offset),
        ("detector.timestamp", b"%d" % timestamp_ms),
    ]
    if ordinal is not None:
        own.append(("detector.ordinal", b"%d" % ordinal))
    if position is not None:
        own.append(("detector.position", b"%d" % position))
    if value is not None:
        own.append(("detector.value_bytes", b"%d" % len(value)))
    room = max_bytes - _OVERHEAD_BYTES - _headers_size(tuple(own))
    cut: list[str] = []
    if len(key or b"") + _headers_size(headers) > room:
        if headers:
            headers = ()
            cut.append("headers")
        if key and len(key) > room:
            key = None
            cut.append("key")
    room = max(0, room - len(key or b"") - _headers_size(headers))
    if value is not None and len(value) > room:
        value = value[:room]
        cut.append("value")
    if cut:
        own.append(("detector.truncated", ",".join(cut).encode()))
    return Message("dead_letters", key, value, (*headers, *own), timestamp_ms)


def parse_dead_letter(key: bytes | None, value: bytes | None, headers: Headers) -> DeadLetter:
    """Read a message of the dead-letter topic back.

    Raises ValueError if it is none.
    """
    names = [name for name, _ in headers]
    if "detector.reason" not in names:
        raise ValueError("not a dead letter: it has no header detector.reason")
    start = len(names) - 1 - names[::-1].index("detector.reason")
    own = dict(headers[start:])
    try:
        return DeadLetter(
            reason=DeadLetterReason(own["detector.reason"].decode()),
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

    Raises ValueError where the bytes end early or a number makes no sense.
    """
    if wire is None:
        return ()
    count, at = _varint(wire, 0)
    if not 0 <= count <= len(wire):
        raise ValueError(f"a record with {count} headers in {len(wire)} bytes")
    headers = []
    for _ in range(count):
        name, at = _chunk(wire, at)
        if name is None:
            raise ValueError("a header without a name")
        value, at = _chunk(wire, at)
        headers.append((name.decode(errors="replace"), value or b""))
    return tuple(headers)


def _varint(wire: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    for index in range(at, min(at + 5, len(wire))):
        byte = wire[index]
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return (number >> 1) ^ -(number & 1), index + 1
        shift += 7
    raise ValueError(f"a length in the record headers that does not end, at byte {at}")


def _chunk(wire: bytes, at: int) -> tuple[bytes | None, int]:
    length, at = _varint(wire, at)
    if length == -1:
        return None, at
    if not 0 <= length <= len(wire) - at:
        raise ValueError(f"a length of {length} in the record headers with {len(wire) - at} bytes left")
    return wire[at : at + length], at + length


def _headers_size(headers: Headers) -> int:
    return sum(len(name.encode()) + len(value) + _HEADER_OVERHEAD_BYTES for name, value in headers)


def _number(headers: dict[str, bytes], name: str) -> int | None:
    return int(headers[name]) if name in headers else None


def _cut_text(text: str, max_bytes: int) -> bytes:
    return text.encode(errors="replace")[:max_bytes].decode(errors="ignore").encode()
