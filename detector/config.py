"""Settings: one model gives default, unit, documentation and validation.

Sources, later ones win, merged per leaf: defaults, YAML file, environment (`DETECTOR_KAFKA__GROUP_ID`).
`docs/configuration.md` is generated from it (`make docs`), and a test fails when it is stale.
"""

from __future__ import annotations

import socket
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict


class Level(StrEnum):
    """Sigma's levels, in rising order of severity."""

    INFORMATIONAL = "informational"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"

    @property
    def severity(self) -> int:
        """1 (informational) to 5 (critical), as OCSF counts."""
        return list(Level).index(self) + 1


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, use_attribute_docstrings=True)


class LogSourceSetting(_Section):
    """A log source that every event of a topic has besides its parser's."""

    category: str | None = None
    """Sigma's `category`, as `webserver`."""
    product: str | None = None
    """Sigma's `product`, as `linux`."""
    service: str | None = None
    """Sigma's `service`, as `sshd`."""


def _time_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"{name!r} is no time zone of the IANA database, such as Europe/Berlin") from None
    return name


class InputTopic(_Section):
    """A topic to read."""

    name: str = Field(min_length=1, max_length=249, pattern=r"^[A-Za-z0-9._-]+$")
    """Name of the topic."""
    format: str = "auto"
    """Name of a parser (`detector parsers list`), or `auto`: recognized record by record."""
    logsource: LogSourceSetting | None = None
    """Log source of every event of the topic, in addition to what the parser declares."""
    time_zone: Annotated[str, AfterValidator(_time_zone)] = "UTC"
    """Zone of times that name none, as `Europe/Berlin`."""


class Security(_Section):
    """TLS and SASL, passed through to kafka-python."""

    protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    """How to talk to the brokers."""
    ssl_cafile: Path | None = None
    """PEM file of the certificate authorities to trust; none: the system's."""
    ssl_certfile: Path | None = None
    """PEM file of the client's certificate."""
    ssl_keyfile: Path | None = None
    """PEM file of the client's private key."""
    ssl_password: SecretStr | None = None
    """Password of the private key."""
    ssl_check_hostname: bool = True
    """Whether the broker's certificate must carry its host name."""
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = None
    """How to authenticate; needed with a SASL protocol."""
    sasl_username: str | None = None
    """User name for SASL."""
    sasl_password: SecretStr | None = None
    """Password for SASL."""
    sasl_password_file: Path | None = None
    """File that holds the password for SASL, as Kubernetes mounts secrets; read at each start."""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.protocol.startswith("SASL") and not (
            self.sasl_mechanism and self.sasl_username and (self.sasl_password or self.sasl_password_file)
        ):
            raise ValueError(
                f"protocol {self.protocol} needs sasl_mechanism, sasl_username and sasl_password or sasl_password_file"
            )
        return self


class Delivery(StrEnum):
    """What a subscriber of the alerts may rely on."""

    AT_LEAST_ONCE = "at_least_once"
    EXACTLY_ONCE = "exactly_once"


def _instance() -> str:
    return socket.gethostname()


class Kafka(_Section):
    """The cluster and this service's place in it."""

    bootstrap_servers: tuple[str, ...] = ("127.0.0.1:9092",)
    """Brokers to start from, `host:port`."""
    group_id: str = "detector"
    """Consumer group; replicas with the same group share the partitions."""
    instance_id: str = Field(default_factory=_instance, min_length=1)
    """Name of this replica, stable over restarts (a StatefulSet's pod name; the host name by default).
    It is the static membership's `group.instance.id` and part of the transactional id: two replicas must differ."""
    session_timeout_ms: int = Field(default=10_000, ge=6_000, le=300_000)
    """How long the group waits for a silent member before it gives its partitions to others, milliseconds."""
    request_timeout_ms: int = Field(default=10_000, ge=1_000, le=300_000)
    """How long one blocking call to the cluster may take, milliseconds."""
    security: Security = Security()
    """TLS and SASL."""


class Input(_Section):
    """What is read, and how much at a time."""

    topics: tuple[InputTopic, ...] = (InputTopic(name="logs"),)
    """The topics to read."""
    readers: int = Field(default=2, ge=1, le=256)
    """Reader tasks; each needs a CPU of the Ray cluster."""
    linger_ms: int = Field(default=10, ge=0, le=5_000)
    """How long a reader gathers records for a window, milliseconds; with many readers it rises to readers / 80 s."""
    max_window_records: int = Field(default=20_000, ge=1, le=1_000_000)
    """At most this many records in a window, but at least one record batch."""
    max_window_bytes: int = Field(default=16 << 20, ge=1 << 16, le=1 << 30)
    """At most this many bytes of records in a window, but at least one record batch."""
    max_partition_fetch_bytes: int = Field(default=4 << 20, ge=1 << 16, le=1 << 30)
    """At most this many bytes of a partition in one fetch response, but at least one record batch."""
    start: Literal["earliest", "latest"] = "earliest"
    """Where to begin a partition for which the group has committed nothing."""

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        names = [topic.name for topic in self.topics]
        if not names:
            raise ValueError("input.topics is empty: name at least one topic")
        if len(set(names)) < len(names):
            raise ValueError(f"input.topics names a topic twice: {', '.join(sorted(names))}")
        return self


class Output(_Section):
    """Where alerts and dead letters go, and how surely."""

    alerts_topic: str = "alerts"
    """Topic of the alerts (`docs/alert-schema.md`)."""
    dead_letters_topic: str = "alerts.dead-letters"
    """Topic of the records that could not be parsed or evaluated, with the reason."""
    incidents_topic: str | None = None
    """Topic of incidents (`docs/incidents.md`); none: `<output.alerts_topic>.incidents`."""
    delivery: Delivery = Delivery.AT_LEAST_ONCE
    """`at_least_once`: after a crash an alert may come again with the same id.
    `exactly_once`: alerts, dead letters and offsets in one transaction; a read_committed subscriber sees each once."""
    transaction_interval_ms: int = Field(default=100, ge=10, le=5_000)
    """Under `exactly_once`: how long one transaction gathers windows, milliseconds."""
    min_level: Level = Level.LOW
    """Matches of rules below this level are counted, but are no alerts."""

    @property
    def incidents_name(self) -> str:
        """Name of the topic of incidents."""
        return self.incidents_topic or f"{self.alerts_topic}.incidents"

    @property
    def signals_topic(self) -> str:
        """Topic of what correlations are fed with."""
        return f"{self.alerts_topic}.signals"

    @property
    def state_topic(self) -> str:
        """Topic of the snapshots of their state."""
        return f"{self.alerts_topic}.state"


class Epochs(_Section):
    """The lifetime of one streaming Dataset (`docs/architecture.md`)."""

    max_age_s: float = Field(default=600.0, ge=1.0, le=86_400.0)
    """A new epoch begins after this time, seconds."""
    max_windows: int = Field(default=10_000, ge=10, le=100_000)
    """A new epoch begins after this many windows."""
    drain_timeout_s: float = Field(default=5.0, ge=0.5, le=60.0)
    """How long the windows under way may take when an epoch ends, seconds; then they are dropped and read again."""


class Limits(_Section):
    """Bounds on what a record or a rule may cost (`docs/limits.md`)."""

    max_line_bytes: int = Field(default=256 << 10, ge=1 << 10, le=16 << 20)
    """Longer records are cut here for evaluation, flagged, and copied whole to the dead letters."""
    max_json_depth: int = Field(default=64, ge=4, le=512)
    """Deeper JSON is not parsed: the record is evaluated as a raw event and copied to the dead letters."""
    max_fields: int = Field(default=1_024, ge=16, le=65_536)
    """JSON with more fields (counted over all levels) is not parsed, likewise."""
    max_events_per_record: int = Field(default=10_000, ge=1, le=1_000_000)
    """Events that one record may hold (a `Records` array); the rest is a dead letter."""
    max_alert_value_bytes: int = Field(default=8 << 10, ge=256, le=1 << 20)
    """Longer values of fields, and the original record, are cut to this in an alert, with a flag."""
    max_rule_file_bytes: int = Field(default=512 << 10, ge=1 << 10, le=10 << 20)
    """Larger rule and parser files are refused."""


class Rules(_Section):
    """Where rules and parsers come from."""

    paths: tuple[Path, ...] = ()
    """Folders (searched for `*.yml` and `*.yaml`) or files of Sigma rules and filters, besides the built-in ones."""
    builtin: bool = True
    """Whether the rules that come with the program are used."""
    parser_paths: tuple[Path, ...] = ()
    """Folders or files of parser definitions, besides the built-in ones; the same name replaces a built-in one."""
    values_file: Path | None = None
    """YAML file that maps placeholder names to lists of values, for `|expand`."""
    pipelines: tuple[Path, ...] = ()
    """YAML files of pySigma's processing pipelines, which change the rules as they are loaded."""
    watch: bool = True
    """Whether changed rule and parser files take effect while the service runs."""


class Correlation(_Section):
    """Correlation rules, and the state that they need (`docs/correlations.md`)."""

    enabled: bool = False
    """Whether correlation rules run. They need two more topics, `<output.alerts_topic>.signals` and `.state`, which
    `detector create-topics` makes."""
    every_event: bool = False
    """Whether the built-in anomaly rules that look at every event run, too: error rates, latency, sizes of answers,
    sources that fall silent. Each record is then made an event, as for a rule that matches everything."""
    lateness_s: float = Field(default=30.0, ge=0.0, le=86_400.0)
    """How much later than those after it an event may arrive and still count, seconds.
    Conditions that more events can end are judged as much later."""
    max_groups: int = Field(default=1_000_000, ge=100, le=100_000_000)
    """Groups that are held for a partition of the signals topic, over all correlations; then the oldest that are far
    from firing are forgotten, and counted."""
    max_group_events: int = Field(default=10_000, ge=10, le=1_000_000)
    """Events that are held of a group, for those conditions that need each event; further ones are counted only."""
    incidents: bool = True
    """Whether alerts that share an address, user or host become incidents (`docs/incidents.md`), where correlation
    rules run."""
    incident_gap_s: float = Field(default=1_800.0, ge=1.0, le=604_800.0)
    """An incident is over after so long without an alert about its entity, seconds."""
    incident_update_s: float = Field(default=60.0, ge=0.0, le=86_400.0)
    """An incident that grows is told again at most this often, seconds; one whose level rises at once."""
    incident_alerts: int = Field(default=2, ge=1, le=1_000)
    """So many alerts about an entity make an incident."""
    incident_half_life_s: float = Field(default=3_600.0, ge=1.0, le=2_592_000.0)
    """After this time, an alert weighs half in the score of its incident, seconds."""
    max_incidents: int = Field(default=100_000, ge=10, le=10_000_000)
    """Entities whose alerts are held for a partition of the signals topic; then those with the least are forgotten."""
    snapshot_interval_s: float = Field(default=30.0, ge=0.1, le=3_600.0)
    """How often the state is written down, seconds; after a crash what came since is read again."""


class ThreatList(_Section):
    """A list of threat intelligence (`docs/enrichment.md`)."""

    path: Path
    """The file."""
    name: str = ""
    """What alerts call it (`threat.feed.name`); none: the file's name without its ending."""
    format: Literal["auto", "plain", "csv", "stix"] = "auto"
    """A value a line, CSV, or a bundle of STIX 2.1; `auto`: by the file's ending and beginning."""
    columns: tuple[str, ...] = ()
    """Headings of a CSV file that has none."""
    confidence: int = Field(default=50, ge=0, le=100)
    """How sure indicators are that do not say so themselves, 0 to 100."""
    max_age_s: float | None = Field(default=None, gt=0)
    """How long after the file's last change indicators count that do not say until when, seconds; none: always."""

    @property
    def feed(self) -> str:
        """What it is called."""
        return self.name or self.path.stem


class Enrichment(_Section):
    """What events are enriched with (`docs/enrichment.md`). Nothing by default; changed files take effect while the
    service runs.
    """

    is_internal: bool = False
    """Whether addresses are told to be inside or outside (`source.is_internal` and its like)."""
    internal_networks: tuple[str, ...] = ()
    """Networks that are inside besides those that are never on the Internet, as `192.0.2.0/24`."""
    geo_databases: tuple[Path, ...] = ()
    """MaxMind's files (`.mmdb`) of cities, countries, ASN or ISP; of two that tell the same the first counts."""

    threat_lists: tuple[ThreatList, ...] = ()
    """Lists of addresses, networks, domains, URLs and hashes that are known to be bad."""
    tables: tuple[Path, ...] = ()
    """CSV files of addresses, hosts or users, whose columns become fields (`host.asset.owner`)."""
    user_agents: bool = False
    """Whether user agents are told apart by name, version, system and device."""
    risk: bool = False
    """Whether alerts tell what is known against their source's address, as a number from 0 to 100."""
    risk_half_life_s: float = Field(default=3_600.0, ge=1.0, le=2_592_000.0)
    """How long it takes until what an address did counts half, seconds."""

    @property
    def files(self) -> tuple[Path, ...]:
        """All files that it reads, each once."""
        return tuple(dict.fromkeys((*self.geo_databases, *(each.path for each in self.threat_lists), *self.tables)))


class Ray(_Section):
    """The Ray cluster that runs readers and pipeline."""

    address: str | None = None
    """Address of an existing cluster (`host:port` or `auto`); none: one is started in this pod."""
    object_store_mb: int = Field(default=256, ge=80, le=1 << 20)
    """Size of the object store of a cluster started here, MiB."""
    dashboard: bool = False
    """Whether a cluster started here serves Ray's dashboard, on loopback."""
    temp_dir: Path | None = None
    """Folder for the session files of a cluster started here; Ray's default is /tmp/ray."""


class Backfill(_Section):
    """`detector backfill`: how files are read (`docs/backfill.md`)."""

    block_bytes: int = Field(default=32 << 20, ge=1 << 16, le=64 << 20)
    """How much of a file one task reads, and one file of alerts or events comes from."""
    window_records: int = Field(default=20_000, ge=1, le=1_000_000)
    """Records that are evaluated at a time."""
    concurrency: int = Field(default=0, ge=0, le=1_024)
    """Tasks at a time in a Ray cluster started here; 0: one for each CPU."""


class Http(_Section):
    """The port for metrics and probes."""

    host: str = "0.0.0.0"  # noqa: S104 -- a pod's probes and scrapers come from outside it
    """Address to listen on."""
    port: int = Field(default=8080, ge=0, le=65_535)
    """Port of `/metrics`, `/healthz` and `/readyz`; 0 takes a free one (logged at start)."""


class Log(_Section):
    """The service's own log, on standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """Lowest level that is written."""
    format: Literal["json", "console"] = "json"
    """`json`: one object a line; `console`: for people."""


class Config(BaseSettings):
    """All settings of `detector`."""

    model_config = SettingsConfigDict(
        env_prefix="DETECTOR_",
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        validate_default=True,
        use_attribute_docstrings=True,
    )

    kafka: Kafka = Kafka()
    input: Input = Input()
    output: Output = Output()
    rules: Rules = Rules()
    epochs: Epochs = Epochs()
    limits: Limits = Limits()
    correlation: Correlation = Correlation()
    enrichment: Enrichment = Enrichment()
    ray: Ray = Ray()
    backfill: Backfill = Backfill()
    http: Http = Http()
    log: Log = Log()

    @classmethod
    def settings_customise_sources(cls, *_: Any, **sources: Any) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what `detector.config_sources` merged: `Config()` is the defaults, whatever the environment holds."""
        return (sources["init_settings"],)
