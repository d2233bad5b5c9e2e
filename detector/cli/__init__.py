"""The command line: `detector COMMAND`. Each command imports what it needs when it runs, so that help is instant."""

from __future__ import annotations

import sys
import traceback
from importlib import import_module, util

import typer

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

_COMMANDS = (
    ("run", "run"),
    ("demo", "demo"),
    ("alerts", "alerts"),
    ("topics", "create_topics"),
    ("parse", "parse"),
    ("warm", "warm"),
)
_GROUPS = ("rules", "parsers", "config")


def _mount() -> None:
    for module, command in _COMMANDS:
        if util.find_spec(f"detector.cli.{module}"):
            app.command(command.replace("_", "-"))(getattr(import_module(f"detector.cli.{module}"), command))
    for name in _GROUPS:
        if util.find_spec(f"detector.cli.{name}"):
            app.add_typer(import_module(f"detector.cli.{name}").app, name=name)


_mount()


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
