"""What the commands on rules share: settings, rules and parsers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from detector.config import Config
    from detector.parsing.registry import Parsers
    from detector.sigma.ruleset import RuleSet
    from detector.sigma.source import RuleSource

Paths = Annotated[
    list[Path] | None,
    typer.Argument(metavar="PATH", help="Rule files or folders; none: the built-in and the configured ones."),
]


def settings_of(config: Path | None) -> Config:
    """The settings. Raises ConfigError."""
    from detector.config_sources import load

    return load(config).config


def sources_of(paths: list[Path] | None, settings: Config) -> tuple[RuleSource, ...]:
    """The rule files at the paths; without any, the configured ones. Raises ConfigError."""
    from detector.resources import builtin
    from detector.sigma.source import read_sources

    configured = ([builtin("sigma")] if settings.rules.builtin else []) + list(settings.rules.paths)
    return read_sources(paths or configured, settings.limits)


def rules_of(sources: tuple[RuleSource, ...], settings: Config) -> RuleSet:
    """The rules in the files. Raises ConfigError."""
    from detector.sigma.loading import compile_rules
    from detector.sigma.source import read_values

    values = read_values(settings.rules.values_file, settings.limits)
    return compile_rules(sources, values=values, limits=settings.limits)


def parsers_of(settings: Config) -> Parsers:
    """The parsers; those that are left out are said on standard error. Raises ParserError."""
    from detector.alerts.text import printable
    from detector.parsing.registry import compile_parsers, read_sources

    parsers = compile_parsers(read_sources(settings.rules.parser_paths), limits=settings.limits)
    for error in parsers.errors:
        typer.echo(printable(f"parser left out: {error}"), err=True)
    return parsers
