"""`docs/rule-checks.md`, from the table of checks."""

from __future__ import annotations

from detector.sigma.lint import CHECKS
from tests.docs.markdown import generated, table

_HEAD = """# Checks of rules

What `detector rules check` looks for. Codes stay what they are; new ones may come. A rule with an error of `S0xx` is
not loaded, the others are; everything else runs as it is written. Exit code 1: something is an error.

    detector rules check [PATH...]          one finding a line: file:line, severity, code, message, what to do
    detector rules check --json [PATH...]   one object: files, rules, error, warning, info, findings

Which fields a log source has is known from the parsers' definitions and their samples. Where records are JSON, they
may bring fields that nobody has named: there, only names are reported that are a slip away from a known one. Log
sources that no parser knows are not judged. `detector rules bench` measures what `S206`, `S207` and `S306` cost.
"""


def page() -> str:
    """The whole page."""
    rows = [
        [f"`{code}`", check.severity.value, check.title, "" if code < "S1" else check.advice]
        for code, check in CHECKS.items()
    ]
    return "\n".join([generated("detector/sigma/lint/findings.py"), _HEAD, table(_COLUMNS, rows)]) + "\n"


_COLUMNS = ("code", "severity", "what is wrong", "what to do")
