"""SQL over a lake: only the lake, only reading."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

import orjson
import pyarrow.parquet as pq
import pytest

from detector.errors import ConfigError
from detector.reports.query import ask
from detector.reports.rows import print_rows
from tests.analytics import events


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    """A lake of three events, beside a file that is none of it."""
    folder = tmp_path / "la'ke/day=2026-11-24/source=a"
    folder.mkdir(parents=True)
    rows = [{"source.ip": "192.0.2.1", "message": text} for text in ("=cmd", "\x1b[2J<script>", None)]
    pq.write_table(events(rows), folder / "0.parquet")
    (tmp_path / "secret.csv").write_text("a\n1\n")
    return tmp_path / "la'ke"


class TestAsk:
    def test_select(self, lake: Path) -> None:
        """Events are rows of `events`, with the day and source of their file."""
        rows, more = ask(lake, 'SELECT "source.ip" ip, source, day, count(*) n FROM events GROUP BY ALL')

        assert not more
        assert rows.select(["ip", "source", "n"]).to_pylist() == [{"ip": "192.0.2.1", "source": "a", "n": 3}]

    def test_limit(self, lake: Path) -> None:
        """Beyond the limit, rows are left out, and that is told."""
        rows, more = ask(lake, "SELECT * FROM events", limit=2)

        assert (rows.num_rows, more) == (2, True)

    def test_alerts(self, lake: Path) -> None:
        """Without a folder of alerts there are none."""
        assert ask(lake, "SELECT count(*) n FROM alerts")[0]["n"].to_pylist() == [0]

    @pytest.mark.parametrize(
        "sql",
        [
            "SELECT * FROM '{}/secret.csv'",
            "SELECT * FROM read_text('{}/secret.csv')",
            "SELECT * FROM glob('/etc/*')",
            "COPY events TO '{}/x.csv'",
            "ATTACH '{}/x.db'",
            "INSTALL httpfs",
            "SET enable_external_access = true",
            "SELECT 1; SELECT 2",
            "DROP VIEW events",
            "CREATE TABLE x AS SELECT 1",
            "SELECT nothing FROM events",
            "SELEKT",
            "",
        ],
    )
    def test_refused(self, lake: Path, sql: str) -> None:
        """Other files, writing, settings, several statements and mistakes are errors."""
        with pytest.raises(ConfigError):
            ask(lake, sql.format(lake.parent))
        assert sorted(path.name for path in lake.parent.iterdir()) == ["la'ke", "secret.csv"]

    def test_no_lake(self, tmp_path: Path) -> None:
        """A folder without events is an error that says how to make a lake."""
        with pytest.raises(ConfigError, match="no lake"):
            ask(tmp_path, "SELECT 1")


class TestPrint:
    @pytest.mark.parametrize("form", ["table", "csv", "json"])
    def test_harmless(self, lake: Path, form: str) -> None:
        """No control character reaches the terminal; CSV starts no formula, JSON can be read again."""
        stream = StringIO()
        print_rows(ask(lake, "SELECT message FROM events")[0], form, stream)
        text = stream.getvalue()

        assert "\x1b" not in text
        if form == "csv":
            assert "'=cmd" in text
        if form == "json":
            assert [orjson.loads(line)["message"] for line in text.splitlines()] == ["=cmd", "\x1b[2J<script>", None]
