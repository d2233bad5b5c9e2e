"""Questions about traffic, errors, log-ins and cloud calls."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from detector.analytics import samples, series
from detector.analytics.questions import TIME, Area, Question, matches, only, rounded, truth, within

_COLUMNS = {
    "@timestamp": TIME,
    "cloud.provider": pa.string(),
    "cloud.region": pa.string(),
    "error.code": pa.string(),
    "event.action": pa.string(),
    "event.category": pa.string(),
    "event.format": pa.string(),
    "event.outcome": pa.string(),
    "event.payload_bytes": pa.int64(),
    "http.request.method": pa.string(),
    "http.response.body.bytes": pa.int64(),
    "http.response.status_code": pa.int64(),
    "log.file.path": pa.string(),
    "source.ip": pa.string(),
    "url.path": pa.string(),
    "user.name": pa.string(),
    **series.COLUMNS,
}
LARGE_PAYLOAD = 1_000
"""Bytes beyond which a payload counts as large."""
_UNPARSED = "raw"
_LOGIN_PATHS = r"(?i)(?:^|/)(?:log-?in|sign-?in|auth|session|wp-login\.php|oauth/token)(?:[/.?]|$)"


def _derive(columns: pa.Table) -> pa.Table:
    status, size = columns["http.response.status_code"], columns["http.response.body.bytes"]
    client, server = within(status, 400, 500), within(status, 500, 600)
    outcome = truth(pc.equal(columns["event.outcome"], "failure"))
    authentication = truth(pc.equal(columns["event.category"], "authentication"))
    posted = truth(pc.equal(columns["http.request.method"], "POST"))
    login = pc.or_(authentication, pc.and_(posted, matches(only(columns["url.path"], posted), _LOGIN_PATHS)))
    web, cloud = pc.is_valid(status), pc.is_valid(columns["cloud.provider"])
    coded = pc.is_valid(columns["error.code"])
    failed = pc.or_(pc.or_(outcome, coded), pc.or_(client, server))
    payload, action = columns["event.payload_bytes"], columns["event.action"]
    given = {name: columns[name] for name in columns.column_names}
    derived = {
        "hour": pc.floor_temporal(columns["@timestamp"], unit="hour"),
        "web": web,
        "cloud": cloud,
        "client_error": client,
        "server_error": server,
        "failed": failed,
        "unparsed": truth(pc.equal(columns["event.format"], _UNPARSED)),
        "login": login,
        "login_failed": pc.and_(login, failed),
        "call_failed": pc.and_(cloud, coded),
        "console": truth(pc.equal(action, "ConsoleLogin")),
        "sized": pc.is_valid(size),
        "size": rounded(size),
        "bytes": pc.fill_null(size, 0),
        "paid": pc.is_valid(payload),
        "payload": pc.fill_null(payload, 0),
        "large": truth(pc.greater(payload, LARGE_PAYLOAD)),
        "push": matches(action, r"^(?:PushEvent|git\.push|push)$"),
        "pull_request": matches(action, r"^(?:PullRequest|pull_request)"),
    }
    return pa.table(given | derived | series.derived(given, derived))


AREA = Area(
    _COLUMNS,
    {
        "hours": Question(("hour",), sums=("failed", "client_error", "server_error", "bytes", "push", "pull_request")),
        "sources": Question(("log.file.path", "event.format"), sums=("unparsed",)),
        "types": Question(("event.format", "event.action"), sums=("failed", "bytes")),
        "payloads": Question(("event.action",), where="paid", sums=("payload", "large"), maxs=("payload",)),
        "requests": Question(("http.request.method", "http.response.status_code"), where="web", sums=("bytes",)),
        "paths": Question(("url.path",), where="web", sums=("failed", "bytes")),
        "addresses": Question(("source.ip",), sums=("failed", "bytes")),
        "errors": Question(("event.format", "http.response.status_code", "error.code", "event.action"), where="failed"),
        "logins": Question(("source.ip",), where="login", sums=("login_failed",)),
        "regions": Question(("cloud.region",), where="cloud", sums=("failed",)),
        "calls_failed": Question(("event.action", "error.code", "user.name", "source.ip"), where="call_failed"),
        "console": Question(("source.ip", "user.name", "event.outcome"), where="console"),
        "sizes": Question(("size",), where="sized"),
        **series.QUESTIONS,
        samples.NAME: samples.QUESTION,
    },
    _derive,
)
