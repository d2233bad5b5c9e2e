"""The port for metrics and probes, asked over a socket."""

import http.client
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing

import orjson
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as plain

from detector import health, metrics
from detector.config import Http
from detector.errors import ConfigError
from detector.health import Health


class Clock:
    """A monotonic clock that a test turns."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def probes(clock: Clock) -> Iterator[Health]:
    probes = Health(clock)
    probes.start(Http(host="127.0.0.1", port=0))
    yield probes
    probes.stop()


def _port(probes: Health) -> int:
    assert probes._server
    return probes._server.port


def _ask(
    probes: Health, path: str, method: str = "GET", headers: dict[str, str] | None = None
) -> tuple[int, bytes, http.client.HTTPMessage]:
    with closing(http.client.HTTPConnection("127.0.0.1", _port(probes), timeout=10)) as connection:
        connection.request(method, path, headers=headers or {})
        response = connection.getresponse()
        return response.status, response.read(), response.headers


def _send(probes: Health, data: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", _port(probes)), timeout=10) as connection:
        connection.sendall(data)
        answer = b""
        while part := connection.recv(65_536):
            answer += part
        return answer


def _cut_off(connection: socket.socket, within_s: float) -> bool:
    """Dribble into a connection until the other side has enough."""
    started = time.monotonic()
    while time.monotonic() < started + within_s:
        try:
            connection.sendall(b"X")
        except OSError:
            return True
        time.sleep(0.02)
    return False


def _hosts() -> list[str]:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return ["127.0.0.1", "localhost"]
    return ["127.0.0.1", "localhost", "::1"]


class TestLiveness:
    def test_before_the_loop(self, probes: Health) -> None:
        """Before the main loop turned for the first time the service is not live yet."""
        status, body, _ = _ask(probes, "/healthz")

        assert (status, orjson.loads(body)["reason"]) == (503, "starting: the main loop has not turned yet")

    def test_turning(self, probes: Health, clock: Clock) -> None:
        """It is live while the loop turned within 30 seconds."""
        probes.tick()
        clock.now += 29.9

        assert _ask(probes, "/healthz")[0] == 200

    def test_stalled(self, probes: Health, clock: Clock) -> None:
        """It is not live when the loop has not turned for longer, and says so."""
        probes.tick()
        clock.now += 31

        status, body, _ = _ask(probes, "/healthz")
        assert (status, orjson.loads(body)) == (503, {"ok": False, "reason": "the main loop has not turned for 31 s"})

    def test_recovered(self, probes: Health, clock: Clock) -> None:
        """It is live again when the loop turns again."""
        probes.tick()
        clock.now += 31
        probes.tick()

        assert _ask(probes, "/healthz")[0] == 200


class TestReadiness:
    def test_starting(self, probes: Health) -> None:
        """A service that starts is not ready."""
        status, body, _ = _ask(probes, "/readyz")

        assert (status, orjson.loads(body)["reason"]) == (503, "starting")
        assert metrics.REGISTRY.get_sample_value("detector_ready") == 0

    def test_ready(self, probes: Health) -> None:
        """It is ready once it says so."""
        probes.set_ready(None)

        assert (probes.ready(), _ask(probes, "/readyz")[0]) == (True, 200)
        assert metrics.REGISTRY.get_sample_value("detector_ready") == 1

    def test_broker_gone(self, probes: Health) -> None:
        """Without a broker, readiness is red with the reason, and liveness stays green."""
        probes.set_ready(None)
        probes.tick()

        probes.set_ready("kafka unreachable")

        status, body, _ = _ask(probes, "/readyz")
        assert (status, orjson.loads(body)["reason"]) == (503, "kafka unreachable")
        assert _ask(probes, "/healthz")[0] == 200


class TestMetrics:
    def test_plain(self, probes: Health) -> None:
        """Prometheus' text format, which its own parser reads."""
        status, body, headers = _ask(probes, "/metrics")

        assert (status, headers["Content-Type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
        assert "detector_ready" in {family.name for family in plain(body.decode())}

    def test_openmetrics(self, probes: Health) -> None:
        """OpenMetrics where the scraper accepts it."""
        accept = {"Accept": "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"}

        status, body, headers = _ask(probes, "/metrics", headers=accept)

        assert (status, headers["Content-Type"].split(";")[0]) == (200, "application/openmetrics-text")
        assert "detector_ready" in {family.name for family in openmetrics(body.decode())}  # type: ignore[no-untyped-call]

    def test_broken_metric(self, probes: Health, monkeypatch: pytest.MonkeyPatch) -> None:
        """A metric that raises gives 500, and the port lives on."""
        monkeypatch.setattr(metrics, "REGISTRY", None)

        assert _ask(probes, "/metrics")[0] == 500
        assert _ask(probes, "/readyz")[0] == 503


class TestHttp:
    @pytest.mark.parametrize("path", ["/metrics", "/healthz", "/readyz", "/nowhere"])
    def test_head(self, probes: Health, path: str) -> None:
        """HEAD answers as GET does, without the body."""
        got, body, headers = _ask(probes, path)
        status, empty, head_headers = _ask(probes, path, "HEAD")

        assert (status, empty, bool(body)) == (got, b"", True)
        assert head_headers["Content-Type"] == headers["Content-Type"]

    def test_unknown_path(self, probes: Health) -> None:
        """Another path is 404 and names those that there are."""
        status, body, _ = _ask(probes, "/")

        assert (status, orjson.loads(body)["paths"]) == (404, ["/metrics", "/healthz", "/readyz"])

    @pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE"])
    def test_other_method(self, probes: Health, method: str) -> None:
        """Another method is 405."""
        status, _, headers = _ask(probes, "/metrics", method)

        assert (status, headers["Allow"]) == (405, "GET, HEAD")

    def test_query_and_absolute_target(self, probes: Health) -> None:
        """A query string and the absolute form of the target are understood."""
        probes.tick()

        assert _ask(probes, "/healthz?verbose=1")[0] == 200
        assert _send(probes, b"GET http://x/healthz HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 200 ")

    @pytest.mark.parametrize(
        ("request_bytes", "status"),
        [
            (b"\r\n\r\n", b"400"),
            (b"GET\r\n\r\n", b"400"),
            (b"GET / HTTP/1.1 more\r\n\r\n", b"400"),
            (b"\xff\xfe \x00 HTTP/1.1\r\n\r\n", b"400"),
            (b"GET http://[ HTTP/1.1\r\n\r\n", b"400"),
            (b"GET / HTTP/2.0\r\n\r\n", b"505"),
            (b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 500 + b"\r\n", b"400"),
            (b"GET /" + b"a" * 9_000 + b" HTTP/1.1\r\n\r\n", b"431"),
        ],
    )
    def test_malformed(self, probes: Health, request_bytes: bytes, status: bytes) -> None:
        """Malformed and oversize requests are refused."""
        assert _send(probes, request_bytes).split()[1] == status

    def test_slow_client(self, probes: Health, monkeypatch: pytest.MonkeyPatch) -> None:
        """A client that dribbles is cut off, and others are served meanwhile."""
        monkeypatch.setattr(health, "REQUEST_TIMEOUT_S", 0.3)
        with socket.create_connection(("127.0.0.1", _port(probes)), timeout=10) as slow:
            slow.sendall(b"GET /healthz HTTP/1.1\r\n")

            probes.tick()
            assert _ask(probes, "/healthz")[0] == 200
            assert _cut_off(slow, within_s=5)

    def test_many_connections(self, probes: Health, monkeypatch: pytest.MonkeyPatch) -> None:
        """Connections beyond the bound are dropped; when the others time out, the port serves again."""
        monkeypatch.setattr(health, "REQUEST_TIMEOUT_S", 0.5)
        idle = [socket.create_connection(("127.0.0.1", _port(probes)), timeout=10) for _ in range(100)]
        try:
            assert [thread.name for thread in threading.enumerate()].count("detector-http") == 1
            assert all(_cut_off(connection, within_s=5) for connection in idle)
            probes.tick()
            assert _ask(probes, "/healthz")[0] == 200
        finally:
            for connection in idle:
                connection.close()

    def test_client_that_goes(self, probes: Health) -> None:
        """Clients that close at once do no harm."""
        for _ in range(10):
            with socket.create_connection(("127.0.0.1", _port(probes)), timeout=10) as gone:
                gone.sendall(b"GET /met")
        probes.tick()

        assert _ask(probes, "/healthz")[0] == 200


class TestStart:
    def test_port_taken(self, probes: Health) -> None:
        """A port that is taken is an error that names the setting."""
        with pytest.raises(ConfigError, match=r"cannot listen on 127\.0\.0\.1 port \d+: .* set http\.host"):
            Health().start(Http(host="127.0.0.1", port=_port(probes)))

    @pytest.mark.parametrize("host", _hosts())
    def test_hosts(self, host: str) -> None:
        """Names and addresses of both families can be listened on, where the machine has them."""
        probes = Health()
        port = probes.start(Http(host=host, port=0))

        with closing(http.client.HTTPConnection(host, port, timeout=10)) as connection:
            connection.request("GET", "/readyz")
            status = connection.getresponse().status
        probes.stop()

        assert status == 503

    def test_stopped(self) -> None:
        """After `stop` nothing listens, no thread is left, and stopping again is nothing."""
        probes = Health()
        port = probes.start(Http(host="127.0.0.1", port=0))

        probes.stop()
        probes.stop()

        assert "detector-http" not in {thread.name for thread in threading.enumerate()}
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), timeout=1)
