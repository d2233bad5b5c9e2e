"""Writes small databases of MaxMind's format: https://maxmind.github.io/MaxMind-DB/."""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_TEXT, _DOUBLE, _UINT16, _UINT32, _MAP, _UINT64, _ARRAY = 2, 3, 5, 6, 7, 9, 11


def write(path: Path, records: Mapping[str, Mapping[str, Any]], kind: str = "GeoLite2-City", built_s: int = 1) -> Path:
    """A database of IPv6 and IPv4 networks, none within another; returns its path."""
    tree: list[list[Any]] = [[None, None]]
    for text, record in records.items():
        network = ipaddress.ip_network(text)
        bits, length = int(network.network_address), network.prefixlen + (96 if network.version == 4 else 0)
        node = 0
        for depth in range(length):
            side = bits >> (127 - depth) & 1
            if depth == length - 1:
                tree[node][side] = record
            elif isinstance(tree[node][side], int):
                node = tree[node][side]
            else:
                tree[node][side] = len(tree)
                node = len(tree)
                tree.append([None, None])
    data = b""
    nodes = b""
    for pair in tree:
        for child in pair:
            if isinstance(child, Mapping):
                place, data = len(tree) + 16 + len(data), data + _value(child)
            else:
                place = len(tree) if child is None else child
            nodes += place.to_bytes(4, "big")
    described = {
        "binary_format_major_version": (_UINT16, 2),
        "binary_format_minor_version": (_UINT16, 0),
        "build_epoch": (_UINT64, built_s),
        "database_type": kind,
        "description": {"en": "for a test"},
        "ip_version": (_UINT16, 6),
        "languages": ["en"],
        "node_count": (_UINT32, len(tree)),
        "record_size": (_UINT16, 32),
    }
    path.write_bytes(nodes + bytes(16) + data + b"\xab\xcd\xefMaxMind.com" + _value(described))
    return path


def place(country: str, city: str, lat: float = 1.5, lon: float = -2.5) -> dict[str, Any]:
    """A record of a city, as GeoLite2-City has it."""
    return {
        "country": {"iso_code": country, "names": {"en": f"{country}land"}},
        "city": {"names": {"en": city, "de": "?"}},
        "location": {"latitude": lat, "longitude": lon},
    }


def _value(value: Any) -> bytes:
    if isinstance(value, tuple):
        kind, number = value
        size = max(1, (int(number).bit_length() + 7) // 8)
        return _head(kind, size) + int(number).to_bytes(size, "big")
    if isinstance(value, str):
        text = value.encode()
        return _head(_TEXT, len(text)) + text
    if isinstance(value, float):
        return _head(_DOUBLE, 8) + struct.pack(">d", value)
    if isinstance(value, int):
        return _value((_UINT32, value))
    if isinstance(value, list):
        return _head(_ARRAY, len(value)) + b"".join(map(_value, value))
    return _head(_MAP, len(value)) + b"".join(_value(key) + _value(member) for key, member in value.items())


def _head(kind: int, size: int) -> bytes:
    assert size < 29 + 256
    length, more = (size, b"") if size < 29 else (29, bytes([size - 29]))
    return bytes([kind << 5 | length]) + more if kind < 8 else bytes([length, kind - 7]) + more
