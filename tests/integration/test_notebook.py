"""The quick start: its cells run in order, and give what they say."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.ray, pytest.mark.timeout(600)]

NOTEBOOK = Path(__file__).parents[2] / "docs/quickstart.ipynb"


@pytest.fixture(scope="module")
def done() -> Iterator[dict[str, Any]]:
    """What the cells defined."""
    import ray
    from ray.data import DataContext

    names: dict[str, Any] = {}
    before = DataContext.get_current()
    DataContext._set_current(DataContext())  # that of a reader's own process, not the service's of another test
    try:
        for number, cell in enumerate(json.loads(NOTEBOOK.read_text())["cells"]):
            if cell["cell_type"] == "code":
                exec(compile("".join(cell["source"]), f"cell {number}", "exec"), names)
        yield names
    finally:
        DataContext._set_current(before)
        ray.shutdown()


def test_counts(done: dict[str, Any]) -> None:
    """Each step counts what the made lines hold."""
    statuses = [line.split('" ')[1].split()[0] for line in done["lines"]]

    assert done["by_status"] == {int(status): statuses.count(status) for status in set(statuses)}
    assert sum(done["by_hour"].values()) == done["outside"] == 2_000
    assert done["noisy"]
    sizes = [int(line.split('" ')[1].split()[1]) for line in done["lines"]]
    assert 4 <= done["large"] == sum(size > done["limit"] for size in sizes)
    assert sum(done["attempts"].values()) == statuses.count("401")


def test_security(done: dict[str, Any]) -> None:
    """The attacks in the lines and in the trail are found, each once."""
    titles = done["alerts"]["rule_title"].tolist()

    assert titles.count("SQL Query in a Request") == 5
    assert done["alerts"]["id"].is_unique
    assert any("CloudTrail" in title or "Logging" in title or "AWS" in title for title in titles)


def test_dashboards(done: dict[str, Any]) -> None:
    """The report has its pages, and SQL counts the lake's events."""
    assert (done["folder"] / "report/index.html").is_file()
    assert sum(row["events"] for row in done["rows"].to_pylist()) >= 40
    assert "Events processed               2,040" in done["made"].text
