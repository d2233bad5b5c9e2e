"""`detector create-topics`: make the topics that the service needs."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from detector.cli.options import ConfigFile

_BROKERS_DEFAULT = -1


def create_topics(
    *,
    config: ConfigFile = None,
    partitions: Annotated[int, typer.Option(min=1, max=10_000, help="Partitions of each new topic.")] = 6,
    replication_factor: Annotated[
        int | None,
        typer.Option(min=1, max=100, show_default="as the brokers are set up", help="Copies of each new partition."),
    ] = None,
) -> None:
    """Make the input, alert and dead-letter topics that are missing, with sound settings.

    Topics that are there are left as they are; what would be sounder about them is said.
    """
    from detector.alerts.text import printable
    from detector.cli.options import load_for_people
    from detector.kafka import topics

    report = topics.create_topics(
        load_for_people(config), partitions=partitions, replication_factor=replication_factor or _BROKERS_DEFAULT
    )
    for name in report.made:
        print(f"made {name}")
    for name in report.kept:
        print(f"kept {name}")
    for difference in report.differing:
        print(f"detector: {printable(difference)}", file=sys.stderr)
