"""The page of the limits says what the code says."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from detector.config import Config
from detector.config_sources import leaves

PAGE = Path(__file__).parents[2] / "docs" / "limits.md"
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")] for line in PAGE.read_text().splitlines() if "| `" in line
]
SETTINGS = {cells[0].strip("`"): cells[1] for cells in ROWS if cells[0].startswith("`")}
BUILT_IN = {cells[-1].strip("`"): cells[1] for cells in ROWS if cells[-1].startswith("`detector.")}


def _number(text: str) -> float:
    """The number that a cell holds: `1,024`, `256 KiB`, `10 s`, `4,096 characters`."""
    match = re.fullmatch(r"([\d,]+)(?: (KiB|MiB|s|a second|characters))?", text)
    assert match, text
    return int(match[1].replace(",", "")) * {"KiB": 1 << 10, "MiB": 1 << 20}.get(match[2], 1)


class TestSettings:
    def test_every_limit_is_there(self) -> None:
        """Every setting of the section `limits` has its row."""
        expected = {".".join(leaf) for leaf, _ in leaves() if leaf[0] == "limits"}

        assert expected <= SETTINGS.keys()

    @pytest.mark.parametrize("name", SETTINGS)
    def test_default(self, name: str) -> None:
        """A row's default is the setting's."""
        value: Any = Config()
        for part in name.split("."):
            value = getattr(value, part)

        assert _number(SETTINGS[name]) == value


class TestBuiltIn:
    @pytest.mark.parametrize("name", BUILT_IN)
    def test_value(self, name: str) -> None:
        """A row's value is the constant's that it names."""
        module, constant = name.rsplit(".", 1)

        assert _number(BUILT_IN[name]) == getattr(import_module(module), constant)
