"""`detector alerts`: watch the alert topic."""

from __future__ import annotations

import os
import re
import sys
import time
from datetime import UTC, datetime
from typing import Annotated, Literal

import typer

from detector.cli.options import ConfigFile

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
    if from_beginning and since:
        raise typer.BadParameter("--from-beginning and --since exclude each other")
    begin = since_ms(since) if since else None

    import orjson

    from detector.alerts.follow import Filter, follow
    from detector.alerts.render import line, use_color
    from detector.alerts.text import harmless_json
    from detector.cli.options import load_for_people
    from detector.config import Level

    settings = load_for_people(config)
    wanted = Filter(level and Level(level), rule, entity)
    color = use_color(sys.stdout)
    try:
        for place, alert, latency_ms in follow(settings, begin or ("beginning" if from_beginning else "end")):
            if alert is None:
                print(f"detector: {place} is not an alert", file=sys.stderr)
            elif wanted.accepts(alert):
                print(
                    harmless_json(orjson.dumps(alert)).decode()
                    if as_json
                    else line(alert, color=color, latency_ms=latency_ms),
                    flush=True,
                )
    except BrokenPipeError:  # the reader has seen enough; the interpreter must not flush into the pipe again
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def since_ms(text: str) -> int:
    """Milliseconds of a time given as an age or in ISO 8601 (UTC unless it says otherwise)."""
    if age := re.fullmatch(r"(\d{1,9})([smhd])", text):
        return int((time.time() - int(age[1]) * _UNITS[age[2]]) * 1_000)
    try:
        moment = datetime.fromisoformat(text)
        return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1_000)
    except (ValueError, OverflowError):
        raise typer.BadParameter(f"--since {text}: write 90s, 15m, 2h, 1d, or a time like 2026-05-01T12:00") from None
