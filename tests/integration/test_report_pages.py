"""The pages of a report in a real browser: they draw, load nothing from elsewhere, and run nothing that data says."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from detector.reports.site import write_site
from detector.reports.write import write
from tests.browser import UnavailableError, chromium
from tests.report_pages import events, found_alerts, made

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
