"""The command line: `detector COMMAND`. Each command imports what it needs when it runs, so that help is instant."""

from __future__ import annotations

import sys
import traceback

import typer

from detector.cli import (
    alerts,
    backfill,
    config,
    demo,
    incidents,
    lake,
    parse,
    parsers,
    query,
    report,
    rules,
    run,
    topics,
    warm,
)
from detector.errors import DetectorError

UNEXPECTED = 70
"""Exit code of a bug in the program (EX_SOFTWARE of sysexits.h)."""
INTERRUPTED = 130
"""Exit code after Ctrl-C (128 + SIGINT)."""

app = typer.Typer(
    name="detector",
    help="Finds attacks and failures in the logs of a Kafka cluster, in near real time, with Sigma rules.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

app.command()(run.run)
app.command()(demo.demo)
app.command()(alerts.alerts)
app.command()(incidents.incidents)
app.command()(topics.create_topics)
app.command()(backfill.backfill)
app.command()(report.report)
app.command()(query.query)
app.command()(parse.parse)
app.command()(warm.warm)
app.add_typer(rules.app, name="rules")
app.add_typer(parsers.app, name="parsers")
app.add_typer(lake.app, name="lake")
app.add_typer(config.app, name="config")


@app.command()
def version() -> None:
    """Print the version."""
    from detector import __version__

    print(f"detector {__version__}")


def main() -> None:
    """Run the command line: an error that a user can mend is one line per problem, without a traceback."""
    from detector.alerts.text import printable

    try:
        app()
    except DetectorError as error:
        for line in str(error).splitlines():
            print(f"detector: {printable(line)}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except Exception:  # noqa: BLE001 -- the last frame: whatever comes here is a bug, and is shown whole
        traceback.print_exc()
        print("detector: this is a bug in detector, not in what you did", file=sys.stderr)
        sys.exit(UNEXPECTED)
