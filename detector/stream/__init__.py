"""Ray Data as the streaming engine: epochs of windows.

Importing this package sets what Ray reads from the environment when it is imported; what the user has set stays.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

_ENVIRONMENT = {
    "RAY_task_events_max_num_task_in_gcs": "1000",  # else the GCS grows with every task ever run
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_MODE": "token",  # anyone who reaches an open Ray port can run code
}


def _prepare() -> None:
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    tokens = ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")
    if not any(os.environ.get(name) for name in tokens) and not Path("~/.ray/auth_token").expanduser().exists():
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)  # for a cluster of our own, which lives as long as we do


_prepare()
