"""Links within the documentation lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    page for page in ROOT.rglob("*.md") if not any(part.startswith(".") for part in page.relative_to(ROOT).parts)
)
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
_CODE_BLOCK = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"^```.*?^```|`[^`\n]*`", re.MULTILINE | re.DOTALL)


def _links(page: Path) -> list[str]:
    return _LINK.findall(_CODE.sub("", page.read_text()))


def _anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as the usual renderers make them."""
    headings = re.findall(r"^#+\s+(.*?)\s*$", _CODE_BLOCK.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


class TestLinks:
    @pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
    def test_lead_somewhere(self, page: Path) -> None:
        """Every link to a file of the repository leads to one, and its anchor to a heading of it."""
        broken = []
        for link in _links(page):
            if "://" in link or link.startswith("mailto:"):
                continue
            path, _, anchor = unquote(link).partition("#")
            target = (page.parent / path).resolve() if path else page
            if not target.exists() or (anchor and anchor not in _anchors(target)):
                broken.append(link)

        assert not broken

    def test_every_page_is_reached(self) -> None:
        """Every page can be reached from README.md by links."""
        reached: set[Path] = set()
        ahead = [ROOT / "README.md"]
        while ahead:
            page = ahead.pop()
            if page in reached:
                continue
            reached.add(page)
            for link in _links(page):
                target = (page.parent / unquote(link).partition("#")[0]).resolve()
                if target.is_dir():
                    ahead += target.glob("*.md")
                elif target.suffix == ".md" and target.exists():
                    ahead.append(target)

        assert {page for page in PAGES if page not in reached and "docs" in page.parts} == set()
