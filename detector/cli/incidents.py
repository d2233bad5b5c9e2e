"""`detector incidents`: watch the topic of incidents."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from detector.cli.alerts import LevelName, since_ms
from detector.cli.options import ConfigFile


def incidents(
    *,
    config: ConfigFile = None,
    level: Annotated[
        LevelName | None,
        typer.Option(metavar="LEVEL", help="Only incidents of this level (informational to critical) and above."),
    ] = None,
    entity: Annotated[
        str | None, typer.Option(metavar="VALUE", help="Only incidents about this address, user or host.")
    ] = None,
    from_beginning: Annotated[bool, typer.Option("--from-beginning", help="Begin with the oldest message.")] = False,
    since: Annotated[
        str | None, typer.Option(metavar="TIME", help="Begin at this time: 90s, 15m, 2h, 1d ago, or ISO 8601.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the messages as they are, one JSON object a line.")
    ] = False,
) -> None:
    """Follow the incidents: opened, grown, escalated, closed; until Ctrl-C."""
    if from_beginning and since:
        raise typer.BadParameter("--from-beginning and --since exclude each other")
    begin = since_ms(since) if since else None

    import orjson

    from detector.alerts.follow import Filter, follow
    from detector.alerts.render import incident_line, use_color
    from detector.alerts.text import harmless_json
    from detector.cli.options import load_for_people
    from detector.config import Level

    settings = load_for_people(config)
    wanted = Filter(level and Level(level), None, entity)
    color = use_color(sys.stdout)
    topic = settings.output.incidents_name
    try:
        for place, incident, _ in follow(settings, begin or ("beginning" if from_beginning else "end"), topic):
            if incident is None:
                print(f"detector: {place} is not an incident", file=sys.stderr)
            elif wanted.accepts(incident):
                text = (
                    harmless_json(orjson.dumps(incident)).decode() if as_json else incident_line(incident, color=color)
                )
                print(text, flush=True)
    except BrokenPipeError:  # the reader has seen enough; the interpreter must not flush into the pipe again
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
