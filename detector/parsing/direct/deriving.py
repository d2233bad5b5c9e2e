"""Fills in the slots of a batch that are made of others, kind by kind: see `detector.parsing.direct.derived`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import orjson

from detector.parsing.direct import convert_kernels
from detector.parsing.direct.derived import NUMBER, Computed, Derived, Made
from detector.parsing.direct.slots import ABSENT_SIZE, ODD, UNICODE, Slots, room_behind
from detector.parsing.direct.symbols import Leaf
from detector.parsing.simd import BLOCK
from detector.sigma.values import text_of

_Columns = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Starts, sizes and flags of slots."""


def derive(slots: Slots, kinds: np.ndarray, plans: Iterable[tuple[int, Derived]]) -> tuple[Slots, np.ndarray]:
    """The slots of records with those that their kinds have derived, and the kinds; -1 where a value fits no slot.

    slots: with room behind their texts (`slots.roomy`). plans: of kinds, by their numbers.
    """
    parts = [_Part(rows, derived, slots) for number, derived in plans if len(rows := np.flatnonzero(kinds == number))]
    if not parts:
        return slots, kinds
    kinds = kinds.copy()
    arena = room_behind(slots.data)
    for part in parts:
        part.take_first()
        arena = part.convert(arena)
    texts = _Texts(arena)
    for part in parts:
        part.compute(texts, kinds)
        part.mend(texts)
    return _together(slots, parts, texts), kinds


class _Texts:
    """Texts that are put behind all others."""

    def __init__(self, begin: int) -> None:
        self.begin = self.end = begin
        self._places: dict[bytes, int] = {}

    def place(self, text: bytes) -> int:
        """Where a text will be."""
        place = self._places.get(text)
        if place is None:
            place = self._places[text] = self.end
            self.end += len(text)
        return place

    def write(self, data: np.ndarray) -> np.ndarray:
        """The bytes with these texts in them."""
        if self.end == self.begin:
            return data
        if self.end + 2 * BLOCK > len(data):
            data = np.concatenate([data[: self.begin], np.empty(self.end - self.begin + 2 * BLOCK, np.uint8)])
        data[self.begin : self.end] = np.frombuffer(b"".join(self._places), np.uint8)
        return data


class _Part:
    """The records of one kind. Where it has derived slots, all of its slots move to arrays that have room for these."""

    def __init__(self, rows: np.ndarray, derived: Derived, slots: Slots) -> None:
        self.rows = rows
        self.derived = derived
        self._data = slots.data
        self._bytes = slots.data.data
        self._places = slots.bases[rows]
        self._flat: _Columns = slots.starts, slots.sizes, slots.flags
        self._odd: list[tuple[Computed, np.ndarray]] = []
        self.moved: _Columns | None = None
        if derived.width:
            native = self._places[:, None] + np.arange(derived.first)
            room = np.full((len(rows), derived.width), ABSENT_SIZE, np.int32)
            starts, sizes, flags = (each[native] for each in self._flat)
            self.moved = (
                np.hstack([starts, room]),
                np.hstack([sizes, room]),
                np.hstack([flags, room.astype(np.uint8)]),
            )

    def _column(self, slot: int) -> _Columns:
        if self.moved is not None:
            starts, sizes, flags = self.moved
            return starts[:, slot], sizes[:, slot], flags[:, slot]
        places = self._places + slot
        starts, sizes, flags = self._flat
        return starts[places], sizes[places], flags[places]

    def _put(self, slot: int, at: np.ndarray, starts: object, sizes: object, flags: object) -> None:
        for index, values in enumerate((starts, sizes, flags)):
            if self.moved is not None:
                self.moved[index][at, slot] = values
            else:
                self._flat[index][self._places[at] + slot] = values

    def take_first(self) -> None:
        """Fill in what is the first of some texts that is not empty."""
        for first in self.derived.firsts:
            starts, sizes, flags = (each.copy() for each in self._column(first.sources[0]))
            for source in first.sources[1:]:
                empty = sizes == 0
                for mine, other in zip((starts, sizes, flags), self._column(source), strict=True):
                    mine[empty] = other[empty]
            if not first.takes_any:
                sizes[sizes == 0] = first.otherwise
            self._put(first.target, np.arange(len(self.rows)), starts, sizes, flags)

    def convert(self, arena: int) -> int:
        """Let kernels fill in what they know; returns where the arena ends."""
        if self.moved is None:
            return arena
        width = self.moved[0].shape[1]
        bases = np.arange(len(self.rows), dtype=np.int64) * width
        flat = tuple(each.reshape(-1) for each in self.moved)
        scratch = np.empty(8, np.int64)
        for step in self.derived.converted:
            targets = np.array([step.odd.targets.get(name, -1) for name in step.names], np.int32)
            odd = np.empty(len(self.rows), np.uint8)
            arena = convert_kernels.convert(
                self._data, arena, step.kind, step.source, targets, bases, *flat, odd, scratch
            )
            if odd.any():
                self._odd.append((step.odd, np.flatnonzero(odd)))
        return int(arena)

    def compute(self, texts: _Texts, kinds: np.ndarray) -> None:
        """Ask the converters."""
        every = np.arange(len(self.rows))
        for computed in self.derived.computed:
            self._compute(computed, every, texts, kinds)
        for computed, odd in self._odd:
            self._compute(computed, odd, texts, kinds)

    def _compute(self, computed: Computed, at: np.ndarray, texts: _Texts, kinds: np.ndarray) -> None:
        keys = list(self._keys(computed.leaves, at))
        known = {key: computed.make(key) for key in set(keys)}
        made = [known[key] for key in keys]
        unfit = [number for number, each in enumerate(made) if each is None]
        if unfit:
            kinds[self.rows[at[unfit]]] = -1
        nothing: tuple[Made, ...] = ((ABSENT_SIZE, b""),) * len(computed.targets)
        for place, slot in enumerate(computed.targets.values()):
            found = [(each or nothing)[place] for each in made]
            self._put(
                slot,
                at,
                [texts.place(text) for _, text in found],
                [size for size, _ in found],
                [0 if text.isascii() else UNICODE for _, text in found],
            )

    def _keys(self, leaves: Sequence[Leaf], at: np.ndarray) -> Iterable[tuple[bytes, ...]]:
        """The texts of some slots, record by record, as they stand."""
        if not leaves:
            return [()] * len(at)
        columns = []
        for leaf in leaves:
            starts, sizes, _ = self._column(leaf.slot)
            places = zip(starts[at].tolist(), sizes[at].tolist(), strict=True)
            columns.append([bytes(self._bytes[start : start + size]) for start, size in places])
        return zip(*columns, strict=True)

    def mend(self, texts: _Texts) -> None:
        """Write anew what is written otherwise than it compares."""
        for slot, more in self.derived.odd.items():
            starts, sizes, flags = self._column(slot)
            if more == NUMBER:
                odd = np.arange(len(self.rows))
            else:
                odd = np.flatnonzero(flags & ODD)
                if more & UNICODE:
                    self._put(slot, np.arange(len(self.rows)), starts, sizes, flags | UNICODE)
            if len(odd):
                places = zip(starts[odd].tolist(), sizes[odd].tolist(), strict=True)
                found = [text_of(orjson.loads(self._bytes[start : start + size])).encode() for start, size in places]
                self._put(slot, odd, [*map(texts.place, found)], [*map(len, found)], UNICODE)


def _together(slots: Slots, parts: Sequence[_Part], texts: _Texts) -> Slots:
    """The slots with those that have moved behind all others."""
    data = texts.write(slots.data)
    moved = [part for part in parts if part.moved is not None]
    if not moved:
        return slots._replace(data=data)
    bases = slots.bases.copy()
    size = len(slots.starts)
    columns: list[list[np.ndarray]] = [[slots.starts], [slots.sizes], [slots.flags]]
    for part in moved:
        assert part.moved is not None
        width = part.moved[0].shape[1]
        bases[part.rows] = size + np.arange(len(part.rows), dtype=np.int64) * width
        size += len(part.rows) * width
        for column, each in zip(columns, part.moved, strict=True):
            column.append(each.reshape(-1))
    return Slots(data, bases, *(np.concatenate(column) for column in columns))
