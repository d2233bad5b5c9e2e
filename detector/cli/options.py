"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

ConfigFile = Annotated[
    Path | None,
    typer.Option("--config", envvar="DETECTOR_CONFIG", metavar="FILE", help="YAML file of settings."),
]
