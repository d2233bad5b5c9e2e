"""Which kind of event each JSON record is: learnt from one record, by the parsers, and known from then on.

A kind is a shape, and the answers to a few questions about values: what tells the formats apart, and the log sources.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from detector.config import Limits
from detector.events import Binding, LogSource
from detector.parsing.definition import JsonDefinition
from detector.parsing.direct import kernels
from detector.parsing.direct.derived import Derived, Maps
from detector.parsing.direct.deriving import derive
from detector.parsing.direct.questions import InnerTest, Questions
from detector.parsing.direct.slots import Slots, no_slots
from detector.parsing.direct.symbols import (
    Raw,
    UnfitError,
    leaves_of,
    slots_in,
)
from detector.parsing.direct.text_kernels import text_hash
from detector.parsing.direct.trie import Trie, any_object
from detector.parsing.json_parser import JsonParser
from detector.parsing.registry import AUTO, Parsers
from detector.parsing.simd import padded

MAX_KINDS = 4_096
_WARM = JsonDefinition.model_validate(
    {"name": "a", "title": "A", "json": {}, "fields": {"url": {"from": "a", "type": "url"}}}
)
_MAX_ONCE = 65_536
"""Kinds seen once that are remembered: a kind is learnt when it comes again, so that chance costs nothing."""
_MAX_ANSWERS = 1 << 40
_SHAPE = 1 << 41


@dataclass(frozen=True, slots=True)
class Kind:
    """What all records of a kind are.

    parser: the one that takes them whole, each as one event.
    raw: the event's raw fields, with a `Leaf` for each value.
    derived: slots for what is asked of them beyond their values.
    """

    parser: JsonParser
    bindings: tuple[Binding, ...]
    raw: Raw
    derived: Derived


class JsonLane:
    """The kinds of the JSON records of one topic, as they come."""

    __slots__ = (
        "_format",
        "_inner",
        "_kind_of",
        "_limits",
        "_logsource",
        "_maps",
        "_once",
        "_parsers",
        "_questions",
        "_tables",
        "_trie",
        "kinds",
    )

    def __init__(self, parsers: Parsers, form: str, logsource: LogSource | None, limits: Limits) -> None:
        self._parsers = parsers
        self._format = form
        self._logsource = logsource
        self._limits = limits
        self._trie = Trie()
        self._questions: list[Questions | None] = []
        self._inner = InnerTest(parsers)
        self._tables: tuple[np.ndarray, ...] | None = None
        self._kind_of: dict[int, int] = {}
        self._once: set[int] = set()
        self._maps: Maps = {}
        self.kinds: list[Kind] = []

    @property
    def full(self) -> bool:
        """Whether it can learn no more: begin anew."""
        return self._trie.full or len(self._kind_of) >= MAX_KINDS

    def read(self, records: pa.RecordBatch) -> tuple[Slots, np.ndarray]:
        """The slots of records (of window.RECORDS), and the index in `kinds` of each record; -1: it is of none."""
        values = records.column("value")
        if not any_object(values):  # lines, mostly
            return no_slots(len(values)), np.full(len(values), -1, np.int64)
        slots, shapes = self._trie.read(values, self._limits.max_line_bytes)
        self._ask(shapes, records)
        codes = self._codes(slots, shapes)
        keys, firsts, inverse, counts = np.unique(
            np.where(codes < 0, -1, shapes * np.int64(_SHAPE) + codes),
            return_index=True, return_inverse=True, return_counts=True,
        )  # fmt: skip
        numbers = np.full(len(keys), -1, np.int64)
        for place, (key, first, count) in enumerate(zip(keys.tolist(), firsts.tolist(), counts.tolist(), strict=True)):
            if key >= 0:
                numbers[place] = self._number(key, first, count, records)
        return slots, numbers[inverse]

    def complete(self, slots: Slots, kinds: np.ndarray) -> tuple[Slots, np.ndarray]:
        """The slots of `read` with those that are asked for since; a record that they cannot hold is of no kind."""
        present = np.flatnonzero(np.bincount(kinds + 1, minlength=1)[1:]).tolist()
        asked = ((number, self.kinds[number].derived) for number in present)
        return derive(slots, kinds, ((number, derived) for number, derived in asked if derived.width or derived.odd))

    def _number(self, key: int, record: int, count: int, records: pa.RecordBatch) -> int:
        number = self._kind_of.get(key)
        if number is None:
            if count < 2 and key not in self._once:
                if len(self._once) >= _MAX_ONCE:
                    self._once.clear()
                self._once.add(key)
                return -1
            number = -1
            kind = self._learn(records.slice(record, 1))
            if kind is not None:
                number = len(self.kinds)
                self.kinds.append(kind)
            self._kind_of[key] = number
        return number

    def _learn(self, record: pa.RecordBatch) -> Kind | None:
        """The kind of one record, None if it is not one event of one parser."""
        parsed = self._parsers.parse(record, format=self._format, logsource=self._logsource, limits=self._limits)
        if len(parsed.events) != 1 or parsed.failures:
            return None
        (event,) = parsed.events
        text = record.column("value")[0].as_py()
        parser = self._parsers.json.get(event.format)
        if event.ordinal or event.text or "unparsed" in event.flags or event.original != text or parser is None:
            return None
        leaves = leaves_of(text)
        raw = parser.lifted(leaves)
        if raw.keys() != event.raw.keys():
            return None
        return Kind(parser, event.bindings, raw, Derived(parser.definition, raw, slots_in(leaves), self._maps))

    def _ask(self, shapes: np.ndarray, records: pa.RecordBatch) -> None:
        """Find the questions of the shapes that are new."""
        if self._trie.shapes == len(self._questions):
            return
        known = len(self._questions)
        firsts = dict(zip(*(each.tolist() for each in np.unique(shapes, return_index=True)), strict=True))
        for shape in range(known, self._trie.shapes):
            self._questions.append(self._questions_of(records.column("value")[firsts[shape]].as_py()))
        self._tables = None

    def _questions_of(self, text: bytes) -> Questions | None:
        """What to ask of records of that shape; None: they take the other way."""
        try:
            raw = leaves_of(text)
            questions = Questions(self._maps, self._inner)
            for parser in self._candidates(raw):
                questions.add(parser, raw)
        except UnfitError:
            return None
        return questions if questions.answers < _MAX_ANSWERS else None

    def _candidates(self, raw: Raw) -> Iterable[JsonParser]:
        """The parsers that may take records of that shape."""
        if self._format != AUTO:
            return (self._parsers.json[self._format],)
        known = [parser for parser in self._parsers.json.values() if parser.anchors & raw.keys()]
        taking = [parser for parser in known if parser.may_take(raw)]
        surest = max((parser.rank for parser in taking if not parser.tests), default=None)
        if surest is not None:
            return [parser for parser in taking if parser.rank >= surest]
        return [*taking, *(parser for parser in self._parsers.json.values() if not parser.anchors)]

    def _codes(self, slots: Slots, shapes: np.ndarray) -> np.ndarray:
        """The answers of each record as a number, -1 for one that takes the other way."""
        if self._tables is None:
            self._tables = _tables(self._questions)
        codes = _classified(slots, shapes, self._tables)
        unfit = self._tables[-1]
        if len(unfit):
            codes[np.where(shapes >= 0, unfit[shapes], 0) != 0] = -1
        for shape in np.unique(shapes).tolist():
            found = self._questions[shape] if shape >= 0 else None
            if found and found.probes:
                its = np.flatnonzero((shapes == shape) & (codes >= 0))
                codes[its] = found.ask(slots, its, codes[its])
        return codes


def warm() -> None:
    """Run the kernels once that read records, tell them apart and convert their texts."""
    slots, shapes = Trie().read(pa.array([b'{"a": "value"}'], pa.binary()), 1 << 10)
    derived = Derived(_WARM, {"a": leaves_of(b'{"a": "value"}')["a"]}, 1, {})
    derived.field("url.path")
    derive(slots, np.zeros(1, np.int64), [(0, derived)])
    questions = Questions.of({0: {"value"}})
    questions.probe(0, lambda _text: 0)
    questions.ask(slots, np.zeros(1, np.int64), np.zeros(1, np.int64))
    _classified(slots, shapes, _tables([questions]))


def _classified(slots: Slots, shapes: np.ndarray, tables: tuple[np.ndarray, ...]) -> np.ndarray:
    question_end, questions, answers, texts, text_start, _ = tables
    codes = np.empty(len(shapes), np.int64)
    kernels.classify(
        shapes, slots.data, slots.bases, slots.starts, slots.sizes, slots.flags,
        question_end, questions, answers, texts, text_start, codes,
    )  # fmt: skip
    return codes


def _tables(shapes: list[Questions | None]) -> tuple[np.ndarray, ...]:
    """The arrays of `kernels.classify`, and which shapes are unfit."""
    sets: dict[frozenset[str], int] = {}
    rows: list[tuple[int, int, int]] = []
    ends = [0]
    for questions in shapes:
        for slot, texts in questions.texts.items() if questions else ():
            rows.append((slot, sets.setdefault(frozenset(texts), len(sets)), len(texts) + 1))
        ends.append(len(rows))
    all_texts = [(number, answer, text.encode()) for texts, number in sets.items()
                 for answer, text in enumerate(sorted(texts), 1)]  # fmt: skip
    data = padded(np.frombuffer(b"".join(text for _, _, text in all_texts), np.uint8))
    start = np.zeros(len(all_texts) + 1, np.int32)
    np.cumsum([len(text) for _, _, text in all_texts], out=start[1:])
    answers = np.full((4 << len(all_texts).bit_length(), 3), -1, np.int32)
    for index, (number, answer, text) in enumerate(all_texts):
        place = (text_hash(data, int(start[index]), len(text)) + number * 7919) % len(answers)
        while answers[place, 0] >= 0:
            place = (place + 1) % len(answers)
        answers[place] = number, index, answer
    unfit = np.array([questions is None for questions in shapes], np.uint8)
    return np.array(ends, np.int32), np.array(rows, np.int32).reshape(-1, 3), answers, data, start, unfit
