"""A lake's worth of events for the pages: every area has something to draw, and strangers try to break out of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa

from detector.analytics import alerts
from detector.analytics.tables import tables
from detector.analytics.totals import Totals, partials
from tests.analytics import KINDS

ATTACKS = (
    "<script>window.broken = 1</script>",
    "</script><script>window.broken = 2</script>",
    "<img src=x onerror='window.broken = 3'>",
    '"><svg onload="window.broken = 4">',
    '<a href="javascript:window.broken = 5">click</a>',
    "<!-- <script>",
    "a\u202egnp.exe",
    "\x1b[2J\x00\x9b",
    "$bad %{y} &lt;b&gt;",
    "javascript:window.broken = 6",
    "=cmd|' /C calc'!A0",
)
"""Texts of attackers; each is shown and does nothing."""
START = datetime(2026, 11, 20, tzinfo=UTC)


def events(count: int = 3_000) -> list[dict[str, Any]]:
    """Events of four days: web requests, log-ins, a cloud's calls, a firewall's, a shop's …; some by attackers."""
    return [_event(number) for number in range(count)] + [_other(number) for number in range(count // 5)]


def _other(number: int) -> dict[str, Any]:
    """Of a shop, a repository, the metrics of a host, and a deployment that fails."""
    moment = START + timedelta(hours=(number * 7) % 96, minutes=number % 60)
    common: dict[str, Any] = {"@timestamp": moment, "log.file.path": "/logs/app.log", "log.offset": number}
    if number == 5:
        return common | {"event.format": "app", "event.action": "deployment", "service.name": "pay", "message": "v2"}
    kind = number % 4
    if kind == 0:
        step = ("view", "view", "search", "add_to_cart", "view", "checkout", "purchase")[number // 4 % 7]
        return common | {
            "event.format": "shop",
            "event.action": step,
            "event.payload_bytes": 400 + number * 3,
            "session.id": f"s{number // 40}",
            "customer.segment": ("new", "returning", ATTACKS[2])[number // 40 % 3],
            "order.value": 40.0 if step == "purchase" else None,
            "search.query": (ATTACKS[3] if number % 3 else "red shoes") if step == "search" else None,
            "search.results": number % 2 if step == "search" else None,
        }
    if kind == 1:
        action = ("PushEvent", "PullRequestEvent")[number // 4 % 2]
        return common | {
            "event.format": "github",
            "event.action": action,
            "event.payload_bytes": 2_000,
            "user.name": "ada",
        }
    if kind == 2:
        return common | {
            "event.format": "metrics",
            "event.kind": "metric",
            "host.name": f"web-{number // 4 % 2}",
            "host.cpu.usage": 0.2 + 0.1 * (number % 7) / 7,
            "host.memory.usage": 0.4 + number / 4_000,
        }
    return common | {
        "event.format": "app",
        "service.name": "pay",
        "log.level": "error",
        "error.type": "TimeoutError",
        "message": f"TimeoutError: no answer from 10.0.0.{number % 9} after {number} ms {ATTACKS[0]}",
    }


def _event(number: int) -> dict[str, Any]:
    day, rest = divmod(number * 7_919, 24)
    moment = START + timedelta(hours=(number * 97) % 96, minutes=rest, seconds=day % 60)
    common: dict[str, Any] = {"@timestamp": moment, "log.file.path": f"/logs/{number % 3}.log", "log.offset": number}
    kind = number % 10
    if kind < 6:
        status = (200, 200, 200, 200, 304, 404, 200, 500, 200, 403)[number // 10 % 10]
        return common | {
            "event.format": "nginx_access",
            "source.ip": f"203.0.113.{number % 40}",
            "source.geo.country_iso_code": ("DE", "US", "BR", "SG", "XX")[number % 5],
            "http.request.method": "GET" if number % 7 else "POST",
            "http.response.status_code": status,
            "http.response.body.bytes": 300 + number,
            "url.path": ATTACKS[number // 6 % len(ATTACKS)] if number % 6 == 0 else f"/page/{number % 9}",
            "event.duration": 0.01 * (1 + number % 50),
            "service.name": ("shop", "search", ATTACKS[0], "pay")[number // 3 % 4],
            "host.name": f"web-{number % 4}",
        }
    if kind < 8:
        return common | {
            "event.format": "sshd",
            "event.category": "authentication",
            "event.action": ATTACKS[number % len(ATTACKS)],
            "event.outcome": "failure" if number % 4 else "success",
            "source.ip": f"198.51.100.{number % 5}",
            "user.name": ATTACKS[number % len(ATTACKS)],
            "host.name": "bastion",
            "log.level": ("info", "warning", "error", "critical")[number // 10 % 4],
        }
    if kind == 8:
        return common | {
            "event.format": "aws_cloudtrail",
            "cloud.provider": "aws",
            "cloud.region": ("eu-west-1", "us-east-1", ATTACKS[1])[number // 10 % 3],
            "event.action": ("ConsoleLogin", "GetObject", "AssumeRole")[number // 10 % 3],
            "error.code": "AccessDenied" if number % 4 == 0 else None,
            "source.ip": "192.0.2.9",
            "user.name": "ada",
        }
    return common | {
        "event.format": "cisco_asa",
        "source.ip": f"192.0.2.{number // 1_000 % 2}",
        "destination.ip": f"10.0.0.{number % 3}",
        "destination.port": (22, 23, 80, 443, 445, 3389, 8080, 3306, 5432, 6379, 21, 25)[number // 10 % 12],
    }


def lake(rows: list[dict[str, Any]]) -> pa.Table:
    """Events as the lake has them."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    return pa.table({name: pa.array([row.get(name) for row in rows], KINDS.get(name, pa.string())) for name in names})


def found_alerts(count: int = 200) -> pa.Table:
    """Alerts of some rules, one of which has a name that tries to break out."""
    rules = (
        ("SSH brute force", "high", 4, ["credential-access"], ["T1110"]),
        (ATTACKS[0], "critical", 5, ["initial-access", "exfiltration"], ["T1190"]),
        ("Port scan", "medium", 3, ["reconnaissance", "discovery"], ["T1046", "T1595"]),
        ("Web shell", "low", 2, ["persistence"], ["T1505.003"]),
    )
    rows = []
    for number in range(count):
        rule, level, severity, tactics, techniques = rules[number % 7 % 4]
        source = (f"203.0.113.{number % 40}", f"198.51.100.{number % 5}", "192.0.2.0")[number % 3]
        rows.append(
            {
                "rule": rule,
                "level": level,
                "severity": severity,
                "tactics": tactics,
                "techniques": techniques,
                "entity": source,
                "time": START + timedelta(minutes=number * 29),
            }
        )
    return pa.Table.from_pylist(rows, alerts.SCHEMA)


def made(rows: list[dict[str, Any]], found: pa.Table) -> dict[str, pa.Table]:
    """The result tables of events and alerts."""
    totals = Totals()
    for name, part in partials(lake(rows) if rows else pa.table({})).items():
        totals.add(name, part)
    return tables(totals, found)
