"""What the commands on rules share: settings, rules and parsers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from detector.errors import ConfigError, RuleError
from detector.events import LogSource

if TYPE_CHECKING:
    from detector.config import Config
    from detector.parsing.registry import Parsers
    from detector.sigma.rule import Rule
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


def rules_named(name: str, settings: Config) -> tuple[Rule, ...]:
    """The rules of a file, or of a key, id, name or title among the configured ones; with the configured filters.

    Raises RuleError where there are none, and ConfigError.
    """
    from detector.alerts.text import printable

    configured = sources_of(None, settings)
    path = Path(name)
    if path.is_file():
        sources = sources_of([path], settings)
        asked = {source.path for source in sources}
        sources += tuple(each for each in configured if _has_filter(each) and not path.samefile(each.path))
        rules = rules_of(sources, settings)
        found = [rule for rule in rules.rules if rule.path in asked]
        refused = [error for error in rules.refused if error.where.rpartition(":")[0] in asked]
    else:
        wanted = name.casefold()
        rules = rules_of(configured, settings)
        refused = []
        found = [rule for rule in rules.rules if wanted in _names(rule)]
    if refused and not found:
        raise refused[0]
    for error in refused:
        typer.echo(printable(f"cannot be loaded: {error}"), err=True)
    if not found:
        raise RuleError("neither a rule file, nor the key, id, name or title of a configured rule", where=name)
    return tuple(found)


def _has_filter(source: RuleSource) -> bool:
    """Whether a filter may be in it; many rules have selections of that name, but not at the beginning of a line."""
    beginnings = (b"filter", b'"filter"', b"'filter'", b"{")
    return b"filter" in source.text and any(line.startswith(beginnings) for line in source.text.splitlines())


def _names(rule: Rule) -> set[str]:
    return {each.casefold() for each in (rule.key, rule.id, rule.name, rule.title) if each}


def logsource_of(text: str | None) -> LogSource | None:
    """The log source written as `category/product/service`, `-` for none. Raises ConfigError."""
    if text is None:
        return None
    parts = [part if part not in ("", "-") else None for part in text.lower().split("/")]
    if len(parts) > 3 or not any(parts):
        raise ConfigError(f"{text}: write a log source as category/product/service, such as webserver/-/-")
    return LogSource(*parts)


def shown(logsource: LogSource) -> str:
    """A log source as `logsource_of` takes it."""
    return "/".join(part or "-" for part in (logsource.category, logsource.product, logsource.service))


def sources_of(paths: list[Path] | None, settings: Config) -> tuple[RuleSource, ...]:
    """The rule files at the paths; without any, the configured ones. Raises ConfigError."""
    from detector.resources import builtin
    from detector.sigma.source import read_sources

    own = [builtin(folder) for folder in ("sigma", "correlations", "anomalies")] if settings.rules.builtin else []
    configured = own + list(settings.rules.paths)
    return read_sources(paths or configured, settings.limits)


def rules_of(sources: tuple[RuleSource, ...], settings: Config) -> RuleSet:
    """The rules in the files. Raises ConfigError, and RuleError for a pipeline that cannot be used."""
    from detector.sigma.loading import compile_rules
    from detector.sigma.source import read_pipelines, read_values

    values = read_values(settings.rules.values_file, settings.limits)
    pipelines = read_pipelines(settings.rules.pipelines, settings.limits)
    return compile_rules(sources, values=values, limits=settings.limits, pipelines=pipelines)


def parsers_of(settings: Config) -> Parsers:
    """The parsers; those that are left out are said on standard error. Raises ParserError."""
    from detector.alerts.text import printable
    from detector.parsing.registry import compile_parsers, read_sources

    parsers = compile_parsers(read_sources(settings.rules.parser_paths), limits=settings.limits)
    for error in parsers.errors:
        typer.echo(printable(f"parser left out: {error}"), err=True)
    return parsers
