"""`docs/metrics.md`, from the declarations in `detector/metrics.py`."""

from __future__ import annotations

import inspect
import re
from enum import StrEnum

from prometheus_client.metrics import MetricWrapperBase

from detector import metrics
from tests.docs.markdown import generated, table

_HEAD = """# Metrics

Served on `/metrics` of `http.port` in Prometheus' text format, with the usual `process_*` and `python_*` ones. Label
values are settings, loaded rules or the lists below, never text from a log, so the number of series is bounded; those
that are known at start exist at zero. Counters begin at zero with the process. In a dashboard, add up over replicas.

Per topic, `detector_records_consumed_total = detector_records_evaluated_total + detector_records_rejected_total`,
as soon as the windows under way are delivered.
"""


def declared() -> list[MetricWrapperBase]:
    """Every metric that the module declares, in its order."""
    return [value for value in vars(metrics).values() if isinstance(value, MetricWrapperBase)]


def exposed_name(metric: MetricWrapperBase) -> str:
    """The name as a query writes it (of a histogram the part before `_bucket`)."""
    suffix = {"counter": "_total", "info": "_info"}.get(str(metric._type), "")
    return f"{metric._name}{suffix}"


def page() -> str:
    """The whole page."""
    rows = [
        [
            f"`{exposed_name(metric)}`",
            str(metric._type),
            ", ".join(f"`{label}`" for label in metric._labelnames),
            metric._documentation,
        ]
        for metric in declared()
    ]
    parts = [generated("detector/metrics.py"), _HEAD, table(("metric", "type", "labels", "meaning"), rows), ""]
    buckets = ", ".join(f"{bound:g}" for bound in metrics._SECONDS)
    parts += [f"Histograms have the buckets {buckets} seconds.", "", "## Values of labels", ""]
    for enum in vars(metrics).values():
        if inspect.isclass(enum) and issubclass(enum, StrEnum) and enum.__module__ == metrics.__name__:
            parts += [
                f"### {enum.__name__}\n",
                f"{inspect.getdoc(enum)}\n",
                table(("value", "meaning"), _values(enum)),
                "",
            ]
    return "\n".join(parts)


def _values(enum: type[StrEnum]) -> list[list[str]]:
    comments = dict(re.findall(r'^    \w+ = "(\w+)"  # (.+)$', inspect.getsource(enum), re.MULTILINE))
    return [[f"`{member.value}`", comments.get(member.value, "")] for member in enum]
