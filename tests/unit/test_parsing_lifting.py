"""Names for what stands deep inside a JSON object."""

from __future__ import annotations

from typing import Any

import pytest

from detector.parsing.lifting import Lift
from tests.parsing import event, parsers_of


class TestLift:
    @pytest.mark.parametrize(
        ("inner", "added"),
        [
            ({"Image": "x", "Threat Name": "y"}, {"Image": "x", "ThreatName": "y"}),
            ({"Provider": {"Name": "x", "Guid": "y"}}, {"Provider_Name": "x", "Provider_Guid": "y"}),
            ({"Provider": {"#attributes": {"Name": "x"}}}, {"Provider_Name": "x"}),
            ({"Provider": {"@Name": "x"}}, {"Provider_Name": "x"}),
            ({"Provider": {"$": {"Name": "x"}}}, {"Provider_Name": "x"}),
            ({"#attributes": {"Name": "of the object itself"}}, {}),
            ({"EventID": {"#text": 1, "@Qualifiers": "0"}}, {"EventID": 1, "EventID_Qualifiers": "0"}),
            ({"EventID": {"Value": 1}}, {"EventID": 1}),
            ({"Data": "x"}, {"Data": "x"}),
            ({"Data": ["x", "y"]}, {"Data": ["x", "y"]}),
            ({"Data": {"#text": ["x", "y"]}}, {"Data": ["x", "y"]}),
            ({"Data": {"#text": "x"}}, {"Data": "x"}),
            ({"Data": {"@Name": "a", "#text": "x"}}, {"a": "x"}),
            (
                {"Data": [{"@Name": "a b", "#text": "x"}, {"#attributes": {"Name": "c"}}, "y"]},
                {"ab": "x", "c": None, "Data": "y"},
            ),
            ({"Data": [{"other": "x"}, None]}, {"Data": None}),
            ({"a": None, "b": [1, {"c": 2}]}, {"a": None, "b": [1, {"c": 2}]}),
            ({}, {}),
        ],
    )
    def test_names(self, inner: dict[str, Any], added: dict[str, Any]) -> None:
        """Each way to write an element gives its names; what was there stays as it was."""
        value = {"in": inner}

        lifted = Lift(["in"], {}).apply(value)

        assert lifted == added | {"in": inner}
        assert value == {"in": inner}

    def test_first_counts(self) -> None:
        """What stands at the top keeps its name; then the order of the paths counts."""
        value = {"a": 1, "x": {"a": 2, "b": 3}, "y": {"b": 4, "c": 5}}

        lifted = Lift(["x", "y"], {}).apply(value)

        assert {name: lifted[name] for name in "abc"} == {"a": 1, "b": 3, "c": 5}

    def test_each(self) -> None:
        """A path can mean each object inside."""
        lifted = Lift(["x.*"], {}).apply({"x": {"template": {"a": 1}, "other": {"b": 2}, "text": "c"}})

        assert (lifted["a"], lifted["b"]) == (1, 2)

    def test_self(self) -> None:
        """The object's own members get names without spaces, too."""
        assert Lift(["."], {}).apply({"a b": 1, "c": 2}) == {"a b": 1, "ab": 1, "c": 2}

    def test_names_of_paths(self) -> None:
        """A name is that of its first path with a value, unless something has it."""
        lift = Lift(["in"], {"a": ["x.y", "z"], "b": ["z"], "c": ["z"]})

        lifted = lift.apply({"x": {"y": None}, "z": 1, "b": 2, "in": {"c": 3}})

        assert (lifted["a"], lifted["b"], lifted["c"]) == (1, 2, 3)

    def test_deep(self) -> None:
        """What lies very deep stays an object."""
        value: dict[str, Any] = {"leaf": 1}
        for _ in range(200):
            value = {"n": value}

        lifted = Lift(["n"], {}).apply(value)

        (name,) = lifted.keys() - {"n"}
        assert name == "_".join("n" * 9)


class TestDefinition:
    def test_event(self) -> None:
        """Added names are fields as they stood: for fields, time, log sources and rules."""
        parsers = parsers_of(
            "name: a\ntitle: A\njson: {keys: [in.kind], lift: [in], names: {who: [in.u, user]}}\n"
            "time: {from: when, formats: epoch}\nfields: {user.name: who}\n"
            "logsources: [{logsource: {product: p}, when: {kind: k}}]\n"
        )

        found = event(b'{"in": {"kind": "k", "when": 1717200000}, "user": "bob"}', parsers=parsers)

        assert (found.format, found.ecs["user.name"], found.ecs["@timestamp"]) == ("a", "bob", "2024-06-01T00:00:00Z")
        assert found.raw["kind"] == "k"
        assert found.raw["in"] == {"kind": "k", "when": 1717200000}
        assert [binding.logsource.product for binding in found.bindings] == ["p"]
