"""`detector incidents`: watch the topic of incidents."""

from __future__ import annotations

from typing import Annotated

import typer

from detector.cli.alerts import LevelName, begin_of, follow_topic
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
    from detector.alerts.render import incident_line

    follow_topic(
        config,
        lambda output: output.incidents_name,
        "an incident",
        lambda incident, color, _: incident_line(incident, color=color),
        level=level,
        rule=None,
        entity=entity,
        begin=begin_of(since, from_beginning),
        as_json=as_json,
    )
