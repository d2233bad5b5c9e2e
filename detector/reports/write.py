"""Tables as Parquet and CSV, and the summary as text."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pcsv
import pyarrow.parquet as pq

from detector.alerts.text import printable
from detector.analytics.tables import Tables
from detector.backfill.atomic import replaced

_FORMULA = r"^[=+\-@\t\r]"
_TOP = 10


def write(tables: Tables, folder: Path) -> None:
    """Write each table as `tables/NAME.parquet` and `.csv`, and `log_summary.txt`."""
    write_tables(tables, folder)
    with replaced(folder / "log_summary.txt") as temporary:
        temporary.write_text(summary(tables))


def write_tables(tables: Tables, folder: Path) -> None:
    """Write each table as `tables/NAME.parquet` and `.csv`."""
    (folder / "tables").mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        with replaced(folder / "tables" / f"{name}.parquet") as temporary:
            pq.write_table(table, temporary)
        with replaced(folder / "tables" / f"{name}.csv") as temporary:
            pcsv.write_csv(harmless(table), temporary)


def summary(tables: Tables) -> str:
    """What was found, on a page of text."""
    quality, daily = tables["log_quality"], tables["traffic_daily"]
    events = _sum(quality, "events")
    lines = [
        "Log summary",
        "",
        f"Events processed      {events:>14,}",
        f"  not parsed whole    {_sum(quality, 'unparsed'):>14,}",
        f"  failed              {_sum(daily, 'errors'):>14,}",
        f"Security events       {_sum(tables['threats_by_rule'], 'alerts'):>14,}",
        f"From                  {_day(daily, 0):>14}",
        f"To                    {_day(daily, -1):>14}",
    ]
    for title, name, columns in (
        ("Top event types", "events_by_type", ("log_source", "event_type", "events")),
        ("Threats by rule", "threats_by_rule", ("rule", "threat_level", "alerts")),
        ("Brute force", "brute_force", ("ip_address", "failed_attempts")),
        ("Top error sources", "error_sources", ("ip_address", "errors")),
        ("Security", "security_summary", ("metric", "risk_level", "count")),
    ):
        lines += ["", title]
        rows = tables[name].select(list(columns)).slice(0, _TOP).to_pylist()
        lines += [_line(list(row.values())) for row in rows] or ["  no data"]
    return "\n".join(lines) + "\n"


def describe_changes(tables: Tables) -> str:
    """What differs most between two periods, on a page of text."""
    changes = tables["changes"]
    lines = [f"{changes.num_rows:,} changes"]
    for title, change in (("New", "new"), ("Gone", "gone"), ("More", "rose"), ("Less", "fell")):
        rows = [row for row in changes.to_pylist() if row["change"] == change][:_TOP]
        lines += ["", title]
        lines += [_line([row["table"], row["subject"], row["after"] - row["before"]]) for row in rows] or ["  nothing"]
    return "\n".join(lines) + "\n"


def _line(values: list[object]) -> str:
    *texts, number = values
    text = " ".join(printable(str(each)) for each in texts if each is not None)
    return f"  {text[:70]:70} {number:>12,}"


def _sum(table: pa.Table, column: str) -> int:
    return int(pc.sum(table[column]).as_py() or 0)


def _day(daily: pa.Table, row: int) -> str:
    return f"{daily['date'][row].as_py():%Y-%m-%d}" if daily.num_rows else "-"


def harmless(table: pa.Table) -> pa.Table:
    """The table with texts of strangers, so that neither a spreadsheet runs them nor a terminal obeys them."""
    columns = []
    for name in table.column_names:
        column = table[name]
        if pa.types.is_string(column.type):
            texts = [None if text is None else printable(text) for text in column.to_pylist()]
            plain = pa.array(texts, pa.string())
            column = pc.if_else(
                pc.match_substring_regex(plain, _FORMULA), pc.binary_join_element_wise("'", plain, ""), plain
            )
        columns.append(column)
    return pa.table(columns, names=table.column_names)
