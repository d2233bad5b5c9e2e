"""`detector alerts`: watch the alert topic."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from detector.cli.options import ConfigFile

if TYPE_CHECKING:  # they would make help wait
    from detector.alerts.follow import Start
    from detector.config import Output

# As `detector.config.Level`, whose import would make help wait for pydantic.
LevelName = Literal["informational", "low", "medium", "high", "critical"]

_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


def alerts(
    *,
    config: ConfigFile = None,
    level: Annotated[
        LevelName | None,
        typer.Option(metavar="LEVEL", help="Only alerts of this level (informational to critical) and above."),
    ] = None,
    rule: Annotated[
        str | None, typer.Option(help="Only alerts of the rule with this id, or with this in its title.")
    ] = None,
    entity: Annotated[
        str | None, typer.Option(metavar="VALUE", help="Only alerts about this address, user or host.")
    ] = None,
    from_beginning: Annotated[bool, typer.Option("--from-beginning", help="Begin with the oldest alert.")] = False,
    since: Annotated[
        str | None, typer.Option(metavar="TIME", help="Begin at this time: 90s, 15m, 2h, 1d ago, or ISO 8601.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the alerts as they are, one JSON object a line.")
    ] = False,
) -> None:
    """Follow the alert topic, like tail -f, until Ctrl-C."""
    from detector.alerts.render import line

    follow_topic(
        config,
        None,
        "an alert",
        lambda alert, color, latency_ms: line(alert, color=color, latency_ms=latency_ms),
        level=level,
        rule=rule,
        entity=entity,
        begin=begin_of(since, from_beginning),
        as_json=as_json,
    )


def follow_topic(
    config: Path | None,
    topic: Callable[[Output], str] | None,
    kind: str,
    readable: Callable[[Mapping[str, Any], bool, float | None], str],
    *,
    level: LevelName | None,
    rule: str | None,
    entity: str | None,
    begin: Start,
    as_json: bool,
) -> None:
    """Print the messages of the alert topic, or of the one that `topic` names, as they come.

    kind: what one is called. readable: the line for a message, in colour or not, and with its latency in milliseconds.
    """
    import orjson

    from detector.alerts.follow import Filter, follow
    from detector.alerts.render import use_color
    from detector.alerts.text import harmless_json
    from detector.cli.options import load_for_people
    from detector.config import Level

    settings = load_for_people(config)
    wanted = Filter(level and Level(level), rule, entity)
    color = use_color(sys.stdout)
    try:
        for place, message, latency_ms in follow(settings, begin, topic and topic(settings.output)):
            if message is None:
                print(f"detector: {place} is not {kind}", file=sys.stderr)
            elif wanted.accepts(message):
                text = (
                    harmless_json(orjson.dumps(message)).decode() if as_json else readable(message, color, latency_ms)
                )
                print(text, flush=True)
    except BrokenPipeError:  # the reader has seen enough; the interpreter must not flush into the pipe again
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def begin_of(since: str | None, from_beginning: bool) -> Start:
    """Where to begin, of the options."""
    if from_beginning and since:
        raise typer.BadParameter("--from-beginning and --since exclude each other")
    return since_ms(since) if since else "beginning" if from_beginning else "end"


def since_ms(text: str) -> int:
    """Milliseconds of a time given as an age or in ISO 8601 (UTC unless it says otherwise)."""
    if age := re.fullmatch(r"(\d{1,9})([smhd])", text):
        return int((time.time() - int(age[1]) * _UNITS[age[2]]) * 1_000)
    try:
        moment = datetime.fromisoformat(text)
        return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1_000)
    except (ValueError, OverflowError):
        raise typer.BadParameter(f"--since {text}: write 90s, 15m, 2h, 1d, or a time like 2026-05-01T12:00") from None
