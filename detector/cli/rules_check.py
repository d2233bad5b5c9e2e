"""`detector rules check`: what is wrong with rules, before they run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from detector.cli.options import ConfigFile
from detector.cli.rule_files import Paths, parsers_of, settings_of, sources_of

if TYPE_CHECKING:
    from detector.sigma.lint import Finding


def check(
    paths: Paths = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, for a build.")] = False,
    config: ConfigFile = None,
) -> None:
    """Look for mistakes in rules: what cannot be loaded, can never match, runs on nothing, or is slow.

    Each finding has file, line, severity, a code of docs/rule-checks.md, and what to do. Exit code 1: one of them is
    an error; 0: none is, there may be warnings.
    """
    import orjson

    from detector.alerts.text import harmless_json, printable
    from detector.sigma.lint import Severity, Surroundings, check_rules
    from detector.sigma.source import read_pipelines, read_values

    settings = settings_of(config)
    sources = sources_of(paths, settings)
    surroundings = Surroundings(parsers_of(settings), settings.input.topics, settings.limits)
    values = read_values(settings.rules.values_file, settings.limits)
    pipelines = read_pipelines(settings.rules.pipelines, settings.limits)
    report = check_rules(sources, values=values, limits=settings.limits, surroundings=surroundings, pipelines=pipelines)
    counts = {severity.value: report.count(severity) for severity in Severity}
    if as_json:
        summary = {"files": len(sources), "rules": report.rules, **counts}
        encoded = orjson.dumps({**summary, "findings": list(map(_plain, report.findings))}, option=orjson.OPT_INDENT_2)
        typer.echo(harmless_json(encoded))
    else:
        for finding in report.findings:
            place = f"{finding.path}:{finding.line}" if finding.line else finding.path
            text = f"{place}: {finding.severity.value} {finding.code}: {finding.message}"
            print(printable(f"{text}. {finding.advice}" if finding.advice else text))
        found = ", ".join(f"{count} {severity}" for severity, count in counts.items())
        print(f"{len(sources)} files, {report.rules} rules: {found}")
    if counts["error"]:
        raise typer.Exit(1)


def _plain(finding: Finding) -> dict[str, Any]:
    return {
        "path": _valid(finding.path),
        "line": finding.line,
        "code": finding.code,
        "severity": finding.severity.value,
        "message": _valid(finding.message),
        "fix": _valid(finding.advice),
        "rule": _valid(finding.rule),
    }


def _valid(text: str) -> str:
    """The text without what has no form in UTF-8: halves of surrogates."""
    return text.encode(errors="replace").decode()
