"""The pages of a report in a real browser: they draw, load nothing from elsewhere, and run nothing that data says."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from detector.analytics import alerts
from detector.reports.site import write_site
from detector.reports.write import write
from tests.browser import UnavailableError, chromium
from tests.report_pages import ATTACKS, events, found_alerts, made

FILES = (
    "index.html",
    "interactive_log_dashboard.html",
    "log_analytics_dashboard.html",
    "traffic_patterns.html",
    "performance_dashboard.html",
    "error_breakdown.html",
    "security_analysis.html",
    "security_summary.html",
    "compliance_report.html",
)


@dataclass
class Visit:
    """A page that was opened, and what the browser noticed."""

    page: Page
    noticed: list[str] = field(default_factory=list)

    def open(self, path: Path) -> None:
        """Open a page and wait until its charts are drawn."""
        self.page.goto(path.as_uri())
        self.page.wait_for_selector("html[data-drawn]", timeout=60_000)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser for all tests."""
    try:
        found = chromium()
    except UnavailableError as error:
        if os.environ.get("REQUIRE_CHROMIUM"):
            pytest.fail(str(error))
        pytest.skip(str(error))
    environment = {key: value for key, value in (os.environ | found.environment).items() if key != "DISPLAY"}
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(
            executable_path=found.executable, env=dict(environment), args=["--no-sandbox", "--disable-gpu"]
        )
        yield started
        started.close()


@pytest.fixture
def visit(browser: Browser) -> Iterator[Visit]:
    """A window of its own, which notes errors and requests that leave the machine."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, color_scheme="light")
    found = Visit(context.new_page())
    found.page.on("console", lambda message: found.noticed.append(f"{message.type}: {message.text}"))
    found.page.on("pageerror", lambda error: found.noticed.append(f"error: {error}"))
    found.page.on("request", lambda request: _elsewhere(found, request.url))
    yield found
    context.close()


def _elsewhere(visit: Visit, url: str) -> None:
    if not url.startswith(("file:", "data:", "blob:")):
        visit.noticed.append(f"request: {url}")


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report on events of every kind, some of them attacks on its reader."""
    folder = tmp_path_factory.mktemp("report")
    tables = made(events(), found_alerts())
    write(tables, folder)
    write_site(tables, folder)
    return folder


class TestPages:
    @pytest.mark.parametrize("file", FILES)
    def test_drawn(self, visit: Visit, report: Path, file: str) -> None:
        """Each page draws all its charts with data, tells the console nothing, loads nothing, and fits on a phone."""
        visit.open(report / file)
        empty = visit.page.evaluate(
            "[...document.querySelectorAll('.chart')].filter((each) => !each.querySelector("
            "'.point, .slice, .js-line, .points path, .hm image, .scattergeo path')).map((each) => each.id)"
        )

        assert visit.noticed == []
        assert empty == []
        assert visit.page.evaluate("window.broken") is None
        assert visit.page.locator(".chart").count() == visit.page.evaluate(
            "Object.keys(JSON.parse(document.getElementById('report').textContent).charts).length"
        )
        visit.page.set_viewport_size({"width": 375, "height": 700})  # a phone: nothing has to be moved sideways
        assert visit.page.evaluate("document.documentElement.scrollWidth") <= 375

    def test_alike(self, visit: Visit, report: Path) -> None:
        """What attackers wrote stands in charts and tables as they wrote it, and runs nowhere."""
        visit.open(report / "log_analytics_dashboard.html")
        drawn = visit.page.locator("#chart-types").text_content() or ""
        listed = visit.page.locator("main table").first.evaluate("() => document.querySelector('main').textContent")

        assert ATTACKS[0] in drawn
        assert "$bad %{y} &lt;b&gt;" in drawn
        assert "a\\u202egnp.exe" in drawn
        assert "\\x1b[2J\\x00\\x9b" in listed
        assert all(attack in listed for attack in ATTACKS if attack.isprintable())
        assert visit.page.locator("main a[href^='javascript']").count() == 0
        assert visit.page.evaluate("window.broken") is None

    def test_policy(self, visit: Visit, report: Path) -> None:
        """Even a script of the page could reach no other origin, nor could one run that stands in the page."""
        visit.open(report / "index.html")
        refused = visit.page.evaluate(
            """() => new Promise((resolve) => {
                const found = [];
                document.addEventListener("securitypolicyviolation", (event) => {
                    found.push(event.effectiveDirective);
                    if (found.length === 3) resolve(found.sort());
                });
                document.body.append(Object.assign(new Image(), { src: "http://127.0.0.1:9/x.png" }));
                fetch("http://127.0.0.1:9/").catch(() => {});
                document.body.append(Object.assign(document.createElement("script"), { textContent: "broken = 1" }));
            })"""
        )

        assert refused == ["connect-src", "img-src", "script-src-elem"]

    def test_behind_a_number(self, visit: Visit, report: Path) -> None:
        """By mouse from a bar, by keyboard from a row: some of the events behind it, and back again."""
        visit.open(report / "error_breakdown.html")
        page = visit.page
        page.locator("#chart-status .point").first.click(force=True)
        page.locator("dialog[open]").wait_for()
        assert page.locator("#events-title").text_content() == "Some of the events: status 403"
        rows = page.locator("#events-body tbody tr").all_text_contents()
        assert 0 < len(rows) <= 5
        assert all("403" in row for row in rows)
        page.keyboard.press("Escape")
        assert page.locator("dialog[open]").count() == 0

        page.locator("#chart-status + details summary").focus()
        page.keyboard.press("Enter")
        page.locator("#chart-status + details button.drill").first.focus()
        page.keyboard.press("Enter")
        page.locator("dialog[open]").wait_for()
        page.keyboard.press("Escape")
        assert page.evaluate("document.activeElement.className") == "drill"
        assert visit.noticed == []

    def test_filters(self, visit: Visit, report: Path) -> None:
        """Rows are narrowed down by a text, charts by time."""
        visit.open(report / "traffic_patterns.html")
        page = visit.page
        page.locator("#filter").fill("203.0.113.1")
        left = page.locator("tbody tr:not([hidden])").all_text_contents()
        assert left
        assert all("203.0.113.1" in row for row in left)
        assert page.locator("#filtered").text_content().startswith(f"{len(left)} of ")  # type: ignore[union-attr]

        page.locator("#span").select_option("24")
        page.wait_for_function("document.getElementById('chart-volume').layout.xaxis.range[0].startsWith('2026-11-23')")

    def test_looks(self, visit: Visit, report: Path) -> None:
        """Pages and charts are light or dark as the system says, until the switch says otherwise."""
        visit.page.emulate_media(color_scheme="dark")
        visit.open(report / "security_summary.html")
        page = visit.page
        chart = "document.querySelector('.chart').layout.font.color"
        look = f"[getComputedStyle(document.body).backgroundColor, {chart}]"
        assert page.evaluate(look) == ["rgb(14, 19, 27)", "#e7ecf3"]
        assert page.locator("#theme").get_attribute("aria-pressed") == "true"

        page.locator("#theme").click()
        page.wait_for_selector("html[data-drawn='2']")
        assert page.evaluate(look) == ["rgb(244, 246, 249)", "#182230"]
        assert page.locator("#theme").get_attribute("aria-pressed") == "false"

    def test_keyboard(self, visit: Visit, report: Path) -> None:
        """The first stop leads to the content; navigation, switch, filters, tables and their links follow."""
        visit.open(report / "performance_dashboard.html")
        stops: list[str] = []
        while "BODY#" not in stops and len(stops) < 100:
            visit.page.keyboard.press("Tab")
            stops.append(visit.page.evaluate("[document.activeElement.tagName, document.activeElement.id].join('#')"))

        assert visit.page.evaluate("document.querySelector('.skip').getAttribute('href')") == "#content"
        assert stops[0] == "A#"
        assert {"BUTTON#theme", "INPUT#filter", "SELECT#span", "SUMMARY#"} <= set(stops)
        assert stops.count("SUMMARY#") == visit.page.locator("summary").count()

    @pytest.mark.parametrize("file", ["index.html", "security_analysis.html"])
    def test_structure(self, visit: Visit, report: Path, file: str) -> None:
        """Landmarks, headings without gaps, names of what can be used, and a table for each picture of numbers."""
        visit.open(report / file)
        headings = "[...document.querySelectorAll('main :is(h1,h2,h3)')]"
        levels = visit.page.evaluate(f"{headings}.map((each) => +each.tagName[1])")
        nameless = visit.page.evaluate(
            "[...document.querySelectorAll('.chart, img, nav, [role=region], dialog')].filter((each) => "
            "!(each.ariaLabel || each.alt || each.getAttribute('aria-labelledby'))).length"
        )
        alone = visit.page.evaluate(
            "[...document.querySelectorAll('.chart')]"
            ".filter((each) => !each.parentElement.querySelector('details table'))"
        )

        assert [visit.page.locator(f"body > {each}").count() for each in ("header", "main", "footer")] == [1, 1, 1]
        assert levels[0] == 1
        assert levels.count(1) == 1
        assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
        assert nameless == 0
        assert alone == []
        assert visit.page.evaluate("document.documentElement.lang") == "en"


class TestOtherReports:
    def test_single_file(self, visit: Visit, tmp_path: Path) -> None:
        """One file, moved elsewhere, is all that a page needs, its map and pictures included."""
        tables = made(events(500), found_alerts(40))
        write_site(tables, tmp_path / "report", single_file=True)
        visit.open((tmp_path / "report" / "interactive_log_dashboard.html").rename(tmp_path / "moved.html"))

        assert visit.page.locator("#chart-map .scattergeo path.point").count() == 4
        assert visit.noticed == []
        assert '<img src="data:image/png;base64,' in (tmp_path / "report/security_analysis.html").read_text()
        assert not (tmp_path / "report" / "assets").exists()

    def test_nothing(self, visit: Visit, tmp_path: Path) -> None:
        """Without events and alerts, pages say so instead of drawing."""
        write_site(made([], alerts.SCHEMA.empty_table()), tmp_path)
        for name in FILES:
            visit.open(tmp_path / name)
            assert visit.page.locator(".chart").count() <= 1  # the counts of the summary, which are zero
        visit.page.goto((tmp_path / "interactive_log_dashboard.html").as_uri())

        assert visit.page.locator(".empty").count() == 6
        assert visit.noticed == []
