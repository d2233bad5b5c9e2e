"""Snapshots of a fold in the compacted state topic: chunks, then a manifest that says which and of what.

Two slots take turns, so that one snapshot is whole while the other is being written. A chunk has the key
`<partition>/<slot>/<number>`, a manifest `<partition>/<slot>/manifest`. Those of a partition of the signals topic lie
in the state topic's partition of the same number.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson
import zstandard

from detector.window import Message

FORMAT = 2
CHUNK_BYTES = 512 << 10
SLOTS = 2
MAX_STATE_BYTES = 4 << 30
"""Of an unpacked state; a larger one was not written by this program."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A state, and the offset of the first signals message that is not in it."""

    offset: int
    state: Mapping[str, Any]


def write(state: Mapping[str, Any], *, partition: int, partitions: int, offset: int, slot: int) -> tuple[Message, ...]:
    """The messages of a snapshot, manifest last.

    partitions: of the signals topic. offset: as in `Snapshot`. slot: not that of the last one.
    """
    body = zstandard.compress(orjson.dumps(state), 3)
    chunks = [body[at : at + CHUNK_BYTES] for at in range(0, len(body), CHUNK_BYTES)]
    manifest = {
        "format": FORMAT,
        "partitions": partitions,
        "offset": offset,
        "chunks": len(chunks),
        "sha256": hashlib.sha256(body).hexdigest(),
    }
    values = [*((str(number), chunk) for number, chunk in enumerate(chunks)), ("manifest", orjson.dumps(manifest))]
    return tuple(
        Message("state", f"{partition}/{slot}/{name}".encode(), value, (), None, partition) for name, value in values
    )


def newest(
    records: Iterable[tuple[bytes | None, bytes | None]], *, partition: int, partitions: int, until: int
) -> Snapshot | None:
    """The newest whole snapshot of a partition at or before the signals offset `until`.

    records: keys and values of the state topic's partition, in order.
    partitions: of the signals topic: a snapshot of another number is of other groups, and does not count.
    """
    chunks: dict[bytes, bytes] = {}
    found: tuple[int, bytes] | None = None
    for key, value in records:
        if key is None or value is None or not key.startswith(b"%d/" % partition):
            continue
        if not key.endswith(b"/manifest"):
            chunks[key] = value
            continue
        manifest = _manifest(value)
        if manifest is None or manifest["partitions"] != partitions or manifest["offset"] > until:
            continue
        body = b"".join(_chunks(key, chunks, manifest["chunks"]))
        whole = hashlib.sha256(body).hexdigest() == manifest["sha256"]
        if whole and (found is None or manifest["offset"] >= found[0]):
            found = (manifest["offset"], body)
    if found is None:
        return None
    state = orjson.loads(zstandard.ZstdDecompressor().decompress(found[1], max_output_size=MAX_STATE_BYTES))
    return Snapshot(found[0], state)


def _chunks(manifest: bytes, chunks: Mapping[bytes, bytes], number: int) -> Iterator[bytes]:
    head = manifest.removesuffix(b"manifest")
    return (chunks.get(head + b"%d" % index, b"") for index in range(number))


def _manifest(value: bytes) -> dict[str, Any] | None:
    """A manifest of this format, else None: then there is more to replay."""
    try:
        manifest = orjson.loads(value)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        return None
    numbers = all(isinstance(manifest.get(name), int) for name in ("partitions", "offset", "chunks"))
    return manifest if numbers and isinstance(manifest.get("sha256"), str) else None
