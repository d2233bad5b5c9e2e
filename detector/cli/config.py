"""`detector config`: what is set, where it comes from, and what can be set."""

from __future__ import annotations

import json

import typer

from detector.cli.options import ConfigFile

app = typer.Typer(help="Show the settings and where they come from.", no_args_is_help=True, rich_markup_mode=None)


@app.command()
def show(config: ConfigFile = None) -> None:
    """Print every setting with its value and origin; secrets are masked."""
    from detector.alerts.text import printable
    from detector.config_sources import leaves, load, value_of

    settings = load(config)
    rows = [
        (
            ".".join(leaf),
            json.dumps(value_of(settings.config, leaf), ensure_ascii=False),
            settings.origins.get(leaf, "default"),
        )
        for leaf, _ in leaves()
    ]
    widths = [min(48, max(len(row[column]) for row in rows)) for column in (0, 1)]
    for name, value, origin in rows:
        print(printable(f"{name:{widths[0]}}  {value:{widths[1]}}  {origin}"))


@app.command()
def schema() -> None:
    """Print the JSON Schema of the settings file, for editors and checks."""
    from detector.config import Config

    print(json.dumps(Config.model_json_schema(), indent=2))
