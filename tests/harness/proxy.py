"""A proxy before a broker that can hold back or refuse what one client produces; everything else goes through.

A frame of Kafka's protocol is its length (int32) and a header: api key (int16), api version (int16), correlation id
(int32), client id (string with an int16 length), https://kafka.apache.org/protocol.
"""

from __future__ import annotations

import contextlib
import random
import socket
import struct
import threading
from typing import Self

_PRODUCE = 0


class Proxy:
    """Listens on `port` on loopback and forwards to the broker; a context manager."""

    def __init__(self, broker_port: int, client: str) -> None:
        """Make it; `client` is how the id of the client begins whose Produce requests `hold` is about."""
        self._broker = ("127.0.0.1", broker_port)
        self._client = client.encode()
        self.refused = 0.0  # of the frames of Produce requests: the connection ends instead
        self._choose = random.Random(0)
        self._open = threading.Event()
        self._open.set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._sockets: list[socket.socket] = []

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, name="proxy", daemon=True).start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._open.set()
        for each in (self._listener, *self._sockets):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def hold(self) -> None:
        """From now on the broker gets nothing of what the client produces, so that it acknowledges nothing."""
        self._open.clear()

    def release(self) -> None:
        """Let everything through again, what was held back first."""
        self._open.set()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                try:
                    broker = socket.create_connection(self._broker)
                except OSError:  # it is not up yet
                    client.close()
                    continue
                self._sockets += [client, broker]
                for work, ends in ((self._forward, (client, broker)), (_copy, (broker, client))):
                    threading.Thread(target=work, args=ends, name="proxy", daemon=True).start()

    def _forward(self, client: socket.socket, broker: socket.socket) -> None:
        with contextlib.suppress(OSError), client.makefile("rb") as requests:
            while len(length := requests.read(4)) == 4:
                frame = requests.read(struct.unpack(">i", length)[0])
                if self._concerns(frame):
                    self._open.wait()
                    if self._choose.random() < self.refused:
                        break
                broker.sendall(length + frame)
        _end(broker)

    def _concerns(self, frame: bytes) -> bool:
        key, _version, _correlation, size = struct.unpack_from(">hhih", frame)
        return key == _PRODUCE and frame[10 : 10 + max(0, size)].startswith(self._client)


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while part := source.recv(1 << 16):
            target.sendall(part)
    _end(target)


def _end(stream: socket.socket) -> None:
    with contextlib.suppress(OSError):
        stream.shutdown(socket.SHUT_RDWR)
