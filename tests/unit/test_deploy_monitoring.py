"""The dashboard and the alert rules: well formed, and about metrics that there are."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml
from prometheus_client.metrics import MetricWrapperBase

from detector import metrics
from tests.promql import used

ROOT = Path(__file__).parents[2]
PROMETHEUS = ROOT / "deploy" / "prometheus"
GRAFANA = ROOT / "deploy" / "grafana"

ALERTS = [
    rule for group in yaml.safe_load((PROMETHEUS / "alerts.yml").read_text())["groups"] for rule in group["rules"]
]
DASHBOARD: dict[str, Any] = orjson.loads((GRAFANA / "detector.json").read_bytes())
PANELS: list[dict[str, Any]] = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]

SCRAPED = {"job", "instance"}
"""Labels that Prometheus adds to every series."""


def _series() -> dict[str, set[str]]:
    """Names of all series that the service shows, with their labels."""
    series: dict[str, set[str]] = {"up": set()}
    for family in metrics.REGISTRY.collect():
        for sample in family.samples:
            series[sample.name] = set(sample.labels)
    suffixes: dict[str, dict[str, set[str]]] = {
        "counter": {"_total": set()},
        "histogram": {"_bucket": {"le"}, "_sum": set(), "_count": set()},
        "info": {"_info": {"version", "ruleset"}},
        "gauge": {"": set()},
    }
    for metric in vars(metrics).values():
        if isinstance(metric, MetricWrapperBase):
            (family,) = metric.describe()
            for suffix, labels in suffixes[family.type].items():
                series[family.name + suffix] = set(metric._labelnames) | labels
    return series


def _expressions() -> Iterator[tuple[str, str]]:
    for rule in ALERTS:
        yield rule["alert"], rule["expr"]
    for panel in PANELS:
        for target in panel["targets"]:
            yield f"{panel['title']} {target['refId']}", target["expr"]
    for annotation in DASHBOARD["annotations"]["list"]:
        if "expr" in annotation:
            yield annotation["name"], annotation["expr"]
    for variable in DASHBOARD["templating"]["list"]:
        if variable["type"] == "query":
            selector, label = re.fullmatch(r"label_values\((.*), (\w+)\)", variable["definition"]).groups()  # type: ignore[union-attr]
            yield variable["name"], f"sum by ({label}) ({selector})"


EXPRESSIONS = dict(_expressions())


class TestExpressions:
    @pytest.mark.parametrize("name", EXPRESSIONS)
    def test_metrics_exist(self, name: str) -> None:
        """Every metric that is used is one that the service shows."""
        found = used(EXPRESSIONS[name])

        assert found.metrics
        assert found.metrics <= _series().keys()

    @pytest.mark.parametrize("name", EXPRESSIONS)
    def test_labels_exist(self, name: str) -> None:
        """Every label that is matched or grouped by is one of the metric's, or one that scraping adds."""
        series = _series()
        found = used(EXPRESSIONS[name])

        assert not [(metric, label) for metric, label in found.matched if label not in series[metric] | SCRAPED]
        assert found.grouped <= set().union(*(series[metric] for metric in found.metrics)) | SCRAPED

    def test_every_metric_is_watched(self) -> None:
        """Every metric of the service's own is on the dashboard or in an alert rule: nothing is counted for nobody."""
        watched = set().union(*(used(expression).metrics for expression in EXPRESSIONS.values()))
        own = {
            family.name
            for metric in vars(metrics).values()
            if isinstance(metric, MetricWrapperBase)
            for family in metric.describe()
        }

        assert not {name for name in own if not any(series.startswith(name) for series in watched)}


class TestAlerts:
    @pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: str(rule["alert"]))
    def test_complete(self, rule: dict[str, Any]) -> None:
        """Each alert has a severity, a summary, a description, and a section of the runbook."""
        runbook = (ROOT / "docs" / "runbook.md").read_text()
        path, anchor = rule["annotations"]["runbook_url"].split("#")

        assert rule["labels"]["severity"] in {"critical", "warning"}
        assert not rule["annotations"]["summary"].endswith(".")
        assert rule["annotations"]["description"].endswith(".")
        assert (path, anchor) == ("docs/runbook.md", rule["alert"].lower())
        assert f"\n### {rule['alert']}\n" in runbook

    def test_each_is_tested(self) -> None:
        """Each alert fires in a test of promtool's."""
        tests = (PROMETHEUS / "alerts.test.yml").read_text()

        assert not [rule["alert"] for rule in ALERTS if f'{{alertname="{rule["alert"]}"' not in tests]

    def test_names_are_unique(self) -> None:
        """No two alerts share a name."""
        assert len({rule["alert"] for rule in ALERTS}) == len(ALERTS)


class TestPromtool:
    """Prometheus' own judgement, where its tool is installed."""

    @pytest.fixture
    def promtool(self) -> str:
        path = shutil.which("promtool")
        if not path:
            assert not os.environ.get("REQUIRE_PROMTOOL")
            pytest.skip("promtool is not installed (Debian: apt-get install prometheus)")
        return path

    def test_check(self, promtool: str) -> None:
        """The alert rules are valid."""
        done = subprocess.run(
            [promtool, "check", "rules", PROMETHEUS / "alerts.yml"], capture_output=True, text=True, check=False
        )

        assert done.returncode == 0, done.stderr + done.stdout
        assert f"{len(ALERTS)} rules found" in done.stdout

    def test_rules(self, promtool: str) -> None:
        """The alerts fire when they should, and not otherwise."""
        done = subprocess.run(
            [promtool, "test", "rules", PROMETHEUS / "alerts.test.yml"], capture_output=True, text=True, check=False
        )

        assert done.returncode == 0, done.stderr + done.stdout

    def test_dashboard(self, promtool: str, tmp_path: Path) -> None:
        """The dashboard's expressions are valid PromQL."""
        rules = [
            {"record": f"dashboard:{number}", "expr": re.sub(r"\$__\w+", "5m", expression)}
            for number, expression in enumerate(EXPRESSIONS.values())
        ]
        file = tmp_path / "dashboard.yml"
        file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))

        done = subprocess.run([promtool, "check", "rules", file], capture_output=True, text=True, check=False)

        assert done.returncode == 0, done.stderr + done.stdout

    def test_configuration(self, promtool: str) -> None:
        """Prometheus' configuration of the compose file is valid."""
        done = subprocess.run(
            [promtool, "check", "config", PROMETHEUS / "prometheus.yml"], capture_output=True, text=True, check=False
        )

        assert done.returncode == 0, done.stderr + done.stdout


class TestDashboard:
    def test_identity(self) -> None:
        """The dashboard has a stable uid, and its data source is a variable."""
        (source,) = (variable for variable in DASHBOARD["templating"]["list"] if variable["name"] == "datasource")

        assert (DASHBOARD["uid"], source["type"], source["query"]) == ("detector-overview", "datasource", "prometheus")
        assert "id" not in DASHBOARD

    def test_rows(self) -> None:
        """Its rows follow the way of a record."""
        rows = [panel["title"] for panel in DASHBOARD["panels"] if panel["type"] == "row"]

        assert rows == [
            "Health",
            "Throughput",
            "Latency",
            "Detections",
            "Kafka",
            "Ray",
            "Errors",
            "Correlations",
            "Enrichment",
        ]

    @pytest.mark.parametrize("panel", PANELS, ids=lambda panel: str(panel["title"]))
    def test_panel(self, panel: dict[str, Any]) -> None:
        """Each panel says what it shows, in which unit, and asks the variable data source."""
        assert panel["description"].endswith(".")
        assert panel["type"] in {"stat", "timeseries", "heatmap", "table"}
        assert {target["datasource"]["uid"] for target in panel["targets"]} == {"${datasource}"}
        assert panel["type"] in {"heatmap", "table"} or panel["fieldConfig"]["defaults"]["unit"]

    def test_layout(self) -> None:
        """Ids are unique, and no two panels overlap on the grid of 24 columns."""
        taken: set[tuple[int, int]] = set()
        for panel in DASHBOARD["panels"]:
            grid = panel["gridPos"]
            cells = {
                (x, y) for x in range(grid["x"], grid["x"] + grid["w"]) for y in range(grid["y"], grid["y"] + grid["h"])
            }
            assert not cells & taken, panel["title"]
            assert max(x for x, _ in cells) < 24
            taken |= cells

        assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])

    def test_provisioning(self) -> None:
        """The provider's file is valid and names no folder of a machine's own."""
        provider = yaml.safe_load((GRAFANA / "provisioning" / "dashboards" / "detector.yaml").read_text())

        assert provider["apiVersion"] == 1
        assert provider["providers"][0]["options"]["path"] == "/var/lib/grafana/dashboards/detector"
