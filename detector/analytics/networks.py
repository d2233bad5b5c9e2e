"""Which addresses are inside."""

from __future__ import annotations

import ipaddress
from functools import lru_cache

import pyarrow as pa

_INTERNAL = tuple(
    ipaddress.ip_network(text)
    for text in (
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
)


def internal(addresses: pa.Array) -> pa.Array:
    """Whether each address (text, as the parsers write it) is of a network that is never on the Internet.

    What is no address is null.
    """
    encoded = addresses.dictionary_encode()
    known = pa.array([_internal(text) for text in encoded.dictionary.to_pylist()], pa.bool_())
    return known.take(encoded.indices)


@lru_cache(maxsize=65_536)
def _internal(text: str) -> bool | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return any(address in network for network in _INTERNAL if network.version == address.version)
