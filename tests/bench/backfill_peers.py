"""What else parses access logs, and sums them up: the same work by others, in lines or events a second."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

COMBINED = (
    r'(?P<ip>\S+) (?P<ident>\S+) (?P<user>\S+) \[(?P<time>[^\]]+)\] "(?P<method>\S+) (?P<url>\S+) (?P<protocol>[^"]+)" '
    r'(?P<status>\d{3}) (?P<size>\d+|-) "(?P<referrer>[^"]*)" "(?P<agent>[^"]*)"'
)
FIELDS = re.findall(r"\?P<(\w+)>", COMBINED)
TOTALS = r"""
SELECT date_trunc('hour', moment), count(*), count(*) FILTER (failed), count(*) FILTER (server), sum(size)
    FROM e GROUP BY ALL;
SELECT form, date_trunc('hour', moment), count(*), count(*) FILTER (failed), count(*) FILTER (server), min(moment),
    max(moment) FROM e GROUP BY ALL;
SELECT file, date_trunc('hour', moment), count(*) FROM e GROUP BY ALL;
SELECT file, date_trunc('day', moment), count(*) FROM e GROUP BY ALL;
SELECT file, date_trunc('minute', moment), count(*) FROM e GROUP BY ALL;
SELECT file, form, count(*), min(moment), max(moment) FROM e GROUP BY ALL;
SELECT form, action, count(*), count(*) FILTER (failed), sum(size) FROM e GROUP BY ALL;
SELECT method, status, count(*), sum(size) FROM e GROUP BY ALL;
SELECT path, count(*) n, count(*) FILTER (failed), sum(size), min(moment), max(moment) FROM e GROUP BY ALL
    ORDER BY n DESC LIMIT 200000;
SELECT ip, count(*) n, count(*) FILTER (failed), sum(size), min(moment), max(moment) FROM e GROUP BY ALL
    ORDER BY n DESC LIMIT 200000;
SELECT form, status, code, action, count(*) FROM e WHERE failed GROUP BY ALL;
SELECT form, status, date_trunc('minute', moment), count(*) FROM e WHERE failed GROUP BY ALL;
SELECT ip, count(*), count(*) FILTER (failed) FROM e WHERE method = 'POST'
    AND regexp_matches(path, '(?i)(^|/)(log-?in|sign-?in|auth|session|oauth/token)([/.?]|$)') GROUP BY ALL;
SELECT size, count(*) FROM e WHERE size IS NOT NULL GROUP BY ALL;
SELECT count(*) FILTER (latest > moment), max(latest - moment) FROM (SELECT moment, max(moment) OVER
    (PARTITION BY file ORDER BY place ROWS UNBOUNDED PRECEDING) AS latest FROM e);
"""
"""The totals of a report that have rows on access logs; those without are left out, which is to DuckDB's advantage."""


def duckdb_parse(log: Path, out: Path, cores: int) -> float:
    """Lines a second of DuckDB's regular expression (RE2), to Parquet."""
    import duckdb

    connection = duckdb.connect(config={"threads": cores})
    names = ", ".join(f"'{name}'" for name in FIELDS)
    plain = re.sub(r"\?P<\w+>", "", COMBINED).replace("'", "''")
    started = time.monotonic()
    connection.execute(
        f"COPY (SELECT unnest(regexp_extract(line, '{plain}', [{names}])) FROM read_csv('{log}', "
        "columns={'line': 'VARCHAR'}, header=false, delim=chr(1), quote='', escape='')) "
        f"TO '{out}' (FORMAT parquet, COMPRESSION zstd)"
    )
    seconds = time.monotonic() - started
    lines = connection.execute(f"SELECT count(*) FROM '{out}' WHERE status <> ''").fetchall()[0][0]
    return float(lines / seconds)


def polars_parse(log: Path, out: Path) -> float:
    """Lines a second of polars's regular expression, to Parquet; on all cores."""
    import polars as pl

    started = time.monotonic()
    lines = pl.scan_csv(log, has_header=False, separator="\x01", quote_char=None, new_columns=["line"])
    parsed = lines.select(pl.col("line").str.extract_groups(COMBINED).alias("fields")).unnest("fields")
    parsed.sink_parquet(out, compression="zstd")
    seconds = time.monotonic() - started
    return float(
        pl.scan_parquet(out).filter(pl.col("status").is_not_null()).select(pl.len()).collect().item() / seconds
    )


def ray_parse(log: Path) -> float:
    """Lines a second of what a tutorial would write with Ray Data; needs a running Ray."""
    import ray

    pattern = re.compile(COMBINED)

    def parse(batch: dict[str, Any]) -> dict[str, Any]:
        found = [match.groupdict() for text in batch["text"] if (match := pattern.match(text))]
        return {name: [row[name] for row in found] for name in FIELDS}

    started = time.monotonic()
    count = ray.data.read_text(str(log)).map_batches(parse).count()
    return float(count / (time.monotonic() - started))


def duckdb_totals(lake: Path, events: int, cores: int) -> float:
    """Events a second of DuckDB, for the totals of a report."""
    import duckdb

    connection = duckdb.connect(config={"threads": cores})
    connection.execute(
        f"""CREATE VIEW e AS SELECT "@timestamp" AS moment, "event.format" AS form, "log.file.path" AS file,
            "log.offset" AS place, "event.action" AS action, "http.request.method" AS method, "url.path" AS path,
            "source.ip" AS ip, "error.code" AS code, "http.response.status_code" AS status,
            "http.response.body.bytes" AS size, coalesce("http.response.status_code" >= 500, false) AS server,
            coalesce("event.outcome" = 'failure', false) OR "error.code" IS NOT NULL
                OR coalesce("http.response.status_code" >= 400, false) AS failed
            FROM read_parquet('{lake}/**/*.parquet', hive_partitioning=false)"""
    )
    started = time.monotonic()
    for query in TOTALS.split(";")[:-1]:
        connection.execute(query).fetchall()
    return events / (time.monotonic() - started)
