"""Numba kernels for request lines and URLs: `detector.parsing.urls` where nothing needs to be resolved.

They return where the arena ends, or -1 for what only `detector.parsing.urls` knows: a host, segments to resolve, bytes
that are no UTF-8 when they are decoded.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from detector.parsing.direct.utf8_kernels import BEYOND_ASCII, UNFIT, text_state
from detector.parsing.jit import Bytes, Ints, compiled

NAMES = (
    "url.original",
    "url.path",
    "url.path_query",
    "url.query",
    "url.path_decoded",
    "url.query_decoded",
    "url.path_query_decoded",
    "url.path_normalized",
    "url.path_normalized_decoded",
    "url.scheme",
    "url.domain",
    "url.port",
    "http.request.method",
    "http.version",
    "http.request.protocol",
)
"""Of the targets of a URL, and behind these of a request."""
ORIGINAL, PATH, PATH_QUERY, QUERY, PATH_DECODED, QUERY_DECODED, PATH_QUERY_DECODED = range(7)
METHOD, VERSION, PROTOCOL = 12, 13, 14
URL_NAMES = 12
_MAX_METHOD = 32
_UNICODE = 2
_TOKEN = np.zeros(256, np.uint8)
_TOKEN[list(b"!#$%&'*+-.^_`|~abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")] = 1


@compiled
def put(  # noqa: PLR0917
    base: int, slot: int, start: int, size: int, flag: int, starts: Ints, sizes: Ints, flags: Bytes
) -> None:
    """Fill in a slot, if somebody asks for it."""
    if slot >= 0:
        place = np.uint64(base + slot)
        starts[place] = start
        sizes[place] = size
        flags[place] = flag


@compiled
def _find(data: Bytes, at: int, end: int, byte: int) -> Any:
    while at < end and data[np.uint64(at)] != byte:
        at += 1
    return at


@compiled
def _digit(byte: int) -> Any:
    """The value of a hexadecimal digit, -1 if it is none."""
    if 48 <= byte <= 57:
        return np.int64(byte) - 48
    lower = np.int64(byte) | 32
    return lower - 87 if 97 <= lower <= 102 else -1


@compiled
def _decode(data: Bytes, at: int, end: int, plus: bool, to: int) -> Any:
    """Decode once to the arena; returns where that ends."""
    while at < end:
        byte = data[np.uint64(at)]
        if byte == 37 and at + 2 < end:
            high, low = _digit(data[np.uint64(at + 1)]), _digit(data[np.uint64(at + 2)])
            if high >= 0 and low >= 0:
                byte = np.uint8(high * 16 + low)
                at += 2
        elif byte == 43 and plus:
            byte = np.uint8(32)
        data[np.uint64(to)] = byte
        to += 1
        at += 1
    return to


@compiled
def _differ(data: Bytes, at: int, end: int, other: int, other_end: int) -> bool:
    if end - at != other_end - other:
        return True
    for place in range(end - at):  # noqa: SIM110 -- numba knows no any()
        if data[np.uint64(at + place)] != data[np.uint64(other + place)]:
            return True
    return False


@compiled
def _is_authority(data: Bytes, at: int) -> Any:
    """Whether `://` stands there."""
    return data[np.uint64(at)] == 58 and data[np.uint64(at + 1)] == 47 and data[np.uint64(at + 2)] == 47


@compiled
def url(  # noqa: PLR0917, C901, PLR0912 -- one pass, in the order of `urls`
    data: Bytes,
    at: int,
    end: int,
    to: int,
    base: int,
    targets: Ints,
    flag: int,
    starts: Ints,
    sizes: Ints,
    flags: Bytes,
) -> Any:
    """`urls.url_fields`; not of an empty text."""
    question = end
    rooted = data[np.uint64(at)] == 47
    encoded, resolve, before = False, not rooted, 0
    for place in range(at, end):
        byte = data[np.uint64(place)]
        if byte == 63 and question == end:
            question = place
        elif byte == 37 or (byte == 43 and place > question):
            encoded = True
        elif question == end and before == 47 and byte in (46, 47):
            return -1  # segments to resolve, or a host
        before = byte
    put(base, targets[ORIGINAL], at, end - at, flag, starts, sizes, flags)
    put(base, targets[PATH], at, question - at, flag, starts, sizes, flags)
    put(base, targets[PATH_QUERY], at, end - at, flag, starts, sizes, flags)
    if question < end:
        put(base, targets[QUERY], question + 1, end - question - 1, flag, starts, sizes, flags)
    if not encoded:
        if resolve:  # `a?b://c` has a host, too
            for place in range(at, end - 2):
                if _is_authority(data, place):
                    return -1
        return to
    if resolve:
        return -1
    path_end = _decode(data, at, question, False, to)
    before = 0
    for place in range(to, path_end):
        byte = data[np.uint64(place)]
        if byte == 92 or (before == 47 and byte in (46, 47)):
            return -1
        before = byte
    whole_end = path_end
    query = path_end
    if question < end:
        data[np.uint64(path_end)] = 63
        query = path_end + 1
        whole_end = _decode(data, question + 1, end, True, query)
    path_state, query_state = text_state(data, to, path_end), text_state(data, query, whole_end)
    if UNFIT in (path_state, query_state):
        return -1
    path_flag = _UNICODE if path_state == BEYOND_ASCII else 0
    query_flag = _UNICODE if query_state == BEYOND_ASCII else 0
    if _differ(data, to, path_end, at, question):
        put(base, targets[PATH_DECODED], to, path_end - to, path_flag, starts, sizes, flags)
    if question < end and _differ(data, query, whole_end, question + 1, end):
        put(base, targets[QUERY_DECODED], query, whole_end - query, query_flag, starts, sizes, flags)
    if _differ(data, to, whole_end, at, end):
        put(base, targets[PATH_QUERY_DECODED], to, whole_end - to, path_flag | query_flag, starts, sizes, flags)
    return whole_end


@compiled
def _is_http(data: Bytes, at: int, end: int) -> Any:
    """1 for `HTTP/` at a place, -1 for the same in small letters, else 0."""
    if end - at < 5:
        return 0
    upper = True
    for place, byte in enumerate((72, 84, 84, 80, 47)):
        found = data[np.uint64(at + place)]
        if found != byte:
            upper = False
            if byte == 47 or found != byte + 32:
                return 0
    return 1 if upper else -1


@compiled
def request(  # noqa: PLR0917
    data: Bytes,
    at: int,
    end: int,
    to: int,
    base: int,
    targets: Ints,
    flag: int,
    starts: Ints,
    sizes: Ints,
    flags: Bytes,
) -> Any:
    """The type `http_request`; not of an empty text."""
    space = _find(data, at, end, 32)
    method = space > at and space + 1 < end and space - at <= _MAX_METHOD and data[np.uint64(at)] != 37
    if method:
        for place in range(at, space):
            if not _TOKEN[data[np.uint64(place)]]:
                method = False
                break
    if not method:
        return url(data, at, end, to, base, targets, flag, starts, sizes, flags)
    if space - at == 7 and data[np.uint64(at)] == 67:  # CONNECT names a host
        return -1
    first = space + 1
    last = end - 1
    while last >= first and data[np.uint64(last)] != 32:
        last -= 1
    version = last + 1 if last >= first else first
    http = _is_http(data, version, end)
    if http < 0:
        return -1
    url_end = end
    if http > 0:
        url_end = max(version - 1, first)
        put(base, targets[PROTOCOL], version, end - version, flag, starts, sizes, flags)
        put(base, targets[VERSION], version + 5, end - version - 5, flag, starts, sizes, flags)
        if end - version == 5:
            return -1
    elif _is_http(data, first, end) != 0:
        return -1
    if url_end > first:
        to = url(data, first, url_end, to, base, targets, flag, starts, sizes, flags)
        if to < 0:
            return -1
    put(base, targets[METHOD], at, space - at, flag, starts, sizes, flags)
    return to
