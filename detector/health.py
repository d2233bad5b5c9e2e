"""One small HTTP port: `/metrics` for Prometheus, `/healthz` and `/readyz` for the probes of Kubernetes.

Liveness says that the main loop turns, and nothing else: a broker that is gone must not make Kubernetes restart every
replica. Readiness says that the service does its work.

The server is one thread with an event loop. Each request has a bound on its size and on its time, and there is a bound
on the number of open connections, so that nobody who reaches the port can hold memory or threads of the service.
"""

from __future__ import annotations

import asyncio
import io
import socket
import threading
import time
from collections.abc import Callable
from http import HTTPStatus
from http.client import HTTPException, HTTPMessage, parse_headers
from urllib.parse import urlsplit

import orjson
import structlog
from prometheus_client.exposition import choose_encoder

from detector import metrics
from detector.config import Http
from detector.errors import ConfigError

LIVENESS_TIMEOUT_S = 30.0
MAX_REQUEST_BYTES = 8_192
REQUEST_TIMEOUT_S = 5.0
MAX_CONNECTIONS = 32

_JSON = "application/json"

log = structlog.get_logger()


class Health:
    """What the probes are told, and the server that tells it. All methods may be called from any thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last_tick: float | None = None
        self._reason: str | None = "starting"
        self._server: _Server | None = None
        metrics.ready.set(0)

    def tick(self) -> None:
        """Say that the main loop turns; also while it waits for something, such as a broker that is not there yet."""
        self._last_tick = self._clock()
        metrics.last_tick.set_to_current_time()

    def set_ready(self, reason: str | None) -> None:
        """Say that the service does its work (None), or why it does not ("kafka unreachable")."""
        if reason != self._reason:
            log.info("readiness changed", ready=reason is None, reason=reason)
        self._reason = reason
        metrics.ready.set(reason is None)

    def ready(self) -> bool:
        """Whether the service does its work."""
        return self._reason is None

    def start(self, http: Http) -> int:
        """Serve until `stop`; returns the port.

        Raises:
            ConfigError: the address cannot be listened on.
        """
        self._server = _Server(http, self._respond)
        return self._server.port

    def stop(self) -> None:
        """End the server, if there is one."""
        if self._server:
            self._server.stop()
            self._server = None

    def _respond(self, path: str, headers: HTTPMessage) -> tuple[HTTPStatus, str, bytes]:
        if path == "/metrics":
            encode, content_type = choose_encoder(headers.get("Accept", ""))
            return HTTPStatus.OK, content_type, encode(metrics.REGISTRY)
        if path == "/healthz":
            return _verdict(self._stalled())
        if path == "/readyz":
            return _verdict(self._reason)
        return HTTPStatus.NOT_FOUND, _JSON, b'{"paths":["/metrics","/healthz","/readyz"]}'

    def _stalled(self) -> str | None:
        last = self._last_tick
        if last is None:
            return "starting: the main loop has not turned yet"
        age = self._clock() - last
        return f"the main loop has not turned for {age:.0f} s" if age > LIVENESS_TIMEOUT_S else None


def _verdict(reason: str | None) -> tuple[HTTPStatus, str, bytes]:
    if reason is None:
        return HTTPStatus.OK, _JSON, b'{"ok":true}'
    return HTTPStatus.SERVICE_UNAVAILABLE, _JSON, orjson.dumps({"ok": False, "reason": reason})


class _Server:
    """Answers GET and HEAD, one request a connection."""

    def __init__(self, http: Http, respond: Callable[[str, HTTPMessage], tuple[HTTPStatus, str, bytes]]) -> None:
        listener = _listen(http)
        self.port: int = listener.getsockname()[1]
        self._respond = respond
        self._open = 0
        self._loop = asyncio.new_event_loop()
        self._stopped = asyncio.Event()
        self._thread = threading.Thread(target=self._run, args=(listener,), name="detector-http", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stopped.set)
        self._thread.join(REQUEST_TIMEOUT_S)

    def _run(self, listener: socket.socket) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve(listener))

    async def _serve(self, listener: socket.socket) -> None:
        server = await asyncio.start_server(self._connected, sock=listener, limit=MAX_REQUEST_BYTES)
        async with server:
            await self._stopped.wait()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._open >= MAX_CONNECTIONS:
            writer.transport.abort()
            return
        self._open += 1
        try:
            async with asyncio.timeout(REQUEST_TIMEOUT_S):
                writer.write(await self._answer(reader))
                await writer.drain()
                writer.close()
                await writer.wait_closed()
        except (TimeoutError, OSError, EOFError):  # too slow, or gone: there is nobody to tell
            writer.transport.abort()
        finally:
            self._open -= 1

    async def _answer(self, reader: asyncio.StreamReader) -> bytes:
        try:
            request = io.BytesIO(await reader.readuntil(b"\r\n\r\n"))
            method, target, version = request.readline().decode("ascii").split()
            if not version.startswith("HTTP/1."):
                return _response(HTTPStatus.HTTP_VERSION_NOT_SUPPORTED)
            path = urlsplit(target).path
            headers = parse_headers(request)
        except asyncio.LimitOverrunError:
            return _response(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        except (ValueError, HTTPException):
            return _response(HTTPStatus.BAD_REQUEST)
        if method not in {"GET", "HEAD"}:
            return _response(HTTPStatus.METHOD_NOT_ALLOWED, extra="Allow: GET, HEAD\r\n")
        try:
            status, content_type, body = self._respond(path, headers)
        except Exception:  # the port must outlive a broken metric
            log.exception("request failed", path=path)
            return _response(HTTPStatus.INTERNAL_SERVER_ERROR)
        return _response(status, content_type, body, head_only=method == "HEAD")


def _response(
    status: HTTPStatus, content_type: str = _JSON, body: bytes = b"", *, extra: str = "", head_only: bool = False
) -> bytes:
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}\r\n"
        f"Content-Type: {content_type}\r\n"
        f"Content-Length: {len(body)}\r\n"
        "Cache-Control: no-store\r\n"
        "X-Content-Type-Options: nosniff\r\n"
        f"{extra}Connection: close\r\n\r\n"
    )
    return head.encode("ascii") + (b"" if head_only else body)


def _listen(http: Http) -> socket.socket:
    try:
        found = socket.getaddrinfo(http.host, http.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, _, _, _, address = found[0]
        return socket.create_server(address[:2], family=family, backlog=MAX_CONNECTIONS)
    except OSError as error:
        raise ConfigError(
            f"http: cannot listen on {http.host} port {http.port}: {error.strerror or error}; "
            "set http.host to an address of this machine and http.port to a free port (0 takes any)"
        ) from error
