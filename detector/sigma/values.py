"""What a value of an event is to a rule: a text, a number, an address, a part of a time."""

from __future__ import annotations

import json
from datetime import date
from enum import Enum
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address

import orjson

from detector.events import JsonValue

Address = IPv4Address | IPv6Address

_INTEGERS = range(-(2**63), 2**64)
"""What JSON integers are kept exactly; beyond, orjson makes them floats, and so do rules."""
_MAX_DIGITS = 300
_TIME_LENGTH = len("2024-01-01T00:00:00")
_OFFSET_LENGTH = len("+00:00")


def text_of(value: JsonValue) -> str:
    """The text by which a value compares: 5, 5.0 and "5" are equal, so are true and "true".

    A mapping is its compact JSON text.
    """
    if isinstance(value, str):
        return value
    if value is True or value is False:
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value) if value in _INTEGERS else repr(float(value))
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and int(value) in _INTEGERS else repr(value)
    try:
        return orjson.dumps(value).decode()
    except orjson.JSONEncodeError:  # deeper than orjson writes, a surrogate alone, or an integer beyond 64 bits
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def number_of(value: JsonValue) -> int | float | None:
    """The number that a JSON number or a decimal string ("-1.5") is, else None; integers exactly."""
    if isinstance(value, str):
        digits = value[1:] if value[:1] in ("-", "+") else value
        whole, point, fraction = digits.partition(".")
        if not digits.isascii() or not whole.isdigit() or not (fraction.isdigit() if point else True):
            return None
        return float(value) if point or len(whole) > _MAX_DIGITS else int(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return value


@lru_cache(maxsize=8192)
def address_of(text: str) -> Address | None:
    """The address that a text is, else None; `::ffff:192.0.2.1` is 192.0.2.1."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return address.ipv4_mapped or address if isinstance(address, IPv6Address) else address


class TimePart(Enum):
    """What Sigma's time modifiers take out of a time."""

    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    YEAR = "year"


def time_part(value: JsonValue, part: TimePart) -> int | None:
    """A part of an RFC 3339 text as it is written (no zone is applied; it may be missing), else None.

    The week is ISO 8601's.
    """
    parts = _time_parts(value) if isinstance(value, str) else None
    return parts[part] if parts else None


@lru_cache(maxsize=1024)
def _time_parts(text: str) -> dict[TimePart, int] | None:
    head, tail = text[:_TIME_LENGTH], text[_TIME_LENGTH:]
    separators = head[4:5] + head[7:8] + head[13:14] + head[16:17]
    numbers = [head[0:4], head[5:7], head[8:10], head[11:13], head[14:16], head[17:19]]
    if separators != "--::" or head[10:11] not in ("T", "t", " ") or not _is_zone(tail):
        return None
    if not head.isascii() or not all(number.isdigit() for number in numbers):
        return None
    year, month, day, hour, minute, second = map(int, numbers)
    try:
        week = date(year, month, day).isocalendar().week
    except ValueError:
        return None
    if hour > 23 or minute > 59 or second > 60:
        return None
    return dict(zip(TimePart, (minute, hour, day, week, month, year), strict=True))


def _is_zone(tail: str) -> bool:
    """Whether the text is what follows the seconds: a fraction, a zone, both or nothing."""
    if not tail.isascii():
        return False
    if tail[:1] == ".":
        tail = tail[1:].lstrip("0123456789")
    if tail in ("", "Z", "z"):
        return True
    return len(tail) == _OFFSET_LENGTH and tail[0] in "+-" and tail[3] == ":" and (tail[1:3] + tail[4:6]).isdigit()
