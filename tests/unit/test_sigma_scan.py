"""How witnesses are found in values: as Python finds texts in texts, wherever they stand and however long they are."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import orjson
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from detector.parsing.direct.trie import Trie
from detector.sigma.engine.program import Program
from detector.sigma.engine.slots import FieldSlots, Reading, SlotView
from detector.sigma.engine.slots import gather as gather_slots
from detector.sigma.fields import KEYWORDS, EventView
from detector.sigma.nodes import Leaf, Regex, Text, Wildcard
from tests.sigma import event

ANY = Wildcard.ANY
KINDS: dict[str, tuple[Callable[[str], tuple[str | Wildcard, ...]], Callable[[str, str], bool]]] = {
    "contains": (lambda text: (ANY, text, ANY), lambda value, text: text in value),
    "starts": (lambda text: (text, ANY), str.startswith),
    "ends": (lambda text: (ANY, text), str.endswith),
    "equals": (lambda text: (text,), str.__eq__),
}
asked = st.tuples(st.sampled_from(list(KINDS)), st.text("abc-é/", min_size=1, max_size=20))


def found(needles: list[tuple[str, str]], values: list[str]) -> list[list[int]]:
    """The numbers of the texts that are found in each value."""
    program = Program([Leaf("f", Text(KINDS[kind][0](text))) for kind, text in needles])
    rows = [(each, each.bindings[0]) for each in (event({"f": value}) for value in values)]
    matched, rules = program.run(rows, lambda row: EventView(*rows[row]))
    return [sorted(rules[matched == row].tolist()) for row in range(len(values))]


class TestScan:
    """Texts in values."""

    @given(st.lists(asked, min_size=1, max_size=24, unique=True), st.lists(st.text("abc-é/", max_size=12), max_size=6))
    @example([("contains", "a"), *(("contains", f"{number:04}{'b' * 9}") for number in range(20))], ["a0"])
    def test_agrees(self, needles: list[tuple[str, str]], texts: list[str]) -> None:
        """Texts short and long, few and many, are found where Python finds them."""
        values = [*texts, *("".join(texts[:1]) + text + "".join(texts[1:]) for _, text in needles)]

        answers = found(needles, values)

        assert answers == [
            [number for number, (kind, text) in enumerate(needles) if KINDS[kind][1](value, text)] for value in values
        ]

    @pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 40])
    @pytest.mark.parametrize("many", [1, 40])
    def test_every_place(self, size: int, many: int) -> None:
        """A text is found at each place of a value, whatever the places are that are looked at."""
        needles = [("contains", f"{number:02}"[::-1] * size) for number in range(many)]
        needles = [(kind, text[:size]) for kind, text in needles]
        text = needles[-1][1]

        answers = found(needles, ["x" * place + text + "x" * (70 - place) for place in range(70)])

        assert all(many - 1 in numbers for numbers in answers)


class TestJoined:
    """Keywords of a record, which are looked at as one."""

    def test_not_across(self) -> None:
        """What is in no value, but only where two of them meet, is not found; what is in one is."""
        program = Program([Leaf(KEYWORDS, Text((ANY, text, ANY))) for text in ("ab", "bc", "é")])
        records = [{"x": "a", "y": "b"}, {"x": "", "y": "cab"}, {"x": "xbcx", "y": "Éab"}]

        assert program.joined
        assert keywords(program, records) == [[], [0], [0, 1, 2]]

    def test_expression(self) -> None:
        """An expression asks for each value alone, also for its length."""
        program = Program([Leaf(KEYWORDS, Regex("^a..b$")), Leaf(KEYWORDS, Regex("a.{4}b"))])

        assert program.joined
        assert keywords(program, [{"x": "a", "y": "zzzzb"}, {"x": "a--b", "y": ""}, {"x": "ca1234b", "y": ""}]) == [
            [], [0], [1],
        ]  # fmt: skip

    def test_whole_values(self) -> None:
        """Keywords that rules compare as a whole stay apart."""
        program = Program([Leaf(KEYWORDS, Text(("ab",)))])

        assert not program.joined
        assert keywords(program, [{"x": "ab", "y": "c"}, {"x": "a", "y": "b"}]) == [[0], []]


def keywords(program: Program, records: list[dict[str, str]]) -> list[list[int]]:
    """The rules that match each record of `x` and `y`, on the direct lane."""
    slots, shapes = Trie().read(pa.array(list(map(orjson.dumps, records)), pa.binary()), 1 << 10)
    assert set(shapes.tolist()) == {0}
    reading = Reading(program.fields)
    view = reading.add({KEYWORDS: FieldSlots((0, 1))})
    rows, views = np.arange(len(records), dtype=np.int32), np.full(len(records), view, np.int32)
    columns = gather_slots(slots, reading, rows, views, program.columns, program.joined)
    matched, rules = program.match(columns, lambda row: SlotView(reading, slots, row, view))
    return [sorted(rules[matched == row].tolist()) for row in range(len(records))]
