"""What a definition's fields and log sources become."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from detector.parsing.timestamps import epoch
from tests.parsing import event, parsers_of, sources


def fields(text: str, value: dict[str, Any]) -> dict[str, Any]:
    """The ECS names of an object under a definition with these fields."""
    parsers = parsers_of(f"name: a\ntitle: A\njson: {{}}\nfields:\n{text}")
    assert not parsers.errors
    return event(orjson.dumps(value), parsers=parsers).ecs


class TestFields:
    @pytest.mark.parametrize(
        ("field", "value", "expected"),
        [
            ("{template: '{a}\\{b.c}!'}", {"a": "x", "b": {"c": 5}}, {"f.n": "x\\5!"}),
            ("{template: '{a}{b}'}", {"a": "x", "b": ""}, {}),
            ("{template: '{a}{b}'}", {"a": "x", "b": None}, {}),
            ("{template: '{a}{b}'}", {"a": "x", "b": ["y"]}, {}),
            ("{template: '-{a}', type: int}", {"a": 7}, {"f.n": -7}),
            ("[{template: '{a}'}, {from: b}]", {"b": "y"}, {"f.n": "y"}),
            ("{from: a, map: {'6': tcp, x: y}}", {"a": 6}, {"f.n": "tcp"}),
            ("{from: a, map: {'6': tcp, 'true': 'yes'}}", {"a": True}, {"f.n": "yes"}),
            ("{from: a, map: {'6': tcp}}", {"a": 7}, {}),
            ("[{from: a, map: {'6': tcp}}, {value: other}]", {"a": 7}, {"f.n": "other"}),
            ("{from: [a, b], map: {x: y}}", {"a": "z", "b": "x"}, {"f.n": "y"}),
            ("{from: a.1.b}", {"a": [{"b": 1}, {"b": 2}]}, {"f.n": 2}),
            ("{from: a.0}", {"a": []}, {}),
            ("{from: a, type: file_name}", {"a": "C:\\x\\y z.exe"}, {"f.n": "y z.exe"}),
            ("{from: a, type: file_name}", {"a": "/usr/bin/id"}, {"f.n": "id"}),
            ("{from: a, type: file_name}", {"a": "id"}, {"f.n": "id"}),
            ("{from: a, type: file_name}", {"a": "C:\\"}, {}),
            ("{from: a, type: extension}", {"a": "http://x/y.z/a.b.EXE?c=.d#.e"}, {"f.n": "EXE"}),
            ("{from: a, type: extension}", {"a": "/a/.git"}, {}),
            ("{from: a, type: extension}", {"a": "/a.b/c"}, {}),
            ("{from: a, type: joined}", {"a": ["x", "y z", 1]}, {"f.n": "x y z"}),
            ("{from: a, type: joined}", {"a": "x"}, {"f.n": "x"}),
            ("{from: a, type: joined}", {"a": []}, {}),
            ("{from: a, type: account}", {"a": "D\\u"}, {"f.n": "u", "f.domain": "D"}),
            ("{from: a, type: account}", {"a": "u"}, {"f.n": "u"}),
            ("{from: [a, b], type: account}", {"a": "-", "b": "u"}, {"f.n": "u"}),
            ("{from: a, type: hashes}", {"a": "MD5=1,SHA256=2,IMPHASH=,X=3"}, {"f.n.md5": "1", "f.n.sha256": "2"}),
            ("{from: a, type: hashes}", {"a": "none"}, {}),
        ],
    )
    def test_values(self, field: str, value: dict[str, Any], expected: dict[str, Any]) -> None:
        """Templates need all their values; a map knows its values only; types take what is theirs."""
        assert fields(f"  f.n: {field}\n", value) == expected

    @pytest.mark.parametrize("field", ["{from: a, value: b}", "{from: a, template: b}", "{map: {a: b}, value: c}"])
    def test_refused(self, field: str) -> None:
        """A field has one source, and a map needs values to look up."""
        (error,) = parsers_of(f"name: a\ntitle: A\njson: {{}}\nfields:\n  f.n: {field}\n").errors

        assert str(error).startswith("1.yml:5: fields.f.n.0: ")


class TestLogSources:
    def test_implied(self) -> None:
        """A row that another implies is left out, unless its names of fields differ; of equal ones the last counts."""
        parsers = parsers_of(
            "name: a\ntitle: A\njson: {}\nlogsources:\n"
            "  - {logsource: {product: p}}\n"
            "  - {logsource: {product: p, service: s}}\n"
            "  - {logsource: {product: p, service: s, category: c}}\n"
            "  - {logsource: {category: c}, aliases: {x: y}}\n"
            "  - {logsource: {category: d}, aliases: {x: y}}\n"
            "  - {logsource: {category: d}, aliases: {x: z}}\n"
        )

        found = event(b'{"k": 1}', parsers=parsers)

        assert sources(found) == {("c", "p", "s"), ("c", None, None), ("d", None, None)}
        assert [dict(binding.aliases) for binding in found.bindings if binding.logsource.category == "d"] == [
            {"x": ("z",)}
        ]


class TestEpoch:
    @pytest.mark.parametrize(
        ("text", "us"),
        [
            ("1715940303.250:1234", 1_715_940_303_250_000),
            ("1715940303.250:", None),
            ("1715940303:12", None),
            ("12:30", None),
        ],
    )
    def test_serial(self, text: str, us: int | None) -> None:
        """A number of an event may stand behind a fraction; what looks like a time of day is none."""
        instant = epoch(text)

        assert (instant and instant.us) == us
