"""How the kernels are compiled; what they do is tested with the answers of brokers."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import pytest

from detector.kafka import kernels
from detector.kafka.kernels import CHECKED, FAST, FIELDS


class TestCompile:
    def test_without_a_folder_for_the_cache(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where nothing can be written, the kernels are compiled anew in each process instead of failing."""
        njit = numba.njit

        def without_cache(**options: Any) -> Any:
            if options.pop("cache", False):
                raise RuntimeError("cannot cache function: no locator available")
            return njit(**options)

        monkeypatch.setattr(numba, "njit", without_cache)
        measure = kernels._compile(kernels._measure, checked=False)

        assert measure(np.full((2, FIELDS), -1, np.int32)) == (0, 0, 0, 0, 0, 0)

    def test_checked_and_fast_are_told_apart(self) -> None:
        """numba's cache knows functions by name and line, so the two compilations bear different names."""
        names = {getattr(kernel, "py_func").__qualname__ for kernel in (*FAST, *CHECKED)}  # noqa: B009

        assert len(names) == len(FAST) + len(CHECKED)

    def test_bounds_are_checked(self) -> None:
        """The checked compilation raises where the fast one would read what is not there."""
        fields = np.zeros((1, FIELDS), np.int32)
        data, out, offsets, valid = (np.zeros(size, np.uint8) for size in (4, 0, 0, 0))

        with pytest.raises(IndexError):
            CHECKED.gather(data, fields, 2, out, offsets.view(np.int32), valid, 0, 0)

    @pytest.mark.parametrize("compiled", [FAST, CHECKED], ids=["fast", "checked"])
    def test_no_copy_beyond_the_buffers(self, compiled: kernels.Kernels) -> None:
        """Not even fields that no decoder made copy anything from or to outside of the buffers."""
        fields = np.zeros((1, FIELDS), np.int32)
        fields[0, 2:4] = 2, 100

        data, out, offsets, valid = (np.zeros(size, np.uint8) for size in (50, 200, 0, 0))

        with pytest.raises(IndexError):
            compiled.gather(data, fields, 2, out, offsets.view(np.int32), valid, 0, 0)
