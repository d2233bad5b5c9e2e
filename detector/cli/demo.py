"""`detector demo`: watch attacks being caught on a real Kafka."""

from __future__ import annotations

import sys
from typing import Annotated

import typer


def demo(
    seconds: Annotated[
        float, typer.Option("--for", min=0, metavar="SECONDS", help="How long traffic flows; 0: until Ctrl-C.")
    ] = 60,
    rate: Annotated[int, typer.Option(min=1, max=20_000, help="Records a second.")] = 3_000,
    seed: Annotated[int, typer.Option(help="Same seed, same logs.")] = 1,
    bootstrap: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="A Kafka to use instead of a local one; the topics are removed after."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="End with the summary as one JSON object.")] = False,
) -> None:
    """Run the service on a real Kafka, with made-up logs and known attacks among them.

    Exit code 0: every planted attack was found, and nothing else.
    """
    from dataclasses import asdict

    import orjson

    from detector.cli import INTERRUPTED
    from detector.demo.run import Options, run
    from detector.demo.view import print_summary

    outcome = run(Options(rate, seconds, seed, bootstrap))
    counts = asdict(outcome.summary)
    print_summary(outcome.judge, counts)
    if as_json:
        print(orjson.dumps(counts).decode())
    sys.stdout.flush()
    if outcome.interrupted:
        raise typer.Exit(INTERRUPTED)
    if not outcome.summary.clean:
        raise typer.Exit(1)
