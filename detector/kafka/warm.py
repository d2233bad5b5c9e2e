"""Compile the kernels before they are needed: in a worker before it reads, and in an image while it is built.

numba compiles for the types of the arguments, and keeps what it compiled in its cache (`NUMBA_CACHE_DIR`); from there
it is loaded in half a second.
"""

from __future__ import annotations

import numpy as np
from kafka.record.default_records import DefaultRecordBatchBuilder

from detector.kafka.batches import Header, decode, salvage, to_arrow
from detector.kafka.kernels import CHECKED, FAST, Kernels

_RECORDS: tuple[tuple[bytes | None, bytes | None, list[tuple[str, bytes]]], ...] = (
    (b"key", b"value", [("name", b"value")]),
    (None, None, []),
)


def warm(*, checked: bool = False) -> None:
    """Compile the kernels, or load them from the cache.

    checked: also those for data that has killed a process before.
    """
    for kernels in (FAST, CHECKED) if checked else (FAST,):
        batch = _batch()
        _decode(memoryview(batch), kernels)
        _decode(memoryview(bytes(batch)), kernels)  # read-only memory is another type


def _batch() -> bytearray:
    builder = DefaultRecordBatchBuilder(
        magic=2,
        compression_type=0,
        is_transactional=False,
        producer_id=-1,
        producer_epoch=-1,
        base_sequence=-1,
        batch_size=1 << 16,
    )
    for offset, (key, value, headers) in enumerate(_RECORDS):
        builder.append(offset, 0, key, value, headers)
    return bytearray(builder.build())


def _decode(batch: memoryview, kernels: Kernels) -> None:
    header = Header.read(batch)
    to_arrow([(0, [decode(header, batch, 0, kernels)])], kernels)
    for _piece in salvage(header, batch, 0, kernels):
        pass
    kernels.length(np.frombuffer(batch, np.uint8), 0, len(batch))
