"""What a tokenizer gives the engine: the texts of records as places in one buffer.

This is the interface of all lanes: a lane for JSON finds the values of objects, one for lines the named groups of a
pattern. What a rule's field means in them is a table of slots (`detector.sigma.engine.slots`).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import orjson

ESCAPED, UNICODE = 1, 2
"""Flags of a slot: JSON's escapes stand in it, and characters beyond ASCII (of valid UTF-8, or escaped)."""

ABSENT_SIZE, NULL_SIZE = -1, -2
"""Sizes of slots without a text: the field is not there, or it is null."""


class Slots(NamedTuple):
    """The texts of some records.

    data: the bytes, with a block behind the last one (`simd.padded`).
    bases: (records + 1,) the slots of record r are those from `bases[r]` on; it has as many as its kind of record.
    starts, sizes, flags: (slots,) a text is `data[starts[s]:starts[s] + sizes[s]]`; see ABSENT_SIZE and ESCAPED.
        A number or a boolean is the text by which it compares.
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

    def text(self, record: int, slot: int) -> str | None:
        """The text of a slot; None where there is none."""
        encoded = self.encoded(record, slot)
        return None if encoded is None else encoded.decode()
