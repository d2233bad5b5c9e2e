"""Compiling ahead."""

from typing import Any

import numpy as np

from detector.kafka.batches import Header, decode, to_arrow
from detector.kafka.kernels import FAST, FIELDS
from detector.kafka.warm import _RECORDS, _batch, warm

KERNELS: Any = FAST


class TestWarm:
    def test_all_kernels(self) -> None:
        """Every kernel is compiled, for memory that can be written and for memory that cannot."""
        warm()

        assert {kernel.py_func.__name__: len(kernel.signatures) >= 1 for kernel in KERNELS} == {
            "_decode": True,
            "_measure": True,
            "_gather": True,
            "_length": True,
        }
        assert len(KERNELS.decode.signatures) >= 2

    def test_nothing_left_to_compile(self) -> None:
        """Decoding after it compiles nothing more."""
        warm()
        before = [len(kernel.signatures) for kernel in KERNELS]

        batch = memoryview(bytes(_batch()))
        table = to_arrow([(0, [decode(Header.read(batch), batch, 1, FAST)])], FAST)
        FAST.measure(np.zeros((0, FIELDS), np.int32))

        assert table.num_rows == len(_RECORDS) - 1
        assert [len(kernel.signatures) for kernel in KERNELS] == before
