"""`detector rules list`: which rules there are, and what they run on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from detector.cli.options import ConfigFile
from detector.cli.rule_files import Paths, parsers_of, rules_of, settings_of, shown, sources_of

if TYPE_CHECKING:
    from detector.events import LogSource
    from detector.sigma.rule import Rule


def list_rules(  # noqa: PLR0917 -- options of a command line, each by its name
    paths: Paths = None,
    logsource: Annotated[
        str | None,
        typer.Option(help="Only rules of this log source: a part (windows), or category/product/service (-/linux/-)."),
    ] = None,
    level: Annotated[
        list[str] | None, typer.Option(help="Only rules of this level (informational to critical); several add up.")
    ] = None,
    technique: Annotated[
        str | None, typer.Option(help="Only rules for this ATT&CK technique or its sub-techniques, as T1059.")
    ] = None,
    bound: Annotated[
        bool | None,
        typer.Option("--bound/--unbound", help="Only rules that run on events of a configured format, or on none."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    config: ConfigFile = None,
) -> None:
    """Print level, log source, ATT&CK techniques, title and key of each rule, and what cannot be loaded."""
    import orjson

    from detector.alerts.text import harmless_json, printable
    from detector.config import Level
    from detector.errors import ConfigError
    from detector.sigma.lint import Surroundings

    for named in level or ():
        if named not in set(Level):
            raise ConfigError(f"--level {named}: there are {', '.join(Level)}")
    settings = settings_of(config)
    rules = rules_of(sources_of(paths, settings), settings)
    around = Surroundings(parsers_of(settings), settings.input.topics, settings.limits)
    found = [
        rule
        for rule in sorted(rules.rules, key=lambda rule: (repr(rule.logsource), -rule.level.severity, rule.title))
        if (logsource is None or _is_of(rule.logsource, logsource.lower().split("/")))
        and (not level or rule.level in level)
        and (technique is None or _is_for(rule.techniques, technique.upper()))
        and (bound is None or around.is_bound(rule.logsource) == bound)
    ]
    if as_json:
        plain = {
            "rules": [_plain(rule, bound=around.is_bound(rule.logsource)) for rule in found],
            "refused": [
                {"where": error.where, "code": error.code, "message": error.message} for error in rules.refused
            ],
        }
        typer.echo(harmless_json(orjson.dumps(plain, option=orjson.OPT_INDENT_2)))
    else:
        for rule in found:
            columns = f"{rule.level.value:13} {shown(rule.logsource):28} {','.join(rule.techniques) or '-':22}"
            print(printable(f"{columns} {rule.title}  [{rule.key}]"))
        if logsource is None and bound is not False:
            for each in rules.correlations:
                about = each.about
                if (not level or about.level in level) and (
                    technique is None or _is_for(about.techniques, technique.upper())
                ):
                    columns = f"{about.level.value:13} {each.kind.value:28} {','.join(about.techniques) or '-':22}"
                    print(printable(f"{columns} {about.title}  [{about.key}]"))
        for error in rules.refused:
            typer.echo(printable(f"cannot be loaded: {error}"), err=True)
    if rules.refused:
        raise typer.Exit(rules.refused[0].exit_code)


def _is_of(rule: LogSource, wanted: Sequence[str]) -> bool:
    """Whether one part, or each of several, is what is wanted; `-` takes anything."""
    parts = (rule.category, rule.product, rule.service)
    if len(wanted) == 1:
        return wanted[0] in parts
    return len(wanted) <= len(parts) and all(each in ("", "-", part) for each, part in zip(wanted, parts, strict=False))


def _is_for(techniques: Sequence[str], wanted: str) -> bool:
    return any(each == wanted or each.startswith(f"{wanted}.") for each in techniques)


def _plain(rule: Rule, *, bound: bool) -> dict[str, Any]:
    return {
        "key": rule.key,
        "title": rule.title,
        "level": rule.level.value,
        "status": rule.status,
        "category": rule.logsource.category,
        "product": rule.logsource.product,
        "service": rule.logsource.service,
        "bound": bound,
        "techniques": rule.techniques,
        "tactics": rule.tactics,
        "path": rule.path,
        "document": rule.document,
    }
