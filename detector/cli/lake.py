"""`detector lake`: whether a lake's files are those that the back-fill wrote."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Check the files of a lake.", no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def _group() -> None:
    """Keep `verify` a command of its own, though it is the only one."""


@app.command()
def verify(
    lake: Annotated[
        Path, typer.Argument(metavar="LAKE", help="Folder that `detector backfill --events` wrote.", exists=True)
    ],
    head: Annotated[
        str | None, typer.Option(metavar="SHA256", help="Last link of the chain, as the back-fill printed it.")
    ] = None,
) -> None:
    """Name every file of a lake changed, removed or added since it was sealed; exit code 10 if there is any."""
    from detector.alerts.text import printable
    from detector.backfill.chain import NAME, verify
    from detector.errors import IntegrityError

    found = verify(lake)
    problems = []
    if not found.sealed:
        problems.append(f"{lake}: no {NAME}; a back-fill with --events writes it at its end")
    elif found.broken is not None:
        problems.append(f"{NAME}: line {found.broken} does not follow from the one before")
    elif head is not None and head.lower() != found.head:
        problems.append(f"{NAME}: ends in {found.head}, not in {head}")
    if found.sealed:
        for what in ("changed", "missing", "added"):
            problems += [f"{what}: {name}" for name in getattr(found, what)]
    if problems:
        raise IntegrityError("\n".join(problems))
    print(printable(f"{len(found.intact):,} files are as they were sealed; the chain ends in {found.head}"))
