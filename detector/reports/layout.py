"""The frame of every page: head, navigation, sections, charts with their tables."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.resources import files
from urllib.parse import quote

from detector.reports.charts import MAX_ROWS, Chart, Grid, cell, key
from detector.reports.markup import Html, data, raw, tag

_POLICY = "default-src 'none'; base-uri 'none'; form-action 'none'; "
_LINKED = "script-src 'self' file:; style-src 'self' file: 'unsafe-inline'; img-src 'self' file: data: blob:"
"""`'self'` is nothing for a page that was opened as a file, so `file:` beside it. Plotly sets styles of elements."""


@dataclass(frozen=True, slots=True)
class Card:
    """A number that stands out. tone: good, warn, bad or nothing."""

    title: str
    value: str
    tone: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a page. parts: charts, and tables with a title."""

    title: str
    parts: Sequence[Chart | tuple[str, Grid] | Html]


@dataclass(frozen=True, slots=True)
class Page:
    """One file. about: a sentence below the title. short: its name in the navigation, if not the title."""

    file: str
    title: str
    about: str
    cards: Sequence[Card] = ()
    sections: Sequence[Section] = field(default_factory=tuple)
    short: str = ""

    @property
    def charts(self) -> list[Chart]:
        """All charts that have something to draw."""
        return [part for each in self.sections for part in each.parts if isinstance(part, Chart) and not part.empty]


@dataclass(frozen=True, slots=True)
class Assets:
    """Texts of the files that pages need. single: whether they become part of each page."""

    style: str
    scripts: Mapping[str, str]
    single: bool = False


@lru_cache(maxsize=1)
def stylesheet() -> str:
    """The look of all pages."""
    return files("detector.reports").joinpath("assets/report.css").read_text("utf-8")


def document(
    page: Page,
    pages: Sequence[Page],
    period: str,
    samples: Mapping[str, Mapping[str, object]],
    assets: Assets,
    *,
    focus: Sequence[str] | None = None,
    rows: int = MAX_ROWS,
) -> str:
    """A page as a file.

    period: what times the data is of. samples: events by kind and value, for the drill-down. focus: the times
    that charts show at first; None: all. rows: of each table.
    """
    charts = {chart.name: chart.data() for chart in page.charts}
    needed = _scripts(page, assets)
    body = tag(
        "body",
        tag("a", "Skip to the content", class_="skip", href="#content"),
        _header(page, pages),
        tag(
            "main",
            tag("h1", page.title),
            tag("p", page.about, " ", tag("span", period, class_="period"), class_="about"),
            _cards(page.cards),
            _tools(focus is not None)
            if any(True for each in page.sections for part in each.parts if not isinstance(part, Html))
            else None,
            [_section(section, rows) for section in page.sections],
            id="content",
            tabindex="-1",
        ),
        tag("footer", tag("p", "All times are UTC. Every number is computed from the data given.")),
        _dialog() if samples else None,
        data("report", {"charts": charts, "samples": samples, "focus": focus}),
        [
            raw("script", assets.scripts[name]) if assets.single else Html(f'<script src="assets/{name}"></script>')
            for name in needed
        ],
    )
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=_policy(assets, needed)),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("meta", name="referrer", content="no-referrer"),
        tag("title", f"{page.title} - detector"),
        raw("style", assets.style) if assets.single else tag("link", rel="stylesheet", href="assets/report.css"),
    )
    return f"<!doctype html>\n{tag('html', head, body, lang='en')}\n"


def table(title: str, grid: Grid, limit: int) -> Html:
    """A grid as a table of at most so many rows, with a link to all."""
    total = grid.table.num_rows
    head = tag("tr", [tag("th", column.title, scope="col", class_=_align(column.kind)) for column in grid.columns])
    rows = [_row(grid, row) for row in grid.table.slice(0, limit).to_pylist()]
    more = f"The first {limit} of {total:,} rows; all: " if total > limit else "As data: "
    links = [_link(grid.source, suffix) for suffix in ("csv", "parquet")]
    return tag(
        "div",
        tag(
            "div",
            tag("table", tag("caption", title), tag("thead", head), tag("tbody", rows)),
            class_="scroll",
            tabindex="0",
            role="region",
            aria_label=f"Table: {title}",
        ),
        tag("p", more, links[0], ", ", links[1], class_="more"),
    )


def _link(source: str, suffix: str) -> Html:
    name = f"{source}.{suffix}"
    return tag("a", name, href=f"tables/{quote(name)}")


def _row(grid: Grid, row: Mapping[str, object]) -> Html:
    cells = []
    for at, column in enumerate(grid.columns):
        value = row[column.key]
        shown: Html | str = cell(value, column.kind)
        tone = grid.tones.get(str(value)) if at else None
        if tone:
            shown = tag("span", shown, class_=f"badge {tone}")
        if column.drill and value is not None:
            shown = tag("button", shown, type="button", class_="drill", data_kind=column.drill, data_value=key(value))
        kind = "th" if at == 0 else "td"
        cells.append(tag(kind, shown, class_=_align(column.kind), scope="row" if at == 0 else None))
    return tag("tr", cells)


def _align(kind: str) -> str | None:
    return "number" if kind in ("number", "percent", "share") else None


def _section(section: Section, rows: int) -> Html:
    parts = [
        part
        if isinstance(part, Html)
        else _figure(part, rows)
        if isinstance(part, Chart)
        else _listing(*part, rows, headed=part[0] != section.title)
        for part in section.parts
    ]
    return tag("section", tag("h2", section.title), tag("div", parts, class_="grid"))


def _listing(title: str, grid: Grid, rows: int, *, headed: bool) -> Html:
    shown = table(title, grid, rows) if grid.table.num_rows else tag("p", "No data.", class_="empty")
    return tag("div", tag("h3", title) if headed else None, shown, class_="panel wide")


def _figure(chart: Chart, rows: int) -> Html:
    heading = tag("figcaption", tag("h3", chart.title), tag("p", chart.about))
    kind = "panel wide" if chart.wide else "panel"
    if chart.empty:
        why = tag("p", tag("strong", "No data. "), chart.missing, class_="empty")
        return tag("figure", heading, why, class_=kind)
    return tag(
        "figure",
        heading,
        tag("div", id=f"chart-{chart.name}", class_="chart", role="img", aria_label=f"{chart.title}. {chart.about}"),
        tag("details", tag("summary", "Show as a table"), table(chart.title, chart.grid, rows)),
        class_=kind,
    )


def _cards(cards: Sequence[Card]) -> Html | None:
    if not cards:
        return None
    terms = [
        tag("div", tag("dt", card.title), tag("dd", card.value), class_=f"card {card.tone}".rstrip()) for card in cards
    ]
    return tag("dl", terms, class_="cards")


def _tools(focused: bool) -> Html:
    spans = (("most events", "focus"), *_SPANS) if focused else _SPANS
    return tag(
        "form",
        tag("label", "Filter rows ", tag("input", type="search", id="filter", autocomplete="off")),
        tag("label", "Time ", tag("select", [tag("option", name, value=hours) for name, hours in spans], id="span")),
        tag("output", "", id="filtered", aria_live="polite"),
        class_="tools",
        role="search",
        hidden=True,
    )


_SPANS = (("all", 0), ("last 24 hours", 24), ("last 7 days", 168), ("last 30 days", 720))


def _dialog() -> Html:
    return tag(
        "dialog",
        tag("h2", "Events", id="events-title"),
        tag("div", class_="scroll", id="events-body", tabindex="0", role="region", aria_labelledby="events-title"),
        tag("p", tag("button", "Close", type="button", id="events-close")),
        id="events",
        aria_labelledby="events-title",
    )


def _header(page: Page, pages: Sequence[Page]) -> Html:
    links = [
        tag(
            "li",
            tag("a", each.short or each.title, href=each.file, aria_current="page" if each.file == page.file else None),
        )
        for each in pages
    ]
    return tag(
        "header",
        tag("a", "detector", class_="brand", href="index.html"),
        tag("nav", tag("ul", links), aria_label="Pages of the report"),
        tag("button", "Dark", type="button", id="theme", aria_pressed="false", aria_label="Dark look", hidden=True),
    )


def _scripts(page: Page, assets: Assets) -> list[str]:
    maps = any(trace["type"] == "scattergeo" for chart in page.charts for trace in chart.traces)
    needed = {"plotly.min.js": bool(page.charts), "world.js": maps, "report.js": True}
    return [name for name in assets.scripts if needed[name]]


def _policy(assets: Assets, needed: Iterable[str]) -> str:
    if not assets.single:
        return _POLICY + _LINKED
    hashes = " ".join(f"'sha256-{_hash(assets.scripts[name])}'" for name in needed)
    return f"{_POLICY}script-src {hashes}; style-src 'unsafe-inline'; img-src data: blob:"


@lru_cache(maxsize=8)
def _hash(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
