from __future__ import annotations

from pathlib import Path

import pytest

from detector.config_sources import leaves, variable
from tests.docs import commands, metrics
from tests.docs.pages import DOCS, PAGES


class TestPages:
    @pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
    def test_are_up_to_date(self, path: Path) -> None:
        """A page in the repository is what the code says today; `make docs` writes it anew."""
        assert path.read_text() == PAGES[path](), f"docs/{path.name} is stale: run `make docs`"

    def test_hold_every_setting(self) -> None:
        """No setting is without its documentation."""
        text = (DOCS / "configuration.md").read_text()

        assert not [leaf for leaf, info in leaves() if f"`{variable(leaf)}`" not in text or not info.description]

    def test_hold_every_metric(self) -> None:
        """No metric is without its documentation, whatever kind it is of."""
        text = (DOCS / "metrics.md").read_text()
        declared = metrics.declared()

        assert len(declared) > 20
        assert not [metric for metric in declared if f"| `{metrics.exposed_name(metric)}` |" not in text]

    def test_hold_every_command_and_exit_code(self) -> None:
        """No command and no exit code is without its documentation."""
        text = (DOCS / "commands.md").read_text()
        names = [name for name, _ in commands.walk()]

        assert {"detector version", "detector config show", "detector alerts"} <= set(names)
        assert not [name for name, command in commands.walk() if f"## `{name}`" not in text or not command.help]
        assert not [code for code in commands.exit_codes() if f"\n| {code} |" not in text]
