"""Charts as data: traces for plotly, and the same numbers as a table for those who read or listen."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from detector.alerts.text import printable

MAX_BARS = 20
MAX_POINTS = 1_500
MAX_ROWS = 100
"""Rows of a table on a page, fewer where texts are long; the others are in the table's CSV."""
_MAX_LABEL = 48
_MAX_CELL = 160
_MAX_KEY = 200
_OURS = frozenset({"hovertemplate", "texttemplate", "customdata", "x0", "y0"})
"""Keys of a trace whose texts plotly does not show, or that are written here."""

Trace = dict[str, Any]
LEVELS = {"critical": "$critical", "high": "$bad", "medium": "$warn", "low": "$c1", "informational": "$muted"}


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a grid. key: in the table. drill: kind of samples behind it.

    kind: text, number, percent, share (of 1) or time.
    """

    key: str
    title: str
    kind: str = "text"
    drill: str | None = None


@dataclass(frozen=True, slots=True)
class Grid:
    """Rows for people. source: the result table that has all of them. tones: by value of a cell, its colour."""

    source: str
    columns: Sequence[Column]
    table: pa.Table
    tones: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Chart:
    """One picture. about: what it shows, in a sentence. drill: kind of the events behind a point (its customdata).

    Colours are names (`$c1`, `$bad`), which the page's script looks up in the look that is on.
    """

    name: str
    title: str
    about: str
    traces: Sequence[Trace]
    grid: Grid
    layout: Mapping[str, Any] = field(default_factory=dict)
    drill: str | None = None
    wide: bool = False
    missing: str = ""

    @property
    def empty(self) -> bool:
        """Whether there is nothing to draw."""
        return not self.grid.table.num_rows

    def data(self) -> dict[str, Any]:
        """For the page's script; texts of strangers are no markup to plotly, which would take some tags for such."""
        return {"traces": [_safe(trace) for trace in self.traces], "layout": dict(self.layout), "drill": self.drill}


def cell(value: object, kind: str) -> str:
    """A value as it is shown in a table."""
    if value is None:
        return "-"
    if kind == "number" and isinstance(value, int | float):
        return f"{value:,.1f}".removesuffix(".0") if isinstance(value, float) else f"{value:,}"
    if kind == "percent" and isinstance(value, int | float):
        return f"{value:.2f} %"
    if kind == "share" and isinstance(value, int | float):
        return f"{100 * value:.2f} %"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M}"
    return shortened(printable(str(value)), _MAX_CELL)


def shortened(text: str, length: int) -> str:
    """A text of at most so many characters."""
    return text if len(text) <= length else text[: length - 1] + "…"


def label(value: object) -> str:
    """A name on an axis."""
    return "none" if value is None else shortened(printable(str(value)), _MAX_LABEL)


def key(value: object) -> str:
    """By what the events behind a value are found."""
    return str(value)[:_MAX_KEY]


def times(column: pa.ChunkedArray) -> list[str]:
    """As plotly reads them; all are UTC."""
    return [f"{value.astimezone(UTC):%Y-%m-%dT%H:%M}" for value in column.to_pylist()]


def coarser(table: pa.Table, time: str, sums: Sequence[str]) -> pa.Table:
    """At most about MAX_POINTS rows: beyond that, hours are added up to several, and these to days."""
    if table.num_rows <= MAX_POINTS:
        return table
    span = pc.max(table[time]).as_py() - pc.min(table[time]).as_py()
    hours = int(span.total_seconds() // 3_600 // MAX_POINTS) + 1
    floored = pc.floor_temporal(table[time], multiple=hours, unit="hour")
    known = table.set_column(table.column_names.index(time), time, floored)
    found = known.group_by(time, use_threads=False).aggregate([(name, "sum") for name in sums])
    return found.rename_columns([time, *sums]).sort_by(time)


def without_gaps(table: pa.Table, time: str, sums: Sequence[str]) -> pa.Table:
    """Hours in order, with nothing at both ends of each gap, so that a line does not lead over it."""
    known = table.select([time, *sums]).sort_by(time)
    moments = known[time].to_pylist()
    hour = timedelta(hours=1)
    ends = {end for one, other in pairwise(moments) if other - one > hour for end in (one + hour, other - hour)}
    empty = [{time: end} | dict.fromkeys(sums, 0) for end in ends]
    return pa.concat_tables([known, pa.Table.from_pylist(empty, known.schema)]).sort_by(time)


def bars(
    name: str,
    title: str,
    about: str,
    grid: Grid,
    keys: tuple[str, str],
    *,
    colour: str = "$c1",
    colours: Mapping[str, str] | None = None,
    drill: str | None = None,
    missing: str = "",
    wide: bool = False,
) -> Chart:
    """The largest values of a table (as it is sorted), a bar each. keys: columns of its name and its length."""
    top = grid.table.slice(0, MAX_BARS)
    given, values = (top[name].to_pylist() for name in keys) if top.num_rows else ([], [])
    trace: Trace = {
        "type": "bar",
        "orientation": "h",
        "y": distinct([label(each) for each in given]),
        "x": values,
        "customdata": [None if each is None else key(each) for each in given],
        "marker": {"color": [(colours or {}).get(str(each), colour) for each in given]},
        "hovertemplate": "%{y}: %{x:,}<extra></extra>",
        "text": [f"{each:,}" for each in values],
        "textposition": "auto",
        "insidetextfont": {"color": "$onbar"},
        "cliponaxis": False,
    }
    layout = {
        "yaxis": {"type": "category", "autorange": "reversed", "automargin": True, "ticks": ""},
        "xaxis": {"rangemode": "tozero"},
        "height": max(220, 90 + 26 * len(given)),
        "hovermode": "closest",
    }
    return Chart(name, title, about, [trace], grid, layout, drill, wide, missing)


def pie(
    name: str,
    title: str,
    about: str,
    grid: Grid,
    keys: tuple[str, str],
    *,
    colours: Mapping[str, str] | None = None,
    missing: str = "",
) -> Chart:
    """Shares of a whole: the nine largest, and all others together. keys: columns of name and size."""
    given, values = (grid.table[name].to_pylist() for name in keys)
    labels, shares = [label(each) for each in given[:9]], values[:9]
    if values[9:]:
        labels, shares = [*labels, f"{len(values) - 9} others"], [*shares, sum(values[9:])]
    palette = [f"${kind}" for kind in ("c1", "c2", "c3", "c4", "c5", "c6", "c7", "c8", "muted", "line")]
    trace: Trace = {
        "type": "pie",
        "labels": distinct(labels),
        "values": shares,
        "hole": 0.5,
        "sort": False,
        "direction": "clockwise",
        "textinfo": "percent",
        "textposition": "inside",
        "insidetextfont": {"color": "$onbar"},
        "marker": {"colors": [(colours or {}).get(text, palette[at]) for at, text in enumerate(labels)]},
        "hovertemplate": "%{label}: %{value:,} (%{percent})<extra></extra>",
    }
    return Chart(name, title, about, [trace], grid, {"showlegend": True, "height": 320}, None, False, missing)


def line(title: str, x: Sequence[object], y: Sequence[object], colour: str, **more: object) -> Trace:
    """A line over time; `fill` and `yaxis` as plotly has them."""
    return {
        "type": "scatter",
        "mode": "lines+markers" if len(x) < 40 else "lines",
        "name": title,
        "x": x,
        "y": y,
        "line": {"color": colour, "width": 2},
        "hovertemplate": "%{y:,}",
        **more,
    }


def distinct(labels: list[str]) -> list[str]:
    """Shortened names may be equal, and plotly would draw them as one."""
    seen: dict[str, int] = {}
    found = []
    for each in labels:
        seen[each] = seen.get(each, 0) + 1
        found.append(each if seen[each] == 1 else f"{each} ({seen[each]})")
    return found


def _safe(value: Any) -> Any:
    if isinstance(value, str):
        return html.escape(printable(value), quote=False)
    if isinstance(value, Mapping):
        return {key: each if key in _OURS else _safe(each) for key, each in value.items()}
    if isinstance(value, Sequence):
        return [_safe(each) for each in value]
    return value
