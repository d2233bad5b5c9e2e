"""Fields by their names, arrays on the way, and keywords."""

from __future__ import annotations

from typing import Any

import pytest

from detector.events import Event
from detector.sigma.fields import EventView
from tests.sigma import event, matches


def values(subject: Event, name: str) -> tuple[Any, ...] | None:
    found = EventView(subject, subject.bindings[0]).found(name)
    return found.values if found.present else None


class TestResolution:
    """The alias of the log source, the raw path as it stood, the ECS name."""

    def test_order(self) -> None:
        """The first of the three that there is."""
        ecs = {"a": "ecs"}

        assert values(event({"a": "raw", "b": "other"}, ecs=ecs, aliases={"a": ("raw:b",)}), "a") == ("other",)
        assert values(event({"a": "raw"}, ecs=ecs), "a") == ("raw",)
        assert values(event({}, ecs=ecs), "a") == ("ecs",)
        assert values(event({}), "a") is None

    def test_alias_of_several_fields(self) -> None:
        """Any of them may match; `not` means that none does."""
        subject = event({"q": "x=1"}, ecs={"url.path": "/a"}, aliases={"query": ("raw:q", "url.path", "raw:none")})

        assert values(subject, "query") == ("x=1", "/a")
        assert matches({"s": {"query": "/a"}}, subject)
        assert not matches({"s": {"query": "/a"}, "condition": "not s"}, subject)
        assert matches({"s": {"query|contains": "b"}, "condition": "not s"}, subject)

    def test_alias_that_leads_nowhere(self) -> None:
        """The field is absent then: it does not fall through to a raw field of its name."""
        assert values(event({"a": "raw"}, ecs={"a": "ecs"}, aliases={"a": ("raw:b", "c")}), "a") is None

    @pytest.mark.parametrize(
        ("raw", "name", "expected"),
        [
            ({"a": {"b": {"c": 1}}}, "a.b.c", (1,)),
            ({"a.b": {"c": 1}}, "a.b.c", (1,)),
            ({"a": {"b.c": 1}}, "a.b.c", (1,)),
            ({"a.b.c": 2, "a": {"b": {"c": 1}}}, "a.b.c", (2,)),
            ({"a.b": {"x": 2}, "a": {"b": {"c": 1}}}, "a.b.c", (1,)),
            ({"a.b": {"c": 2}, "a": {"b.c": 1}}, "a.b.c", (2,)),
            ({"a": {"b": 1}}, "a.b.c", None),
            ({"a": "text"}, "a.b", None),
            ({"A": 1}, "a", None),
            ({"a b": 1}, "a b", (1,)),
            ({"": {"a": 1}}, ".a", (1,)),
        ],
    )
    def test_paths(self, raw: dict[str, Any], name: str, expected: tuple[Any, ...] | None) -> None:
        """The longest key that is there first, then dotted segments; case counts."""
        assert values(event(raw), name) == expected

    @pytest.mark.parametrize(
        ("raw", "name", "expected"),
        [
            ({"a": [{"b": 1}, {"b": 2}]}, "a.b", (1, 2)),
            ({"a": [{"b": 1}, {"c": 2}, "x"]}, "a.b", (1,)),
            ({"a": [[{"b": 1}], [{"b": [2, 3]}]]}, "a.b", (1, 2, 3)),
            ({"a": [1, [2, [3]]]}, "a", (1, 2, 3)),
            ({"a": []}, "a", ()),
            ({"a": []}, "a.b", None),
            ({"a": [{}]}, "a.b", None),
            ({"a": [None, 1]}, "a", (1,)),
            ({"a": {"b": {"c": 1}}}, "a.b", ({"c": 1},)),
        ],
    )
    def test_arrays(self, raw: dict[str, Any], name: str, expected: tuple[Any, ...] | None) -> None:
        """Any element counts, on the way and at the end; an empty array is present and matches nothing."""
        assert values(event(raw), name) == expected

    def test_empty_array(self) -> None:
        """It is there, not null, and no value of it matches."""
        subject = event({"f": []})

        assert matches({"s": {"f|exists": True}}, subject)
        assert not matches({"s": {"f": None}}, subject)
        assert not matches({"s": {"f": "*"}}, subject)
        assert matches({"s": {"f|neq": "a"}}, subject)

    def test_objects_are_their_json(self) -> None:
        """An object compares as its compact JSON text."""
        assert matches({"s": {"f|contains": '"a":[1,null]'}}, {"f": {"a": [1, None], "b": "x"}})

    def test_ecs_values(self) -> None:
        """ECS fields may be lists, and null."""
        subject = event({}, ecs={"user.roles": ["a", "b"], "user.name": None})

        assert matches({"s": {"user.roles": "B"}}, subject)
        assert matches({"s": {"user.name": None, "user.name|exists": True}}, subject)


class TestKeywords:
    """Items without a field."""

    @pytest.mark.parametrize(
        ("keywords", "expected"),
        [
            (["error"], True),
            (["ERROR at"], True),
            (["nothing", "deep"], True),
            ([42], True),
            (["4"], True),
            (["level"], False),
            (["err*at"], True),
            (["err?r"], True),
            ([r"c:\\*x"], True),
            (["true"], True),
            (["null"], False),
            (["error deep"], False),
        ],
    )
    def test_structured(self, keywords: list[Any], expected: bool) -> None:
        """A keyword is part of any value's text; keys and nulls are not searched, numbers are text."""
        raw = {"level": "Error at 5", "a": [{"b": "Deep"}, None, 42, True], "p": r"C:\dir\x"}

        assert matches({"s": keywords}, event(raw)) is expected

    def test_text(self) -> None:
        """In a text format the original line is searched, whatever its fields are."""
        subject = event({"user": "bob"}, line="Failed password for Bob from 192.0.2.1")

        assert matches({"s": ["failed PASSWORD"]}, subject)
        assert matches({"s": {"|all": ["bob", "192.0.2"]}}, subject)
        assert not matches({"s": ["user"]}, subject)

    def test_undecodable_text(self) -> None:
        """Bytes that are no UTF-8 do not hide the others."""
        assert matches({"s": ["evil"]}, event(line=b"\xff\xfeevil\xff"))

    @pytest.mark.parametrize(
        ("item", "expected"),
        [
            ({"|all": ["a", "b"]}, True),
            ({"|all": ["a", "z"]}, False),
            ({"|contains": "b c"}, True),
            ({"|startswith": "a b"}, True),
            ({"|startswith": "b"}, False),
            ({"|endswith": "d"}, True),
            ({"|re": r"b\s+c"}, True),
            ({"|re": "^b"}, False),
            ({"|cased": "A B"}, False),
            ({"|cased": "a b"}, True),
            ({"|base64offset|contains": "x y"}, False),
            ({"|neq": "zz"}, True),
        ],
    )
    def test_modifiers(self, item: dict[str, Any], expected: bool) -> None:
        """A key that is only modifiers is a keyword with them."""
        assert matches({"s": item}, event(line="a b c d")) is expected
        assert matches({"s": item}, event({"x": "a b c d"})) is expected

    @pytest.mark.parametrize(
        "item", [{"|gt": 5}, {"|cidr": "10.0.0.0/8"}, {"|exists": True}, [None], {"|fieldref": "a"}]
    )
    def test_what_needs_a_field(self, item: Any) -> None:
        """Presence, numbers, networks and references are asked of fields."""
        from tests.sigma import refusal

        assert refusal({"s": item})

    def test_mixed_with_fields(self) -> None:
        """Keywords and mappings may stand in one list."""
        detection = {"s": ["word", {"f": "a"}]}

        assert matches(detection, {"f": "a"})
        assert matches(detection, {"g": "a word"})
        assert not matches(detection, {"f": "b"})


class TestNesting:
    """Lists of mappings, and lists in lists."""

    def test_structure(self) -> None:
        """The keys of a mapping are AND, the elements of a list OR."""
        detection = {"s": [{"f": "a", "g": "b"}, [{"h": "c"}, {"i": "d"}]]}

        assert matches(detection, {"f": "a", "g": "b"})
        assert matches(detection, {"i": "d"})
        assert not matches(detection, {"f": "a"})
