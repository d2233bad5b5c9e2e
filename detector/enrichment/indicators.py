"""What threat intelligence says: one indicator, its kind told by its form, and how its values compare."""

from __future__ import annotations

import contextlib
import ipaddress
from dataclasses import dataclass
from typing import Literal

from detector.enrichment.networks import Network, network
from detector.parsing.addresses import canonical_ip

Kind = Literal["ip", "domain", "url", "hash"]

_HASHES = {32: "md5", 40: "sha1", 64: "sha256"}
"""Hexadecimal digits -> algorithm."""
_HEX = frozenset("0123456789abcdef")
_HOST = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-_.")
_MAX = 4_096
"""Characters of a value."""


@dataclass(frozen=True, slots=True)
class Indicator:
    """Something that stands for a threat.

    value: as it compares, see `recognized`. type: that of STIX, "ipv4-addr". confidence: 0 to 100.
    since_us, until_us: when it is valid, UTC microseconds, `[since, until)`; None: always.
    feed: of which list. place: where it stands there, "file:line".
    """

    kind: Kind
    value: str
    type: str
    confidence: int
    feed: str
    since_us: int | None = None
    until_us: int | None = None
    description: str | None = None
    reference: str | None = None
    provider: str | None = None

    @property
    def level(self) -> str:
        """The confidence in the words of ECS and of STIX's scale None, Low, Medium, High."""
        return (
            "High"
            if self.confidence >= 70
            else "Medium"
            if self.confidence >= 30
            else "Low"
            if self.confidence
            else "None"
        )

    def valid_at(self, time_us: int) -> bool:
        """Whether it is valid at a time."""
        return (self.since_us is None or self.since_us <= time_us) and (
            self.until_us is None or time_us < self.until_us
        )

    @property
    def lasting(self) -> tuple[float, int]:
        """Of two with the same value the greater counts: valid longer, then surer."""
        return (float("inf") if self.until_us is None else self.until_us, self.confidence)


def recognized(text: str) -> tuple[Kind, str, str] | None:
    """Kind, comparable value and type in STIX of what a list holds; None for what is none of these.

    An address or a network; a domain (`*.example.com` and `.example.com`: with all below it); a URL; a hash in
    hexadecimal. Also as reports write them, so that nobody clicks: `hxxp://example[.]com`.
    """
    text = text.strip().replace("[.]", ".").replace("[:]", ":")
    if not text or len(text) > _MAX:
        return None
    address = canonical_ip(text)
    if address is not None:
        return "ip", address, "ipv6-addr" if ":" in address else "ipv4-addr"
    if "/" in text and "://" not in text:
        with contextlib.suppress(ValueError):
            found = network(text)
            return "ip", _network_text(found), f"ipv{found.version}-addr"
    lower = text.lower()
    if _HEX.issuperset(lower) and len(lower) in _HASHES:
        return "hash", lower, "file"
    if "://" in text:
        return "url", url(text), "url"
    domain = lower.removeprefix("*").rstrip(".")
    labels = domain.removeprefix(".").split(".")
    if _HOST.issuperset(domain) and len(domain) <= 255 and len(labels) > 1 and all(labels) and not labels[-1].isdigit():
        return "domain", domain, "domain-name"
    return None


def _network_text(found: Network) -> str:
    whole = found.prefixlen == found.max_prefixlen
    return str(found.network_address) if whole else str(found)


def url(text: str) -> str:
    """A URL as it compares: scheme and host in lower case, without fragment, an empty path as `/`."""
    scheme, _, rest = text.partition("://")
    scheme = scheme.lower().replace("hxxp", "http")
    rest = rest.partition("#")[0]
    end = next((place for place, char in enumerate(rest) if char in "/?"), len(rest))
    path = rest[end:]
    return f"{scheme}://{rest[:end].lower()}{path if path.startswith('/') else '/' + path}"


def single(value: str) -> bool:
    """Whether the value of an "ip" is one address, not a network."""
    return "/" not in value


def as_network(value: str) -> Network:
    """The network of a value of kind "ip"."""
    return ipaddress.ip_network(value)
