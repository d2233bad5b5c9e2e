"""A rule, a match and an event to make alerts of: the example of `docs/alert-schema.md`, and variations of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from detector.alerts.encoding import encode
from detector.config import Level, Limits
from detector.events import Binding, Event, LogSource
from detector.sigma.nodes import Leaf, Text, Wildcard
from detector.sigma.reference import Evidence
from detector.sigma.rule import Match, Rule
from detector.window import Message

WEB = LogSource("webserver", "apache", None)

RULE = Rule(
    key="5f7e1d3a-9f6c-4f0e-8a55-0d2a2f6f1b11",
    id="5f7e1d3a-9f6c-4f0e-8a55-0d2a2f6f1b11",
    name=None,
    title="SQL Injection in a Query String",
    level=Level.HIGH,
    status="stable",
    description="A query string holds the start of a UNION SELECT, as tools that probe for SQL injection send it.",
    author="detector",
    date="2026-01-15",
    modified=None,
    tags=("attack.initial-access", "attack.t1190"),
    techniques=("T1190",),
    tactics=("initial-access",),
    references=("https://owasp.org/www-community/attacks/SQL_Injection",),
    falsepositives=("Texts about SQL in a search field.",),
    fields=(),
    logsource=LogSource("webserver", None, None),
    entity=None,
    path="web_sql_injection.yml",
    document=1,
    condition=Leaf("cs-uri-query", Text((Wildcard.ANY, "union select", Wildcard.ANY))),
)

LINE = b'203.0.113.9 - - [15/May/2026:12:00:00 +0000] "GET /items?id=1%20UNION%20SELECT HTTP/1.1" 200 512 "-" "curl/8"'

EVENT = Event(
    record=0,
    ordinal=0,
    raw={"clientip": "203.0.113.9", "request": "/items?id=1%20UNION%20SELECT"},
    ecs={
        "@timestamp": "2026-05-15T12:00:00.000000Z",
        "source.ip": "203.0.113.9",
        "http.request.method": "GET",
        "url.path": "/items",
        "url.query": "id=1%20UNION%20SELECT",
        "http.response.status_code": 200,
        "http.response.body.bytes": 512,
        "user_agent.original": "curl/8",
    },
    original=LINE,
    format="apache",
    bindings=(Binding(WEB),),
    time_us=1_778_846_400_000_000,
    text=True,
)

MATCH = Match(
    evidence=(
        Evidence(
            field="cs-uri-query",
            value="id=1 UNION SELECT",
            modifiers="contains",
            pattern="*union select*",
            selection="selection",
        ),
    ),
    logsource=WEB,
    entity=None,
)


def alert_message(
    rule: Rule = RULE, match: Match = MATCH, event: Event = EVENT, limits: Limits | None = None, **changes: Any
) -> Message:
    """The alert of these, from a record in topic web."""
    arguments: dict[str, Any] = {
        "topic": "web",
        "partition": 3,
        "offset": 41,
        "timestamp_ms": 1_778_846_400_250,
        "ruleset_sha": "8c1f0b5f3a7d2e94",
        "detected_at_us": 1_778_846_400_281_500,
    }
    return encode(rule, match, event, limits=limits or Limits(), **(arguments | changes))


def rule(**changes: Any) -> Rule:
    """The sample rule with other fields."""
    return replace(RULE, **changes)


def event(**changes: Any) -> Event:
    """The sample event with other fields."""
    return replace(EVENT, **changes)


def evidence(*values: Any, pattern: str = "p") -> Match:
    """A match with these values as evidence."""
    return Match(tuple(Evidence("f", value, "", pattern, "selection") for value in values), WEB, None)
