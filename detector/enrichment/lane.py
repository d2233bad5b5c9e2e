"""What rules read of the enrichment, as slots of the direct lanes: see `detector.parsing.direct.slots`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from detector.enrichment.enricher import Enricher, Question
from detector.enrichment.model import Answer
from detector.enrichment.risk import Row
from detector.enrichment.risks import judged
from detector.parsing.columns import as_texts
from detector.parsing.direct.slots import ABSENT_SIZE, ESCAPED, UNICODE, Slots
from detector.parsing.simd import BLOCK
from detector.sigma.values import text_of


@dataclass(frozen=True, slots=True)
class Plan:
    """What records of a kind are given.

    width: how many slots they have. questions: with the slots of their fields. targets: names, and which of the slots
    behind these they are.
    """

    width: int
    questions: tuple[tuple[Question, int], ...]
    targets: Mapping[str, int]


def asked(enricher: Enricher, names: Iterable[str], slot_of: Callable[[str], int | None]) -> list[tuple[Question, int]]:
    """The questions that some names need, of fields that records of a kind have; slot_of: a field, None for others."""
    found = ((question, slot_of(question.field)) for question in enricher.questions(names))
    return [(question, slot) for question, slot in found if slot is not None]


def fill(
    enricher: Enricher, slots: Slots, kinds: np.ndarray, plans: Sequence[tuple[int, Plan]]
) -> tuple[Slots, np.ndarray]:
    """The slots of records with those of the plans behind, and the kinds; -1 for records that must be events.

    plans: of kinds, by their numbers. Those records must be events whose answers depend on the time, or that have an
    escaped text where one is looked up.
    """
    kinds = kinds.copy()
    bases = slots.bases.copy()
    texts = _Texts(len(slots.data))
    columns: list[list[np.ndarray]] = [[slots.starts], [slots.sizes], [slots.flags]]
    size = len(slots.starts)
    for number, plan in plans:
        rows = np.flatnonzero(kinds == number)
        if not len(rows):
            continue
        native = slots.bases[rows][:, None] + np.arange(plan.width)
        own = slots.starts[native], slots.sizes[native], slots.flags[native]
        given = _Given(len(rows), len(plan.targets))
        for question, slot in plan.questions:
            starts, sizes, flags = (each[:, slot] for each in own)
            given.ask(enricher, question, plan.targets, slots.data, starts, sizes, flags, texts)
        kinds[rows[given.unfit]] = -1
        width = plan.width + len(plan.targets)
        bases[rows] = size + np.arange(len(rows), dtype=np.int64) * width
        size += len(rows) * width
        for column, mine, more in zip(columns, own, given.columns, strict=True):
            column.append(np.hstack((mine, more)).reshape(-1))
    starts, sizes, flags = map(np.concatenate, columns)
    return Slots(texts.behind(slots.data), bases, starts, sizes, flags), kinds


def did(slots: Slots, rows: np.ndarray, fields: Sequence[int | None]) -> list[Row]:
    """What the sources of some records of one kind did. fields: the slots of `risks.FIELDS`."""
    source, *others = (None if slot is None else _column(slots, rows, slot).dictionary_encode() for slot in fields)
    if source is None:
        return []
    codes, texts = [], []
    for column in others:
        values = column.dictionary.to_pylist() if column is not None else []
        texts.append([*values, None])
        codes.append(_codes(column) if column is not None else np.zeros(len(rows), np.int64))
    width = [len(values) for values in texts]
    kinds, which = np.unique(np.ravel_multi_index(codes, width), return_inverse=True)
    verdicts = np.array(
        [
            judged(*(values[code] for values, code in zip(texts, np.unravel_index(kind, width), strict=True)))
            for kind in kinds
        ]
    )
    addresses = source.dictionary.to_pylist()
    its = _codes(source)
    there = its < len(addresses)
    events, failed, missing = (
        np.bincount(its[there], weights, len(addresses)).astype(int)
        for weights in (None, *(verdicts[which[there], place].astype(float) for place in (0, 1)))
    )
    counts = zip(addresses, events.tolist(), failed.tolist(), missing.tolist(), strict=True)
    return [(address, 0, *more) for address, *more in counts if address]


def _column(slots: Slots, rows: np.ndarray, slot: int) -> pa.Array:
    places = slots.bases[rows] + slot
    return as_texts(slots.data, slots.starts[places], slots.sizes[places])


def _codes(column: pa.DictionaryArray) -> np.ndarray:
    """The number of each row's text; of those without one the next number."""
    codes: np.ndarray = column.indices.fill_null(len(column.dictionary)).to_numpy(zero_copy_only=False)
    return codes.astype(np.int64)


class _Texts:
    """Texts that are put behind all others, each once. end: where the next one goes."""

    def __init__(self, end: int) -> None:
        self._places: dict[bytes, int] = {}
        self._end = end

    def place(self, text: bytes) -> int:
        place = self._places.get(text)
        if place is None:
            place = self._places[text] = self._end
            self._end += len(text)
        return place

    def behind(self, data: np.ndarray) -> np.ndarray:
        if not self._places:
            return data
        return np.concatenate([data, np.frombuffer(b"".join(self._places) + bytes(2 * BLOCK), np.uint8)])


class _Given:
    """The slots that records of one kind are given. unfit: which of them must be events."""

    def __init__(self, rows: int, width: int) -> None:
        self.starts = np.zeros((rows, width), np.int32)
        self.sizes = np.full((rows, width), ABSENT_SIZE, np.int32)
        self.flags = np.zeros((rows, width), np.uint8)
        self.unfit = np.zeros(rows, bool)
        self._keyed: dict[str, np.ndarray] = {}

    @property
    def columns(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Starts, sizes and flags."""
        return self.starts, self.sizes, self.flags

    def ask(  # noqa: PLR0917 -- a column of slots is three arrays
        self,
        enricher: Enricher,
        question: Question,
        targets: Mapping[str, int],
        data: np.ndarray,
        starts: np.ndarray,
        sizes: np.ndarray,
        flags: np.ndarray,
        texts: _Texts,
    ) -> None:
        """Fill in what is known of the texts of a column."""
        column = as_texts(data, starts, sizes).dictionary_encode()
        values = column.dictionary.to_pylist()
        known = enricher.look_up(question, [value for value in values if value])
        answers = [known[value] if value else None for value in values]
        places = column.indices.fill_null(len(values)).to_numpy(zero_copy_only=False)
        self.unfit |= (flags & ESCAPED != 0) & (sizes > 0)
        self.unfit |= _each(answers, lambda each: each.since_us is not None or each.until_us is not None)[places]
        free = _each(answers, lambda each: bool(each.fields))[places]
        if question.key is not None:
            keyed = self._keyed.get(question.key, np.zeros(len(places), bool))
            free &= ~keyed
            self._keyed[question.key] = keyed | free
        if not free.any():
            return
        for name in question.names:
            if name in targets:
                self._put(targets[name], name, answers, places, free, texts)

    def _put(  # noqa: PLR0917
        self,
        target: int,
        name: str,
        answers: Sequence[Answer | None],
        places: np.ndarray,
        free: np.ndarray,
        texts: _Texts,
    ) -> None:
        found = [None if each is None else each.fields.get(name) for each in answers] + [None]
        encoded = [None if each is None else text_of(each).encode() for each in found]
        size = np.array([ABSENT_SIZE if each is None else len(each) for each in encoded], np.int32)[places]
        at = np.flatnonzero(free & (size >= 0) & (self.sizes[:, target] == ABSENT_SIZE))
        start = np.array([0 if each is None else texts.place(each) for each in encoded], np.int32)
        flag = np.array([0 if each is None or each.isascii() else UNICODE for each in encoded], np.uint8)
        self.starts[at, target] = start[places[at]]
        self.sizes[at, target] = size[at]
        self.flags[at, target] = flag[places[at]]


def _each(answers: Sequence[Answer | None], test: Callable[[Answer], bool]) -> np.ndarray:
    """A test of each answer, False of none, and at the end of what has no value."""
    return np.array([each is not None and test(each) for each in answers] + [False])
