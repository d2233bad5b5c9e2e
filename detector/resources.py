"""Where the rules and parsers are that come with the program."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).parent


def builtin(folder: str) -> Path:
    """The folder of built-in data ("sigma", "parsers"): in the package where it is installed, else in the checkout."""
    installed = _PACKAGE / "_rules"
    return (installed if installed.is_dir() else _PACKAGE.parent / "rules") / folder
