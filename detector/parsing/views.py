"""Rows that reports and notebooks read: the columns of web, GitHub and CloudTrail events by plain names.

Each is computed from an event's ECS fields, and from its own fields where ECS has no name for them.
"""

from __future__ import annotations

from datetime import UTC, datetime

import orjson

from detector.events import Event, JsonValue
from detector.parsing.mapping import MISSING, finder

Row = dict[str, JsonValue]

_API = frozenset(("api", "graphql", "rest", "rpc", "jsonrpc", "webhooks", "webhook"))
_LOGIN_NAMES = (
    "login signin sign-in sign_in logon log-in auth authenticate authentication oauth oauth2 sso saml session sessions "
    "token wp-login xmlrpc password passwd reset-password forgot-password 2fa mfa otp j_security_check"
)
_ADMIN_NAMES = (
    "admin administrator administration wp-admin phpmyadmin pma adminer manager console cpanel webadmin siteadmin "
    "backend actuator jenkins solr server-status"
)
_LOGIN = frozenset(_LOGIN_NAMES.split())
_ADMIN = frozenset(_ADMIN_NAMES.split())
_WEB_ERROR = 400
_SERVER_ERROR = 500


def web_row(event: Event) -> Row | None:
    """A request: ip_address, timestamp, method, url, protocol, status_code, response_size, the classes of its status
    and of its endpoint, hour (UTC), log_source. None for what is none.
    """
    ecs = event.ecs
    url = ecs.get("url.original") or ecs.get("url.path")
    status = ecs.get("http.response.status_code")
    if not isinstance(url, str) or ("http.request.method" not in ecs and status is None):
        return None
    code = status if isinstance(status, int) else 0
    path = next((ecs[name] for name in _PATHS if isinstance(ecs.get(name), str)), url)
    classes = endpoint_classes(path)
    return {
        "ip_address": ecs.get("source.ip") or ecs.get("source.address"),
        "timestamp": ecs.get("@timestamp"),
        "method": ecs.get("http.request.method"),
        "url": url,
        "protocol": ecs.get("http.request.protocol"),
        "status_code": status,
        "response_size": ecs.get("http.response.body.bytes", ecs.get("http.response.bytes")),
        "is_error": code >= _WEB_ERROR,
        "is_client_error": _WEB_ERROR <= code < _SERVER_ERROR,
        "is_server_error": code >= _SERVER_ERROR,
        **classes,
        "hour": None if event.time_us is None else datetime.fromtimestamp(event.time_us / 1e6, UTC).hour,
        "log_source": event.format,
    }


_PATHS = ("url.path_normalized_decoded", "url.path_decoded", "url.path_normalized", "url.path")


def endpoint_classes(path: str) -> dict[str, bool]:
    """What a path is for, by its segments without endings: `/API/v2/users` is an API, `/wp-login.php` a login."""
    segments = {segment.partition(".")[0] for segment in path.partition("?")[0].lower().split("/")}
    login = not segments.isdisjoint(_LOGIN)
    admin = not segments.isdisjoint(_ADMIN)
    return {
        "is_api_endpoint": not segments.isdisjoint(_API) or any(_is_version(each) for each in segments),
        "is_login_endpoint": login,
        "is_admin_endpoint": admin,
        "is_security_endpoint": login or admin,
    }


def _is_version(segment: str) -> bool:
    return segment[:1] == "v" and segment[1:].isdigit() and len(segment) <= 4


def github_row(event: Event) -> Row | None:
    """An event of GitHub: event_id, event_type, user, repo, public, payload_size (bytes of its JSON), is_push, is_pr,
    is_issue. None for what is none.
    """
    if not event.format.startswith("github"):
        return None
    kind = str(_raw(event, "type") or event.ecs.get("event.action") or "")
    payload = _raw(event, "payload")
    return {
        "event_id": event.ecs.get("event.id"),
        "event_type": kind or None,
        "user": event.ecs.get("user.name"),
        "repo": event.ecs.get("github.repo"),
        "public": _raw(event, "public"),
        "payload_size": 0 if payload is None else len(orjson.dumps(payload)),
        "is_push": kind in ("PushEvent", "git.push", "push"),
        "is_pr": kind.startswith(("PullRequest", "pull_request")),
        "is_issue": kind.startswith(("Issue", "issue")),
    }


def cloudtrail_row(event: Event) -> Row | None:
    """An event of CloudTrail: event_time, event_name, event_source, user_identity (name), source_ip, user_agent,
    aws_region, is_console_login, is_api_call, is_error. None for what is none.
    """
    if event.format != "aws_cloudtrail":
        return None
    ecs = event.ecs
    return {
        "event_time": ecs.get("@timestamp"),
        "event_name": ecs.get("event.action"),
        "event_source": ecs.get("event.provider"),
        "user_identity": ecs.get("user.name"),
        "source_ip": ecs.get("source.ip") or ecs.get("source.address"),
        "user_agent": ecs.get("user_agent.original"),
        "aws_region": ecs.get("cloud.region"),
        "is_console_login": ecs.get("event.action") == "ConsoleLogin",
        "is_api_call": _raw(event, "eventType") in (None, "AwsApiCall"),
        "is_error": ecs.get("event.outcome") == "failure",
    }


def _raw(event: Event, path: str) -> JsonValue:
    value = finder(path)(event.raw)
    return None if value is MISSING else value
