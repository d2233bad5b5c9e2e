"""A quantile sketch whose content depends on the values alone, not on their order: DDSketch.

Values are counted in buckets that grow by a factor, so that a quantile is exact to 1 %. After Masson, Rim and Lee,
"DDSketch: A Fast and Fully-Mergeable Quantile Sketch with Relative-Error Guarantees", VLDB 2019.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

ACCURACY = 0.01
_GAMMA = (1 + ACCURACY) / (1 - ACCURACY)
_PER_LOG = 1 / math.log(_GAMMA)
LOWEST = -(1 << 15)
"""The bucket of zero and of what is below."""
MAX_BUCKETS = 1_024
"""They reach from one to a thousand million; beyond, the lowest become one."""

Counts = dict[int, int]
"""Values in each bucket."""


def bucket_of(value: float) -> int:
    """The bucket of a value; infinite ones and NaN are in the lowest."""
    return math.ceil(math.log(value) * _PER_LOG) if 0 < value < math.inf else LOWEST


def value_of(bucket: int) -> float:
    """The value that stands for a bucket."""
    return 0.0 if bucket == LOWEST else 2 * _GAMMA**bucket / (_GAMMA + 1)


def quantile(counts: Mapping[int, int], total: int, share: float) -> float:
    """The value that a share of the values does not exceed, to 1 %."""
    left = share * (total - 1)
    for bucket in sorted(counts):
        left -= counts[bucket]
        if left < 0:
            return value_of(bucket)
    return value_of(max(counts))


def above(counts: Mapping[int, int], bucket: int) -> int:
    """How many values are at least as large as those of a bucket."""
    return sum(number for each, number in counts.items() if each >= bucket)


def merge(counts: Counts, more: Mapping[int, int]) -> None:
    """Add counts to others."""
    for bucket, number in more.items():
        counts[bucket] = counts.get(bucket, 0) + number
    if len(counts) > MAX_BUCKETS:
        ordered = sorted(counts)
        keep = ordered[-MAX_BUCKETS]
        counts[keep] += sum(counts.pop(bucket) for bucket in ordered[:-MAX_BUCKETS])


def halve(counts: Counts) -> int:
    """Let the past fade. Gives how many values are left."""
    for bucket in list(counts):
        counts[bucket] //= 2
        if not counts[bucket]:
            del counts[bucket]
    return sum(counts.values())
