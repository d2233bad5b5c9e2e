from __future__ import annotations

import json
import time
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.parsing.json_text import bounded, load

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 63), (1 << 63) - 1)
    | st.text(alphabet='ab"\\\n\u00e9\U0001f600{}[],:', max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(alphabet='ab"\\', max_size=3), inner, max_size=4)
    ),
    max_leaves=12,
)


def is_start(start: Any, whole: Any) -> bool:
    """Whether a value holds nothing but what stands at the start of another."""
    if isinstance(whole, dict) and isinstance(start, dict):
        return all(key in whole and is_start(value, whole[key]) for key, value in start.items())
    if isinstance(whole, list) and isinstance(start, list):
        return len(start) <= len(whole) and all(is_start(part, full) for part, full in zip(start, whole, strict=False))
    if isinstance(whole, str) and isinstance(start, str):
        return whole.startswith(start.rstrip("\ufffd"))
    if isinstance(whole, int) and isinstance(start, int):
        return str(whole).startswith(str(start))
    return bool(start == whole)


class TestLoad:
    @given(VALUES)
    def test_whole(self, value: Any) -> None:
        """What is JSON is read as it is, whichever reader wrote it."""
        loaded = load(json.dumps(value).encode(), 64)

        assert (loaded.value, loaded.problem, loaded.flags) == (value, "", ())

    @given(st.dictionaries(st.text(max_size=3), VALUES, min_size=1, max_size=4), st.data())
    def test_cut_anywhere(self, value: dict[str, Any], data: st.DataObject) -> None:
        """Of a text that is cut, the fields so far are read, and nothing that is not there."""
        text = orjson.dumps(value)
        end = data.draw(st.integers(1, len(text) - 1))

        loaded = load(text[:end], 64)

        assert loaded.problem.startswith("not JSON")
        assert loaded.position is not None
        assert loaded.value is None or is_start(loaded.value, value)

    @pytest.mark.parametrize(
        ("text", "value", "position"),
        [
            (b'{"a":1,"b":{"c":"x y', {"a": 1, "b": {"c": "x y"}}, 20),
            (b'{"a":1,"b":{"c":', {"a": 1, "b": {}}, 16),
            (b'{"a":[1,{"b":2},3', {"a": [1, {"b": 2}, 3]}, 17),
            (b'{"a":1,"b', {"a": 1}, 9),
            (b'{"a":"x\\', {"a": "x"}, 8),
            (b'{"a":1 "b":2}', {"a": 1}, 7),
            ('{"ü":"x" "b":2}'.encode(), {"ü": "x"}, 10),
            (b'{"a":1}{"b":2}', {"a": 1}, 7),
            (b"{]", {}, 1),
            (b"", None, 0),
            (b"}", None, 0),
            (b"word", None, 0),
        ],
    )
    def test_broken(self, text: bytes, value: Any, position: int) -> None:
        """What stands before the place where reading stops counts, the start of a string too."""
        loaded = load(text, 64)

        assert (loaded.value, loaded.position) == (value, position)
        assert loaded.problem

    @pytest.mark.parametrize(
        ("text", "value"),
        [
            (b'{"a":NaN,"b":-Infinity,"c":1e999}', {"a": None, "b": None, "c": None}),
            (b'{"a":"\\ud83d!","b":"\\ud83d\\ude00"}', {"a": "\ufffd!", "b": "\U0001f600"}),
            (b'{"a":"\x00\x1b\n"}', {"a": "\x00\x1b\n"}),
            (b'{"a":NaN,"b":18446744073709551615,"c":18446744073709551616}', {"a": None, "b": 2**64 - 1, "c": 2.0**64}),
            (b'{"a":NaN,"b":%s}' % (b"9" * 5_000), {"a": None, "b": None}),
        ],
    )
    def test_lenient(self, text: bytes, value: Any) -> None:
        """What some writers take for JSON is read with the impossible replaced, and flagged."""
        loaded = load(text, 64)

        assert (loaded.value, loaded.problem, loaded.flags) == (value, "", ("lenient_json",))

    def test_strict_numbers(self) -> None:
        """Integers beyond 64 bits are floats; of a key that stands twice the last value counts."""
        assert load(b'{"a":18446744073709551616,"a2":1}', 64).value == {"a": 2.0**64, "a2": 1}
        assert load(b'{"a":1,"a":2}', 64).value == {"a": 2}

    def test_10000_deep(self) -> None:
        """What lies too deep is null, what stands beside it is read, before and after."""
        text = b'{"a":1,"x":' + b"[" * 10_000 + b"]" * 10_000 + b',"b":2}'

        loaded = load(text, 64)

        assert (loaded.value["a"], loaded.value["b"]) == (1, 2)
        assert loaded.problem == "nested more than 64 deep (limits.max_json_depth)"
        assert loaded.position == 11 + 63

    def test_10000_deep_unclosed(self) -> None:
        """The same where nothing is ever closed."""
        loaded = load(b'{"a":1,"x":' + b'{"y":' * 10_000, 64)

        assert loaded.value["a"] == 1

    @pytest.mark.parametrize("piece", [b"[", b'{"a":', b'{"a":[{},', b'"', b"\\", b'{"a":"', b"[],", b"[[[]],"])
    def test_no_runaway(self, piece: bytes) -> None:
        """A quarter of a megabyte of anything is done within a second."""
        started = time.process_time()

        load(b'{"k":[' + piece * (250_000 // len(piece)), 64)

        assert time.process_time() - started < 1

    @given(
        st.binary(max_size=60)
        | st.text(alphabet='{}[]",:\\1e-NaN \ud800', max_size=40).map(
            lambda text: text.encode("utf-8", "surrogatepass")
        )
    )
    def test_any_bytes(self, data: bytes) -> None:
        """No bytes raise, and what is read can be written."""
        orjson.dumps(load(data, 8).value)


class TestBounded:
    def test_within(self) -> None:
        """A value within the limits is itself."""
        value = {"a": [{"b": 1}, 2, []]}

        assert bounded(value, 3, 2) == (value, "")

    def test_fields(self) -> None:
        """Outer fields are kept before inner ones."""
        value, problem = bounded({"x": {f"k{number}": number for number in range(10_000)}, "a": 1, "b": 2}, 64, 100)

        assert (value["a"], value["b"], len(value["x"])) == (1, 2, 97)
        assert problem == "more than 100 fields (limits.max_fields)"

    def test_depth(self) -> None:
        """What lies deeper is left out."""
        assert bounded({"a": {"b": {"c": 1}}, "d": [[1]]}, 2, 100) == (
            {"a": {}, "d": []},
            "nested more than 2 deep (limits.max_json_depth)",
        )
