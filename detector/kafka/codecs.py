"""Decompression of record batches, bounded: a batch may not grow beyond a limit, whatever its producer wrote.

The numbers are those of the lowest three bits of a batch's attributes.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable

import lz4.frame
import pyarrow as pa
import zstandard

Bytes = bytes | memoryview
"""Read-only bytes in any form; `pa.Buffer` has the same protocol."""

MAX_BATCH_BYTES = 128 << 20
"""A batch that would be larger than this when uncompressed is refused; producers make them of some megabytes."""

_XERIAL = b"\x82SNAPPY\x00"
_XERIAL_HEADER = 16
_GZIP_OR_ZLIB = 47


class CodecError(Exception):
    """The data is not what its codec wrote, or would be larger than the limit."""


def decompress(codec: int, data: memoryview, limit: int = MAX_BATCH_BYTES) -> Bytes | pa.Buffer:
    """The uncompressed records of a batch.

    Args:
        codec: 0 none, 1 gzip, 2 snappy, 3 lz4, 4 zstd.
        data: the batch after its header.
        limit: most bytes to make of it.

    Raises:
        CodecError: unknown codec, corrupt data, or more than `limit` bytes.
    """
    if codec == 0:
        return data
    try:
        function = _CODECS[codec]
    except KeyError:
        raise CodecError(f"unknown compression codec {codec}") from None
    try:
        return function(data, limit)
    except (zlib.error, RuntimeError, EOFError, OSError, ValueError, struct.error, zstandard.ZstdError) as error:
        raise CodecError(f"cannot decompress {_NAMES[codec]} ({error})") from error


def _too_large(limit: int) -> CodecError:
    return CodecError(f"larger than {limit} bytes when uncompressed")


def _gzip(data: memoryview, limit: int) -> bytes:
    parts: list[bytes] = []
    rest: Bytes = data
    left = limit
    while rest:
        member = zlib.decompressobj(_GZIP_OR_ZLIB)
        part = member.decompress(rest, left + 1)
        left -= len(part)
        if left < 0:
            raise _too_large(limit)
        if not member.eof:
            raise EOFError("cut off")
        parts.append(part)
        rest = member.unused_data
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _snappy(data: memoryview, limit: int) -> Bytes | pa.Buffer:
    if data[: len(_XERIAL)] != _XERIAL:
        return _snappy_block(data, limit, limit)
    parts: list[pa.Buffer] = []
    position = _XERIAL_HEADER
    left = limit
    while position < len(data):
        (size,) = struct.unpack_from(">i", data, position)
        position += 4
        if not 0 < size <= len(data) - position:
            raise EOFError("cut off")
        part = _snappy_block(data[position : position + size], limit, left)
        left -= len(part)
        parts.append(part)
        position += size
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _snappy_block(data: memoryview, limit: int, left: int) -> pa.Buffer:
    size = shift = 0
    for byte in data[:5]:  # a block begins with its uncompressed size as a varint
        size |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            break
    if size > left:
        raise _too_large(limit)
    return _SNAPPY.decompress(data, size)


def _lz4(data: memoryview, limit: int) -> bytes:
    # The frame seldom says how large it is. Guess twice what is common, and take the rest in a second step.
    context = lz4.frame.create_decompression_context()
    first = min(limit, max(1 << 16, 16 * len(data)))
    part, used, done = lz4.frame.decompress_chunk(context, data, max_length=first)
    if done:
        return bytes(part)
    parts = [part]
    left = limit - len(part)
    while not done:
        if left <= 0:
            raise _too_large(limit)
        rest = data[used:]
        part, more, done = lz4.frame.decompress_chunk(context, rest, max_length=min(left, 16 << 20))
        if not part and not done and not more:
            raise EOFError("cut off")
        used += more
        left -= len(part)
        parts.append(part)
    return b"".join(parts)


def _zstd(data: memoryview, limit: int) -> bytes:
    size = zstandard.frame_content_size(data)
    if size > limit:
        raise _too_large(limit)
    guess = size if size > 0 else min(limit, max(1 << 18, 32 * len(data)))
    try:
        return _ZSTD.decompress(data, max_output_size=guess, allow_extra_data=False)
    except zstandard.ZstdError:
        return _zstd_frames(data, limit)


def _zstd_frames(data: memoryview, limit: int) -> bytes:
    """Several frames, or one that is larger than guessed; in steps so small that none makes more than 16 MiB."""
    parts: list[bytes] = []
    left = limit
    position = 0
    while position < len(data):
        frame = _ZSTD.decompressobj()
        while not frame.eof:
            if position >= len(data):
                raise EOFError("cut off")
            parts.append(frame.decompress(data[position : position + 512]))
            position += 512
            left -= len(parts[-1])
            if left < 0:
                raise _too_large(limit)
        position = min(position, len(data)) - len(frame.unused_data)
    return b"".join(parts)


_SNAPPY = pa.Codec("snappy")
_ZSTD = zstandard.ZstdDecompressor(max_window_size=MAX_BATCH_BYTES)
_NAMES = {1: "gzip", 2: "snappy", 3: "lz4", 4: "zstd"}
_CODECS: dict[int, Callable[[memoryview, int], Bytes | pa.Buffer]] = {1: _gzip, 2: _snappy, 3: _lz4, 4: _zstd}
