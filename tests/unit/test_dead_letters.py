from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka.record.default_records import DefaultRecordBatch, DefaultRecordBatchBuilder

from detector.alerts.dead_letters import Headers, dead_letter, decode_headers, fit, parse_dead_letter
from detector.metrics import DeadLetterReason
from detector.window import Message

PLACES = st.integers(0, 2**31) | st.none()
HEADERS = st.lists(st.tuples(st.text(st.characters(codec="utf-8"), max_size=40), st.binary(max_size=40)), max_size=5)


def letter(value: bytes | None = b"\xff raw", **changes: Any) -> Message:
    arguments: dict[str, Any] = {
        "topic": "web",
        "partition": 3,
        "offset": 41,
        "timestamp_ms": 1_700_000_000_123,
        "key": b"k",
        "headers": (("trace", b"abc"),),
    }
    return dead_letter(DeadLetterReason.UNPARSED, "no parser took it", value=value, **(arguments | changes))


def size_on_the_wire(message: Message) -> int:
    """Bytes of a record batch with this message alone, as the producer makes it."""
    builder = DefaultRecordBatchBuilder(
        magic=2,
        compression_type=0,
        is_transactional=True,
        producer_id=1,
        producer_epoch=1,
        base_sequence=1,
        batch_size=1 << 30,
    )
    builder.append(0, message.timestamp_ms, message.key, message.value, list(message.headers))
    return len(builder.build())


def headers_on_the_wire(headers: list[tuple[str, bytes]]) -> bytes:
    """The headers of a record as the client library writes them."""
    builder = DefaultRecordBatchBuilder(
        magic=2,
        compression_type=0,
        is_transactional=False,
        producer_id=-1,
        producer_epoch=-1,
        base_sequence=-1,
        batch_size=1 << 30,
    )
    builder.append(0, 0, None, None, headers)
    record = bytes(builder.build())[DefaultRecordBatch.HEADER_STRUCT.size :]
    length_bytes = next(index for index, byte in enumerate(record) if byte < 0x80) + 1
    return record[length_bytes + 5 :]  # attributes, timestamp and offset delta, null key, null value: a byte each


class TestDeadLetter:
    def test_keeps_the_record_as_it_was(self) -> None:
        """Value, key and headers are the record's own bytes; the reason comes after them."""
        message = letter()

        assert (message.topic, message.key, message.value) == ("dead_letters", b"k", b"\xff raw")
        assert message.headers == (
            ("trace", b"abc"),
            ("detector.reason", b"unparsed"),
            ("detector.detail", b"no parser took it"),
            ("detector.topic", b"web"),
            ("detector.partition", b"3"),
            ("detector.offset", b"41"),
            ("detector.timestamp", b"1700000000123"),
            ("detector.value_bytes", b"5"),
        )

    @given(
        st.binary(max_size=50) | st.none(), st.binary(max_size=9) | st.none(), HEADERS, st.integers(0, 9) | st.none()
    )
    def test_reads_back_as_what_it_was_made_of(
        self, value: bytes | None, key: bytes | None, headers: list[tuple[str, bytes]], ordinal: int | None
    ) -> None:
        """A replay has the record and its coordinates, whatever the record held."""
        message = letter(value, key=key, headers=tuple(headers), ordinal=ordinal, position=2)
        back = parse_dead_letter(message.key, message.value, message.headers)

        assert (back.key, back.value, back.headers) == (key, value, tuple(headers))
        assert (back.topic, back.partition, back.offset, back.timestamp_ms) == ("web", 3, 41, 1_700_000_000_123)
        assert (back.reason, back.ordinal, back.position) == (DeadLetterReason.UNPARSED, ordinal, 2)
        assert (back.truncated, back.value_bytes) == ((), None if value is None else len(value))

    def test_is_not_deceived_by_headers_of_the_same_names(self) -> None:
        """A record that was a dead letter before, or pretends to be one, is read by the newest block."""
        forged: Headers = (("detector.reason", b"poison"), ("detector.topic", b"elsewhere"), ("detector.ordinal", b"8"))
        message = letter(headers=forged)
        back = parse_dead_letter(message.key, message.value, message.headers)

        assert (back.reason, back.topic, back.ordinal, back.headers) == (DeadLetterReason.UNPARSED, "web", None, forged)

    def test_cuts_a_detail_that_carries_an_input(self) -> None:
        """An error message that quotes the record is bounded, valid UTF-8 after the cut, and no terminal obeys it."""
        arguments: dict[str, Any] = {"topic": "web", "partition": 0, "offset": 0, "timestamp_ms": 0, "key": None}
        message = dead_letter(DeadLetterReason.POISON, "\ud800\x1b" + "ü" * 5_000, value=None, headers=(), **arguments)

        assert len(dict(message.headers)["detector.detail"]) <= 1_024
        assert dict(message.headers)["detector.detail"].decode().startswith("\\ud800\\x1bü")


class TestFit:
    def test_leaves_a_letter_that_fits_alone(self) -> None:
        """Nearly all do."""
        assert fit(letter(b"x" * 9_000), 10_000) == letter(b"x" * 9_000)

    def test_cuts_a_value_beyond_the_limit_and_says_so(self) -> None:
        """Only the value is cut, and its full length is told."""
        message = letter(b"x" * 20_000, max_bytes=10_000)
        back = parse_dead_letter(message.key, message.value, message.headers)

        assert back.truncated == ("value",)
        assert back.value_bytes == 20_000
        assert back.value is not None
        assert 9_000 < len(back.value) < 10_000
        assert back.headers == (("trace", b"abc"),)

    @pytest.mark.parametrize(
        ("parts", "cut"),
        [
            ({"headers": (("h", b"x" * 9_990),)}, ("headers",)),
            ({"key": b"x" * 9_990}, ("headers", "key")),
            ({"key": b"x" * 5_000, "headers": (("h", b"x" * 5_000),)}, ("headers",)),
        ],
    )
    def test_leaves_out_headers_and_key_that_do_not_fit(self, parts: dict[str, Any], cut: tuple[str, ...]) -> None:
        """A record's headers and key cannot push the letter beyond what the topic takes."""
        message = fit(letter(**parts), 10_000)

        assert parse_dead_letter(message.key, message.value, message.headers).truncated == cut
        assert message.value == b"\xff raw"

    @given(st.integers(0, 12_000), st.integers(0, 12_000), st.integers(0, 12_000), st.integers(0, 300))
    def test_never_exceeds_the_limit(self, value: int, key: int, header: int, headers: int) -> None:
        """What the broker would count stays within max_bytes, however the record's bytes are spread."""
        own = (("h", b"x" * header), *((f"n{number}", b"") for number in range(headers)))
        whole = letter(b"x" * value, key=b"k" * key, headers=own, ordinal=2**31, position=2**40)
        message = fit(whole, 10_000)

        assert size_on_the_wire(message) <= 10_000


class TestParseDeadLetter:
    @pytest.mark.parametrize("headers", [(), (("trace", b"abc"),), (("detector.reason", b"unparsed"),)])
    def test_refuses_other_messages(self, headers: Headers) -> None:
        """A message without these headers is no dead letter."""
        with pytest.raises(ValueError, match="not a dead letter"):
            parse_dead_letter(None, b"x", headers)


class TestDecodeHeaders:
    def test_no_headers(self) -> None:
        """Null and a count of zero are no headers."""
        assert decode_headers(None) == decode_headers(b"\0") == ()

    @given(HEADERS)
    def test_reads_what_the_client_library_writes(self, headers: list[tuple[str, bytes]]) -> None:
        """Every name and value comes back as it was sent."""
        assert decode_headers(headers_on_the_wire(headers)) == tuple(headers)

    def test_null_values_become_empty(self) -> None:
        """The client cannot send a null header value on, so it is an empty one from here."""
        assert decode_headers(b"\x02\x02a\x01") == (("a", b""),)

    def test_names_that_are_not_utf8_lose_the_invalid_bytes(self) -> None:
        """Names are text for the client; a hostile one is no reason to fail."""
        assert decode_headers(b"\x02\x02\xff\x02v") == (("\ufffd", b"v"),)

    @pytest.mark.parametrize("wire", [b"", b"\x80", b"\x01", b"\x04\x02a\x02b", b"\x02\x01", b"\0x", b"\xff" * 9])
    def test_keeps_bytes_that_are_no_headers(self, wire: bytes) -> None:
        """Whoever can write to the topic can write this; it is no reason to fail, or to lose it."""
        assert decode_headers(wire) == (("detector.headers", wire),)

    @given(st.binary(max_size=60))
    def test_takes_any_bytes(self, wire: bytes) -> None:
        """Random bytes never raise, and never become more than they are."""
        headers = decode_headers(wire)

        assert headers == (("detector.headers", wire),) or sum(
            len(name) + len(value) for name, value in headers
        ) <= len(wire)
