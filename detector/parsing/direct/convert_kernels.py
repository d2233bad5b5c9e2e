"""Numba kernel for what types of definitions make of the texts of slots, where it is simple.

It need not know everything: a record for which a step is not simple is `odd`, and the plain converter is asked. But
what it does must be what the converters (`detector.parsing.values`) do.
"""

from __future__ import annotations

import numpy as np

from detector.parsing.direct.address_kernels import ipv6, is_ipv4
from detector.parsing.direct.request_kernels import put, request, url
from detector.parsing.direct.slots import ESCAPED, UNICODE
from detector.parsing.jit import Bytes, Ints, Longs, compiled

INT, ADDRESS, URL, REQUEST = range(4)
_MAX_DIGITS = 18


@compiled
def convert(  # noqa: PLR0917 -- one case for each kind
    data: Bytes,
    to: int,
    kind: int,
    source: int,
    targets: Ints,
    bases: Longs,
    starts: Ints,
    sizes: Ints,
    flags: Bytes,
    odd: Bytes,
    scratch: Longs,
) -> int:
    """Fill in the slots of some records that are made of one text; returns where the arena ends then.

    Arrays:
        data: the texts, and behind them from `to` on an arena with room for twice their bytes.
        source: its slot; each record has a text there. targets: slots that are absent, -1 where nobody asks.
        bases, starts, sizes, flags: of the records, see `slots`.
        odd: (records,) out. scratch: (8,).
    """
    for row in range(bases.shape[0]):
        base = bases[row]
        slot = base + source
        odd[row] = 1
        if flags[slot] & ESCAPED:
            continue
        flag = flags[slot] & UNICODE
        at, size = np.int64(starts[slot]), np.int64(sizes[slot])
        end = at + size
        if kind == INT:
            digits = 0
            while digits < size and 48 <= data[np.uint64(at + digits)] <= 57:
                digits += 1
            if digits == size and 0 < size <= _MAX_DIGITS:
                while end - at > 1 and data[np.uint64(at)] == 48:
                    at += 1
                put(base, targets[0], at, end - at, 0, starts, sizes, flags)
                odd[row] = 0
            continue
        if size == 0:
            odd[row] = 0
        elif kind == ADDRESS:
            written = 0
            if max(targets[1], targets[2], targets[3]) >= 0:
                if is_ipv4(data, at, end):
                    put(base, targets[1], at, size, 0, starts, sizes, flags)
                else:
                    written = ipv6(data, at, end, scratch, to)
                    if written < 0:
                        continue
                    put(base, targets[1], to, written - to, 0, starts, sizes, flags)
                    to = written
            put(base, targets[0], at, size, flag, starts, sizes, flags)
            odd[row] = 0
        else:
            if kind == REQUEST:
                done = request(data, at, end, to, base, targets, flag, starts, sizes, flags)
            else:
                done = url(data, at, end, to, base, targets, flag, starts, sizes, flags)
            if done >= 0:
                to = done
                odd[row] = 0
    return to
