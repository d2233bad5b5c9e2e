"""Which addresses are inside."""

from __future__ import annotations

from functools import lru_cache

import pyarrow as pa

from detector.enrichment import networks


def internal(addresses: pa.Array) -> pa.Array:
    """Whether each address (text, as the parsers write it) is of a network that is never on the Internet.

    What is no address is null.
    """
    encoded = addresses.dictionary_encode()
    known = pa.array(_internal().contain(encoded.dictionary.to_pylist()), pa.bool_())
    return known.take(encoded.indices)


@lru_cache(maxsize=1)
def _internal() -> networks.Networks:
    return networks.internal()
