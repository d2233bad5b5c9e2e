"""Markup out of texts of strangers."""

from __future__ import annotations

from html.parser import HTMLParser

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.alerts.text import printable
from detector.reports.markup import Html, data, raw, tag
from tests.report_pages import ATTACKS

TEXTS = (
    st.text()
    | st.sampled_from(ATTACKS)
    | st.lists(st.sampled_from("<>&\"'/!-script`=\u2028 "), max_size=12).map("".join)
)


class Reader(HTMLParser):
    """What a browser makes of markup: the elements, their attributes, and the text."""

    def __init__(self) -> None:
        super().__init__()
        self.elements: list[str] = []
        self.attributes: dict[str, str | None] = {}
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        self.attributes |= dict(attrs)

    def handle_data(self, data: str) -> None:
        self.text += data


def read(markup: str) -> Reader:
    """Parse markup."""
    reader = Reader()
    reader.feed(markup)
    reader.close()
    return reader


class TestTag:
    @given(TEXTS, TEXTS)
    def test_texts(self, text: str, name: str) -> None:
        """Whatever a text is, it makes no element and no attribute, and is read as it is shown."""
        found = read(tag("p", tag("b", text), class_="x", title=name))

        assert found.elements == ["p", "b"]
        assert found.text == printable(text)
        assert found.attributes == {"class": "x", "title": printable(name)}

    def test_children(self) -> None:
        """Lists are flattened, None is left out, markup stays markup."""
        assert tag("p", ["a", None, [Html("<b>")]], 1, hidden=True, id=None) == "<p hidden>a<b>1</p>"

    @pytest.mark.parametrize("address", ["javascript:alert(1)", "https://example.com", "//example.com/x", "data:,x"])
    def test_references(self, address: str) -> None:
        """No reference leads away from the report."""
        with pytest.raises(ValueError, match="leads away"):
            tag("a", "x", href=address)


class TestData:
    @given(
        st.dictionaries(TEXTS.filter(lambda text: text.isprintable()), TEXTS.filter(lambda text: text.isprintable()))
    )
    def test_same(self, value: dict[str, str]) -> None:
        """JSON for the page's script ends no element, and is the same value to it."""
        markup = data("d", value)
        content = markup.removeprefix('<script type="application/json" id="d">').removesuffix("</script>")

        assert not set("<>&\u2028") & set(content)
        assert orjson.loads(content) == value

    @pytest.mark.parametrize("content", ["x</SCRIPT>", "<!--"])
    def test_raw(self, content: str) -> None:
        """What would end a script is refused."""
        with pytest.raises(ValueError, match="content of a script"):
            raw("script", content)
