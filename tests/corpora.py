"""Where the corpora are: real data of others, beside the repository and never in it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2] / "shared" / "corpora"


def corpus(path: str) -> Path:
    """A file or folder of the corpora; without them the test is skipped, under CI it fails."""
    found = ROOT / path
    if not found.exists():
        message = f"no corpora at {ROOT}"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return found
