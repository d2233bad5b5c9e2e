"""`detector rules explain`: why a rule matches a record, or does not."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from detector.cli.options import ConfigFile
from detector.cli.rule_files import logsource_of, parsers_of, rules_named, settings_of, shown

if TYPE_CHECKING:
    from detector.events import Event
    from detector.sigma.explanation import Explanation, Step
    from detector.sigma.rule import Rule


def explain(  # noqa: PLR0917 -- options of a command line, each by its name
    rule: Annotated[str, typer.Argument(metavar="RULE", help="A rule file, or key, id, name or title of a rule.")],
    record: Annotated[
        str,
        typer.Argument(metavar="RECORD", help="File of records, one a line, or of one JSON text; - is standard input."),
    ] = "-",
    form: Annotated[str, typer.Option("--format", help="Name of a parser, or auto.")] = "auto",
    logsource: Annotated[
        str | None,
        typer.Option("--logsource", help="What the topic of the records declares, as category/product/service."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, with all values.")] = False,
    config: ConfigFile = None,
) -> None:
    """Show which selections, fields and values of a rule match a record, and which do not, or why it does not run.

    The configured filters are part of the rule. Exit code 0: it matches one of the events; 1: it does not.
    """
    import orjson

    from detector.alerts.text import harmless_json, printable
    from detector.cli.explanation import text_of
    from detector.sigma.explanation import explain_rule
    from detector.sigma.lint import Surroundings
    from detector.sigma.testing import parse_records

    settings = settings_of(config)
    parsers = parsers_of(settings)
    parsed = parse_records(parsers, _records(record), form, logsource_of(logsource), settings.limits)
    around = Surroundings(parsers, settings.input.topics, settings.limits)
    found = [
        (each, [(event, explain_rule(each, event)) for event in parsed.events]) for each in rules_named(rule, settings)
    ]
    if as_json:
        failures = [
            {"record": failure.record + 1, "reason": failure.reason.value, "detail": failure.detail}
            for failure in parsed.failures
        ]
        plain = {"rules": [_plain(each, events) for each, events in found], "failures": failures}
        typer.echo(harmless_json(orjson.dumps(plain, default=str, option=orjson.OPT_INDENT_2)))
    else:
        for failure in parsed.failures:
            typer.echo(printable(f"record {failure.record + 1}: {failure.reason.value}: {failure.detail}"), err=True)
        for each, events in found:
            hint = "" if around.is_bound(each.logsource) else around.unbound(each.logsource)
            for line in text_of(each, events, hint, settings.output.min_level):
                print(printable(line))
    if not any(explanation.matches for _, events in found for _, explanation in events):
        raise typer.Exit(1)


def _records(name: str) -> list[bytes]:
    """The lines of a file, or its whole if that is one JSON text. Raises ConfigError."""
    import orjson

    from detector.errors import ConfigError

    try:
        text = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except OSError as error:
        raise ConfigError(f"{name}: cannot be read ({error.strerror}): name a file of records, or -") from None
    try:
        return [orjson.dumps(orjson.loads(text))]
    except orjson.JSONDecodeError:
        return [line for line in text.splitlines() if line.strip()]


def _plain(rule: Rule, events: list[tuple[Event, Explanation]]) -> dict[str, Any]:
    return {
        "key": rule.key,
        "title": rule.title,
        "path": rule.path,
        "level": rule.level.value,
        "logsource": shown(rule.logsource),
        "matches": any(explanation.matches for _, explanation in events),
        "events": [
            {
                "record": event.record + 1,
                "ordinal": event.ordinal,
                "format": event.format,
                "logsources": list(map(shown, explanation.logsources)),
                "runs": bool(explanation.through),
                "undeclared": explanation.undeclared,
                "missing": [{"field": field, "nearest": near} for field, near in explanation.missing],
                "matches": explanation.matches,
                "through": [
                    {"logsource": shown(each.logsource), "matches": each.matches, "tree": _tree(each.tree)}
                    for each in explanation.through
                ],
            }
            for event, explanation in events
        ],
    }


def _tree(step: Step) -> dict[str, Any]:
    tree: dict[str, Any] = {"kind": step.kind.value, "true": step.true}
    if step.selection is not None:
        tree["selection"] = step.selection
    if step.item is not None:
        tree.update({name: getattr(step.item, name) for name in step.item.__slots__})
    if step.parts:
        tree["parts"] = list(map(_tree, step.parts))
    return tree
