"""`python -m tests.docs.performance [--short]`: measure, and put the table into `docs/performance.md`."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from pathlib import Path

from tests.bench import performance

PAGE = Path(__file__).parents[2] / "docs/performance.md"
BEGIN, END = "<!-- figures -->\n", "<!-- end of figures -->\n"
_UNITS = {"ingestion": "lines", "parsing": "lines", "detection": "lines"}


def table(figures: Mapping[str, float]) -> str:
    """The figures as a table."""
    heads = [
        f"{cores} core{'s' if cores > 1 else ''}, {what}" for cores in performance.CORES for what in ("a second", "MB")
    ]
    lines = [f"| stage | {' | '.join(heads)} |", "|---" * (len(heads) + 1) + "|"]
    for stage in performance.STAGES:
        cells = []
        for cores in performance.CORES:
            cells.append(f"{figures[f'{stage}_{cores}_per_second']:,} {_UNITS.get(stage, 'events')}")
            cells.append(f"{figures[f'{stage}_{cores}_mb']:,}")
        lines.append(f"| {stage} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def placed(page: str, text: str) -> str:
    """The page with the table between its marks."""
    head, _, rest = page.partition(BEGIN)
    return head + BEGIN + text + END + rest.partition(END)[2]


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="fewer lines")
    short = parser.parse_args().short
    lines = performance.SHORT_LINES if short else performance.LINES
    figures = performance.run(short=short)
    text = f"\n{lines:,} generated access-log lines, on a machine with {os.cpu_count()} cores.\n\n{table(figures)}\n"
    PAGE.write_text(placed(PAGE.read_text(), text))
    print(table(figures))


if __name__ == "__main__":
    main()
