"""Which metrics and labels a PromQL expression uses, found by its tokens.

The grammar of names is Prometheus' own: https://prometheus.io/docs/prometheus/latest/querying/basics/
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

_TOKEN = re.compile(
    r"""
      (?P<space>\s+|\#[^\n]*)
    | (?P<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`)
    | (?P<variable>\$\{[^}]*\}|\$[A-Za-z_]\w*)              # Grafana's, which stand for a value or a duration
    | (?P<number>0x[0-9a-fA-F]+|\d+(?:\.\d+)?(?:e[+-]?\d+)?(?:ms|[smhdwy])?(?:\d+(?:ms|[smhdwy]))*|\.\d+)
    | (?P<name>[A-Za-z_][A-Za-z0-9_:]*)
    | (?P<operator>=~|!~|==|!=|<=|>=|[-+*/%^<>=(){}\[\],@:])
    """,
    re.VERBOSE,
)
_LISTS = {"by", "without", "on", "ignoring", "group_left", "group_right"}
_WORDS = {"and", "or", "unless", "offset", "bool", "inf", "nan", "start", "end", *_LISTS}


@dataclass
class Used:
    """The metrics of an expression, the labels that their selectors match, and those that it groups by."""

    metrics: set[str] = field(default_factory=set)
    matched: list[tuple[str, str]] = field(default_factory=list)  # (metric, label)
    grouped: set[str] = field(default_factory=set)


def used(expression: str) -> Used:
    """Find what an expression uses; ValueError if it holds something that is no token."""
    found = Used()
    tokens = list(_tokens(expression))
    metric = ""
    place = 0
    while place < len(tokens):
        kind, text = tokens[place]
        after = tokens[place + 1][1] if place + 1 < len(tokens) else ""
        if kind == "name" and text.lower() in _LISTS and after == "(":
            place += 2
            while tokens[place][1] != ")":
                found.grouped |= {tokens[place][1]} - {","}
                place += 1
        elif text == "{":
            while tokens[place][1] != "}":
                place += 1
                if tokens[place][0] == "name":
                    found.matched.append((metric, tokens[place][1]))
        elif kind == "name" and after not in {"(", "by", "without"} and text.lower() not in _WORDS:
            metric = text
            found.metrics.add(text)
        place += 1
    return found


def _tokens(expression: str) -> Iterator[tuple[str, str]]:
    place = 0
    while place < len(expression):
        match = _TOKEN.match(expression, place)
        if not match:
            raise ValueError(f"no token at {expression[place:]!r}")
        if match.lastgroup != "space":
            yield str(match.lastgroup), match.group()
        place = match.end()
