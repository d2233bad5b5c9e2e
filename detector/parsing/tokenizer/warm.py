"""Compile the kernel before the first lines come; it is read from the disk's cache where there is one."""

from __future__ import annotations

from detector.parsing.tokenizer import Tokenizer


def warm() -> None:
    """Run the kernel once."""
    Tokenizer(["(?P<a>a)"]).texts([b"a"])
