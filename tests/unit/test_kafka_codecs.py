"""Bounded decompression of record batches."""

from __future__ import annotations

import gzip
import io
import struct
from collections.abc import Callable

import lz4.frame
import pyarrow as pa
import pytest
import zstandard

from detector.kafka.codecs import CodecError, decompress

GZIP, SNAPPY, LZ4, ZSTD = 1, 2, 3, 4
TEXT = b"".join(b"line %d of a log that is compressed\n" % number for number in range(5_000))
BOMB = 64 << 20


def snappy(data: bytes) -> bytes:
    return bytes(pa.Codec("snappy").compress(data, asbytes=True))


def xerial(data: bytes, block: int = 1 << 15) -> bytes:
    blocks = [snappy(data[start : start + block]) for start in range(0, len(data), block)]
    return b"\x82SNAPPY\x00" + struct.pack(">ii", 1, 1) + b"".join(struct.pack(">i", len(b)) + b for b in blocks)


def zstd_stream(data: bytes) -> bytes:
    out = io.BytesIO()
    with zstandard.ZstdCompressor().stream_writer(out, closefd=False) as writer:
        writer.write(data)
    return out.getvalue()


WRITERS: list[tuple[str, int, Callable[[bytes], bytes]]] = [
    ("gzip", GZIP, gzip.compress),
    ("snappy", SNAPPY, snappy),
    ("snappy in xerial blocks", SNAPPY, xerial),
    ("lz4", LZ4, lz4.frame.compress),
    ("lz4 of Java", LZ4, lambda data: lz4.frame.compress(data, store_size=False, block_linked=False)),
    ("zstd", ZSTD, zstandard.ZstdCompressor().compress),
    ("zstd of Java", ZSTD, zstd_stream),
]
each_writer = pytest.mark.parametrize(("codec", "write"), [w[1:] for w in WRITERS], ids=[w[0] for w in WRITERS])


class TestDecompress:
    def test_none(self) -> None:
        """Uncompressed data is handed on as it is."""
        data = memoryview(b"records")

        assert decompress(0, data) is data

    @each_writer
    @pytest.mark.parametrize("data", [b"", b"x", TEXT, bytes(3 << 20)], ids=["empty", "one", "text", "zeros"])
    def test_each_codec(self, codec: int, write: Callable[[bytes], bytes], data: bytes) -> None:
        """What any kind of producer compressed comes back."""
        assert bytes(decompress(codec, memoryview(write(data)))) == data

    @pytest.mark.parametrize(
        ("codec", "write"), [(GZIP, gzip.compress), (ZSTD, zstandard.ZstdCompressor().compress)], ids=["gzip", "zstd"]
    )
    def test_several_frames(self, codec: int, write: Callable[[bytes], bytes]) -> None:
        """Frames one after the other are one batch, as for kafka-python."""
        assert bytes(decompress(codec, memoryview(write(b"one ") + write(b"two")))) == b"one two"

    @each_writer
    def test_bomb(self, codec: int, write: Callable[[bytes], bytes]) -> None:
        """A batch that grows beyond the limit is refused."""
        bomb = write(bytes(BOMB))

        with pytest.raises(CodecError, match="larger than 1048576 bytes"):
            decompress(codec, memoryview(bomb), limit=1 << 20)

    @each_writer
    def test_just_the_limit(self, codec: int, write: Callable[[bytes], bytes]) -> None:
        """A batch of exactly the limit passes."""
        assert len(decompress(codec, memoryview(write(bytes(1 << 20))), limit=1 << 20)) == 1 << 20

    @each_writer
    def test_cut_off(self, codec: int, write: Callable[[bytes], bytes]) -> None:
        """Half of the data is an error, never half of the records."""
        data = write(TEXT)

        with pytest.raises(CodecError):
            decompress(codec, memoryview(data)[: len(data) // 2])

    @pytest.mark.parametrize("codec", [GZIP, SNAPPY, LZ4, ZSTD])
    def test_rubbish(self, codec: int) -> None:
        """Data of another kind is an error."""
        with pytest.raises(CodecError):
            decompress(codec, memoryview(b"\xff\xfe this is no compressed data at all, whatever the codec" * 5))

    def test_unknown_codec(self) -> None:
        """Codec numbers 5 to 7 are not defined."""
        with pytest.raises(CodecError, match="unknown compression codec 5"):
            decompress(5, memoryview(b"x"))
