"""The pages as files: bounded, closed to the world, readable."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from detector.analytics import alerts
from detector.errors import ConfigError
from detector.reports import site
from detector.reports.charts import MAX_POINTS, coarser, label, without_gaps
from detector.reports.layout import stylesheet
from detector.reports.network import chain, edges
from tests.report_pages import ATTACKS, START, events, found_alerts, made

_COLOUR = re.compile(r"--([a-z0-9-]+): (#[0-9a-f]{6});")


@pytest.fixture(scope="module")
def tables() -> dict[str, pa.Table]:
    """The result tables of a report."""
    return made(events(1_000), found_alerts(60))


class TestBounds:
    def test_sizes(self, tmp_path: Path) -> None:
        """A page is below 1 MB however many addresses, paths, rules and hours there are, its assets below 6 MB."""
        many: list[dict[str, Any]] = [
            {
                "@timestamp": START + timedelta(hours=number),
                "event.format": f"format {number % 300} {'<' * 500}",
                "log.file.path": f"/{number}/{'&' * 2_000}",
                "log.offset": number,
                "source.ip": f"{number} {'>' * 1_000}",
                "http.request.method": "GET",
                "http.response.status_code": 400 + number % 200,
                "http.response.body.bytes": 10**9,
                "url.path": f"/{number}{'<' * 4_000}",
                "error.code": f"{number}{'<' * 3_000}",
                "event.action": f"{number}{'>' * 3_000}",
                "user.name": "'" * 3_000,
                "event.duration": float(number),
                "service.name": f"{number}{'&' * 500}",
                "log.level": f"{number}{'&' * 500}",
                "destination.port": number,
            }
            for number in range(4_000)
        ]
        pages = site.write_site(made(many, found_alerts(3_000)), tmp_path)
        assets = sum(path.stat().st_size for path in (tmp_path / "assets").iterdir())

        assert max(path.stat().st_size for path in pages) <= site.MAX_PAGE_BYTES
        assert assets <= 6_000_000

    def test_coarser(self) -> None:
        """Beyond what a line can show, hours are added up: nothing is left out."""
        hours = [START + timedelta(hours=number) for number in range(5_000)]
        table = pa.table({"hour": pa.array(hours, pa.timestamp("us", "UTC")), "requests": [1] * 5_000})
        found = coarser(table, "hour", ["requests"])

        assert found.num_rows <= MAX_POINTS + 1
        assert sum(found["requests"].to_pylist()) == 5_000
        assert coarser(table.slice(0, 9), "hour", ["requests"]).num_rows == 9

    def test_gaps(self) -> None:
        """A line falls to nothing in a gap, instead of leading over it."""
        hours = [START + timedelta(hours=number) for number in (0, 1, 5)]
        table = pa.table({"hour": pa.array(hours, pa.timestamp("us", "UTC")), "requests": [7, 8, 9]})
        found = without_gaps(table, "hour", ["requests"])

        assert [(row["hour"] - START).seconds // 3_600 for row in found.to_pylist()] == [0, 1, 2, 4, 5]
        assert found["requests"].to_pylist() == [7, 8, 0, 0, 9]

    def test_focus(self) -> None:
        """A stray date does not hide where all others are; without one, all is shown."""
        rows = [{"@timestamp": START + timedelta(hours=number % 48), "event.format": "x"} for number in range(960)]
        stray = {"@timestamp": START + timedelta(days=4_000), "event.format": "x"}
        none = alerts.SCHEMA.empty_table()

        assert site.focus(made(rows, none)) is None
        assert site.focus(made([*rows, stray], none)) == ["2026-11-20T00:00", "2026-11-22T00:00"]
        assert site.focus(made([], none)) is None

    def test_label(self) -> None:
        """Names on axes are short, and show what would deceive."""
        assert label("x" * 100) == "x" * 47 + "…"
        assert label("a\u202eb") == "a\\u202eb"
        assert label(None) == "none"


class TestPages:
    def test_references(self, tables: dict[str, pa.Table], tmp_path: Path) -> None:
        """All that pages refer to lies beside them."""
        from detector.reports.write import write

        write(tables, tmp_path)
        pages = site.write_site(tables, tmp_path)
        found = {each for page in pages for each in re.findall(r'(?:href|src)="([^"#]+)"', page.read_text())}

        assert {each for each in found if not (tmp_path / each).is_file()} == set()
        assert {page.name for page in pages} <= found
        assert {"log_summary.txt", "network_security_analysis.png", "assets/plotly.min.js"} <= found

    def test_same_again(self, tables: dict[str, pa.Table], tmp_path: Path) -> None:
        """The same tables give the same files."""
        for name in ("a", "b"):
            site.write_site(tables, tmp_path / name)

        for path in (tmp_path / "a").iterdir():
            if path.is_file():
                assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()

    def test_extra(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Without the packages for pages, one is told how to get them."""
        monkeypatch.setattr(site, "find_spec", lambda name: None if name == "matplotlib" else object())

        with pytest.raises(ConfigError, match=r'matplotlib is missing.*pip install "detector\[report\]"'):
            site.check()


class TestLook:
    @pytest.mark.parametrize("text", ["text", "muted", "accent", "good", "warn", "bad"])
    def test_contrast(self, text: str) -> None:
        """Texts stand out from each ground they are on by 4.5 to 1 (WCAG 2.2, AA), in both looks."""
        light, *dark = [dict(_COLOUR.findall(block)) for block in re.findall(r":root[^{]*\{([^}]*)\}", stylesheet())]

        assert dark[0] == dark[1]
        for look in (light, dark[0]):
            grounds = ["surface", "bg", *([f"{text}-bg"] if f"{text}-bg" in look else ["raised"])]
            assert min(_contrast(look[text], look[ground]) for ground in grounds) >= 4.5

    @pytest.mark.parametrize(
        "mark", ["c1", "c2", "c3", "c4", "c5", "c6", "c7", "c8", "critical", "good", "warn", "bad"]
    )
    def test_marks(self, mark: str) -> None:
        """Bars and lines stand out from the ground by 3 to 1."""
        light, dark, _ = [dict(_COLOUR.findall(block)) for block in re.findall(r":root[^{]*\{([^}]*)\}", stylesheet())]

        assert min(_contrast(look[mark], look["surface"]) for look in (light, dark)) >= 3


def _contrast(one: str, other: str) -> float:
    """https://www.w3.org/TR/WCAG22/#dfn-contrast-ratio"""
    high, low = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def _luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


class TestPicture:
    def test_chain(self, tables: dict[str, pa.Table]) -> None:
        """The kill chain has its order, from reconnaissance to exfiltration, however tactics are written."""
        written = pa.table({"tactic": ["Credential Access", "exfiltration", "unknown"], "alerts": [3, 2, 1]})
        found = chain({"threats_by_tactic": written})

        assert next(iter(found)) == "reconnaissance"
        assert list(found)[-1] == "exfiltration"
        assert {name: count for name, count in found.items() if count} == {"credential-access": 3, "exfiltration": 2}

    def test_edges(self) -> None:
        """The sources with the highest threat score come first, then those with most errors."""
        links = {"source_ip": ["a", "b", "c"], "target": ["t", "t", "u"], "events": [9, 1, 5], "errors": [0, 0, 5]}
        sources = {"source": ["b"], "threat_score": [60]}
        found = edges({"network_links": pa.table(links), "threat_sources": pa.table(sources)})

        assert [(row["source_ip"], row["score"]) for row in found] == [("b", 60), ("c", 0), ("a", 0)]

    def test_drawn(self, tables: dict[str, pa.Table], tmp_path: Path) -> None:
        """The picture is drawn with any text in it, and without any data."""
        from detector.reports.network import draw

        strange = {"source_ip": ["$x^2$"], "target": [ATTACKS[6]], "events": [1], "errors": [1]}
        draw(tables | {"network_links": pa.table(strange)}, tmp_path / "full.png")
        draw(made([], alerts.SCHEMA.empty_table()), tmp_path / "empty.png")

        for name in ("full.png", "empty.png"):
            assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
