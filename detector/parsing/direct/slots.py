"""What a tokenizer gives the engine: the texts of records as places in one buffer.

This is the interface of all lanes: a lane for JSON finds the values of objects, one for lines the named groups of a
pattern. What a rule's field means in them is a table of slots (`detector.sigma.engine.slots`).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import orjson

from detector.parsing.simd import BLOCK

ESCAPED, UNICODE, ODD = 1, 2, 4
"""Flags of a slot: JSON's escapes stand in it, characters beyond ASCII (of valid UTF-8, or escaped), and what an object
around it would not be written with: other escapes than it needs. An object or array is ODD where it is written in
another way than its text is compared (`detector.sigma.values.text_of`).
"""

ABSENT_SIZE, NULL_SIZE = -1, -2
"""Sizes of slots without a text: the field is not there, or it is null."""


_ROOM = 2
"""Room behind the texts of a batch, in their size: a URL is decoded to no more."""
MOST_BYTES = (1 << 31) - 1
"""Of a batch with its room: places have 32 bits."""


def roomy(data: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """The bytes in a buffer with room for what is made of them; first comes a block of zeros."""
    made = np.empty((1 + _ROOM) * len(data) + 2 * BLOCK, np.uint8)
    made[: len(data)] = data
    made[len(data) : len(data) + 2 * BLOCK] = 0
    return made


def room_behind(data: npt.NDArray[np.uint8]) -> int:
    """Where that room begins."""
    return (len(data) - 2 * BLOCK) // (1 + _ROOM)


class Slots(NamedTuple):
    """The texts of some records.

    data: the bytes, with a block behind the last one (`simd.padded`).
    bases: (records + 1,) the slots of record r are those from `bases[r]` on; it has as many as its kind of record.
    starts, sizes, flags: (slots,) a text is `data[starts[s]:starts[s] + sizes[s]]`; see ABSENT_SIZE and ESCAPED.
        A number or a boolean is the text by which it compares, an object or array its JSON.
    """

    data: npt.NDArray[np.uint8]
    bases: npt.NDArray[np.int64]
    starts: npt.NDArray[np.int32]
    sizes: npt.NDArray[np.int32]
    flags: npt.NDArray[np.uint8]

    def encoded(self, record: int, slot: int) -> bytes | None:
        """The text of a slot in UTF-8; None where there is none."""
        place = int(self.bases[record]) + slot
        size = int(self.sizes[place])
        if size < 0:
            return None
        start = int(self.starts[place])
        raw = self.data[start : start + size].tobytes()
        return str(orjson.loads(b'"%b"' % raw)).encode() if self.flags[place] & ESCAPED else raw

    def written(self, record: int, slot: int) -> bytes:
        """The text of a slot that has one, as it stands."""
        place = int(self.bases[record]) + slot
        start = int(self.starts[place])
        return self.data[start : start + int(self.sizes[place])].tobytes()

    def text(self, record: int, slot: int) -> str | None:
        """The text of a slot; None where there is none."""
        encoded = self.encoded(record, slot)
        return None if encoded is None else encoded.decode()


def no_slots(records: int) -> Slots:
    """Of records that have none."""
    empty = np.empty(0, np.int32)
    return Slots(np.zeros(BLOCK, np.uint8), np.zeros(records + 1, np.int64), empty, empty, np.empty(0, np.uint8))
