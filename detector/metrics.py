"""Every metric of the service, in one place.

Label values come from configuration, enums or loaded rules, never from log text, so that the number of series is
bounded. Known series exist at zero from the start. A test fails when one is missing from `docs/metrics.md`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    Info,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)

from detector import __version__
from detector.config import Level

# They would double the series of every counter, and tell nothing that `process_start_time_seconds` does not.
disable_created_metrics()  # type: ignore[no-untyped-call]

REGISTRY = CollectorRegistry(auto_describe=True)
ProcessCollector(registry=REGISTRY)
PlatformCollector(registry=REGISTRY)
GCCollector(registry=REGISTRY)


class DeadLetterReason(StrEnum):
    """Why a record was copied to the dead-letter topic."""

    UNPARSED = "unparsed"  # no parser took it whole; evaluated as a raw event
    TRUNCATED = "truncated"  # longer than limits.max_line_bytes; evaluated as far as that
    UNDECODABLE = "undecodable"  # nothing to evaluate: a null value, a corrupt batch
    BAD_ELEMENT = "bad_element"  # an element of an array of events
    POISON = "poison"  # raised, died or stalled, alone, in a child process
    ALERT_TOO_LARGE = "alert_too_large"  # the alert is beyond the topic's max.message.bytes


class Stage(StrEnum):
    """Where an error happened."""

    READ = "read"
    PARSE = "parse"
    DETECT = "detect"
    DELIVER = "deliver"
    COMMIT = "commit"
    EPOCH = "epoch"
    RELOAD = "reload"
    CORRELATE = "correlate"


class CorrelationEvent(StrEnum):
    """What became of an event for a correlation."""

    APPLIED = "applied"
    LATE = "late"  # behind every window that is held
    REPEATED = "repeated"  # it was there already: sent again after a failure
    UNKNOWN = "unknown"  # of a correlation that does not run here: other replicas have other rules
    DROPPED = "dropped"  # beyond correlation.max_group_events


class SuppressionReason(StrEnum):
    """Why a match is no alert."""

    EXCEPTION = "exception"  # an exception selects its event
    SUPPRESSION = "suppression"  # there were enough alerts of its rule and group; a summary tells how many


class IncidentChange(StrEnum):
    """What an incident's message tells."""

    OPENED = "opened"
    UPDATED = "updated"
    ESCALATED = "escalated"
    CLOSED = "closed"


class Phase(StrEnum):
    """A part of a window's way, as `window_duration` measures it."""

    PARSE = "parse"
    DETECT = "detect"
    DELIVER = "deliver"  # from its arrival in the driver until its offsets are committed


class EpochEnd(StrEnum):
    """Why an epoch ended."""

    AGE = "age"  # as planned, by time or by number of windows
    ASSIGNMENT = "assignment"  # other partitions
    RULES = "rules"  # another rule set
    FAILURE = "failure"  # what was not delivered is read again
    STOP = "stop"


class ReloadResult(StrEnum):
    """What became of a changed rule set."""

    SUCCESS = "success"
    FAILURE = "failure"  # the old one goes on


_SECONDS = (0.005, 0.01, 0.02, 0.035, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1, 2.5, 5, 15, 60)


def _counter(name: str, text: str, *labels: str) -> Counter:
    return Counter(f"detector_{name}", text, labels, registry=REGISTRY)


def _gauge(name: str, text: str, *labels: str) -> Gauge:
    return Gauge(f"detector_{name}", text, labels, registry=REGISTRY)


def _seconds(name: str, text: str, *labels: str) -> Histogram:
    return Histogram(f"detector_{name}_seconds", text, labels, registry=REGISTRY, buckets=_SECONDS)


records_consumed = _counter("records_consumed_total", "Records read, by the count in the batch headers.", "topic")
records_evaluated = _counter("records_evaluated_total", "Records of which at least one event was evaluated.", "topic")
records_rejected = _counter("records_rejected_total", "Records that went to the dead letters only.", "topic")
consumed_bytes = _counter("consumed_bytes_total", "Bytes of the values of the records read.", "topic")
events_evaluated = _counter("events_evaluated_total", "Events evaluated, by the parser that took them.", "format")
parse_failures = _counter("parse_failures_total", "Records that no parser took whole.", "topic")
records_skipped = _counter(
    "records_skipped_total", "Offsets lost to the topic's retention before they were read.", "topic"
)
rule_matches = _counter("rule_matches_total", "Events that a rule matched.", "rule_id", "level")
alerts_emitted = _counter("alerts_emitted_total", "Alerts acknowledged by the brokers.", "level")
alerts_suppressed = _counter("alerts_suppressed_total", "Matches that are no alerts of their own.", "reason")
incidents = _counter("incidents_total", "Messages about incidents acknowledged by the brokers.", "change")
dead_letters = _counter("dead_letters_total", "Dead letters acknowledged by the brokers.", "reason")
errors = _counter("errors_total", "Errors that the service recovered from.", "stage")
epochs = _counter("epochs_total", "Epochs ended, by reason.", "reason")
rebalances = _counter("rebalances_total", "Changes of the partitions that this replica reads.")
rule_reloads = _counter("rule_reloads_total", "Changes of the rule set.", "result")
enrichment_reloads = _counter("enrichment_reloads_total", "Changes of files of the enrichment.", "result")
enrichment_entries = _gauge("enrichment_entries", "Things that a file of the enrichment tells of.", "file")
enrichment_built = _gauge(
    "enrichment_built_timestamp_seconds",
    "When a file of the enrichment was made, Unix time: as a database says, else when the file was changed.",
    "file",
)
ray_internals_missing = _gauge(
    "ray_internals_missing", "Private parts of Ray that this release relies on and did not find."
)

event_to_alert = _seconds("event_to_alert", "From a record's timestamp to the acknowledgement of its alert.")
window_duration = _seconds("window_duration", "Time that a window spent in a phase.", "phase")
recovery = _seconds("recovery", "From the end of one epoch to the first window of the next.")

correlation_events = _counter(
    "correlation_events_total", "Events for correlations, each once for each correlation.", "result"
)
correlation_evicted = _counter(
    "correlation_groups_evicted_total", "Groups that were forgotten because of correlation.max_groups."
)
incidents_evicted = _counter(
    "incidents_evicted_total", "Entities whose alerts were forgotten because of correlation.max_incidents."
)
correlation_gaps = _counter(
    "correlation_source_gaps_total", "Times that a partition's signals did not go on where they had ended."
)
correlation_unreadable = _counter("correlation_unreadable_total", "Messages of the signals topic that are none.")
correlation_truncated = _counter(
    "correlation_truncated_total", "Events for correlations of single records that have too many for a message."
)
correlation_groups = _gauge("correlation_groups", "Groups whose state this replica holds.")
incidents_open = _gauge("incidents_open", "Incidents that are not closed, of this replica's partitions.")
correlation_partitions = _gauge("correlation_partitions", "Partitions of the signals topic that this replica folds.")
correlation_watermark = _gauge(
    "correlation_watermark_timestamp_seconds",
    "The time before which nothing is waited for, Unix time: the least of this replica's partitions.",
)
correlation_recovery = _gauge("correlation_recovery_seconds", "What the last recovery of a partition's state took.")

lag_records = _gauge(
    "consumer_lag_records", "Offsets between the commit position and the end of the partition.", "topic", "partition"
)
last_commit = _gauge("last_commit_timestamp_seconds", "When offsets were last committed, Unix time.")
last_tick = _gauge("last_tick_timestamp_seconds", "When the main loop last turned, Unix time.")
rules_loaded = _gauge("rules_loaded", "Rules in the running rule set.")
rules_refused = _gauge("rules_refused", "Rules that could not be loaded.")
assigned_partitions = _gauge("assigned_partitions", "Partitions that this replica reads.")
partitions_stopped = _gauge(
    "partitions_stopped", "Partitions that are not read, since their committed offset does not exist."
)
certificate_expiry = _gauge(
    "certificate_expiry_timestamp_seconds", "Until when the client's certificate is valid, Unix time; 0 without one."
)
ready = _gauge("ready", "1 when the service is ready, else 0.")
build_info = Info("detector_build", "Version and rule set.", registry=REGISTRY)


def preset(topics: Iterable[str], formats: Iterable[str]) -> None:
    """Let every series that can be known at start exist at zero, so that `rate` sees its first increment."""
    for topic in topics:
        for by_topic in (
            records_consumed,
            records_evaluated,
            records_rejected,
            consumed_bytes,
            parse_failures,
            records_skipped,
        ):
            by_topic.labels(topic)
    for name in formats:
        events_evaluated.labels(name)
    for level in Level:
        alerts_emitted.labels(level)
    for metric, values in (
        (dead_letters, DeadLetterReason),
        (errors, Stage),
        (epochs, EpochEnd),
        (rule_reloads, ReloadResult),
        (enrichment_reloads, ReloadResult),
        (window_duration, Phase),
        (correlation_events, CorrelationEvent),
        (alerts_suppressed, SuppressionReason),
        (incidents, IncidentChange),
    ):
        for value in values:
            metric.labels(value)


def preset_rules(levels: Mapping[str, Level], ruleset: str, refused: int) -> None:
    """Describe the rule set that runs from now on; series of rules that it lacks are dropped.

    Args:
        levels: level of each rule, by the rule's id.
        ruleset: hash of the rule set.
        refused: how many rules could not be loaded.
    """
    wanted = {(rule, str(level)) for rule, level in levels.items()}
    known = {
        (sample.labels["rule_id"], sample.labels["level"])
        for family in rule_matches.collect()
        for sample in family.samples
    }
    for gone in known - wanted:
        rule_matches.remove(*gone)
    for series in wanted:
        rule_matches.labels(*series)
    rules_loaded.set(len(levels))
    rules_refused.set(refused)
    build_info.info({"version": __version__, "ruleset": ruleset})


def forget_partition(topic: str, partition: int) -> None:
    """Drop the series of a partition that this replica no longer reads: whoever reads it now tells its lag."""
    lag_records.remove(topic, partition)
