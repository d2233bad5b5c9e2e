"""Questions about services: their health, what goes wrong and since when, what is slow, what it runs on."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from detector.analytics.questions import TIME, Area, Question, among, distinct, matches, only, rounded, truth, within

_SERVICES = (
    "service.name",
    "haproxy.backend_name",
    "traefik.access.backend_url",
    "envoy.upstream_cluster",
    "aws.elb.name",
    "url.domain",
    "container.name",
    "systemd.unit",
    "process.name",
    "event.provider",
    "event.format",
)
"""What names the service of an event; the first that is there does."""
_TEXTS = (
    "error.code",
    "error.message",
    "error.stack_trace",
    "error.type",
    "event.action",
    "event.category",
    "event.kind",
    "event.outcome",
    "host.name",
    "http.request.method",
    "log.level",
    "message",
    "orchestrator.resource.name",
    "orchestrator.resource.type",
    "url.path",
)
_NUMBERS = ("event.duration", "event.duration_ms", "host.cpu.usage", "host.disk.usage", "host.memory.usage")
_LEVELS = ("error", "critical", "fatal", "alert", "emergency", "panic")
_EXCEPTION = r"\b(?P<exception>[A-Za-z_][\w.$]{0,120}(?:Exception|Error|Fault|Panic|Timeout))\b"
_DEPLOYED = (
    r"(?i)\b(?:deploy(?:ed|ing|ment (?:started|finished|succeeded|complete|of|to))|roll(?:ed|ing) ?(?:out|back)|"
    r"roll(?:out|back) (?:of|to|started|complete)|releas(?:ed|ing) v?\d|upgraded to v?\d|new version v?\d)"
)
_DEPLOY_ACTIONS = (
    r"(?i)^(?:deploy(?:ment)?s?|release|rollout|rollback|DeploymentEvent|ReleaseEvent|UpdateFunctionCode.*|"
)
_DEPLOY_ACTIONS += (
    r"UpdateService|CreateDeployment|(?:deployment|release)[._](?:created?|published|succeeded|success))$"
)
_WORKLOADS = ("deployments", "statefulsets", "daemonsets")
_CHANGES = ("create", "update", "patch")
_TEMPLATE_LENGTH = 200


def template(texts: pa.Array) -> pa.Array:
    """Messages without what differs from one to the next: addresses, identifiers, numbers, quoted values."""
    for expression, name in (
        (r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F-]{22}", "<id>"),
        (r"\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b", "<address>"),
        (r"\b[\w.+-]+@[\w-]+\.[\w.-]+\b", "<email>"),
        (r"\"[^\"]*\"|'[^' ][^']*'", "<text>"),
        (r"\b(?:0x[0-9a-fA-F]+|[0-9a-fA-F]*\d[0-9a-fA-F]{7,})\b", "<id>"),
        (r"\d+(?:\.\d+)?", "<n>"),
        (r"\s+", " "),
    ):
        texts = pc.replace_substring_regex(texts, expression, name)
    return pc.utf8_slice_codeunits(texts, 0, _TEMPLATE_LENGTH)


def route(paths: pa.Array) -> pa.Array:
    """Paths whose segments that hold a number or are long are replaced, so that `/item/7` and `/item/8` are one."""
    return pc.replace_substring_regex(paths, r"/(?:[^/.]*\d[^/]*|[^/]{40,})", "/*")


def _derive(columns: pa.Table) -> pa.Table:
    status = columns["http.response.status_code"]
    level, outcome, category = columns["log.level"], columns["event.outcome"], columns["event.category"]
    server = within(status, 500, 600)
    thrown = pc.or_(pc.is_valid(columns["error.type"]), pc.is_valid(columns["error.stack_trace"]))
    refused = pc.and_(truth(pc.equal(outcome, "failure")), pc.invert(truth(pc.equal(category, "authentication"))))
    severe = among(level, _LEVELS)
    broken = pc.or_(pc.or_(server, severe), thrown)
    wrong = pc.or_(pc.or_(broken, refused), pc.or_(within(status, 400, 500), pc.is_valid(columns["error.code"])))
    said = pc.coalesce(columns["error.message"], columns["message"])
    wrong_said = only(said, wrong)
    exception = pc.coalesce(
        columns["error.type"], _exception(wrong_said), _exception(columns["error.stack_trace"]), columns["error.code"]
    )
    metric = truth(pc.equal(columns["event.kind"], "metric"))
    milliseconds = pc.coalesce(columns["event.duration_ms"], pc.multiply(columns["event.duration"], 1_000.0))
    known = truth(pc.greater_equal(milliseconds, 0.0))
    micros = only(pc.multiply(milliseconds, 1_000.0), known)
    deployed = pc.or_(
        pc.or_(matches(columns["event.action"], _DEPLOY_ACTIONS), matches(columns["message"], _DEPLOYED)),
        pc.and_(among(columns["orchestrator.resource.type"], _WORKLOADS), among(columns["event.action"], _CHANGES)),
    )
    what = pc.coalesce(columns["message"], columns["orchestrator.resource.name"], columns["event.action"])
    usages = {name: columns[f"host.{name}.usage"] for name in ("cpu", "memory", "disk")}
    return pa.table(
        {
            "@timestamp": columns["@timestamp"],
            "service": pc.coalesce(*(columns[name] for name in _SERVICES)),
            "host": columns["host.name"],
            "hour": pc.floor_temporal(columns["@timestamp"], unit="hour"),
            "minute": pc.floor_temporal(columns["@timestamp"], unit="minute"),
            "status": status,
            "served": pc.invert(metric),
            "broken": broken,
            "wrong": wrong,
            "exception": exception,
            "template": distinct(wrong_said, template),
            "timed": known,
            "duration": rounded(micros),
            "micros": pc.fill_null(pc.round(micros), 0.0).cast(pa.int64()),
            "method": columns["http.request.method"],
            "route": distinct(only(columns["url.path"], known), route),
            "deployed": deployed,
            "deployment": distinct(only(what, deployed), _start),
            "measured": pc.is_valid(pc.coalesce(*usages.values())),
            **usages,
            **{f"{name}_samples": pc.is_valid(values) for name, values in usages.items()},
        }
    )


def _exception(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    return distinct(texts, lambda each: pc.extract_regex(each, _EXCEPTION).field("exception"))


def _start(texts: pa.Array) -> pa.Array:
    return pc.utf8_slice_codeunits(texts, 0, _TEMPLATE_LENGTH)


_CLASS = ("service", "exception", "status", "template")
AREA = Area(
    {"@timestamp": TIME, "http.response.status_code": pa.int64()}
    | dict.fromkeys((*_SERVICES, *_TEXTS), pa.string())
    | dict.fromkeys(_NUMBERS, pa.float64()),
    {
        "service_hours": Question(("service", "hour"), where="served", sums=("wrong", "broken", "timed", "micros")),
        "durations": Question(("service", "duration"), where="timed"),
        "operations": Question(("service", "method", "route"), where="timed", sums=("micros",), maxs=("micros",)),
        "error_minutes": Question((*_CLASS, "minute"), where="wrong"),
        "deployments": Question(("service", "deployment", "minute"), where="deployed"),
        "resources": Question(
            ("host", "hour"),
            where="measured",
            sums=("cpu", "memory", "disk", "cpu_samples", "memory_samples", "disk_samples"),
            maxs=("cpu", "memory", "disk"),
        ),
    },
    _derive,
)
