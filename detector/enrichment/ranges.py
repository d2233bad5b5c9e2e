"""Networks that each stand for something: of those that an address is in, the narrowest."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Generic, TypeVar

import numpy as np

from detector.enrichment.networks import KEY, Network, bounds, following, packed

T = TypeVar("T")


class Ranges(Generic[T]):
    """Looks addresses up in networks, which may lie within each other; of two that are the same the first counts."""

    __slots__ = ("_begin", "_values")

    def __init__(self, networks: Iterable[tuple[Network, T]]) -> None:
        begin: list[bytes] = [b""]
        values: list[T | None] = [None]
        around: list[tuple[bytes, T]] = []  # the networks that are open, the innermost last: their ends and values

        def start(at: bytes, value: T | None) -> None:
            if begin[-1] == at:
                values[-1] = value
            else:
                begin.append(at)
                values.append(value)

        def close(until: bytes | None) -> None:
            while around and (until is None or around[-1][0] < until):
                end, _ = around.pop()
                start(following(end), around[-1][1] if around else None)

        known: set[Network] = set()
        ordered = [(*bounds(network), network, value) for network, value in networks]
        for low, high, network, value in sorted(ordered, key=lambda each: (each[0], _reversed(each[1]))):
            if network in known:
                continue
            known.add(network)
            close(low)
            start(low, value)
            around.append((high, value))
        close(None)
        self._begin = np.array(begin, KEY)
        self._values = values

    def look_up(self, texts: Sequence[str]) -> list[T | None]:
        """What stands for each address; None for what is in no network or is no address."""
        places = np.searchsorted(self._begin, packed(texts), side="right") - 1
        return [self._values[place] for place in places.tolist()]


def _reversed(key: bytes) -> bytes:
    """So that of networks that begin alike the widest comes first."""
    return bytes(255 - byte for byte in key)
