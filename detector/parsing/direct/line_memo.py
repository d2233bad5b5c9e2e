"""What plain converters have made of texts, for kernels to look up: bounded, and begun anew when it is full."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from detector.parsing.direct.names import hashed

MAX_TEXTS = 4_096
"""Texts that it remembers from one batch to the next."""
_MAX_BYTES = 1 << 18
_FIRST_PLACES = 256

Made = Sequence[tuple[int, bytes, bool]] | None
"""Slots (-1: one that nobody asks for), their texts, whether one only fills a gap; None: it is not of the type."""


class Memo:
    """What some ways make of texts.

    places, keys, key_texts, result_end, results, made: arrays for `line_kernels.derive`. made: bytes that these results
    refer to, behind those given at the beginning.
    """

    __slots__ = ("_ends", "_fixed", "_keys", "_known", "_results", "_texts", "arrays", "made")

    def __init__(self, fixed: bytes) -> None:
        self._fixed = fixed
        self._clear()

    def _clear(self) -> None:
        self._known: set[tuple[int, bytes]] = set()
        self._keys: list[tuple[int, int, int]] = []
        self._texts = bytearray()
        self.made = bytearray(self._fixed)
        self._results: list[tuple[int, int, int, int, int]] = []
        self._ends: list[int] = [0]
        self._arrange()

    def bound(self) -> None:
        """Forget all if it has become too much."""
        if len(self._keys) > MAX_TEXTS or len(self.made) + len(self._texts) > _MAX_BYTES:
            self._clear()

    def learn(self, found: Sequence[tuple[int, bytes, Made]]) -> None:
        """Remember what ways have made of texts; what is known already is left."""
        for way, text, made in found:
            if (way, text) in self._known:
                continue
            self._known.add((way, text))
            self._keys.append((way, len(self._texts), len(text)))
            self._texts += text
            for slot, each, fills in made or ():
                flag = 0 if each.isascii() else 2
                self._results.append((slot, len(self.made), len(each), flag, int(fills)))
                self.made += each
            self._ends.append(len(self._results))
        self._arrange()

    def knows(self, way: int, text: bytes) -> bool:
        """Whether it has that text."""
        return (way, text) in self._known

    def _arrange(self) -> None:
        size = max(_FIRST_PLACES, 1 << (4 * len(self._keys)).bit_length())
        places = np.zeros(size, np.int32)
        texts = np.frombuffer(bytes(self._texts) + b"\0", np.uint8)
        mask = size - 1
        for number, (way, start, length) in enumerate(self._keys, 1):
            place = (int(hashed(texts, start, start + length)) + way * 0x9E3779B97F4A7C15) & mask
            while places[place]:
                place = (place + 1) & mask
            places[place] = number
        keys = np.array(self._keys, np.int32).reshape(-1, 3)
        results = np.array(self._results, np.int32).reshape(-1, 5)
        self.arrays = (places, keys, texts, np.array(self._ends, np.int32), results)
