from __future__ import annotations

import pytest

from detector.config import Limits
from detector.errors import ParserError
from detector.parsing.definition import read
from tests.parsing import parse, parsers_of

GOOD = """\
name: words
title: Two words
pattern: '(?P<a>\\w+) (?P<b>\\w+)'
recognize: {starts: '\\w+ \\w+$'}
fields:
  user.name: a
logsources:
  - logsource: {product: words}
"""


def error(text: str) -> str:
    """The one error of a definition file."""
    (found,) = parsers_of(text).errors
    return str(found)


class TestRead:
    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("a: 1\na: 2\n", "x.yml:2: the key 'a' stands twice"),
            ("a: !!python/object:os.system x\n", "x.yml:1: the tag"),
            ("a: [\n", "x.yml:2: not YAML"),
            ("- a\n", "x.yml:1: a definition is a mapping"),
            ("[" * 50_000, "x.yml:1: nested more than 32 deep"),
        ],
    )
    def test_refused(self, text: str, message: str) -> None:
        """What is no YAML, or more than a definition needs, is refused with its line."""
        with pytest.raises(ParserError) as caught:
            read(text, "x.yml", Limits().max_rule_file_bytes)

        assert str(caught.value).startswith(message)

    def test_size(self) -> None:
        """A file beyond the limit is not looked at."""
        with pytest.raises(ParserError, match="larger than 1,024 bytes"):
            read("#" * 2_000, "x.yml", 1_024)


class TestDefinition:
    def test_good(self) -> None:
        """A definition of a user works."""
        parsers = parsers_of(GOOD)

        (event,) = parse(b"ab cd", parsers=parsers).events

        assert not parsers.errors
        assert (event.format, event.raw, event.ecs) == ("words", {"a": "ab", "b": "cd"}, {"user.name": "ab"})

    @pytest.mark.parametrize(
        ("old", "new", "message"),
        [
            ("title: Two words", "titel: x", "1.yml:2: titel: no such key"),
            ("name: words", "name: Two Words", "1.yml:1: name: String should match"),
            ("user.name: a", "user.name: c", "1.yml:6: field user.name: no group is named 'c'"),
            ("user.name: a", "user.name: {from: a, type: number}", "1.yml:6: fields.user.name.0.type: type 'number'"),
            ("user.name: a", "user.name: {type: int}", "1.yml:6: fields.user.name.0: a field needs either"),
            ("user.name: a", "user.name: {from: a, typ: int}", "1.yml:6: fields.user.name.0.typ: no such key"),
            ("(?P<a>\\w+)", "(?P<a>\\w+", "1.yml:3: RE2 refuses the expression: missing )"),
            ("(?P<a>\\w+)", "(?P<a>\\w+)(?=x)", "1.yml:3: RE2 refuses"),
            ("(?P<a>\\w+)", "(?P<a>\\w{1001})", "1.yml:3: RE2 refuses"),
            ("{starts: '\\w+ \\w+$'}", "{starts: '('}", "1.yml:4: RE2 refuses"),
            ("{product: words}", "{produkt: words}", "1.yml:8: logsources.0.logsource.produkt: no such key"),
            (
                "{product: words}",
                "{product: words}\n    aliases: nowhere",
                "1.yml:9: aliases: no table is named 'nowhere'",
            ),
            ("fields:", "time: {from: a, formats: '%J'}\nfields:", "1.yml:5: time format '%J'"),
            ("name: words", "name: words\nlike: other", "1.yml:2: like: 'other' names no parser"),
            ("name: words", "name: words\njson: {}", "1.yml:1: a definition has exactly one of"),
            ("(?P<a>\\w+)", "(?P<a>\\w+)" + "x" * 5_000, "1.yml:3: pattern: String should have at most 4096"),
        ],
    )
    def test_errors(self, old: str, new: str, message: str) -> None:
        """What is wrong is said with file and line."""
        assert old in GOOD

        assert error(GOOD.replace(old, new)).startswith(message)

    def test_like(self) -> None:
        """A definition takes from another what it does not say itself, and adds to its fields."""
        parsers = parsers_of(
            GOOD + "---\nname: more\ntitle: x\nlike: words\npattern: '(?P<a>\\d+),(?P<b>\\d+)'\nfields: {user.id: b}\n"
        )

        (event,) = parse(b"1,2", form="more", parsers=parsers).events

        assert event.ecs == {"user.name": "1", "user.id": "2"}
        assert [binding.logsource.product for binding in event.bindings] == ["words"]

    def test_the_others_work(self) -> None:
        """A broken definition is left out, the others are there."""
        parsers = parsers_of(GOOD, "name: x\n", GOOD.replace("name: words", "name: other"))

        assert set(parsers.definitions) == {"words", "other"}
        assert len(parsers.errors) == 1
