"""With this folder on PYTHONPATH, `time.time` and `time.time_ns` are off by the seconds that a file holds.

FAKED_CLOCK_FILE names the file. It is looked at again five times a second, so that a clock can be stepped under a
running service. Monotonic clocks go on as they do when an administrator steps a machine's clock.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

_LOOK_S = 0.2
_file = Path(os.environ["FAKED_CLOCK_FILE"])
_time, _time_ns = time.time, time.time_ns
_state = {"at": -1.0, "off": 0.0}


def _off() -> float:
    now = time.monotonic()
    if now - _state["at"] > _LOOK_S:
        _state["at"] = now
        _state["off"] = float(_file.read_text() or _state["off"])  # empty while it is being written
    return _state["off"]


time.time = lambda: _time() + _off()
time.time_ns = lambda: _time_ns() + int(_off() * 1e9)
