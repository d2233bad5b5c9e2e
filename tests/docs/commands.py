"""`docs/commands.md`, from the command line itself and the tree of errors."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import typer

from detector import errors
from detector.cli import INTERRUPTED, UNEXPECTED, app
from tests.docs.markdown import generated, table

_HEAD = """# Commands

Every command takes `--help`. Messages for people go to standard error, results to standard output. Colours appear on
a terminal only, and never with `NO_COLOR`.
"""


def walk() -> Iterator[tuple[str, Any]]:
    """Each command that does something, with its full name, in the order of the help."""
    yield from _walk(typer.main.get_command(app), ("detector",))


def exit_codes() -> dict[int, str]:
    """Each exit code with its meaning."""
    codes = {0: "Done; `detector run`: stopped on request (SIGTERM, SIGINT), everything delivered and committed."}
    for error in vars(errors).values():
        if inspect.isclass(error) and issubclass(error, errors.DetectorError):
            text = " ".join((inspect.getdoc(error) or "").split("\n\n")[0].split())
            codes[error.exit_code] = f"{codes[error.exit_code]} {text}" if error.exit_code in codes else text
    codes[1] = (
        "Another error that the message explains. `rules check`: a finding is an error; `rules test`: a sample failed; "
        "`rules explain`: it does not match."
    )
    codes[2] += " Or the command line is wrong."
    codes[UNEXPECTED] = "A bug in the program, with a traceback."
    codes[INTERRUPTED] = "Ctrl-C in a command that has nothing to finish."
    return dict(sorted(codes.items()))


def page() -> str:
    """The whole page."""
    parts = [generated("detector/cli"), _HEAD]
    for name, command in walk():
        parts += [f"## `{name}`\n", _help(command), "", f"```\n{_usage(name, command)}\n```", ""]
        rows = [
            [f"`{_name(command, parameter)}`", _help(parameter), _default(parameter)] for parameter in command.params
        ]
        if rows:
            parts += [table(("argument", "meaning", "default"), rows), ""]
    parts += ["## Exit codes\n", table(("code", "meaning"), [[str(code), text] for code, text in exit_codes().items()])]
    return "\n".join(parts) + "\n"


def _walk(command: Any, path: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    inner = getattr(command, "commands", None)
    if inner is None:
        yield " ".join(path), command
        return
    for name, each in inner.items():
        yield from _walk(each, (*path, name))


def _help(command: Any) -> str:
    return inspect.cleandoc(command.help or "")


def _usage(name: str, command: Any) -> str:
    return f"{name} {' '.join(command.collect_usage_pieces(_context(command)))}"


def _name(command: Any, parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return str(parameter.metavar or parameter.name.upper())
    return str(parameter.get_help_record(_context(command))[0])


def _default(parameter: Any) -> str:
    if parameter.envvar:
        return f"`${parameter.envvar}`"
    if parameter.default in (None, False, (), []) or callable(parameter.default):
        return "required" if parameter.required else ""
    return f"`{parameter.default}`"


def _context(command: Any) -> Any:
    return command.make_context(command.name, [], resilient_parsing=True)
