"""The back-fill: the service's pipeline over files (`docs/backfill.md`)."""

from __future__ import annotations

import detector.stream  # noqa: F401 -- sets what Ray reads from the environment when it is imported
