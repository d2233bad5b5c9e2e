"""Alerts that a back-fill wrote, as a table."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from detector.alerts.text import printable
from detector.errors import ConfigError

SCHEMA = pa.schema(
    [
        ("rule", pa.string()),
        ("level", pa.string()),
        ("severity", pa.int32()),
        ("tactics", pa.list_(pa.string())),
        ("techniques", pa.list_(pa.string())),
        ("entity", pa.string()),
        ("time", pa.timestamp("us", "UTC")),
    ]
)
_COLUMNS = ["rule_title", "level", "severity", "tactics", "techniques", "entity_value", "time"]


def read(folder: Path | None) -> pa.Table:
    """The alerts of the folder that `detector backfill --out` wrote, each once; None gives none.

    Raises:
        ConfigError: it is no such folder.
    """
    if folder is None:
        return SCHEMA.empty_table()
    if not (folder / "run.json").is_file():
        raise ConfigError(f"--alerts {printable(str(folder))}: name the folder that `detector backfill --out` wrote")
    parts = [_table(path) for path in sorted(folder.glob("alerts/*"))]
    return pa.concat_tables(parts) if parts else SCHEMA.empty_table()


def _table(path: Path) -> pa.Table:
    if path.suffix == ".parquet":
        return pq.read_table(path, columns=_COLUMNS).rename_columns(SCHEMA.names).cast(SCHEMA)
    return pa.Table.from_pylist(list(_rows(path)), SCHEMA)


def _rows(path: Path) -> Iterator[dict[str, object]]:
    with path.open("rb") as lines:
        for line in lines:
            alert = orjson.loads(line)
            yield {
                "rule": alert["rule"]["title"],
                "level": alert["rule"]["level"],
                "severity": alert["severity"],
                "tactics": [tactic["name"] for tactic in alert["threat"]["tactics"]],
                "techniques": [technique["id"] for technique in alert["threat"]["techniques"]],
                "entity": alert["entity"]["value"],
                "time": _instant(alert["time"]),
            }


def _instant(text: str) -> int:
    return int(pa.scalar(text.removesuffix("Z")).cast(pa.timestamp("us")).value)
