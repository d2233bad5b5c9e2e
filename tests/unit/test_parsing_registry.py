from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from detector.config import Limits
from detector.errors import ConfigError, ParserError
from detector.parsing.registry import Parsers, ParserSource, compile_parsers, read_sources
from tests.parsing import BUILTIN, parse

WORDS = "name: words\ntitle: {title}\npattern: '(?P<a>\\w+)'\n"


def source(path: str, title: str, *, builtin: bool = False) -> ParserSource:
    return ParserSource(path, WORDS.format(title=title), builtin)


class TestReadSources:
    def test_built_in(self) -> None:
        """The built-in definitions are found, and load without an error."""
        assert {
            "apache_combined",
            "apache_common",
            "aws_cloudtrail",
            "json",
            "syslog_rfc3164",
            "syslog_rfc5424",
        } <= set(BUILTIN.definitions)
        assert BUILTIN.errors == []

    def test_folders(self, tmp_path: Path) -> None:
        """Folders are searched through and through for both endings, in order; other files are left alone."""
        (tmp_path / "b").mkdir()
        for name in ("b/2.yaml", "1.yml", "readme.md"):
            (tmp_path / name).write_text(WORDS, encoding="utf-8")

        found = read_sources([tmp_path], builtin=False)

        assert [Path(entry.path).name for entry in found] == ["1.yml", "2.yaml"]

    def test_kubernetes(self, tmp_path: Path) -> None:
        """A mounted config map holds each file twice; it is read once."""
        (tmp_path / "..2024").mkdir()
        (tmp_path / "..2024" / "1.yml").write_text(WORDS, encoding="utf-8")
        (tmp_path / "..data").symlink_to("..2024")
        (tmp_path / "1.yml").symlink_to("..data/1.yml")

        assert [Path(entry.path) for entry in read_sources([tmp_path], builtin=False)] == [tmp_path / "1.yml"]

    def test_missing(self, tmp_path: Path) -> None:
        """A path that is not there is an error."""
        with pytest.raises(ParserError, match="no such file"):
            read_sources([tmp_path / "x"], builtin=False)

    def test_no_text(self, tmp_path: Path) -> None:
        """A file that is no text is an error."""
        (tmp_path / "x.yml").write_bytes(b"\xff\xfe")

        with pytest.raises(ParserError, match="cannot be read as text"):
            read_sources([tmp_path], builtin=False)


class TestParsers:
    def test_sha(self) -> None:
        """The hash names the texts, wherever they lie."""
        one = Parsers([source("a.yml", "x")], Limits())

        assert one.sha == Parsers([source("b.yml", "x")], Limits()).sha
        assert one.sha != Parsers([source("a.yml", "y")], Limits()).sha

    def test_compiled_once(self) -> None:
        """The same sources are compiled once in a process, also when they came from another one."""
        sources = (source("a.yml", "x"),)

        again = pickle.loads(pickle.dumps(sources))

        assert compile_parsers(sources, limits=Limits()) is compile_parsers(again, limits=Limits())

    def test_replaces_built_in(self) -> None:
        """A definition of a user replaces the built-in one of that name."""
        parsers = Parsers([source("a.yml", "built in", builtin=True), source("b.yml", "mine")], Limits())

        assert parsers.definitions["words"].title == "mine"
        assert not parsers.errors

    def test_twice(self) -> None:
        """Two definitions of one name are an error, and the first counts."""
        parsers = Parsers([source("a.yml", "x"), source("b.yml", "y")], Limits())

        assert [str(error) for error in parsers.errors] == ["b.yml:1: 'words' is also defined in a.yml"]
        assert parsers.definitions["words"].title == "x"

    def test_unknown_format(self) -> None:
        """A topic's format must be there."""
        with pytest.raises(ConfigError, match="no parser is named 'nope'; there are auto, access_extended"):
            parse(b"x", form="nope")

    def test_no_parsers(self) -> None:
        """Without any parser, records are raw events."""
        (event,) = parse(b'{"a": 1}', parsers=Parsers([], Limits())).events

        assert event.format == "raw"
