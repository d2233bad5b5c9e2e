"""Text of attackers, made harmless: for JSON that may end up on a terminal, and for a terminal itself.

Logs carry what strangers write. Terminals obey control characters (C0, C1: U+009B alone begins an escape sequence),
bidirectional marks reorder what a reader sees, line separators forge lines, invisible characters hide differences.
JSON escapes only C0; so these are escaped here, in both forms.
"""

from __future__ import annotations

_RANGES = (
    (0x00, 0x1F),  # C0
    (0x7F, 0x9F),  # DEL and C1
    (0xAD, 0xAD),  # soft hyphen
    (0x61C, 0x61C),  # Arabic letter mark
    (0x180E, 0x180E),  # Mongolian vowel separator
    (0x200B, 0x200F),  # zero width, left-to-right and right-to-left mark
    (0x2028, 0x202E),  # line and paragraph separator, embeddings, overrides
    (0x2060, 0x206F),  # word joiner, isolates, deprecated format characters
    (0xFEFF, 0xFEFF),  # byte order mark
    (0xFFF9, 0xFFFB),  # interlinear annotation
    (0xE0000, 0xE007F),  # tags
)
_UNSAFE = tuple(code for first, last in _RANGES for code in range(first, last + 1))


def _json_escape(code: int) -> str:
    units = chr(code).encode("utf-16-be")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))


def _visible(code: int) -> str:
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


# Unpaired surrogates cannot be written to any stream, so they are made visible too.
_VISIBLE = {code: _visible(code) for code in (*_UNSAFE, *range(0xD800, 0xE000))}
# C0 stays: orjson has escaped it inside strings, outside of them it is white space.
_JSON = {code: _json_escape(code) for code in _UNSAFE if code > 0x1F}


def printable(text: str) -> str:
    r"""Escape what a terminal or a reader could be deceived by, as `\x1b` or `\u202e`; one line whatever comes in."""
    return text if text.isascii() and text.isprintable() else text.translate(_VISIBLE)


def harmless_json(encoded: bytes) -> bytes:
    r"""Escape, inside the strings of a JSON text in UTF-8, what JSON itself leaves as it is: `\u009b`, `\u202e`.

    The value stays the same, only its notation changes.
    """
    if encoded.isascii() and b"\x7f" not in encoded:
        return encoded
    return encoded.decode().translate(_JSON).encode()


def cut(text: str, max_bytes: int) -> str:
    """Cut to a length in UTF-8 at a character's end; unpaired surrogates become U+FFFD."""
    text = text[:max_bytes]
    if text.isascii():
        return text
    try:
        encoded = text.encode()
    except UnicodeEncodeError:
        encoded = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace").encode()
    return encoded[:max_bytes].decode(errors="ignore")
