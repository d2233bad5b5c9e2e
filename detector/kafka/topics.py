"""The topics that the service needs: making them with sound settings, and checking them at start."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import structlog
from kafka import KafkaAdminClient
from kafka import errors as kafka_errors
from kafka.admin import ConfigResource, ConfigResourceType

from detector.config import Config
from detector.errors import KafkaSetupError, UnavailableError
from detector.kafka.client import arguments, connect

DEFAULT_MAX_MESSAGE_BYTES = 1_048_588
"""Kafka's own default of `max.message.bytes`, used where the rights to see a topic's settings are missing."""
SIGNALS_MAX_BYTES = 4 << 20
"""A window's entries should fit a message."""
DEAD_LETTER_MAX_BYTES = 8 << 20
"""A dead letter holds a whole record and more; records that came compressed are larger here than they were there."""

BROKERS_DEFAULT = -1
"""Replication factor: the brokers' `default.replication.factor`."""

_SHARED = ("signals", "state")
_DAY_MS = 86_400_000
_RETENTION_MS = {"input": 7 * _DAY_MS, "alerts": 30 * _DAY_MS, "dead letters": 30 * _DAY_MS, "signals": 3 * _DAY_MS}
_RETENTION_MS["incidents"] = _RETENTION_MS["alerts"]
MIN_SIGNALS_MS = 3_600_000
"""How long signals are kept at least: a service that is down for longer may lose some."""
SIGNALS_PARTITIONS = 8
"""Of new signals and state topics: as many replicas can share the correlations."""
_MAX_BYTES = "max.message.bytes"

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Topics:
    """What the cluster says of the service's topics.

    partitions: their number, by topic.
    max_message_bytes: the largest record batch that a topic takes, by topic.
    ids: Kafka's own, by topic. retention_ms: how long its records are kept, where that is known and bounded.
    """

    partitions: Mapping[str, int]
    max_message_bytes: Mapping[str, int]
    ids: Mapping[str, str] = field(default_factory=dict)
    retention_ms: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Report:
    """What `create_topics` did.

    made: names of the new topics.
    kept: names of those that were there.
    differing: what is set otherwise there than a new topic would be, a line each.
    """

    made: tuple[str, ...]
    kept: tuple[str, ...]
    differing: tuple[str, ...]


def create_topics(config: Config, *, partitions: int, replication_factor: int = BROKERS_DEFAULT) -> Report:
    """Make the input topics, the alert topic, the dead-letter topic and those of correlations, unless they are there.

    Existing topics are left as they are; what is unsound about them is in the report.

    partitions: of each new topic; those of correlations have at least `SIGNALS_PARTITIONS`.
    replication_factor: copies of each new partition; `BROKERS_DEFAULT`: as the brokers are set up.

    Raises:
        UnavailableError: the cluster does not answer.
        KafkaSetupError: the cluster refuses.
    """
    roles = _roles(config)
    with _admin(config, "create-topics") as admin:
        described = _describe(admin, roles)
        replicas = _default_replicas(admin) if replication_factor == BROKERS_DEFAULT else replication_factor
        inputs = [name for name, role in roles.items() if role == "input" and not _error(described[name])]
        largest = max([DEFAULT_MAX_MESSAGE_BYTES, *_sizes(admin, inputs).values()])
        wanted = {name: _settings(role, replicas, largest) for name, role in roles.items()}
        missing = [name for name in roles if _error(described[name]) is kafka_errors.UnknownTopicOrPartitionError]
        numbers = {
            name: max(partitions, SIGNALS_PARTITIONS) if roles[name] in _SHARED else partitions for name in roles
        }
        made = [name for name in missing if _create(admin, name, numbers[name], replication_factor, wanted[name])]
        if made:
            admin.wait_for_topics(made, timeout_ms=config.kafka.request_timeout_ms)
        kept = [name for name in roles if name not in made]
        differing = tuple(_differences(admin, {name: wanted[name] for name in kept}, replicas))
    return Report(tuple(made), tuple(kept), differing)


def check_topics(config: Config) -> Topics:
    """Check that all topics are there, and that this client may read and write them.

    Raises:
        UnavailableError: the cluster does not answer.
        KafkaSetupError: something is missing; the message names everything that is, and how to mend it.
    """
    roles = _roles(config)
    with _admin(config, "check-topics") as admin:
        described = _describe(admin, roles)
        problems = [problem for name, role in roles.items() for problem in _problems(name, role, described[name])]
        if problems:
            raise KafkaSetupError("\n".join(problems))
        settings = _topic_settings(admin, list(roles))
        _check_signals(config, described, settings)
        sizes = _sizes(admin, list(roles))
    return Topics(
        {name: len(topic["partitions"]) for name, topic in described.items()},
        sizes,
        {name: str(topic["topic_id"]) for name, topic in described.items() if topic.get("topic_id")},
        {name: kept for name in roles if (kept := _retention_ms(settings.get(name, {}))) is not None},
    )


def check_retention(config: Config, topics: Topics, longest_us: int) -> None:
    """Check that signals outlast the longest timespan of a rule: without a snapshot, it is what state is made of.

    Raises KafkaSetupError where they do not.
    """
    name = config.output.signals_topic
    kept_ms = topics.retention_ms.get(name)
    if kept_ms is not None and kept_ms * 1_000 < longest_us:
        raise KafkaSetupError(
            f"topic {name!r}: retention.ms is {kept_ms}, the longest timespan of a rule has {longest_us // 1_000}: "
            + _alter(name, f"retention.ms={max(_RETENTION_MS['signals'], 2 * longest_us // 1_000)}")
        )


def message_sizes(config: Config, timeout_ms: int) -> dict[str, int]:
    """`max.message.bytes` of the output topics, as it is now.

    timeout_ms: for connecting, and for the answer.

    Raises:
        UnavailableError: the cluster does not answer.
    """
    with _admin(config, "sizes", timeout_ms) as admin:
        return _sizes(admin, outputs(config))


def _roles(config: Config) -> dict[str, str]:
    return {
        **{topic.name: "input" for topic in config.input.topics},
        config.output.alerts_topic: "alerts",
        config.output.dead_letters_topic: "dead letters",
        **(_of_correlations(config) if config.correlation.enabled else {}),
    }


def _of_correlations(config: Config) -> dict[str, str]:
    output = config.output
    incidents = {output.incidents_name: "incidents"} if config.correlation.incidents else {}
    return {output.signals_topic: "signals", output.state_topic: "state", **incidents}


def outputs(config: Config) -> list[str]:
    """The topics that are written."""
    return [name for name, role in _roles(config).items() if role != "input"]


def _check_signals(config: Config, described: Mapping[str, Any], settings: Mapping[str, Mapping[str, str]]) -> None:
    """The state of a partition of the signals topic is in the state topic's partition of the same number; it is found
    by compaction, and what came after it must still be there.
    """
    if not config.correlation.enabled:
        return
    signals, state = config.output.signals_topic, config.output.state_topic
    numbers = [len(described[name]["partitions"]) for name in (signals, state)]
    if numbers[0] != numbers[1]:
        raise KafkaSetupError(
            f"topics {signals!r} and {state!r} have {numbers[0]} and {numbers[1]} partitions: they must have as many; "
            "delete both and run `detector create-topics`, which begins with an empty state"
        )
    kept_ms = _retention_ms(settings.get(signals, {}))
    least_ms = max(MIN_SIGNALS_MS, round(10_000 * config.correlation.snapshot_interval_s))
    problems = [
        f"topic {name!r}: cleanup.policy is {has}, must be {policy}: {_alter(name, f'cleanup.policy={policy}')}"
        for name, policy in ((state, "compact"), (signals, "delete"))
        if (has := settings.get(name, {}).get("cleanup.policy", policy)) != policy
    ]
    if kept_ms is not None and kept_ms < least_ms:
        problems.append(
            f"topic {signals!r}: retention.ms is {kept_ms}, but signals must outlast the state by far: "
            + _alter(signals, f"retention.ms={_RETENTION_MS['signals']}")
        )
    if problems:
        raise KafkaSetupError("\n".join(problems))


def _alter(topic: str, setting: str) -> str:
    return f"kafka-configs.sh --alter --entity-type topics --entity-name {topic} --add-config {setting}"


def _retention_ms(settings: Mapping[str, str]) -> int | None:
    """How long a topic's records are kept; None where that is for ever, or not known."""
    kept = settings.get("retention.ms")
    return None if kept is None or int(kept) < 0 else int(kept)


@contextmanager
def _admin(config: Config, role: str, timeout_ms: int | None = None) -> Iterator[Any]:
    timeout_ms = timeout_ms or config.kafka.request_timeout_ms
    timeouts = {"request_timeout_ms": timeout_ms, "bootstrap_timeout_ms": timeout_ms}
    admin = connect(KafkaAdminClient, **arguments(config.kafka, role) | timeouts)
    try:
        yield admin
    except kafka_errors.AuthorizationError as error:
        raise KafkaSetupError(f"the cluster refuses: {error}; grant this client the right") from error
    except kafka_errors.RetriableError as error:
        raise UnavailableError(f"the cluster does not answer: {type(error).__name__}: {error}") from error
    except kafka_errors.KafkaError as error:
        raise KafkaSetupError(f"the cluster refuses: {type(error).__name__}: {error}") from error
    finally:
        admin.close()


def _describe(admin: Any, names: Mapping[str, str]) -> dict[str, Any]:
    found = {topic["name"]: topic for topic in admin.describe_topics(list(names))}
    return {name: found[name] for name in names}


def _error(topic: Any) -> type[Exception] | None:
    error: type[Exception] = kafka_errors.for_code(topic["error_code"])
    return None if error is kafka_errors.NoError else error


def _problems(name: str, role: str, topic: Any) -> Iterator[str]:
    error = _error(topic)
    right = "READ" if role == "input" else "WRITE"
    if error is kafka_errors.UnknownTopicOrPartitionError:
        yield f"topic {name!r} ({role}) does not exist: run `detector create-topics`"
    elif error is kafka_errors.TopicAuthorizationFailedError:
        yield f"topic {name!r} ({role}): no right to see it; {_grant(name, right)}"
    elif error is not None:
        yield f"topic {name!r} ({role}): {error.__name__}; try again, then ask the cluster's operators"
    elif topic.get("authorized_operations") is not None and right not in topic["authorized_operations"]:
        yield f"topic {name!r} ({role}): no right to {right.lower()} it; {_grant(name, right)}"


def _grant(name: str, right: str) -> str:
    return (
        "grant it: kafka-acls.sh --add --allow-principal User:NAME "
        f"--operation Describe --operation {right.title()} --topic {name}"
    )


def _sizes(admin: Any, names: list[str]) -> dict[str, int]:
    """The topics' `max.message.bytes`; Kafka's default where they may not be seen."""
    settings = _topic_settings(admin, names)
    unseen = [name for name in names if _MAX_BYTES not in settings.get(name, {})]
    if unseen:
        log.warning("the settings of topics cannot be seen, the default is assumed", topics=unseen, setting=_MAX_BYTES)
    return {name: int(settings.get(name, {}).get(_MAX_BYTES) or DEFAULT_MAX_MESSAGE_BYTES) for name in names}


def _default_replicas(admin: Any) -> int:
    """The brokers' default; 1, which asks nothing of a topic, where it may not be seen."""
    broker = str(admin.describe_cluster()["brokers"][0]["broker_id"])
    described = admin.describe_configs([ConfigResource(ConfigResourceType.BROKER, broker, None)], config_filter="all")
    setting = described.get("broker", {}).get(broker, {}).get("default.replication.factor")
    return int(setting["value"]) if setting and setting["value"] else 1


def _topic_settings(admin: Any, names: list[str]) -> dict[str, dict[str, str]]:
    if not names:
        return {}
    described = admin.describe_configs(
        [ConfigResource(ConfigResourceType.TOPIC, name, None) for name in names], config_filter="all"
    )
    return {
        name: {key: setting["value"] for key, setting in settings.items()}
        for name, settings in described.get("topic", {}).items()
    }


def _settings(role: str, replication_factor: int, largest: int) -> dict[str, str]:
    if role == "state":
        settings = {"cleanup.policy": "compact"}
    else:
        settings = {"cleanup.policy": "delete", "retention.ms": str(_RETENTION_MS[role])}
    if role == "dead letters":
        settings[_MAX_BYTES] = str(max(DEAD_LETTER_MAX_BYTES, 2 * largest))
    if role == "signals":
        settings[_MAX_BYTES] = str(max(SIGNALS_MAX_BYTES, largest))
    if replication_factor > 1:
        settings["min.insync.replicas"] = "2"
    return settings


def _create(admin: Any, name: str, partitions: int, replication_factor: int, settings: dict[str, str]) -> bool:
    """Returns False where another process made it meanwhile."""
    wanted = {"num_partitions": partitions, "replication_factor": replication_factor, "configs": settings}
    response = admin.create_topics({name: wanted}, raise_errors=False)
    (topic,) = response["topics"]
    error = kafka_errors.for_code(topic["error_code"])
    if error is kafka_errors.TopicAlreadyExistsError:
        return False
    if error is not kafka_errors.NoError:
        hint = {
            kafka_errors.InvalidReplicationFactorError: "there are not that many brokers; choose --replication-factor",
            kafka_errors.TopicAuthorizationFailedError: "grant Create on the topic or on the cluster",
            kafka_errors.ClusterAuthorizationFailedError: "grant Create on the topic or on the cluster",
        }.get(error, "see the broker's log")
        raise KafkaSetupError(f"topic {name!r}: {error.__name__} {topic.get('error_message') or ''}; {hint}")
    return True


_Check = Callable[[str, str], bool]
_SOUND: dict[str, _Check] = {
    "cleanup.policy": lambda has, want: has == want,
    "retention.ms": lambda _has, _want: True,  # whoever made the topic chose it
    _MAX_BYTES: lambda has, want: int(has) >= int(want),
    "min.insync.replicas": lambda has, want: int(has) >= int(want),
}


def _differences(admin: Any, wanted: Mapping[str, Mapping[str, str]], replication_factor: int) -> Iterator[str]:
    if not wanted:
        return
    settings = _topic_settings(admin, list(wanted))
    described = _describe(admin, dict.fromkeys(wanted, ""))
    for name, sound in wanted.items():
        for key, value in sound.items():
            has = settings.get(name, {}).get(key)
            if has is not None and not _SOUND[key](has, value):
                yield f"{name}: {key} is {has}, better {value}"
        replicas = min((len(partition["replica_nodes"]) for partition in described[name]["partitions"]), default=0)
        if replicas < replication_factor:
            yield f"{name}: {replicas} replicas, better {replication_factor}"
