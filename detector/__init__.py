"""Finds attacks and failures in the logs of a Kafka cluster, in near real time, with Sigma rules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from detector.library import detect, parse

__all__ = ["__version__", "detect", "parse"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """`detector.parse` and `detector.detect`, imported when they are asked for: commands and workers need not."""
    if name in {"detect", "parse"}:
        from detector import library

        return getattr(library, name)
    raise AttributeError(f"module 'detector' has no attribute {name!r}")
