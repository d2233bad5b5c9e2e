from __future__ import annotations

import orjson
from hypothesis import given
from hypothesis import strategies as st

from detector.alerts.text import cut, harmless_json, printable

STRINGS = st.text(st.characters(codec="utf-8"))
VALUES = st.recursive(
    STRINGS | st.none() | st.integers(0, 9), lambda inner: st.lists(inner) | st.dictionaries(STRINGS, inner)
)


class TestPrintable:
    def test_leaves_plain_text_alone(self) -> None:
        """Letters of any script, emoji and punctuation are no danger."""
        text = "GET /q?a=<b>&c='d' § Grüße, 你好, مرحبا, 🙂"

        assert text == printable(text)

    def test_shows_what_a_terminal_would_obey(self) -> None:
        """ESC, the one-byte CSI of C1, carriage return, NUL and DEL appear as text."""
        assert printable("\x1b[2J\x9b31m\r\0\x7f") == r"\x1b[2J\x9b31m\x0d\x00\x7f"

    def test_shows_what_would_reorder_hide_or_break_lines(self) -> None:
        """Overrides, isolates, zero widths, line separators, tags and lone surrogates appear as text."""
        assert printable("a\u202eb\u2066c\u200bd\u2028e\U000e0041f\ud800g") == (
            r"a\u202eb\u2066c\u200bd\u2028e\U000e0041f\ud800g"
        )

    @given(st.text(st.characters()))
    def test_gives_one_line_that_can_be_written(self, text: str) -> None:
        """Whatever comes in, one line of valid Unicode without control characters comes out."""
        shown = printable(text)

        assert len(f"{shown}.".splitlines()) == 1
        assert not any(ord(char) < 0x20 or 0x7F <= ord(char) < 0xA0 for char in shown)
        assert shown.encode().decode() == shown


class TestHarmlessJson:
    @given(VALUES)
    def test_changes_notation_not_value(self, value: object) -> None:
        """The escaped text reads back as the same value, and holds nothing that a terminal obeys."""
        encoded = harmless_json(orjson.dumps(value))

        assert orjson.loads(encoded) == value
        assert printable(encoded.decode()) == encoded.decode()


class TestCut:
    @given(st.text(st.characters()), st.integers(0, 20))
    def test_gives_a_valid_beginning_within_the_limit(self, text: str, max_bytes: int) -> None:
        """Never more bytes than asked for, never half a character, and as much as fits."""
        short = cut(text, max_bytes)
        whole = cut(text, 1_000_000)

        assert len(short.encode()) <= max_bytes
        assert whole.startswith(short)
        assert short == whole or len(short.encode()) > max_bytes - 4

    def test_replaces_unpaired_surrogates(self) -> None:
        """What cannot be written becomes the replacement character, a pair becomes what it means."""
        assert cut("a\ud800b\ud83d\ude42", 20) == "a\ufffdb🙂"
