"""The shapes of JSON records that were seen, and the slots of a batch of records."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from detector.parsing.direct import kernels
from detector.parsing.direct.slots import MOST_BYTES, Slots, room_behind, roomy

MAX_EDGES = 1 << 16
"""Keys of all shapes together, each with a kind of value and what stood before it."""
MAX_KEY_BYTES = 1 << 20


class Trie:
    """Shapes of records, numbered as they are seen.

    full: whether there was a shape for which there was no room.
    """

    __slots__ = ("_counts", "_edges", "_keys", "_nodes")

    def __init__(self) -> None:
        self._keys = np.zeros(MAX_KEY_BYTES, np.uint8)
        self._edges = np.empty((MAX_EDGES, 5), np.int32)
        self._nodes = np.full((MAX_EDGES + 1, 2), -1, np.int32)
        self._counts = np.array([0, 1, 0, 0], np.int64)

    @property
    def full(self) -> bool:
        """Whether there may be no room for another shape."""
        edges, _, key_bytes, _ = self._counts.tolist()
        return bool(edges >= MAX_EDGES * 7 // 8 or key_bytes >= MAX_KEY_BYTES * 7 // 8)

    @property
    def shapes(self) -> int:
        """How many there are."""
        return int(self._counts[kernels.SHAPES])

    def read(self, values: pa.Array, max_bytes: int) -> tuple[Slots, np.ndarray]:
        """The slots of binary values, and the shape of each: -1 where it has none, also if it is longer than that."""
        data, begin, end = _bytes(values)
        end[(end - begin > max_bytes) | (len(data) > MOST_BYTES)] = 0
        count = len(begin)
        shapes = np.empty(count, np.int32)
        bases = np.empty(count + 1, np.int64)
        room = room_behind(data) // 2 + 8 + kernels.MAX_DEPTH
        starts, sizes, flags = np.empty(room, np.int32), np.empty(room, np.int32), np.empty(room, np.uint8)
        kernels.scan(
            data, begin, end, self._keys, self._edges, self._nodes, self._counts, shapes, bases, starts, sizes, flags,
            np.empty((kernels.MAX_DEPTH, 2), np.int64),
        )  # fmt: skip
        used = int(bases[-1])
        return Slots(data, bases, starts[:used], sizes[:used], flags[:used]), shapes


def any_object(values: pa.Array) -> bool:
    """Whether one of some binary values begins like an object, so that it may have a shape."""
    offsets, buffer = _offsets(values), values.buffers()[2]
    begin = offsets[:-1][offsets[:-1] < offsets[1:]]
    return buffer is not None and bool((np.frombuffer(buffer, np.uint8)[begin] == ord("{")).any())


def _offsets(values: pa.Array) -> np.ndarray:
    return np.frombuffer(values.buffers()[1], np.int32)[values.offset : values.offset + len(values) + 1]


def _bytes(values: pa.Array) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The bytes of binary values, with room behind, and where each begins and ends; one that is null is empty."""
    offsets = _offsets(values)
    start = int(offsets[0])
    buffer = values.buffers()[2]
    data = np.frombuffer(buffer, np.uint8)[start : int(offsets[-1])] if buffer else np.empty(0, np.uint8)
    places = offsets.astype(np.int64) - start
    begin, end = places[:-1].copy(), places[1:].copy()
    if values.null_count:
        end[values.is_null().to_numpy(zero_copy_only=False)] = 0
    return roomy(data), begin, end
