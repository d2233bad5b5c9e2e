"""The metrics: names, bounded labels, series that exist from the start."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.metrics import MetricWrapperBase

from detector import metrics
from detector.config import Level

LABELS = {"topic", "partition", "file", "format", "rule_id", "level", "reason", "stage", "phase", "result", "change"}
"""Labels whose values come from configuration, enums, loaded rules and parsers. Nothing else may be a label."""

OWN = {name: metric for name, metric in vars(metrics).items() if isinstance(metric, MetricWrapperBase)}


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    yield
    for metric in OWN.values():
        if metric._labelnames:
            metric.clear()


def _value(name: str, **labels: str) -> float | None:
    return metrics.REGISTRY.get_sample_value(name, labels)


class TestDeclarations:
    @pytest.mark.parametrize("name", OWN)
    def test_bounded_labels(self, name: str) -> None:
        """A metric has only labels whose values are bounded."""
        assert set(OWN[name]._labelnames) <= LABELS

    @pytest.mark.parametrize("name", OWN)
    def test_naming(self, name: str) -> None:
        """Names have the program's prefix, counters `_total`, and none ends like a part of a histogram."""
        (family,) = OWN[name].describe()

        assert family.name.startswith("detector_")
        assert not family.name.endswith(("_count", "_sum", "_bucket", "_total"))
        assert family.documentation.endswith(".")

    @pytest.mark.parametrize("name", OWN)
    def test_each_is_set(self, name: str) -> None:
        """Every metric that is declared is set somewhere: none is shown and stays at zero for ever."""
        package = Path(metrics.__file__).parent
        others = [path.read_text() for path in package.rglob("*.py") if path.name != "metrics.py"]
        helpers = "".join(Path(metrics.__file__).read_text().partition("def preset_rules")[1:])

        assert any(f"metrics.{name}" in text for text in others) or f"{name}." in helpers

    def test_process(self) -> None:
        """Memory, open files and garbage collection of the process are there too."""
        assert (_value("process_resident_memory_bytes") or 0) > 0
        assert (_value("process_open_fds") or 0) > 0
        assert _value("python_gc_collections_total", generation="0") is not None


class TestPreset:
    def test_zero_from_the_start(self) -> None:
        """Counters of known topics, formats, levels, reasons and stages exist at zero before anything happened."""
        script = (
            "from prometheus_client import generate_latest\n"
            "from detector import metrics\n"
            "metrics.preset(['web', 'auth'], ['apache_combined'])\n"
            "print(generate_latest(metrics.REGISTRY).decode())"
        )
        page = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout

        assert set(page.splitlines()) >= {
            'detector_records_consumed_total{topic="web"} 0.0',
            'detector_records_rejected_total{topic="auth"} 0.0',
            'detector_events_evaluated_total{format="apache_combined"} 0.0',
            'detector_alerts_emitted_total{level="critical"} 0.0',
            'detector_dead_letters_total{reason="poison"} 0.0',
            'detector_errors_total{stage="deliver"} 0.0',
            'detector_epochs_total{reason="failure"} 0.0',
            'detector_rule_reloads_total{result="failure"} 0.0',
            'detector_window_duration_seconds_count{phase="detect"} 0.0',
        }

    def test_nothing_is_reset(self) -> None:
        """What was counted before stays."""
        metrics.records_consumed.labels("web").inc(3)

        metrics.preset(["web"], [])

        assert _value("detector_records_consumed_total", topic="web") == 3

    def test_number_of_series(self) -> None:
        """The number of series without those of rules and partitions is small and known."""
        metrics.preset([f"t{i}" for i in range(10)], [f"f{i}" for i in range(50)])

        series = sum(len(family.samples) for metric in OWN.values() for family in metric.collect())
        assert series < 400


class TestPresetRules:
    def test_described(self) -> None:
        """The rule set is told by its hash and numbers, and each of its rules has a series at zero."""
        metrics.preset_rules({"a": Level.HIGH, "b": Level.LOW}, "c0ffee", refused=1)

        assert _value("detector_rule_matches_total", rule_id="a", level="high") == 0
        assert _value("detector_rules_loaded") == 2
        assert _value("detector_rules_refused") == 1
        assert _value("detector_build_info", version="0.1.0", ruleset="c0ffee") == 1

    def test_reloaded(self) -> None:
        """Rules that stay keep their counts, and those that went leave no series: reloads do not add up."""
        metrics.preset_rules({"a": Level.HIGH, "b": Level.LOW}, "1", refused=0)
        metrics.rule_matches.labels("a", "high").inc(5)
        metrics.rule_matches.labels("b", "low").inc(5)

        metrics.preset_rules({"a": Level.HIGH, "c": Level.LOW}, "2", refused=0)

        assert _value("detector_rule_matches_total", rule_id="a", level="high") == 5
        assert _value("detector_rule_matches_total", rule_id="b", level="low") is None
        assert _value("detector_rule_matches_total", rule_id="c", level="low") == 0
        assert _value("detector_build_info", version="0.1.0", ruleset="1") is None


class TestForgetPartition:
    def test_gone(self) -> None:
        """A partition that another replica reads has no lag here."""
        metrics.lag_records.labels("web", 3).set(7)
        metrics.lag_records.labels("web", 4).set(8)

        metrics.forget_partition("web", 3)
        metrics.forget_partition("web", 5)

        assert _value("detector_consumer_lag_records", topic="web", partition="3") is None
        assert _value("detector_consumer_lag_records", topic="web", partition="4") == 8
