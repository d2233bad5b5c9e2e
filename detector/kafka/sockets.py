"""Sockets of failed connections are closed at once.

kafka-python 3.0.12 leaves them to the garbage collector, which may take long to come: an outage of an hour would cost
hundreds of open files. Its registry of proxies is the place where another way to connect can be had.
"""

from __future__ import annotations

from typing import Any

from kafka.net.inet import KafkaNetSocket

DIRECT = "direct://"
"""As `proxy_url` of a client: no proxy."""


class DirectSocket(KafkaNetSocket):  # type: ignore[misc]
    """Connects without a proxy."""

    SCHEMES = ("direct",)

    def __init__(self, _url: str) -> None: ...

    async def sock_connect(self, net: Any, sock: Any, *arguments: Any, **settings: Any) -> Any:
        """Connect `sock`, or close it, also when the attempt is abandoned."""
        try:
            return await super().sock_connect(net, sock, *arguments, **settings)
        except BaseException:
            sock.close()
            raise
