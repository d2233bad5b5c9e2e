"""Tables of one's own about addresses, hosts and users: a row's columns become fields of events."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from typing import Literal

from detector.enrichment.files import decoded
from detector.enrichment.model import NOTHING, Answer
from detector.enrichment.networks import ADDRESSES, Network, network
from detector.enrichment.ranges import Ranges
from detector.errors import EnrichmentError

Key = Literal["address", "host", "user"]

FIELDS: Mapping[Key, Mapping[str, str]] = {
    "address": {f"{side}.ip": f"{side}.asset" for side in ADDRESSES},
    "host": {"host.name": "host.asset"},
    "user": {"user.name": "user.asset"},
}
"""By the heading of a table's first column: the fields whose values are looked up, and below what its columns are."""

MAX_ROWS = 1_000_000
_COLUMN = re.compile(r"[a-z][a-z0-9_]*(?:\.[a-z][a-z0-9_]*)*")


class Table:
    """One CSV file; its first line has headings, of which the first is `address`, `host` or `user`.

    An address may be a network; of several that an address is in, the narrowest counts. Names of hosts and users are
    the same in upper and lower case.

    Raises EnrichmentError with file and line for what is no such table.
    """

    __slots__ = ("_columns", "_key", "_ranges", "_rows", "entries")

    key: str | None = None

    def __init__(self, content: bytes, path: str) -> None:
        text = decoded(content, path)
        reader = csv.reader(io.StringIO(text), skipinitialspace=True, strict=True)
        self._rows: dict[str, dict[str, str]] = {}
        networks: list[tuple[Network, dict[str, str]]] = []
        self.entries = 0
        try:
            self._key, self._columns = _headings(next(reader, []), path)
            for row in reader:
                if not any(cell.strip() for cell in row):
                    continue
                where = f"{path}:{reader.line_num}"
                if len(row) != len(self._columns) + 1:
                    raise EnrichmentError(f"has {len(row)} columns, not {len(self._columns) + 1}", where=where)
                cells = dict(zip(self._columns, (cell.strip() for cell in row[1:]), strict=True))
                cells = {name: cell for name, cell in cells.items() if cell}
                if self._key == "address":
                    networks.append((_network(row[0].strip(), where), cells))
                elif self._rows.setdefault(row[0].strip().lower(), cells) is not cells:
                    raise EnrichmentError(f"{row[0].strip()!r} stands twice", where=where)
                self.entries += 1
                if self.entries > MAX_ROWS:
                    raise EnrichmentError(f"has more than {MAX_ROWS:,} rows", where=where)
        except csv.Error as error:
            raise EnrichmentError(f"is not CSV: {error}", where=f"{path}:{reader.line_num}") from None
        self._ranges = Ranges(networks)

    def asked(self) -> Mapping[str, Mapping[str, type]]:
        """See `Provider.asked`."""
        return {
            field: {f"{below}.{column}": str for column in self._columns} for field, below in FIELDS[self._key].items()
        }

    def look_up(self, field: str, values: Sequence[str]) -> list[Answer]:
        """See `Provider.look_up`."""
        below = FIELDS[self._key][field]
        found = (
            self._ranges.look_up(values)
            if self._key == "address"
            else [self._rows.get(value.lower()) for value in values]
        )
        return [
            Answer({f"{below}.{name}": cell for name, cell in cells.items()}) if cells else NOTHING for cells in found
        ]


def _headings(row: list[str], path: str) -> tuple[Key, list[str]]:
    names = [name.strip().lower() for name in row]
    where = f"{path}:1"
    if not names or names[0] not in FIELDS:
        raise EnrichmentError(f"the first heading is one of {', '.join(FIELDS)}", where=where)
    for name in names[1:]:
        if not _COLUMN.fullmatch(name):
            raise EnrichmentError(f"a heading is a name of letters, digits, _ and dots, not {name!r}", where=where)
    if len(set(names)) < len(names):
        raise EnrichmentError("a heading stands twice", where=where)
    if len(names) == 1:
        raise EnrichmentError("has no column besides its first", where=where)
    key: Key = names[0]  # type: ignore[assignment]
    return key, names[1:]


def _network(text: str, where: str) -> Network:
    try:
        return network(text)
    except ValueError as error:
        raise EnrichmentError(str(error), where=where) from None
