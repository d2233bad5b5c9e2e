"""Connections of kafka-python, as read in 3.0.12, mended in five places.

- The sockets of failed connections are left to the garbage collector, which may take long to come: an outage of an
  hour would cost hundreds of open files.
- A refused password is tried again for ever, and looks as if no broker answered.
- What a broker says before it hangs up (that it refuses a password, say) is lost if both arrive together.
- `allow_auto_create_topics` does not reach the requests for metadata: a deleted topic would be made anew.
- 4 KiB at a time are taken from a socket, and each is copied three times.
"""

from __future__ import annotations

import ssl
from typing import Any

from kafka import errors
from kafka.net.compat import KafkaNetClient
from kafka.net.inet import KafkaNetSocket, create_connection
from kafka.net.manager import KafkaConnectionManager
from kafka.net.selector import NetworkSelector
from kafka.net.transport import KafkaSSLTransport, KafkaTCPTransport
from kafka.protocol.frame import KafkaBytes

DIRECT = "direct://"
"""As `proxy_url` of any client: no proxy, and `DirectSocket`. The registry of proxies is where that can be had."""

_REFUSALS = (errors.SaslAuthenticationFailedError, errors.UnsupportedSaslMechanismError, errors.AuthorizationError)
_RECEIVE_BYTES = 1 << 16


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


def net_client(**settings: Any) -> KafkaNetClient:
    """The network part of a client; it is what consumers, producers and admin clients take as `kafka_client`."""
    net = NetworkSelector(**settings)
    return KafkaNetClient(net, _Manager(net, **settings))


class _Manager(KafkaConnectionManager):  # type: ignore[misc]
    def __init__(self, net: Any, **settings: Any) -> None:
        super().__init__(net, **settings)
        self.cluster.config["allow_auto_create_topics"] = False

    async def _connect(self, node: Any, conn: Any, **settings: Any) -> None:
        await super()._connect(node, conn, **settings)
        if conn.init_future.failed() and isinstance(conn.init_future.exception, _REFUSALS):
            self._auth_failures[node.node_id] = conn.init_future.exception

    async def _build_transport(self, node: Any, timeout_at: float | None = None) -> Any:
        sock = await create_connection(
            self._net,
            node.host,
            node.port,
            self.config["socket_options"],
            proxy_url=self.config["proxy_url"],
            timeout_at=timeout_at,
        )
        settings = {key: value for key, value in self.config.items() if key.startswith("ssl_")}
        transport: Any = None
        try:
            transport = (
                _SslTransport(self._net, sock, host=node.host, **settings)
                if self.ssl_enabled
                else _TcpTransport(self._net, sock, host=node.host)
            )
            await transport.handshake()
        except BaseException as error:
            (transport._sock if transport else sock).close()  # noqa: SLF001
            if isinstance(error, Exception):
                raise errors.KafkaConnectionError(f"Handshake failed: {error}") from error
            raise
        return transport


class _Frame(KafkaBytes):  # type: ignore[misc]
    """A response as it comes in; it is decoded where it lies, not from a copy."""

    def read(self, nbytes: int | None = None) -> Any:
        if nbytes is not None:
            return super().read(nbytes)
        start = self.tell()
        self.seek(len(self))
        return memoryview(self)[start:]


class _Receiver:
    """Takes all that a socket holds, most of it straight into the response under way.

    Only a response's first and last bytes go the way of kafka-python: the first bring its length, the last make it
    complete.
    """

    _sock: Any

    def get_protocol(self) -> Any:
        raise NotImplementedError

    def _sock_recv(self) -> tuple[bytes, Exception | None]:
        parts: list[bytes] = []
        try:
            while True:
                room = None if parts else self._room()
                if room is None:
                    part = self._sock.recv(_RECEIVE_BYTES)
                    got = len(part)
                    if got:
                        parts.append(part)
                else:
                    frame, at = room
                    with memoryview(frame) as view:
                        got = self._sock.recv_into(view[at:-1])
                    frame.seek(at + got)
                if not got and not parts:
                    return b"", errors.KafkaConnectionError("socket disconnected")
                if not got or (room is None and got == _RECEIVE_BYTES):
                    break  # what a broker says before it hangs up is heard; or the rest can go the short way
        except (BlockingIOError, InterruptedError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            pass
        except OSError as error:
            if not parts:
                return b"", errors.KafkaConnectionError(error)
        return b"".join(parts), None

    def _room(self) -> tuple[_Frame, int] | None:
        """The large response under way and how far it has come, unless but its last byte is missing."""
        protocol = self.get_protocol()
        parser = protocol and protocol.parser
        frame = parser and parser._rbuffer  # noqa: SLF001
        if not frame or len(frame) < _RECEIVE_BYTES:
            return None
        at = frame.tell()
        if not isinstance(frame, _Frame):
            parser._rbuffer = larger = _Frame(len(frame))  # noqa: SLF001
            larger.write(memoryview(frame)[:at])
            frame = larger
        return (frame, at) if at < len(frame) - 1 else None


class _TcpTransport(_Receiver, KafkaTCPTransport):  # type: ignore[misc]
    get_protocol = KafkaTCPTransport.get_protocol


class _SslTransport(_Receiver, KafkaSSLTransport):  # type: ignore[misc]
    get_protocol = KafkaSSLTransport.get_protocol
