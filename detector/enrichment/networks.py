"""Which addresses are inside: not by the beginnings of their texts, but as numbers in sorted ranges."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from detector.enrichment.model import NOTHING, Answer
from detector.errors import ConfigError

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

ADDRESSES = ("source", "destination", "client", "server")
"""Whose `.ip` is looked up; plain names (`is_internal`) are those of the first."""

INTERNAL = (
    "10.0.0.0/8",  # RFC 1918
    "172.16.0.0/12",
    "192.168.0.0/16",
    "fc00::/7",  # RFC 4193
    "127.0.0.0/8",  # loopback
    "::1/128",
    "169.254.0.0/16",  # link-local
    "fe80::/10",
    "100.64.0.0/10",  # carrier NAT, RFC 6598
)
"""Networks that are never on the Internet."""

_MAPPED = b"\0" * 10 + b"\xff\xff"
_V4, _V6 = b"\4", b"\6"
_NO_ADDRESS = b""
KEY = "S17"
"""Type of addresses as bytes."""


def packed(texts: Iterable[str]) -> np.ndarray:
    """Addresses as bytes: their version, and what they are in network order; none for what is no address.

    Mapped IPv6 is IPv4. NumPy compares such bytes from the left, and what is shorter as if zeros followed: as the
    numbers compare.
    """
    return np.array([_packed(text) for text in texts], KEY)


def _packed(text: str) -> bytes:
    try:
        if ":" not in text:
            return _V4 + socket.inet_pton(socket.AF_INET, text)
        address = socket.inet_pton(socket.AF_INET6, text.partition("%")[0])
    except (OSError, ValueError):
        return _NO_ADDRESS
    return _V4 + address[12:] if address.startswith(_MAPPED) else _V6 + address


def network(text: str) -> Network:
    """A network as settings and lists write it, with or without bits of a host. Raises ValueError.

    One of mapped IPv6 is of IPv4.
    """
    found = ipaddress.ip_network(text, strict=False)
    if isinstance(found, ipaddress.IPv6Network) and found.prefixlen >= 96:
        mapped = found.network_address.ipv4_mapped
        if mapped is not None:
            return ipaddress.IPv4Network((mapped, found.prefixlen - 96))
    return found


def bounds(of: Network) -> tuple[bytes, bytes]:
    """The first and the last address of a network, as `packed`."""
    prefix = _V4 if of.version == 4 else _V6
    return prefix + of.network_address.packed, prefix + of.broadcast_address.packed


def following(key: bytes) -> bytes:
    """What comes after an address that is `packed`; after the last of its version what is no address of it."""
    number = int.from_bytes(key[1:], "big") + 1
    size = len(key) - 1
    return bytes([key[0] + 1]) if number >> (8 * size) else key[:1] + number.to_bytes(size, "big")


class Networks:
    """A set of addresses: ranges that do not touch, in order."""

    __slots__ = ("_first", "_last")

    def __init__(self, networks: Iterable[Network]) -> None:
        first: list[bytes] = []
        last: list[bytes] = []
        for low, high in sorted(map(bounds, networks)):
            if last and low <= last[-1]:
                last[-1] = max(last[-1], high)
            else:
                first.append(low)
                last.append(high)
        self._first = np.array(first or [b""], KEY)
        self._last = np.array(last or [b""], KEY)

    def contain(self, texts: Sequence[str]) -> list[bool | None]:
        """Whether each address (IPv4, IPv6, mapped) is in one of them; None of what is no address."""
        keys = packed(texts)
        place = np.searchsorted(self._first, keys, side="right") - 1
        inside = (place >= 0) & (keys <= self._last[place])
        return [bool(each) if known else None for each, known in zip(inside, keys != _NO_ADDRESS, strict=True)]


def internal(own: Iterable[str] = ()) -> Networks:
    """The networks that are inside: INTERNAL and one's own. Raises ConfigError for what is no network."""
    try:
        return Networks(network(text) for text in (*INTERNAL, *own))
    except ValueError as error:
        raise ConfigError(f"enrichment.internal_networks: {error}; write 192.0.2.0/24 or 2001:db8::/32") from None


class InternalAddresses:
    """Gives `source.is_internal` and its like, and `is_internal` of the source."""

    __slots__ = ("_networks",)

    key: str | None = None

    def __init__(self, networks: Networks) -> None:
        self._networks = networks

    def asked(self) -> Mapping[str, Mapping[str, type]]:
        """See `Provider.asked`."""
        return {f"{side}.ip": dict.fromkeys(self._names(side), bool) for side in ADDRESSES}

    def look_up(self, field: str, values: Sequence[str]) -> list[Answer]:
        """See `Provider.look_up`."""
        names = self._names(field.removesuffix(".ip"))
        answers = {None: NOTHING} | {each: Answer(dict.fromkeys(names, each)) for each in (False, True)}
        return [answers[each] for each in self._networks.contain(values)]

    @staticmethod
    def _names(side: str) -> tuple[str, ...]:
        return (f"{side}.is_internal", *(("is_internal",) if side == ADDRESSES[0] else ()))
