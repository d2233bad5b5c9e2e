"""`detector rules`: test the rules, and list them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from detector.cli.options import ConfigFile

if TYPE_CHECKING:
    from detector.config import Config
    from detector.sigma.ruleset import RuleSet

app = typer.Typer(help="Test and list the rules.", no_args_is_help=True, rich_markup_mode=None)

Paths = Annotated[
    list[Path] | None,
    typer.Argument(metavar="PATH", help="Rule files or folders; none: the built-in and the configured ones."),
]


@app.command(name="test")
def run(paths: Paths = None, config: ConfigFile = None) -> None:
    """Run the records in `RULE.test.yml` beside each rule through the parsers and the rule."""
    from detector.alerts.text import printable
    from detector.parsing.registry import compile_parsers, read_sources
    from detector.sigma.testing import run_tests

    settings = _settings(config)
    rules = _load(paths, settings)
    parsers = compile_parsers(read_sources(settings.rules.parser_paths), limits=settings.limits)
    for error in parsers.errors:
        typer.echo(printable(f"parser left out: {error}"), err=True)
    samples, failures = run_tests(rules, parsers, settings.limits)
    for failure in failures:
        print(printable(f"FAILED {failure.where}: {f'{failure.rule}: ' if failure.rule else ''}{failure.message}"))
    print(f"{len(rules.rules)} rules, {samples} samples, {len(failures)} failures")
    if failures:
        raise typer.Exit(1)


@app.command(name="list")
def list_rules(paths: Paths = None, config: ConfigFile = None) -> None:
    """Print level, log source, ATT&CK techniques, title and key of each rule, and what cannot be loaded."""
    from detector.alerts.text import printable

    rules = _load(paths, _settings(config))
    for rule in sorted(rules.rules, key=lambda rule: (repr(rule.logsource), -rule.level.severity, rule.title)):
        logsource = "/".join(
            part or "-" for part in (rule.logsource.category, rule.logsource.product, rule.logsource.service)
        )
        techniques = ",".join(rule.techniques) or "-"
        print(printable(f"{rule.level.value:13} {logsource:28} {techniques:22} {rule.title}  [{rule.key}]"))
    for error in rules.refused:
        typer.echo(printable(f"cannot be loaded: {error}"), err=True)
    if rules.refused:
        raise typer.Exit(rules.refused[0].exit_code)


def _settings(config: Path | None) -> Config:
    from detector.config_sources import load

    return load(config).config


def _load(paths: list[Path] | None, settings: Config) -> RuleSet:
    from detector.resources import builtin
    from detector.sigma.loading import compile_rules
    from detector.sigma.source import read_sources, read_values

    configured = ([builtin("sigma")] if settings.rules.builtin else []) + list(settings.rules.paths)
    sources = read_sources(paths or configured, settings.limits)
    return compile_rules(
        sources, values=read_values(settings.rules.values_file, settings.limits), limits=settings.limits
    )
