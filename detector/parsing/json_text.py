"""JSON as logs hold it: what is malformed, cut or too deep still gives the fields so far.

orjson reads what RFC 8259 allows. What it refuses and Python's own reader takes (NaN, lone surrogates, control
characters inside strings) is read with these replaced, and flagged. Of the rest, the longest start is closed and read.
"""

from __future__ import annotations

import json
import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import orjson

from detector.events import JsonValue

_TOO_DEEP = "nested more than {} deep (limits.max_json_depth)"
_LONGEST_INT = 20
"""Characters of the longest integer of 64 bits, with its sign."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A JSON text that was read, as far as it could be.

    value: None if nothing could. problem: why it is not whole, with the byte where reading stopped; "" if it is.
    """

    value: JsonValue
    problem: str = ""
    position: int | None = None
    flags: tuple[str, ...] = ()


def load(data: bytes, max_depth: int) -> Loaded:
    """Read a JSON text. Never raises for what the text holds; deeper than `max_depth` may or may not be whole."""
    try:
        return Loaded(orjson.loads(data))
    except orjson.JSONDecodeError:
        pass
    text = data.decode("utf-8", "replace")
    if text.count("[") + text.count("{") > max_depth:
        encoded = text.encode()
        deep = _structure(encoded)[2] > max_depth
        if deep.any():
            first = int(deep.argmax())
            inner = _lenient(_without(encoded, deep).decode())
            return Loaded(inner.value, _TOO_DEEP.format(max_depth), first)
    return _lenient(text)


def bounded(value: JsonValue, max_depth: int, max_fields: int) -> tuple[JsonValue, str]:
    """The value within both limits, outer fields before inner ones, and what it exceeds ("" if nothing)."""
    if not isinstance(value, dict | list):
        return value, ""
    fields = 0
    problem = ""
    result: JsonValue = type(value)()
    queue: deque[tuple[JsonValue, JsonValue, int]] = deque([(value, result, 1)])
    while queue:
        source, target, depth = queue.popleft()
        members = source.items() if isinstance(source, dict) else enumerate(source)
        for key, member in members:
            kept = member
            if isinstance(member, dict | list):
                if depth == max_depth:
                    problem = problem or _TOO_DEEP.format(max_depth)
                    continue
                kept = type(member)()
                queue.append((member, kept, depth + 1))
            if isinstance(target, list):
                target.append(kept)
                continue
            fields += 1
            if fields > max_fields:
                return result, f"more than {max_fields:,} fields (limits.max_fields)"
            target[key] = kept
    return result, problem


def _lenient(text: str) -> Loaded:
    try:
        return Loaded(_read(text), flags=("lenient_json",))
    except json.JSONDecodeError as error:
        stopped = len(text) if error.msg.startswith("Unterminated string") else error.pos
        problem = f"not JSON: {error.msg.removesuffix(' starting at')}"
    except RecursionError:
        return Loaded(None, "not JSON: nested too deep", None)
    start = text[:stopped].encode()
    for closed in _closed(start):
        try:
            return Loaded(_read(closed.decode("utf-8", "replace")), problem, len(start))
        except (json.JSONDecodeError, RecursionError):
            continue
    return Loaded(None, problem, len(start))


def _read(text: str) -> JsonValue:
    """Python's reader, with what orjson would not give replaced: no number by null, big integers by floats."""
    value = _reader.decode(text)
    if "\\u" not in text:
        return value
    whole = json.dumps(value, ensure_ascii=False)
    try:
        whole.encode()
    except UnicodeEncodeError:  # lone surrogates: each becomes U+FFFD
        return _reader.decode(whole.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))
    return value


def _int(digits: str) -> int | float | None:
    if len(digits) <= _LONGEST_INT and -(1 << 63) <= (number := int(digits)) < 1 << 64:
        return number
    return _float(digits)


def _float(text: str) -> float | None:
    number = float(text)
    return number if math.isfinite(number) else None


_reader = json.JSONDecoder(strict=False, parse_constant=lambda _: None, parse_int=_int, parse_float=_float)


def _structure(data: bytes) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Per byte: itself, or 0 within a string and for its opening quote; whether it is in one; the depth after it."""
    masked = data.replace(b"\\\\", b"__").replace(b'\\"', b"__")
    array = np.frombuffer(masked, np.uint8)
    inside = (np.cumsum(array == ord('"')) & 1).astype(bool)
    outside = np.where(inside, 0, array)
    change = ((outside == ord("{")) | (outside == ord("["))).astype(np.int32)
    change -= (outside == ord("}")) | (outside == ord("]"))
    return outside, inside, np.cumsum(change)


def _without(data: bytes, deep: np.ndarray) -> bytes:
    """The text with `null` for the runs of bytes that are too deep."""
    deep[1:] |= deep[:-1]  # the bracket that leads back out
    edges = np.flatnonzero(np.diff(deep, prepend=False, append=False))
    parts: list[bytes] = []
    kept_from = 0
    for start, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        parts += (data[kept_from:start], b"null")
        kept_from = end
    return b"".join((*parts, data[kept_from:]))


def _closed(data: bytes) -> Iterator[bytes]:
    """The start of a JSON text, made whole in the ways that may work, the one that keeps most first."""
    if not data:
        return
    outside, inside, depth = _structure(data)
    brackets = np.flatnonzero((outside == ord("{")) | (outside == ord("[")))
    if inside[-1]:
        yield data.rstrip(b"\\") + b'"' + _closers(data, brackets, depth, len(data))
    else:
        yield data + _closers(data, brackets, depth, len(data))
    commas = np.flatnonzero(outside == ord(","))
    comma = int(commas[-1]) if len(commas) else 0
    bracket = int(brackets[-1]) + 1 if len(brackets) else 0
    end = max(comma, bracket)
    yield data[:end] + _closers(data, brackets, depth, end)


def _closers(data: bytes, brackets: np.ndarray, depth: np.ndarray, end: int) -> bytes:
    """What closes the brackets that are open at `end`."""
    closers = bytearray()
    if end:
        before = brackets[brackets < end]
        for level in range(int(depth[end - 1]), 0, -1):
            opening = before[depth[before] == level][-1]
            closers += b"}" if data[opening] == ord("{") else b"]"
    return bytes(closers)
