"""`detector parsers`: what formats there are, and whether their definitions hold what they promise."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="List and test the parsers of log formats.", no_args_is_help=True, rich_markup_mode=None)

Paths = Annotated[
    list[Path] | None,
    typer.Argument(metavar="PATH", help="Folders or files of definitions, besides the built-in ones."),
]


@app.command("list")
def list_parsers(paths: Paths = None) -> None:
    """Print the name, title and log sources of every format."""
    from detector.alerts.text import printable
    from detector.config import Limits
    from detector.parsing.registry import compile_parsers, read_sources

    parsers = compile_parsers(read_sources(paths or ()), limits=Limits())
    definitions = sorted(parsers.definitions.values(), key=lambda definition: definition.name)
    width = max((len(definition.name) for definition in definitions), default=0)
    for definition in definitions:
        print(printable(f"{definition.name:{width}}  {definition.title}"))
        rows = {(row.logsource.category, row.logsource.product, row.logsource.service) for row in definition.logsources}
        for row in sorted(rows, key=str):
            print(printable(f"{'':{width}}    {'/'.join(part or '*' for part in row)}"))
    _raise_first(parsers.errors)


@app.command("test")
def run_tests(paths: Paths = None) -> None:
    """Run the samples of every definition, each as its own format and as `auto`; exit code 3 if one differs."""
    from detector.alerts.text import printable
    from detector.config import Limits
    from detector.parsing.registry import compile_parsers, read_sources
    from detector.parsing.samples import run_samples

    parsers = compile_parsers(read_sources(paths or ()), limits=Limits())
    runs = failed = 0
    for result in run_samples(parsers, Limits()):
        runs += 1
        if result.differences:
            failed += 1
            print(printable(f"{result.parser}: {result.title} (as {result.format})"))
            for difference in result.differences:
                print(printable(f"    {difference}"))
    print(f"{runs - failed} of {runs} samples passed")
    _raise_first(parsers.errors)
    if failed:
        raise typer.Exit(3)


def _raise_first(errors: object) -> None:
    from detector.errors import ParserError

    found = [error for error in errors if isinstance(error, ParserError)] if isinstance(errors, list) else []
    if found:
        raise found[0]
