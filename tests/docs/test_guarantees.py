"""Each promise names its tests, and they exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "guarantees.md").read_text()
TESTS = sorted(set(re.findall(r"`(tests/[\w/]+\.py(?:::\w+)*)`", PAGE)))
ROWS = [line for line in PAGE.splitlines() if line.startswith("| ") and "tests" in line]


class TestPromises:
    @pytest.mark.parametrize("name", TESTS)
    def test_its_tests_exist(self, name: str) -> None:
        """A test that the page names is there, with its class and its function."""
        path, *names = name.split("::")
        scope: list[ast.stmt] = ast.parse((ROOT / path).read_text()).body
        for part in names:
            found = [node for node in scope if isinstance(node, (ast.ClassDef, ast.FunctionDef)) and node.name == part]
            assert found, f"{name}: there is no {part}"
            scope = found[0].body

    def test_each_has_one(self) -> None:
        """No promise is printed without a test, a benchmark or a fault run that could break it."""
        promises = [line for line in PAGE.splitlines() if line.startswith("| **")]

        assert len(promises) > 10
        assert not [line for line in promises if "`tests/" not in line and "`python -m tests." not in line]
