"""Common arguments of the Kafka clients."""

from __future__ import annotations

from pathlib import Path

import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer

from detector.config import Kafka, Security
from detector.errors import ConfigError
from detector.kafka import client

SASL = {"protocol": "SASL_SSL", "sasl_mechanism": "SCRAM-SHA-512", "sasl_username": "reader"}


class TestArguments:
    def test_known_to_every_client(self) -> None:
        """kafka-python refuses unknown keys, so each client must know those that it is given."""
        security = Security(**SASL, sasl_password="s", ssl_password="p", ssl_certfile=Path("c"))  # type: ignore[arg-type]
        kafka = Kafka(security=security)

        assert set(client.arguments(kafka, "x")) <= set(KafkaAdminClient.DEFAULT_CONFIG)
        assert set(client.quiet_arguments(kafka, "x")) <= set(KafkaConsumer.DEFAULT_CONFIG)
        assert set(client.quiet_arguments(kafka, "x")) <= set(KafkaProducer.DEFAULT_CONFIG)

    def test_client_id_names_replica_and_role(self) -> None:
        """The broker's logs tell which client of which replica asked."""
        assert client.arguments(Kafka(instance_id="pod-0"), "reader")["client_id"] == "detector-pod-0-reader"


class TestSecurity:
    def test_plaintext_has_nothing_else(self) -> None:
        """Without TLS and SASL there is only the protocol."""
        assert client.security(Security()) == {"security_protocol": "PLAINTEXT"}

    def test_tls(self) -> None:
        """TLS settings are passed on as strings."""
        settings = Security(protocol="SSL", ssl_cafile=Path("/ca.pem"), ssl_password="p")  # type: ignore[arg-type]

        expected = {
            "security_protocol": "SSL",
            "ssl_check_hostname": True,
            "ssl_cafile": "/ca.pem",
            "ssl_certfile": None,
            "ssl_keyfile": None,
            "ssl_password": "p",
        }
        assert client.security(settings) == expected

    def test_password_file_is_read_anew(self, tmp_path: Path) -> None:
        """A mounted secret may change between two starts, and its last newline is not part of it."""
        file = tmp_path / "password"
        settings = Security(**SASL, sasl_password_file=file)  # type: ignore[arg-type]
        file.write_text("first\n")
        first = client.security(settings)["sasl_plain_password"]
        file.write_text("sec ond\r\n")
        second = client.security(settings)["sasl_plain_password"]

        assert (first, second) == ("first", "sec ond")

    def test_missing_password_file(self, tmp_path: Path) -> None:
        """The error names the file, and the way out."""
        settings = Security(**SASL, sasl_password_file=tmp_path / "none")  # type: ignore[arg-type]

        with pytest.raises(ConfigError, match=r"cannot read .*none.*mount the secret"):
            client.security(settings)


class TestSecrets:
    def test_all(self, tmp_path: Path) -> None:
        """The passwords of key and of SASL are secrets, also the one that lies in a file."""
        file = tmp_path / "password"
        file.write_text("of-the-file\n")
        settings = Security(
            protocol="SASL_SSL",
            sasl_mechanism="PLAIN",
            sasl_username="u",
            sasl_password_file=file,
            ssl_password="of-the-key",  # type: ignore[arg-type]
        )

        assert client.secrets(settings) == ["of-the-key", "of-the-file"]

    def test_none(self) -> None:
        """Without TLS and SASL there are none."""
        assert client.secrets(Security()) == []
