"""Harmless sshd messages of a few hosts, as syslog (RFC 3164) writes them."""

from __future__ import annotations

from base64 import b64encode
from random import Random

from detector.demo.lines import Stamp

HOSTS = ("web-1", "web-2", "db-1", "build-1", "bastion-1")
_PEOPLE = ("alice", "bob", "chen", "dana", "erik", "fatima", "goran", "hana", "deploy", "backup")
_LEFT = 4_000_000  # process ids wrap as late as Linux allows


class Hosts:
    """Log-ins by key and by password, and their ends; now and then somebody mistypes."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._process = 1_000 + int(random.random() * 50_000)
        self._keys = {name: b64encode(random.randbytes(32)).decode().rstrip("=") for name in _PEOPLE}
        self._waiting: list[str] = []  # the rest of a session's messages, last one first

    def head(self, stamp: Stamp, host: str, process: int) -> str:
        """The part before the message."""
        return f"{stamp.syslog} {host} sshd[{process}]: "

    def process(self) -> int:
        """The process id of a new connection."""
        self._process = self._process % _LEFT + 1 + int(self._random.random() * 3)
        return self._process

    def line(self, stamp: Stamp) -> str:
        """The next line, at the time of `stamp`."""
        if not self._waiting:
            self._waiting = self._session()
        return f"{stamp.syslog} {self._waiting.pop()}"

    def _session(self) -> list[str]:
        draw = self._random.random
        number = int(draw() * 10)
        name = _PEOPLE[number]
        address = f"10.{int(draw() * 32)}.{int(draw() * 256)}.{int(draw() * 254) + 1}"
        source = f"{address} port {int(draw() * 28_000) + 32_768}"
        head = f"{HOSTS[int(draw() * len(HOSTS))]} sshd[{self.process()}]: "
        if draw() < 0.7:
            accepted = f"{head}Accepted publickey for {name} from {source} ssh2: ED25519 SHA256:{self._keys[name]}"
        else:
            accepted = f"{head}Accepted password for {name} from {source} ssh2"
        lines = [
            f"{head}pam_unix(sshd:session): session closed for user {name}",
            f"{head}Disconnected from user {name} {source}",
            f"{head}Received disconnect from {source}:11: disconnected by user",
            f"{head}pam_unix(sshd:session): session opened for user {name}(uid={1_000 + number}) by (uid=0)",
            accepted,
        ]
        if draw() < 0.02:
            lines.append(f"{head}Failed password for {name} from {source} ssh2")
        return lines
