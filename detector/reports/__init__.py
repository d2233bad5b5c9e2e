"""Reports for people who would rather look than read."""

from __future__ import annotations

import detector.stream  # noqa: F401 -- sets what Ray reads from the environment when it is imported
