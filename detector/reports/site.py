"""Writes the pages, the picture and their assets."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from datetime import UTC, timedelta
from functools import lru_cache
from importlib.resources import files
from importlib.util import find_spec
from itertools import accumulate
from pathlib import Path

import pyarrow as pa

from detector.analytics.samples import FIELDS, PER_VALUE
from detector.analytics.tables import Tables
from detector.backfill.atomic import replaced
from detector.errors import ConfigError
from detector.reports.charts import MAX_ROWS, Column, cell, key, without_gaps
from detector.reports.layout import Assets, Page, document, stylesheet
from detector.reports.pages import pages
from detector.reports.pages.index import index
from detector.reports.pages.security import PICTURE

MAX_PAGE_BYTES = 1_000_000
_EXTRA = 'Pages need more packages: pip install "detector[report]"'
_PER_PAGE = 300
"""Samples on a page."""


def check() -> None:
    """See that the packages for pages are installed.

    Raises:
        ConfigError: they are not.
    """
    for package in ("plotly", "matplotlib"):
        if find_spec(package) is None:
            raise ConfigError(f"{package} is missing. {_EXTRA}")


def write_site(tables: Tables, folder: Path, *, single_file: bool = False) -> list[Path]:
    """Write all pages and return their paths. single_file: assets become part of each page.

    Raises:
        ConfigError: the packages of the extra `report` are missing.
    """
    from detector.reports.network import draw

    assets = Assets(stylesheet(), scripts(), single_file)
    found = pages(tables)
    every = [index(found, tables), *found]
    folder.mkdir(parents=True, exist_ok=True)
    if not single_file:
        (folder / "assets").mkdir(exist_ok=True)
        for name, text in {"report.css": assets.style, **assets.scripts}.items():
            _write(folder / "assets" / name, text)
    picture = folder / PICTURE
    draw(tables, picture)
    for page in every:
        text = _bounded(page, every, tables, assets)
        _write(
            folder / page.file, text.replace(f'src="{PICTURE}"', f'src="{_embedded(picture)}"') if single_file else text
        )
    return [folder / page.file for page in every]


def _bounded(page: Page, pages: Sequence[Page], tables: Tables, assets: Assets) -> str:
    """A page of at most MAX_PAGE_BYTES without its assets: where texts are long, with fewer rows and samples."""
    own = sum(len(each.encode()) for each in (assets.style, *assets.scripts.values())) if assets.single else 0
    for rows in (MAX_ROWS, 30, 10, 3):
        found = samples(page, tables, _PER_PAGE * rows // MAX_ROWS)
        text = document(page, pages, period(tables), found, assets, focus=focus(tables), rows=rows)
        if len(text.encode()) - own <= MAX_PAGE_BYTES:
            break
    return text


def period(tables: Tables) -> str:
    """What times the data is of."""
    days = tables["traffic_daily"]["date"].to_pylist()
    return f"{days[0]:%Y-%m-%d} to {days[-1]:%Y-%m-%d}, UTC." if days else "There are no events."


def focus(tables: Tables) -> list[str] | None:
    """Where 99 % of the events are, if that is less than a fifth of the time: a stray date would hide all others."""
    hours = without_gaps(tables["traffic_hourly"], "hour", ["requests"])
    moments, counts = hours["hour"].to_pylist(), hours["requests"].to_pylist()
    if not sum(counts):
        return None
    upto = [each / sum(counts) for each in accumulate(counts)]
    first = next(moment for moment, share in zip(moments, upto, strict=True) if share >= 0.005)
    last = next(moment for moment, share in zip(moments, upto, strict=True) if share >= 0.995) + timedelta(hours=1)
    if (last - first) * 5 >= moments[-1] - moments[0]:
        return None
    return [f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M}" for moment in (first, last)]


@lru_cache(maxsize=1)
def scripts() -> dict[str, str]:
    """Plotly out of its own package, the map's data, and the script of the pages; in the order they are loaded."""
    own = files("detector.reports").joinpath("assets")
    world = own.joinpath("world_110m.json").read_text("utf-8")
    plotly = files("plotly").joinpath("package_data/plotly.min.js").read_text("utf-8")
    return {
        "world.js": f"window.PlotlyGeoAssets={{topojson:{{world_110m:{world}}}}};",
        "plotly.min.js": plotly.replace("</script", "<\\/script").replace("<!--", "<\\!--"),
        "report.js": own.joinpath("report.js").read_text("utf-8"),
    }


def samples(page: Page, tables: Tables, left: int) -> dict[str, dict[str, object]]:
    """The events that the page can show: some of each value that it draws or lists.

    left: how many in all.
    """
    kinds = {column.drill for chart in page.charts for column in chart.grid.columns if column.drill}
    found: dict[str, dict[str, object]] = {}
    titles: dict[str, object] = {}
    for kind in sorted(kinds):
        wanted = {value for chart in page.charts for value in _values(chart.grid.table, chart.grid.columns, kind)}
        rows, names = _of_kind(tables, kind)
        titles[kind] = [name.replace("_", " ") for name in names]
        groups: dict[str, list[list[str]]] = {}
        for row in rows:
            value = key(row["value"])
            if value in wanted and left and len(groups.setdefault(value, [])) < PER_VALUE:
                groups[value].append([cell(row[name], "text") for name in names])
                left -= 1
        found[kind] = {value: group for value, group in groups.items() if group}
    return {**found, "columns": titles} if any(found.values()) else {}


def _values(table: pa.Table, columns: Sequence[Column], kind: str) -> list[str]:
    names = [column.key for column in columns if column.drill == kind]
    return [key(each) for name in names for each in table[name].slice(0, MAX_ROWS).to_pylist()]


def _of_kind(tables: Tables, kind: str) -> tuple[list[dict[str, object]], list[str]]:
    if kind == "rule":
        known = tables["threat_samples"]
        rows = known.append_column("value", known["rule"]).to_pylist()
        return rows, ["time", "rule", "threat_level", "source"]
    known = tables["sample_events"]
    rows = [row for row in known.to_pylist() if row["kind"] == kind]
    return rows, ["time", *FIELDS]


def _embedded(picture: Path) -> str:
    return f"data:image/png;base64,{base64.b64encode(picture.read_bytes()).decode()}"


def _write(path: Path, text: str) -> None:
    with replaced(path) as temporary:
        temporary.write_text(text, "utf-8")
