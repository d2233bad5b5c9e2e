"""What all clients of the cluster have in common: addresses, time limits, TLS and SASL.

Keys and meanings are those of kafka-python 3.0's consumer, producer and admin client.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from detector.config import Kafka, Security
from detector.errors import ConfigError, KafkaSetupError, UnavailableError


def arguments(kafka: Kafka, role: str) -> dict[str, Any]:
    """Keyword arguments that every client of kafka-python takes (`KafkaAdminClient` takes no others of ours).

    Args:
        kafka: the cluster.
        role: what the client is for; part of the client id, which brokers log and meter.

    Raises:
        ConfigError: the file of the SASL password cannot be read.
    """
    from detector.kafka.sockets import DIRECT  # brings kafka-python, which most commands do without

    return {
        "bootstrap_servers": list(kafka.bootstrap_servers),
        "client_id": f"detector-{kafka.instance_id}-{role}",
        "request_timeout_ms": kafka.request_timeout_ms,
        "bootstrap_timeout_ms": kafka.request_timeout_ms,
        "proxy_url": DIRECT,
        "reconnect_backoff_max_ms": 1_000,  # after an outage, a cluster of ours is not a stampede
        **security(kafka.security),
    }


def quiet_arguments(kafka: Kafka, role: str) -> dict[str, Any]:
    """Keyword arguments of `KafkaConsumer` and `KafkaProducer`: as `arguments`, and neither metrics nor new topics.

    kafka-python's own metrics cost time on every request, and nothing reads them.

    Raises:
        ConfigError: the file of the SASL password cannot be read.
    """
    return {**arguments(kafka, role), "metrics_enabled": False, "allow_auto_create_topics": False}


def connect(make: Callable[..., Any], *args: Any, **settings: Any) -> Any:
    """Make a client: `KafkaConsumer`, `KafkaProducer` or `KafkaAdminClient`, within `bootstrap_timeout_ms`.

    Where its constructor fails, kafka-python 3.0.12 leaves a thread and sockets behind; they are closed here, so that
    trying again for hours costs nothing.

    Raises:
        UnavailableError: no broker answers.
        KafkaSetupError: the brokers refuse the client (credentials, rights), or it is set up wrongly.
    """
    from kafka.errors import KafkaError, RetriableError

    from detector.kafka.sockets import net_client

    made: list[Any] = []

    def remember(**config: Any) -> Any:
        made.append(net_client(**config))
        return made[-1]

    try:
        return make(*args, kafka_client=remember, **settings)
    except BaseException as error:
        for client in made:
            client.close()
        servers = ", ".join(settings["bootstrap_servers"])
        if isinstance(error, (RetriableError, OSError)):
            raise UnavailableError(
                f"kafka.bootstrap_servers: no broker of {servers} answers ({error}); "
                "check the addresses, the network and kafka.security"
            ) from error
        if isinstance(error, KafkaError):
            raise KafkaSetupError(
                f"the brokers of {servers} refuse this client ({error}); see kafka.security"
            ) from error
        raise


def security(settings: Security) -> dict[str, Any]:
    """TLS and SASL settings as keyword arguments of kafka-python; no key of a part that is not in use.

    Raises:
        ConfigError: the file of the SASL password cannot be read.
    """
    result: dict[str, Any] = {"security_protocol": settings.protocol}
    if settings.protocol.endswith("SSL"):
        result |= {
            "ssl_check_hostname": settings.ssl_check_hostname,
            "ssl_cafile": settings.ssl_cafile and str(settings.ssl_cafile),
            "ssl_certfile": settings.ssl_certfile and str(settings.ssl_certfile),
            "ssl_keyfile": settings.ssl_keyfile and str(settings.ssl_keyfile),
            "ssl_password": settings.ssl_password and settings.ssl_password.get_secret_value(),
        }
    if settings.protocol.startswith("SASL"):
        result |= {
            "sasl_mechanism": settings.sasl_mechanism,
            "sasl_plain_username": settings.sasl_username,
            "sasl_plain_password": _password(settings),
        }
    return result


def secrets(settings: Security) -> list[str]:
    """The values that must be shown nowhere.

    Raises:
        ConfigError: the file of the SASL password cannot be read.
    """
    used = security(settings)
    return [used[name] for name in ("ssl_password", "sasl_plain_password") if used.get(name)]


def _password(settings: Security) -> str:
    file = settings.sasl_password_file
    if file is None:
        assert settings.sasl_password is not None, "checked by the settings"
        return settings.sasl_password.get_secret_value()
    try:
        return file.read_text().rstrip("\r\n")  # editors and `echo` end a file with a newline that is no secret
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"kafka.security.sasl_password_file: cannot read {file} ({error}); "
            "mount the secret there, or set kafka.security.sasl_password"
        ) from error
