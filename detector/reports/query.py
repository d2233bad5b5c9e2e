"""SQL over a lake through DuckDB, which may read the lake and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.dataset as ds

from detector.alerts.text import printable
from detector.analytics import alerts as alert_files
from detector.errors import ConfigError

if TYPE_CHECKING:
    from types import ModuleType

    import duckdb

MEMORY = "1GB"
_ALERT_VIEW = "alerts"


def ask(lake: Path, sql: str, *, alerts: Path | None = None, limit: int = 1_000) -> tuple[pa.Table, bool]:
    """The first rows that a query gives, and whether there are more. The lake is the view `events`.

    Raises:
        ConfigError: there is no such lake, DuckDB is not installed, or the query is wrong or not allowed.
    """
    connection = _connected(lake, alerts)
    try:
        statements = connection.extract_statements(sql)
        if len(statements) != 1:
            raise ConfigError(f"{len(statements)} statements: write one SELECT")
        if (kind := statements[0].type.name) not in {"SELECT", "EXPLAIN"}:
            raise ConfigError(f"{kind} is not allowed: a lake is only read, write a SELECT")
        found: pa.RecordBatchReader = connection.sql(statements[0]).to_arrow_reader(limit + 1)
        rows = pa.Table.from_batches(_first(found, limit + 1), found.schema)
    except _duckdb().Error as error:
        raise ConfigError(f"query: {error}") from error
    finally:
        connection.close()
    return rows.slice(0, limit), rows.num_rows > limit


def _first(reader: pa.RecordBatchReader, count: int) -> list[pa.RecordBatch]:
    found: list[pa.RecordBatch] = []
    for batch in reader:
        found.append(batch)
        count -= batch.num_rows
        if count <= 0:
            break
    return found


def _connected(lake: Path, alerts: Path | None) -> duckdb.DuckDBPyConnection:
    names = _schema(lake)
    connection: duckdb.DuckDBPyConnection = _duckdb().connect(
        config={
            "memory_limit": MEMORY,
            "allow_community_extensions": "false",
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "preserve_insertion_order": "false",
            "temp_directory": "",
        }
    )
    folder = str(lake.resolve())
    connection.execute("SET allowed_directories = [?]", [folder + "/"])
    connection.execute("SET enable_external_access = false")
    connection.register(_ALERT_VIEW, alert_files.read(alerts))
    connection.execute("SET lock_configuration = true")
    pattern = f"{folder}/**/*.parquet".replace("'", "''")
    hive = "false" if "day" in names or "source" in names else "true"
    connection.execute(
        f"CREATE VIEW events AS SELECT * FROM read_parquet('{pattern}', hive_partitioning={hive}, union_by_name=true, "  # noqa: S608 -- a path of the caller's, quoted
        "hive_types={'day': 'DATE', 'source': 'VARCHAR'})"
        if hive == "true"
        else f"CREATE VIEW events AS SELECT * FROM read_parquet('{pattern}', union_by_name=true)"  # noqa: S608 -- as above
    )
    return connection


def _schema(lake: Path) -> list[str]:
    try:
        names: list[str] = ds.dataset(lake, format="parquet").schema.names
    except (OSError, ValueError) as error:
        raise ConfigError(f"{printable(str(lake))} is no lake: {str(error).splitlines()[0]}") from error
    if "event.format" not in names:
        raise ConfigError(f"{printable(str(lake))} is no lake: write one with `detector backfill SOURCE --events DIR`")
    return names


def _duckdb() -> ModuleType:
    try:
        import duckdb
    except ModuleNotFoundError as error:
        raise ConfigError("queries need DuckDB: pip install 'detector[report]'") from error
    return duckdb
