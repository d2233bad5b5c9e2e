"""What processes keep of the memory that they used."""

from __future__ import annotations

import subprocess
import sys
from resource import getpagesize

_WINDOWS = """
import resource
import sys
import numpy as np
from detector.stream.memory import keep_freed

if sys.argv[1] == "kept":
    keep_freed()
for window in range(6):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    arrays = [np.ones(3 << 20, np.uint8) for _ in range(8)]
    del arrays
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


class TestKeepFreed:
    """Memory that one window used, for the next one."""

    def test_no_pages_anew(self) -> None:
        """The next window does not ask the system for the memory that the one before it used."""
        pages = (24 << 20) // getpagesize()

        kept, given_back = (
            int(subprocess.run([sys.executable, "-c", _WINDOWS, how], capture_output=True, check=True).stdout)
            for how in ("kept", "not")
        )

        assert kept < pages / 20
        assert given_back > kept
