"""pySigma's modifiers, where the specification or a log engine needs more: registered when this module is imported.

- `utf16le` exists, and `wide`, `utf16*` take text beyond ASCII: the bytes are kept one to a character.
- `base64*` encode those bytes, and text otherwise; what has no encoded form is refused, not matched everywhere.
- `expand` fills in the values that the user gave; what it cannot fill stays for the loader to refuse.
- `cidr` may follow `expand`.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from math import prod
from typing import ClassVar

import sigma.modifiers as pysigma
from sigma.exceptions import SigmaPlaceholderError, SigmaValueError
from sigma.types import (
    Placeholder,
    SigmaCIDRExpression,
    SigmaExpansion,
    SigmaRegularExpression,
    SigmaString,
)

Values = Mapping[str, Sequence[str | int | float]]
"""What placeholders stand for."""

MAX_FILLED = 10_000
"""Texts that the placeholders of one value become."""

_VALUES: ContextVar[Values] = ContextVar("values")  # pySigma makes the modifiers itself, and passes nothing through


@contextmanager
def placeholder_values(values: Values) -> Iterator[None]:
    """The values that `expand` fills in within the block."""
    token = _VALUES.set(values)
    try:
        yield
    finally:
        _VALUES.reset(token)


def check_placeholders(value: SigmaString) -> None:
    """Raise SigmaPlaceholderError if nothing was filled in for a placeholder."""
    for part in value.s:
        if isinstance(part, Placeholder):
            raise SigmaPlaceholderError(
                f"the placeholder %{part.name}% has no values: add them to the file that `rules.values_file` names"
            )


class Utf16Le(pysigma.SigmaWideModifier):
    """Encodes text as UTF-16, little endian; each byte becomes the character of its number."""

    encoding: ClassVar[str] = "utf-16le"
    mark: ClassVar[bytes] = b""

    def modify(self, val: SigmaString) -> SigmaString:
        encoded = SigmaString()
        encoded.s = [part.encode(self.encoding).decode("latin-1") if isinstance(part, str) else part for part in val.s]
        return self.mark.decode("latin-1") + encoded if self.mark else encoded


class Utf16Be(Utf16Le):
    """Likewise, big endian."""

    encoding = "utf-16be"


class Utf16(Utf16Le):
    """Likewise, little endian, after the byte order mark."""

    mark = b"\xff\xfe"


class Base64(pysigma.SigmaBase64Modifier):
    """The Base64 text of the value."""

    def modify(self, val: SigmaString) -> SigmaString:
        return _text(b64encode(_bytes(self, val)).decode())


class Base64Offset(pysigma.SigmaBase64OffsetModifier):
    """The parts of a Base64 text that are the same whatever stands around the value, at each of three offsets."""

    def modify(self, val: SigmaString) -> SigmaExpansion:
        data = _bytes(self, val)
        texts = []
        for offset in range(3):
            # The first characters also hold bits of what precedes, the last ones of what follows.
            start, end = (0, 2, 3)[offset], (None, -3, -2)[(len(data) + offset) % 3]
            texts.append(_text(b64encode(b" " * offset + data).decode()[start:end]))
        return SigmaExpansion(list(texts))


class Expand(pysigma.SigmaExpandModifier):
    """Replaces `%name%` by each of the user's values of that name."""

    def modify(self, val: SigmaString | SigmaRegularExpression) -> SigmaString | SigmaRegularExpression:
        val = val.insert_placeholders()
        parts = (val.regexp if isinstance(val, SigmaRegularExpression) else val).s
        if prod(len(list(_fill(part))) for part in parts if isinstance(part, Placeholder)) > MAX_FILLED:
            raise SigmaValueError(f"the placeholders expand to more than {MAX_FILLED} values")
        # A list is as good as a value to the base class; only its annotation says otherwise.
        return val.replace_placeholders(_fill)  # type: ignore[return-value]


class Cidr(pysigma.SigmaCIDRModifier):
    """A network, in IPv4 or IPv6."""

    def modify(self, val: SigmaString) -> SigmaCIDRExpression:
        if not all(issubclass(applied, Expand) for applied in self.applied_modifiers):
            raise SigmaValueError("`cidr` takes the value as it is: remove the modifiers before it")
        return SigmaCIDRExpression(str(val))


def _fill(placeholder: Placeholder) -> Iterator[SigmaString | Placeholder]:
    values = _VALUES.get({}).get(placeholder.name)
    if values is None:
        yield placeholder
    for value in values or ():
        yield SigmaString(str(value))


def _bytes(modifier: pysigma.SigmaBase64Modifier | pysigma.SigmaBase64OffsetModifier, value: SigmaString) -> bytes:
    if value.contains_special():
        raise SigmaValueError("Base64 hides where a wildcard would match: remove the wildcards, or escape them")
    check_placeholders(value)
    text = "".join(part for part in value.s if isinstance(part, str))
    encoded = any(issubclass(applied, Utf16Le) for applied in modifier.applied_modifiers)
    return text.encode("latin-1" if encoded else "utf-8")


def _text(text: str) -> SigmaString:
    if not text:
        raise SigmaValueError("too short to be found once it is encoded: nothing of it is certain in Base64")
    return SigmaString.from_str(text)


pysigma.modifier_mapping.update(
    {
        "utf16le": Utf16Le,
        "wide": Utf16Le,
        "utf16be": Utf16Be,
        "utf16": Utf16,
        "base64": Base64,
        "base64offset": Base64Offset,
        "expand": Expand,
        "cidr": Cidr,
    }
)
SigmaString.max_placeholder_expansions = MAX_FILLED
