"""The table of performance."""

from __future__ import annotations

from tests.bench import performance
from tests.docs.performance import BEGIN, END, PAGE, placed, table


class TestTable:
    def test_placed(self) -> None:
        """New figures take the place of the old ones, and nothing else of the page changes."""
        figures = {
            f"{stage}_{cores}_{what}": 1_000.0 * cores
            for stage in performance.STAGES
            for cores in performance.CORES
            for what in ("per_second", "mb")
        }
        once = placed(PAGE.read_text(), table(figures))
        twice = placed(once, "x\n")

        assert "| parsing | 1,000.0 lines | 1,000.0 | 2,000.0 lines | 2,000.0 |" in once
        assert twice == PAGE.read_text().partition(BEGIN)[0] + BEGIN + "x\n" + END + once.partition(END)[2]
