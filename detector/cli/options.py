"""What several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from detector.config import Config

ConfigFile = Annotated[
    Path | None,
    typer.Option("--config", envvar="DETECTOR_CONFIG", metavar="FILE", help="YAML file of settings."),
]


def reference_ms(text: str) -> int:
    """Unix milliseconds of a `--reference-time`.

    Raises ConfigError.
    """
    from detector.errors import ConfigError
    from detector.parsing.timestamps import TimeParser

    instant, _ = TimeParser(("rfc3339",)).parse(text, None)
    if instant is None:
        raise ConfigError(f"--reference-time {text}: write it like 2024-05-17T10:05:03Z")
    return instant.us // 1_000


def zone_name(text: str) -> str:
    """The name of a `--time-zone`. Raises ConfigError."""
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    from detector.errors import ConfigError

    try:
        ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ConfigError(f"--time-zone {text}: write a name of the IANA database, such as Europe/Berlin") from None
    return text


def load_for_people(path: Path | None) -> Config:
    """The settings, for a command that somebody watches: warnings of ours go to standard error as text.

    kafka-python logs several lines for each attempt to connect; what comes of them is in the command's error.

    Raises ConfigError.
    """
    import logging

    from detector import logs
    from detector.config import Log
    from detector.config_sources import load_config

    config = load_config(path)
    logs.configure(Log(level="warning", format="console"))
    logging.getLogger("kafka").setLevel(logging.CRITICAL)
    return config
