"""The quick start: its cells run in order, and give what they say."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.ray, pytest.mark.timeout(600)]

NOTEBOOK = Path(__file__).parents[2] / "docs/quickstart.ipynb"


_RUN = """
import json, pickle, sys
from pathlib import Path

notebook, out = map(Path, sys.argv[1:])
names = {}
for number, cell in enumerate(json.loads(notebook.read_text())["cells"]):
    if cell["cell_type"] == "code":
        exec(compile("".join(cell["source"]), f"cell {number}", "exec"), names)
wanted = "lines by_status by_hour outside noisy large limit attempts alerts folder rows made".split()
pages = [*map(str, names["folder"].rglob("*.html"))]
out.write_bytes(pickle.dumps({name: names[name] for name in wanted} | {"pages": pages}))
"""


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the cells defined, in a process of their own as a notebook has it."""
    out = tmp_path_factory.mktemp("notebook") / "names"
    ours = {name: value for name, value in os.environ.items() if not name.startswith("DETECTOR_")}
    run = subprocess.run(
        [sys.executable, "-c", _RUN, str(NOTEBOOK), str(out)],
        env=ours,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr[-4_000:]
    names: dict[str, Any] = pickle.loads(out.read_bytes())
    return names


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
    assert str(done["folder"] / "report/index.html") in done["pages"]
    assert sum(row["events"] for row in done["rows"].to_pylist()) >= 40
    assert "Events processed               2,040" in done["made"].text
