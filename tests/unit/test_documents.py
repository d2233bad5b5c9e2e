"""Reading YAML: what it means, where its parts are, and what it may not be."""

from __future__ import annotations

import time
from typing import Any

import pytest

from detector.documents import MAX_DEPTH, DocumentError, read_documents


def value(text: str) -> Any:
    (document,) = read_documents(text)
    return document.value


class TestScalars:
    """Plain scalars are those of YAML 1.2."""

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("true", True),
            ("False", False),
            ("yes", "yes"),
            ("no", "no"),
            ("on", "on"),
            ("null", None),
            ("~", None),
            ("", None),
            ("12", 12),
            ("-7", -7),
            ("0", 0),
            ("00000429", "00000429"),
            ("0x1F", 31),
            ("0o17", 15),
            ("12:30:45", "12:30:45"),
            ("1.5", 1.5),
            ("1e3", 1000.0),
            ("2024-01-01", "2024-01-01"),
            ("'5'", "5"),
            ('"true"', "true"),
            ("1_000", "1_000"),
            (".inf", ".inf"),
            ("=", "="),
        ],
    )
    def test_kinds(self, text: str, expected: Any) -> None:
        """What looks like a number, a boolean or nothing is one; the rest is text."""
        assert value(f"- {text}\n- x") == [expected, "x"]
        assert type(value(f"- {text}\n- x")[0]) is type(expected)


class TestStructure:
    """Lists, mappings, aliases and merges."""

    def test_lines(self) -> None:
        """The line of each part is known, and that of what is not there is that of what is around it."""
        (document,) = read_documents("a: 1\nb:\n  - x\n  - c: 2\n    d: 3\n")

        assert [document.line(*path) for path in ((), ("a",), ("b", 1, "d"), ("b", 9, "e"), ("z",))] == [1, 1, 5, 3, 1]

    def test_several(self) -> None:
        """Empty documents count, but are not given."""
        assert [(each.number, each.value) for each in read_documents("a: 1\n---\n---\nb: 2\n")] == [
            (1, {"a": 1}),
            (3, {"b": 2}),
        ]

    def test_those_before_a_mistake(self) -> None:
        """A broken document takes nothing from those before it."""
        documents = read_documents("a: 1\n---\nb: [\n")

        assert next(documents).value == {"a": 1}
        with pytest.raises(DocumentError):
            next(documents)

    def test_aliases_and_merges(self) -> None:
        """An alias is what it stands for; a merge gives way to what is written out."""
        assert value("a: &x {k: 1, l: 2}\nb: *x\nc: {<<: *x, k: 3}\nd: {<<: [*x, {m: 4}]}") == {
            "a": {"k": 1, "l": 2},
            "b": {"k": 1, "l": 2},
            "c": {"k": 3, "l": 2},
            "d": {"k": 1, "l": 2, "m": 4},
        }


class TestRefusals:
    """What is refused, where, and at once."""

    @pytest.mark.parametrize(
        ("text", "line", "message"),
        [
            ("a: 1\na: 2", 2, "twice"),
            ("a:\n  b: 1\n  b: 2", 3, "twice"),
            ("a: !!python/object:os.system x", 1, "tag"),
            ("a: !!str x", 1, "tag"),
            ("a: *x", 1, "stands for nothing"),
            ("a: &x\n  b: *x", 2, "stands for nothing"),
            ("? [a]\n: 1", 1, "key"),
            ("a: [", 2, "not YAML"),
            ("a: 'x", 1, "not YAML"),
            ("a: \x00", 1, "not YAML"),
            ("{<<: 5}", 1, "merges"),
            ("&x a: 1\n*x : 2", 2, "key"),
        ],
    )
    def test_place_and_reason(self, text: str, line: int, message: str) -> None:
        """Each mistake is named with its line."""
        with pytest.raises(DocumentError, match=message) as caught:
            list(read_documents(text))

        assert caught.value.line == line

    @pytest.mark.parametrize(
        "text",
        [
            "[" * 25_000,
            "- " * 25_000,
            "{a: " * 25_000,
            "? " * 25_000,
            "\n".join(" " * n + "a:" for n in range(700)),
            "a0: &a0 [x,x,x,x,x,x,x,x,x]\n"
            + "\n".join(f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 30)),
            "a0: &a0 {k: x}\n" + "\n".join(f"a{n}: &a{n} {{k: *a{n - 1}, l: *a{n - 1}}}" for n in range(1, 40)),
        ],
        ids=["flow", "block", "mappings", "keys", "indents", "lists of aliases", "mappings of aliases"],
    )
    def test_bombs(self, text: str) -> None:
        """Nesting and aliases without end are refused in far less than a second, and nothing dies."""
        started = time.process_time()

        with pytest.raises(DocumentError):
            list(read_documents(text))

        assert time.process_time() - started < 1

    def test_depth(self) -> None:
        """As deep as allowed is fine."""
        assert value("[" * (MAX_DEPTH - 1) + "1" + "]" * (MAX_DEPTH - 1))
        with pytest.raises(DocumentError, match="deep"):
            value("[" * MAX_DEPTH + "1" + "]" * MAX_DEPTH)
