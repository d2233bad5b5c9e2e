from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.parsing.urls import decode_once, normalize_path, split_request, url_fields


def fields(url: str) -> dict[str, object]:
    found: dict[str, object] = {}
    url_fields(url, found)
    return found


class TestSplitRequest:
    @pytest.mark.parametrize(
        ("line", "expected"),
        [
            ("GET /a HTTP/1.1", ("GET", "/a", "1.1")),
            ("GET /a", ("GET", "/a", None)),
            ("PROPFIND /a b  c HTTP/2.0", ("PROPFIND", "/a b  c", "2.0")),
            ("BASELINE-CONTROL * http/1.0", ("BASELINE-CONTROL", "*", "1.0")),
            ("GET HTTP/1.1", ("GET", None, "1.1")),
            (r"\x16\x03\x01", (None, r"\x16\x03\x01", None)),
            ("/no/method HTTP/1.1", (None, "/no/method HTTP/1.1", None)),
            ("${jndi:ldap://x} y", (None, "${jndi:ldap://x} y", None)),
            ("GET", (None, "GET", None)),
            ("", (None, None, None)),
            (" GET /", (None, " GET /", None)),
            ("A" * 40 + " / HTTP/1.1", (None, "A" * 40 + " / HTTP/1.1", None)),
        ],
    )
    def test_forms(self, line: str, expected: tuple[str | None, str | None, str | None]) -> None:
        """A request is method, URL and version; what has no method is a URL as a whole."""
        assert split_request(line) == expected


class TestUrlFields:
    def test_plain(self) -> None:
        """A plain path has nothing decoded or normalized."""
        assert fields("/a/b") == {"url.original": "/a/b", "url.path": "/a/b", "url.path_query": "/a/b"}

    def test_query(self) -> None:
        """The query begins at the first question mark; an empty one is there and empty."""
        assert fields("/a?b?c")["url.query"] == "b?c"
        assert fields("/a?")["url.query"] == ""

    def test_decoded_once(self) -> None:
        """Percent-encoding is taken off once; what is encoded twice stays encoded once."""
        found = fields("/a%2562?q=%2541")

        assert found["url.path_decoded"] == "/a%62"
        assert found["url.query_decoded"] == "q=%41"

    def test_plus(self) -> None:
        """A plus is a space in a query, and itself in a path."""
        found = fields("/a+b?c+d")

        assert "url.path_decoded" not in found
        assert found["url.query_decoded"] == "c d"
        assert found["url.path_query_decoded"] == "/a+b?c d"

    def test_traversal(self) -> None:
        """Dot segments are resolved as they stand and after decoding."""
        found = fields("/x/../..//etc/%2e%2e/passwd")

        assert found["url.path_normalized"] == "/etc/%2e%2e/passwd"
        assert found["url.path_normalized_decoded"] == "/passwd"

    def test_backslash(self) -> None:
        """An encoded backslash separates, as on Windows."""
        assert fields("/a/..%5c..%5cwindows")["url.path_normalized_decoded"] == "/windows"

    @pytest.mark.parametrize(
        ("url", "domain", "port", "path"),
        [
            ("http://Example.com", "example.com", None, ""),
            ("https://example.com:8443?a", "example.com", 8443, ""),
            ("http://u:p@[2001:db8::1]:80/x", "2001:db8::1", 80, "/x"),
            ("http://[2001:db8::1]/x", "2001:db8::1", None, "/x"),
        ],
    )
    def test_absolute(self, url: str, domain: str, port: int | None, path: str) -> None:
        """A proxy's request names scheme, host and port."""
        found = fields(url)

        assert (found.get("url.domain"), found.get("url.port"), found["url.path"]) == (domain, port, path)

    @given(st.text(max_size=60))
    def test_any_text(self, text: str) -> None:
        """No URL raises, and its parts put together are the URL."""
        found = fields(text)

        question = "?" if "url.query" in found else ""
        assert found["url.path_query"] == f"{found['url.path']}{question}{found.get('url.query', '')}"
        assert str(found["url.original"]).endswith(str(found["url.path_query"]))


class TestDecodeOnce:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [("%41%zz%", "A%zz%"), ("%ff", "\ufffd"), ("%e4%bd%a0", "你"), ("ü%20", "ü ")],
    )
    def test_invalid(self, text: str, expected: str) -> None:
        """What is no escape stays; bytes that are no UTF-8 are replaced."""
        assert decode_once(text) == expected


class TestNormalizePath:
    @pytest.mark.parametrize(
        ("path", "expected"),
        [("/a/./b/../c", "/a/c"), ("//a//b/", "/a/b/"), ("/..", "/"), ("a/../b", "b"), ("/a/..", "/"), ("", "")],
    )
    def test_segments(self, path: str, expected: str) -> None:
        """Dots and doubled slashes go, a slash at the end stays."""
        assert normalize_path(path) == expected

    @given(st.text(alphabet="/.a%", max_size=30))
    def test_once_is_enough(self, path: str) -> None:
        """A normalized path is normalized."""
        assert normalize_path(normalize_path(path)) == normalize_path(path)
