"""`detector rules bench`: what each rule costs, and why."""

from __future__ import annotations

import time
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from detector.cli.options import ConfigFile
from detector.cli.rule_files import logsource_of, parsers_of, rules_of, settings_of, shown, sources_of

if TYPE_CHECKING:
    from detector.sigma.benching import RuleCost

MAX_RECORDS = 50_000
"""Records that are measured on."""


def bench(  # noqa: PLR0917 -- options of a command line, each by its name
    path: Annotated[Path, typer.Argument(metavar="PATH", help="A rule file, or a folder of rules.")],
    records: Annotated[
        Path,
        typer.Argument(metavar="RECORDS", help=f"File of records, one a line; the first {MAX_RECORDS:,} are used."),
    ],
    form: Annotated[str, typer.Option("--format", help="Name of a parser, or auto.")] = "auto",
    logsource: Annotated[
        str | None,
        typer.Option("--logsource", help="What the topic of the records declares, as category/product/service."),
    ] = None,
    top: Annotated[int, typer.Option(min=1, help="Rules to show, the dearest first.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, with all rules.")] = False,
    config: ConfigFile = None,
) -> None:
    """Measure what each rule costs on some records: how often it runs, how long that takes, and why.

    A rule runs on an event if one of its texts is in it. Rules that have no such text run on each event.
    """
    import orjson

    from detector.alerts.text import harmless_json, printable
    from detector.errors import ConfigError
    from detector.sigma.benching import rule_costs
    from detector.sigma.testing import parse_records

    settings = settings_of(config)
    rules = rules_of(sources_of([path], settings), settings)
    for error in rules.refused:
        typer.echo(printable(f"cannot be loaded: {error}"), err=True)
    try:
        with records.open("rb") as file:
            lines = [line.rstrip(b"\r\n") for line in islice(file, MAX_RECORDS)]
    except OSError as error:
        raise ConfigError(f"{records}: cannot be read ({error.strerror}): name a file of records") from None
    parsers = parsers_of(settings)
    started = time.perf_counter()
    parsed = parse_records(parsers, lines, form, logsource_of(logsource), settings.limits)
    parse_seconds = time.perf_counter() - started
    found = rule_costs(rules, parsed.events)
    summary = {
        "records": len(lines),
        "events": len(parsed.events),
        "rules": len(rules.rules),
        "bound": len(found.costs),
        "parse_seconds": parse_seconds,
        "detect_seconds": found.seconds,
    }
    if as_json:
        plain = {**summary, "costs": [_plain(each) for each in found.costs]}
        typer.echo(harmless_json(orjson.dumps(plain, option=orjson.OPT_INDENT_2)))
        return
    bound = f"{len(found.costs)} of {len(rules.rules)} rules are for them"
    print(f"{len(lines):,} records, {len(parsed.events):,} events; {bound}")
    detect, parse = _rate(len(parsed.events), found.seconds), _rate(len(lines), parse_seconds)
    print(f"all rules together: {detect} events/s; the parsers: {parse} records/s")
    ran = [each for each in found.costs if each.runs]
    total = sum(each.seconds for each in ran) or 1.0
    if ran:
        print(" cost  ns/event   runs on  matches  rule")
    for each in ran[:top]:
        columns = f"{each.seconds / total:5.1%} {each.nanoseconds:9.1f} {each.runs / each.events:9.2%} {each.matches:8}"
        print(printable(f"{columns}  {each.rule.title}  {each.rule.path}"))
        for reason in each.reasons:
            print(printable(f"{'':36}{reason}"))
    rest = ran[top:]
    if rest:
        print(f"{sum(each.seconds for each in rest) / total:5.1%}{'':31}the next {len(rest)} together")
    if len(ran) < len(found.costs):
        print(f"{'':36}{len(found.costs) - len(ran)} rules ran on no event: none has their texts")


def _rate(count: int, seconds: float) -> str:
    return f"{count / max(seconds, 1e-9):,.0f}"


def _plain(each: RuleCost) -> dict[str, Any]:
    return {
        "key": each.rule.key,
        "title": each.rule.title,
        "path": each.rule.path,
        "logsource": shown(each.rule.logsource),
        "events": each.events,
        "runs": each.runs,
        "matches": each.matches,
        "nanoseconds_per_event": each.nanoseconds,
        "texts": each.cost.texts,
        "regexes": each.cost.regexes,
        "plain": each.cost.plain,
        "witness": None if each.cost.witness is None else [text.decode(errors="replace") for text in each.cost.witness],
        "reasons": each.reasons,
    }
