"""MaxMind's databases: opened, and looked through from end to end, so that a broken one is known before it answers.

The format: https://maxmind.github.io/MaxMind-DB/
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import maxminddb
import numpy as np
from maxminddb.const import MODE_MMAP_EXT

from detector.errors import EnrichmentError

Record = dict[str, Any]

_BROKEN = (maxminddb.InvalidDatabaseError, ValueError, TypeError, UnicodeError, OverflowError, RecursionError)
"""What the reader raises of a file that is none."""
_MARKER = b"\xab\xcd\xefMaxMind.com"
_SEPARATOR = 16
"""Zeros between the tree and the data."""


class Database:
    """One database of a file that nobody changes (`files.Copies`).

    kind: as its metadata says, "GeoLite2-City". built_s: when it was made, Unix time.
    networks: nodes of its tree.

    path: of the file. name: what errors call it.
    Raises EnrichmentError for a file that is not whole.
    """

    __slots__ = ("_name", "_path", "_reader", "built_s", "kind", "networks")

    def __init__(self, path: Path, name: str) -> None:
        self._path = path
        self._name = name
        try:
            self._reader = maxminddb.open_database(path, MODE_MMAP_EXT)
            described = self._reader.metadata()
            self.kind: str = described.database_type
            self.built_s: int = described.build_epoch
            self.networks: int = described.node_count
        except _BROKEN as error:
            detail = str(error).replace(f" ({path})", "")
            raise EnrichmentError(f"is no MaxMind database, or a broken one: {detail}", where=name) from None

    def check(self, useful: Callable[[Record], object]) -> None:
        """Look at each node of the tree and each record once: seconds for all cities of the world.

        Raises EnrichmentError for the first that is broken, and where no record is useful.
        """
        try:
            described = self._reader.metadata()
            records = _tree(self._path.read_bytes(), described.node_count, described.record_size)
            told = False
            for address in _addresses(records, 32 if described.ip_version == 4 else 128):
                record = self._reader.get(address)
                told = told or (isinstance(record, dict) and bool(useful(record)))
        except _BROKEN as error:
            raise EnrichmentError(f"is a broken MaxMind database: {error}", where=self._name) from None
        if not told:
            detail = f"is a {self.kind} database, which tells neither places nor autonomous systems"
            raise EnrichmentError(f"{detail}; give one of cities, countries, ASN or ISP", where=self._name)

    def get(self, address: str) -> Record | None:
        """The record of an address; None where there is none, or `address` is none that it can have."""
        try:
            found = self._reader.get(address)
        except _BROKEN:
            return None
        return found if isinstance(found, dict) else None


def _tree(content: bytes, nodes: int, bits: int) -> np.ndarray:
    """The two records of each node, at most `nodes` for another node or nothing, else the data's offset plus that.

    Raises ValueError where a record points out of the data.
    """
    size = nodes * bits // 4
    flat = np.frombuffer(content, np.uint8, size).reshape(nodes, bits // 4).astype(np.int64)
    if bits == 28:
        left = (flat[:, 3] >> 4) << 24 | flat[:, 0] << 16 | flat[:, 1] << 8 | flat[:, 2]
        right = (flat[:, 3] & 15) << 24 | flat[:, 4] << 16 | flat[:, 5] << 8 | flat[:, 6]
    else:
        half = bits // 8
        scale = np.int64(1) << np.arange(8 * (half - 1), -1, -8, dtype=np.int64)
        left, right = flat[:, :half] @ scale, flat[:, half:] @ scale
    records = np.stack([left, right], axis=1)
    data = content.rfind(_MARKER) - size - _SEPARATOR
    offsets = records[records > nodes] - nodes - _SEPARATOR
    if len(offsets) and (offsets.min() < 0 or offsets.max() >= data):
        raise ValueError("its search tree points out of its data")
    return records


def _addresses(records: np.ndarray, bits: int) -> Iterator[str]:
    """An address of each piece of data.

    Raises ValueError where the tree is deeper than an address is long, or has nodes that no address leads to.
    """
    nodes = len(records)
    reached = np.zeros(nodes, bool)
    seen = np.empty(0, np.int64)
    at = np.zeros(min(nodes, 1), np.int64)
    high, low = np.zeros((2, 1), np.uint64)
    for depth in range(bits):
        reached[at] = True
        bit = np.uint64(1) << np.uint64(63 - depth % 64)
        highs = np.concatenate([high, high | bit if depth < 64 else high])
        lows = np.concatenate([low, low | bit if depth >= 64 else low])
        found, firsts = np.unique(records[at].T.ravel(), return_index=True)
        data = found > nodes
        fresh = data & ~np.isin(found, seen)
        for place in firsts[fresh].tolist():
            number = int(highs[place]) << 64 | int(lows[place])
            yield str(ipaddress.IPv4Address(number >> 96) if bits == 32 else ipaddress.IPv6Address(number))
        seen = np.concatenate([seen, found[fresh]])
        inner = found < nodes
        at, high, low = found[inner], highs[firsts[inner]], lows[firsts[inner]]
        if not len(at):
            break
    else:
        raise ValueError("its search tree is deeper than an address is long")
    if not reached.all():
        raise ValueError(f"no address leads to {nodes - int(reached.sum())} of the {nodes} nodes of its search tree")
