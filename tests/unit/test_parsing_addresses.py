from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.parsing.addresses import Address, address, canonical_ip


class TestAddress:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("192.0.2.7", Address("192.0.2.7", None, None)),
            ("192.0.2.7:80", Address("192.0.2.7", 80, None)),
            ("2001:DB8:0::1", Address("2001:db8::1", None, None)),
            ("[2001:db8::1]:443", Address("2001:db8::1", 443, None)),
            ("[2001:db8::1]", Address("2001:db8::1", None, None)),
            ("fe80::1%eth0", Address("fe80::1", None, None)),
            ("::ffff:192.0.2.7", Address("192.0.2.7", None, None)),
            ("[::ffff:c000:207]:1", Address("192.0.2.7", 1, None)),
            ("Host.Example.COM.", Address(None, None, "host.example.com")),
            ("host-1:8080", Address(None, 8080, "host-1")),
            ("localhost", Address(None, None, "localhost")),
            ("AWS Internal", Address(None, None, None)),
            ("192.0.2.256", Address(None, None, None)),
            ("192.0.02.1", Address(None, None, None)),
            ("1234", Address(None, None, None)),
            ("host:99999", Address(None, None, None)),
            ("", Address(None, None, None)),
            ("[::1", Address(None, None, None)),
            ("a" * 300, Address(None, None, None)),
            ("::1\x00", Address(None, None, None)),
            ("1.2.3.4\x00", Address(None, None, None)),
        ],
    )
    def test_forms(self, text: str, expected: Address) -> None:
        """Each form gives the canonical address, the port and the name that it holds."""
        assert address(text) == expected

    @given(st.ip_addresses())
    def test_canonical(self, ip: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
        """The canonical text is that of the standard library, IPv4-mapped addresses as IPv4."""
        mapped = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None

        assert canonical_ip(str(ip)) == str(mapped or ip)
        assert canonical_ip(ip.exploded) == str(mapped or ip)

    @given(st.text(max_size=80))
    def test_any_text(self, text: str) -> None:
        """No text raises, and what is found is an address."""
        found = address(text)

        assert found.ip is None or str(ipaddress.ip_address(found.ip)) == found.ip
