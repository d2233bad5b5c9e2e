"""What the demo's generators share: a log with what is planted in it, clocks as text, and addresses."""

from __future__ import annotations

import time
from enum import StrEnum
from random import Random
from typing import NamedTuple


class Attack(StrEnum):
    """Kinds of attack that are planted among the harmless logs."""

    CREDENTIAL_STUFFING = "credential stuffing"
    WEB_SCANNER = "web scanner"
    SQL_INJECTION = "SQL injection"
    PATH_TRAVERSAL = "path traversal"
    CROSS_SITE_SCRIPTING = "cross-site scripting"
    COMMAND_INJECTION = "command injection"
    AWS_ROOT_LOGIN = "AWS root login"
    TRAIL_STOPPED = "trail stopped"


class Topic(StrEnum):
    """Where a log goes."""

    WEB = "shop.access"
    AUTH = "hosts.auth"
    CLOUD = "aws.cloudtrail"


class Log(NamedTuple):
    """One record to send: its topic, its bytes, and the attack planted in it, if any."""

    topic: Topic
    value: bytes
    attack: Attack | None


class Stamp:
    """Times as the formats write them, in UTC; formatting is done once a second only."""

    def __init__(self) -> None:
        self._second = -1
        self.apache = self.syslog = self.iso = ""

    def set(self, time_us: int) -> None:
        """Take a time in microseconds since 1970."""
        second = time_us // 1_000_000
        if second == self._second:
            return
        self._second = second
        now = time.gmtime(second)
        month = _MONTHS[now.tm_mon - 1]  # not %b: the process may have a locale
        clock = f"{now.tm_hour:02}:{now.tm_min:02}:{now.tm_sec:02}"
        self.apache = f"{now.tm_mday:02}/{month}/{now.tm_year}:{clock} +0000"
        self.syslog = f"{month} {now.tm_mday:2} {clock}"
        self.iso = f"{now.tm_year}-{now.tm_mon:02}-{now.tm_mday:02}T{clock}Z"


class Addresses:
    """Addresses as of strangers, none twice in 3 billion: a full-period walk over 32 bits.

    Networks for private use, documentation and the like are left out, whole first octets at a time.
    """

    def __init__(self, random: Random) -> None:
        self._at = random.getrandbits(32)

    def ipv4(self) -> str:
        """The next IPv4 address."""
        while True:
            # A linear congruence with these constants visits every 32-bit number once (Numerical Recipes, 7.1).
            at = self._at = (self._at * 1_664_525 + 1_013_904_223) & 0xFFFF_FFFF
            # The low bits of such a walk have short periods; turning the number round hides that.
            first = at & 0xFF
            if first in _PUBLIC:
                return f"{first}.{at >> 24}.{at >> 8 & 0xFF}.{at >> 16 & 0xFF}"

    def ipv6(self) -> str:
        """The next IPv6 address."""
        at = self._at = (self._at * 1_664_525 + 1_013_904_223) & 0xFFFF_FFFF
        return f"2a02:{at >> 16:x}:{at & 0xFFFF:x}::{at >> 8 & 0xFFFF:x}"


_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_PUBLIC = frozenset(range(1, 224)) - {10, 100, 127, 169, 172, 192, 198, 203}
