from __future__ import annotations

import pytest

from detector.parsing.severities import level_of


class TestLevelOf:
    @pytest.mark.parametrize(
        ("value", "level"),
        [
            ("WARN", "warning"),
            ("[Error]", "error"),
            ("fatal", "critical"),
            ("Info", "informational"),
            ("emerg", "emergency"),
            ("finest", "trace"),
            (3, "error"),
            (0, "emergency"),
            (30, "informational"),
            (60, "critical"),
            ("loud", None),
            ("", None),
            (8, None),
            (None, None),
        ],
    )
    def test_scale(self, value: str | int | None, level: str | None) -> None:
        """Names and numbers of all loggers are one of nine severities."""
        assert level_of(value) == level
