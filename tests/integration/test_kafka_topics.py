"""Topics and rights on real brokers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from kafka import KafkaAdminClient
from kafka.admin import ACL, ACLOperation, ACLPermissionType, ConfigResource, ConfigResourceType, ResourcePattern
from kafka.admin import ResourceType as AclResource

from detector.config import Config, Correlation, Output
from detector.config import Delivery as Mode
from detector.errors import KafkaSetupError, UnavailableError
from detector.kafka.delivery import make_delivery
from detector.kafka.group import Group
from detector.kafka.local import LocalKafka, free_port
from detector.kafka.topics import (
    DEAD_LETTER_MAX_BYTES,
    DEFAULT_MAX_MESSAGE_BYTES,
    SIGNALS_MAX_BYTES,
    SIGNALS_PARTITIONS,
    check_retention,
    check_topics,
    create_topics,
)
from tests.conftest import Broker
from tests.kafka_world import World, wait_until

pytestmark = pytest.mark.kafka


@pytest.fixture(scope="module")
def strict() -> Iterator[LocalKafka]:
    """A broker with access control, and with short transactions."""
    with LocalKafka(
        authorizer_class_name="org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        allow_everyone_if_no_acl_found="true",
        transaction_max_timeout_ms=5_000,
    ) as node:
        yield node


@pytest.fixture
def admin(kafka: Broker) -> Iterator[KafkaAdminClient]:
    client = KafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    yield client
    client.close()


def settings(admin: KafkaAdminClient, topic: str) -> dict[str, str]:
    described = admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic, None)], config_filter="all")
    return {name: setting["value"] for name, setting in described["topic"][topic].items()}


def with_outputs(config: Config, alerts: str, dead_letters: str) -> Config:
    return config.model_copy(update={"output": Output(alerts_topic=alerts, dead_letters_topic=dead_letters)})


class TestCreate:
    def test_made(self, kafka: Broker, admin: KafkaAdminClient) -> None:
        """All topics are there afterwards, with sound settings."""
        world = World.make(kafka.bootstrap, partitions=3)
        found = check_topics(world.config())
        alerts, letters = settings(admin, world.alerts), settings(admin, world.dead_letters)

        assert found.partitions == {world.logs: 3, world.alerts: 3, world.dead_letters: 3}
        assert (alerts["cleanup.policy"], alerts["retention.ms"]) == ("delete", str(30 * 86_400_000))
        assert found.max_message_bytes[world.alerts] == DEFAULT_MAX_MESSAGE_BYTES
        assert int(letters["max.message.bytes"]) == DEAD_LETTER_MAX_BYTES

    def test_correlations(self, kafka: Broker, admin: KafkaAdminClient) -> None:
        """With correlations there are three topics more; signals and state must have as many partitions."""
        world = World.make(kafka.bootstrap)
        config = world.config().model_copy(update={"correlation": Correlation(enabled=True)})
        signals, state = config.output.signals_topic, config.output.state_topic
        with pytest.raises(KafkaSetupError, match=r"\.signals.*create-topics"):
            check_topics(config)

        incidents = config.output.incidents_name
        assert create_topics(config, partitions=1, replication_factor=1).made == (signals, state, incidents)
        found = check_topics(config)
        made = settings(admin, state)
        admin.create_partitions({state: SIGNALS_PARTITIONS + 1})
        wait_until(lambda: len(admin.describe_topics([state])[0]["partitions"]) > SIGNALS_PARTITIONS)

        assert (found.partitions[signals], found.partitions[state]) == (SIGNALS_PARTITIONS, SIGNALS_PARTITIONS)
        assert found.max_message_bytes[signals] == SIGNALS_MAX_BYTES
        assert made["cleanup.policy"] == "compact"
        with pytest.raises(KafkaSetupError, match="must have as many"):
            check_topics(config)

    def test_internal_topics_are_checked(self, kafka: Broker, admin: KafkaAdminClient) -> None:
        """State that is not compacted, and signals that do not outlast it or a rule's timespan, are refused with how to
        mend them.
        """
        world = World.make(kafka.bootstrap)
        config = world.config().model_copy(update={"correlation": Correlation(enabled=True)})
        signals, state = config.output.signals_topic, config.output.state_topic
        create_topics(config, partitions=1, replication_factor=1)
        sound = check_topics(config)
        check_retention(config, sound, 3 * 86_400_000_000)
        changes = {state: {"cleanup.policy": "delete"}, signals: {"retention.ms": "60000"}}
        admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, each) for name, each in changes.items()])
        wait_until(lambda: settings(admin, signals)["retention.ms"] == "60000")

        assert len(set(sound.ids.values())) == len(sound.ids) == len(sound.partitions)
        with pytest.raises(
            KafkaSetupError, match=r"(?s)cleanup.policy is delete, must be compact.*retention.ms is 60000"
        ):
            check_topics(config)
        with pytest.raises(KafkaSetupError, match=r"longest timespan.*kafka-configs.sh"):
            check_retention(config, sound, 4 * 86_400_000_000)

    def test_again(self, kafka: Broker) -> None:
        """A second time nothing is made, and nothing is wrong with what is there."""
        world = World.make(kafka.bootstrap)
        report = create_topics(world.config(), partitions=5)

        assert report.made == report.differing == ()
        assert set(report.kept) == {world.logs, world.alerts, world.dead_letters}

    def test_dead_letters_take_larger_records_than_the_inputs(self, kafka: Broker, admin: KafkaAdminClient) -> None:
        """The dead-letter topic follows the largest record that an input may hold."""
        world = World.make(kafka.bootstrap)
        admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, world.logs, {"max.message.bytes": 9 << 20})])
        wait_until(lambda: settings(admin, world.logs)["max.message.bytes"] == str(9 << 20))
        config = with_outputs(world.config(), world.alerts, f"{world.dead_letters}-large")
        report = create_topics(config, partitions=1)

        assert report.made == (config.output.dead_letters_topic,)
        assert check_topics(config).max_message_bytes[config.output.dead_letters_topic] == 18 << 20

    def test_unsound(self, kafka: Broker, admin: KafkaAdminClient) -> None:
        """What is unsound about a topic that is there is said, and left as it is."""
        world = World.make(kafka.bootstrap)
        compacted = kafka.topic(cleanup_policy="compact")
        small = kafka.topic(max_message_bytes=1_000)
        report = create_topics(with_outputs(world.config(), compacted, small), partitions=1, replication_factor=3)

        assert set(report.differing) >= {
            f"{compacted}: cleanup.policy is compact, better delete",
            f"{compacted}: 1 replicas, better 3",
            f"{compacted}: min.insync.replicas is 1, better 2",
            f"{small}: max.message.bytes is 1000, better {DEAD_LETTER_MAX_BYTES}",
        }
        assert settings(admin, compacted)["cleanup.policy"] == "compact"

    def test_too_many_replicas(self, kafka: Broker) -> None:
        """What the cluster refuses is said with the way out."""
        world = World.make(kafka.bootstrap)
        config = with_outputs(world.config(), f"{world.alerts}-more", world.dead_letters)

        with pytest.raises(KafkaSetupError, match="--replication-factor"):
            create_topics(config, partitions=1, replication_factor=3)


class TestCheck:
    def test_missing(self, kafka: Broker) -> None:
        """Every missing topic is named, with the command that makes it."""
        world = World.make(kafka.bootstrap)

        with pytest.raises(KafkaSetupError) as caught:
            check_topics(with_outputs(world.config(), "no-alerts", "no-letters"))
        assert str(caught.value).splitlines() == [
            "topic 'no-alerts' (alerts) does not exist: run `detector create-topics`",
            "topic 'no-letters' (dead letters) does not exist: run `detector create-topics`",
        ]

    def test_nobody_there(self) -> None:
        """Without a broker the error says where it was looked for."""
        world = World(f"127.0.0.1:{free_port()}", "logs", "alerts", "dead-letters", "group")

        with pytest.raises(UnavailableError, match=world.bootstrap):
            check_topics(world.config(request_timeout_ms=1_000))


class TestRights:
    @staticmethod
    def deny(node: LocalKafka, kind: AclResource, name: str, operation: ACLOperation) -> None:
        admin = KafkaAdminClient(bootstrap_servers=node.bootstrap)
        pattern = ResourcePattern(kind, name)
        everything = ACL("User:*", "*", ACLOperation.ALL, ACLPermissionType.ALLOW, pattern)
        denied = ACL("User:*", "*", operation, ACLPermissionType.DENY, pattern)
        admin.create_acls([everything, denied])
        admin.close()

    def test_topics(self, strict: LocalKafka) -> None:
        """Each missing right is named, with the command that grants it."""
        world = World.make(strict.bootstrap)
        self.deny(strict, AclResource.TOPIC, world.logs, ACLOperation.READ)
        self.deny(strict, AclResource.TOPIC, world.alerts, ACLOperation.WRITE)
        self.deny(strict, AclResource.TOPIC, world.dead_letters, ACLOperation.DESCRIBE)

        def lines() -> list[str]:
            with pytest.raises(KafkaSetupError) as caught:
                check_topics(world.config())
            return str(caught.value).splitlines()

        wait_until(lambda: len(lines()) == 3)
        logs, alerts, dead_letters = lines()
        assert "no right to read it" in logs
        assert f"--operation Read --topic {world.logs}" in logs
        assert "no right to write it" in alerts
        assert f"--operation Write --topic {world.alerts}" in alerts
        assert "no right to see it" in dead_letters

    def test_group(self, strict: LocalKafka) -> None:
        """A group that may not be used is named."""
        world = World.make(strict.bootstrap)
        self.deny(strict, AclResource.GROUP, world.group, ACLOperation.READ)
        group = Group(world.config())
        group.join()

        with pytest.raises(KafkaSetupError, match=f"grant Read on group '{world.group}'"):
            group.poll(10)
        group.leave(for_good=False, timeout_s=3)

    def test_transactional_id(self, strict: LocalKafka) -> None:
        """So is a transactional id."""
        world = World.make(strict.bootstrap)
        config = world.config(delivery=Mode.EXACTLY_ONCE)
        self.deny(strict, AclResource.TRANSACTIONAL_ID, f"{world.group}-one-alerts", ACLOperation.WRITE)

        with pytest.raises(KafkaSetupError, match="grant Write and Describe on it"):
            make_delivery(config, Group(config)).open()

    def test_transactions_too_short(self, strict: LocalKafka) -> None:
        """A broker that allows no transaction of our length is a matter of its settings."""
        world = World.make(strict.bootstrap)
        config = world.config(delivery=Mode.EXACTLY_ONCE)

        with pytest.raises(KafkaSetupError, match=r"transaction\.max\.timeout\.ms"):
            make_delivery(config, Group(config)).open()
