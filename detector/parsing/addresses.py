"""Addresses as logs write them: canonical IP, port, host name."""

from __future__ import annotations

import socket
from functools import lru_cache
from ipaddress import IPv6Address
from typing import NamedTuple

_MAX_CHARACTERS = 255 + 8  # the longest host name, with a port
_HOST = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_")


class Address(NamedTuple):
    """What an address text names; at most one of `ip` and `domain`."""

    ip: str | None
    port: int | None
    domain: str | None


NOTHING = Address(None, None, None)


@lru_cache(maxsize=16_384)
def address(text: str) -> Address:
    """The parts of an address: `ip`, `ip:port`, `[v6]:port`, `v6%zone`, `name`, `name:port`.

    The ip is canonical: IPv6 as RFC 5952 writes it, without its zone; an IPv4-mapped one is IPv4.
    """
    if len(text) > _MAX_CHARACTERS:
        return NOTHING
    host, port = _split(text)
    ip = canonical_ip(host)
    if ip:
        return Address(ip, port, None)
    if host and _HOST.issuperset(host) and not host.replace(".", "").isdigit():
        return Address(None, port, host.rstrip(".").lower() or None)
    return NOTHING


def canonical_ip(text: str) -> str | None:
    """The canonical text of an IP address, None if it is none."""
    if ":" not in text:
        try:
            packed = socket.inet_pton(socket.AF_INET, text)
        except (OSError, ValueError):
            return None
        return socket.inet_ntop(socket.AF_INET, packed)
    try:
        parsed = IPv6Address(text.partition("%")[0])
    except ValueError:
        return None
    return str(parsed.ipv4_mapped or parsed)


def _split(text: str) -> tuple[str, int | None]:
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            return text, None
        return host, _port(rest[1:])
    host, colon, port = text.rpartition(":")
    if colon and ":" not in host:
        number = _port(port)
        return (host, number) if number is not None else (text, None)
    return text, None


def _port(text: str) -> int | None:
    if text.isascii() and text.isdigit() and len(text) <= 5 and int(text) <= 65_535:
        return int(text)
    return None
