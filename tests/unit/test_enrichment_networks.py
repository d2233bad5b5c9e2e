"""Which addresses are inside."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.enrichment.networks import InternalAddresses, Network, Networks, internal, network
from detector.errors import ConfigError

ADDRESS = st.ip_addresses() | st.integers(0, 1 << 20).map(lambda low: IPv4Address((10 << 24) - (1 << 19) + low))
NETWORK = st.tuples(ADDRESS, st.integers(0, 128)).map(lambda pair: f"{pair[0]}/{min(pair[1], pair[0].max_prefixlen)}")


class TestNetworks:
    @given(st.lists(NETWORK, max_size=6), st.lists(ADDRESS, min_size=1, max_size=8))
    def test_twin(self, networks: list[str], addresses: list[IPv4Address | IPv6Address]) -> None:
        """Any address is in any set of networks if the standard library says that it is in one of them."""
        known = [network(text) for text in networks]
        edges = [address for each in known for address in (each[0], each[-1])]

        found = Networks(known).contain([str(each) for each in addresses + edges])

        assert found == [_inside(each, known) for each in addresses + edges]

    @pytest.mark.parametrize(
        ("address", "inside"),
        [
            ("9.255.255.255", False), ("10.0.0.0", True), ("10.255.255.255", True), ("11.0.0.0", False),
            ("172.15.255.255", False), ("172.16.0.0", True), ("172.31.255.255", True), ("172.32.0.0", False),
            ("192.168.0.0", True), ("192.169.0.0", False), ("100.63.255.255", False), ("100.64.0.0", True),
            ("100.127.255.255", True), ("100.128.0.0", False), ("127.0.0.1", True), ("169.254.1.1", True),
            ("1.10.0.1", False), ("fbff::", False), ("fc00::", True), ("fdff::1", True), ("fe00::", False),
            ("fe80::1", True), ("fe80::1%eth0", True), ("febf::1", True), ("fec0::1", False), ("::1", True),
            ("::ffff:10.1.2.3", True), ("::ffff:8.8.8.8", False), ("2001:db8::1", False),
        ],
    )  # fmt: skip
    def test_internal(self, address: str, inside: bool) -> None:
        """What the standards keep off the Internet is inside, up to its last address and no further."""
        assert internal().contain([address]) == [inside]

    @pytest.mark.parametrize("text", ["", "10.0.0", "10.0.0.1:80", "localhost", "10.0.0.1/8", "é", "\0"])
    def test_no_address(self, text: str) -> None:
        """What is no address is neither inside nor outside."""
        assert internal().contain([text]) == [None]

    def test_own(self) -> None:
        """Networks of one's own are inside, too, mapped ones as what they map."""
        networks = internal(["203.0.113.7/24", "::ffff:198.51.100.0/120", "2001:db8::/32"])
        asked = ["203.0.113.255", "203.0.114.0", "198.51.100.1", "2001:db8:ffff::", "2001:db9::"]

        assert networks.contain(asked) == [True, False, True, True, False]

    def test_wrong(self) -> None:
        """What is no network is an error that names the setting."""
        with pytest.raises(ConfigError, match=r"enrichment\.internal_networks: '10\.0\.0\.0/33'"):
            internal(["10.0.0.0/33"])


class TestInternalAddresses:
    def test_names(self) -> None:
        """Each side has its name, the source also the plain one."""
        provider = InternalAddresses(internal())

        assert [dict(each.fields) for each in provider.look_up("source.ip", ["10.0.0.1", "8.8.8.8", "x"])] == [
            {"source.is_internal": True, "is_internal": True},
            {"source.is_internal": False, "is_internal": False},
            {},
        ]
        assert dict(provider.look_up("client.ip", ["::1"])[0].fields) == {"client.is_internal": True}


def _inside(address: IPv4Address | IPv6Address, networks: Sequence[Network]) -> bool:
    plain = getattr(address, "ipv4_mapped", None) or address
    return any(plain in each for each in networks)
