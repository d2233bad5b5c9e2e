"""What is asked of the values of a shape of JSON records, so that all with the same answers are treated alike."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Self

import numpy as np

from detector.parsing.definition import JsonDefinition, Scalar
from detector.parsing.direct.derived import Computed, Maps, computer
from detector.parsing.direct.slots import Slots
from detector.parsing.direct.symbols import Leaf, Raw, UnfitError, has_names, makers, may_have, reached
from detector.parsing.direct.text_kernels import distinct
from detector.parsing.json_parser import JsonParser
from detector.parsing.mapping import MISSING, canonical, finder
from detector.parsing.registry import Parsers

_MAX_DEPTH = 4
_AS_IT_STANDS = ("value", "text")
"""Types whose value is the text that it is made from."""
_ALWAYS = ("url.original", "url.path", "url.path_query")
"""What any text of type `url` gives that is not empty."""

_OTHER_WAY = -1
_Answers = Callable[[Slots, np.ndarray], np.ndarray]
"""From records to their answers; _OTHER_WAY for one that takes the other way."""


class InnerTest:
    """Whether the text of an event may be a line, or an object, that a parser adds to it."""

    __slots__ = ("_programs", "_recognizer")

    def __init__(self, parsers: Parsers) -> None:
        self._recognizer = parsers.recognizer
        self._programs = {name for definition in parsers.programs for name in definition.programs}

    def program(self, name: str) -> bool:
        """Whether what a program of that name writes is parsed."""
        return name in self._programs

    def line(self, text: str) -> bool:
        """Whether a text is parsed in turn."""
        text = text.strip()
        return bool(text) and (text[0] == "{" or self._recognizer.line(text.encode()) is not None)


@dataclass(slots=True)
class Questions:
    """About the values of a shape.

    texts: slot to the texts that matter. probes: what kernels do not ask, each with the number of its answers.
    """

    maps: Maps
    inner: InnerTest | None
    texts: dict[int, set[str]]
    probes: list[tuple[int, _Answers]]

    def __init__(self, maps: Maps, inner: InnerTest | None) -> None:
        """maps: as `Derived` has them."""
        self.maps = maps
        self.inner = inner
        self.texts = {}
        self.probes = []

    @classmethod
    def of(cls, texts: dict[int, set[str]]) -> Self:
        """Questions for these texts alone."""
        made = cls({}, None)
        made.texts = texts
        return made

    @property
    def answers(self) -> int:
        """How many different answers there may be to all questions."""
        product = 1
        for number in (*(len(texts) + 1 for texts in self.texts.values()), *(number for number, _ in self.probes)):
            product *= number
        return product

    def probe(self, slot: int, answer: Callable[[str], int], answers: int = 1) -> None:
        """Ask something of the text of a slot."""
        self.probes.append((answers, _of_text(slot, answer)))

    def ask(self, slots: Slots, records: np.ndarray, codes: np.ndarray) -> np.ndarray:
        """The codes of records with the answers to probes; -1 for one that takes the other way."""
        for number, probe in self.probes:
            answers = probe(slots, records)
            codes = np.where((codes < 0) | (answers < 0), -1, codes * number + answers)
        return codes

    def add(self, parser: JsonParser, raw: Raw) -> None:
        """Ask what tells a parser's records from others, and what its log sources depend on.

        Raises UnfitError where that is in no slot.
        """
        for find, contains in parser.tests:
            leaf = find(raw)
            if isinstance(leaf, Leaf) and leaf.quoted:
                self.probe(leaf.slot, _is(contains), 2)
        definition = parser.definition
        lifted = parser.lifted(raw)
        self._exclude(definition, raw, lifted)
        for row in definition.logsources:
            for path, values in row.when.items():
                self._values(definition, lifted, path, values)

    def _exclude(self, definition: JsonDefinition, raw: Raw, lifted: Raw) -> None:
        """Let those take the other way whose fields depend on values: named data, objects and lines in texts."""
        if has_names(definition.json_shape.lift, raw):
            raise UnfitError("its names depend on its values")
        for path in definition.json_shape.unpack:
            for leaf in reached(raw, path.split(".")):
                if isinstance(leaf, Leaf) and leaf.quoted:
                    self.probe(leaf.slot, _not(lambda text: text[:1] == "{"))
        if definition.inner and self.inner:
            lines = [leaf for path in definition.inner.paths if isinstance(leaf := finder(path)(lifted), Leaf)]
            lines = [leaf for leaf in lines if leaf.quoted]
            program = finder(definition.inner.program)(lifted) if definition.inner.program else MISSING
            if lines and isinstance(program, Leaf):
                self.probe(program.slot, _not(self.inner.program))
            for leaf in lines:
                self.probe(leaf.slot, _not(self.inner.line))

    def _values(
        self, definition: JsonDefinition, raw: Raw, path: str, values: Iterable[Scalar], depth: int = 0
    ) -> None:
        """Ask which of some values a path has: in the raw fields, or in an ECS field that is made of these."""
        value = finder(path)(raw)
        if depth > _MAX_DEPTH:
            raise UnfitError(f"a log source depends on {path}")
        for leaf in value if isinstance(value, list) else (value,):
            if isinstance(leaf, Leaf):
                if not leaf.exact:
                    raise UnfitError(f"{path} is a number that is not written as it compares")
                texts = {text for each in values if (text := canonical(each)) is not None}
                if texts != {"*"}:
                    self.texts.setdefault(leaf.slot, set()).update(texts)
        if value is MISSING:
            self._made(definition, raw, path, values, depth)

    def _made(self, definition: JsonDefinition, raw: Raw, path: str, values: Iterable[Scalar], depth: int) -> None:
        """The same of an ECS field."""
        alternatives = [
            each for each in makers(definition, path) if any(may_have(definition, raw, one) for one in each.sources)
        ]
        if path in _ALWAYS and set(values) == {"*"} and {each.type for each in alternatives} == {"url"}:
            leaves = [finder(source)(raw) for each in alternatives for source in each.paths]
            if not any(each.when or each.map or each.template for each in alternatives):
                for leaf in leaves:
                    if isinstance(leaf, Leaf) and leaf.quoted:
                        self.texts.setdefault(leaf.slot, set()).add("")
                return
        if any(each.template is not None or not (each.type in _AS_IT_STANDS or each.map) for each in alternatives):
            self._computed(definition, raw, path, values)
            return
        for alternative in makers(definition, path):
            for condition, wanted in alternative.when.items():
                self._values(definition, raw, condition, wanted, depth + 1)
            texts_of = [*(alternative.map or values), ""]
            for source in alternative.paths:
                if finder(source)(raw) is not MISSING:
                    self._values(definition, raw, source, texts_of, depth + 1)

    def _computed(self, definition: JsonDefinition, raw: Raw, path: str, values: Iterable[Scalar]) -> None:
        made = computer(definition, raw, path, self.maps)
        made.targets[path] = 0
        wanted = sorted({text for each in values if (text := canonical(each)) is not None})
        self.probes.append((len(wanted) + 2, _is_one_of(made, [text.encode() for text in wanted])))


def _is(test: Callable[[str], bool]) -> Callable[[str], int]:
    return lambda text: int(test(text))


def _not(test: Callable[[str], bool]) -> Callable[[str], int]:
    """The other way for a text that passes a test."""
    return lambda text: _OTHER_WAY if test(text) else 0


def _of_text(slot: int, answer: Callable[[str], int]) -> _Answers:
    """Asked once of equal texts."""

    def answers(slots: Slots, records: np.ndarray) -> np.ndarray:
        places = slots.bases[records] + slot
        firsts, numbers = np.empty(len(records), np.int32), np.empty(len(records), np.int32)
        table = np.full(4 << len(records).bit_length(), -1, np.int32)
        count = distinct(slots.data, slots.starts[places], slots.sizes[places], table, firsts, numbers)
        found = [answer(slots.text(record, slot) or "") for record in records[firsts[:count]].tolist()]
        return np.array(found, np.int64)[numbers]

    return answers


def _is_one_of(computed: Computed, texts: list[bytes]) -> _Answers:
    """0 where a field is not there, 1 where it has another value, else which one."""
    numbers = {text: number for number, text in enumerate(texts, 2)}

    def answer(key: tuple[bytes, ...]) -> int:
        found = computed.make(key)
        if found is None:
            return _OTHER_WAY
        size, text = found[0]
        return numbers.get(text, 1) if size >= 0 else 0

    def answers(slots: Slots, records: np.ndarray) -> np.ndarray:
        keys = [tuple(slots.written(record, leaf.slot) for leaf in computed.leaves) for record in records.tolist()]
        known = {key: answer(key) for key in set(keys)}
        return np.array([known[key] for key in keys], np.int64)

    return answers
