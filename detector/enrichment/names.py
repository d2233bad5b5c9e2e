"""The names of all fields that the enrichment may give, for who checks rules."""

from __future__ import annotations

from detector.enrichment import geo, threats
from detector.enrichment.networks import ADDRESSES

USER_AGENT = (
    "user_agent.name",
    "user_agent.version",
    "user_agent.os.name",
    "user_agent.os.version",
    "user_agent.os.full",
    "user_agent.device.name",
)
_NAMES = frozenset(
    (
        "is_internal",
        *(f"{side}.is_internal" for side in ADDRESSES),
        *(f"{side}.{name}" for side in ADDRESSES for name in geo.PATHS),
        *geo.PLAIN,
        *threats.NAMES,
        *USER_AGENT,
    )
)
_ASSETS = tuple(f"{of}.asset." for of in (*ADDRESSES, "host", "user"))


RISK = ("source.risk.calculated_score_norm", "source.risk.calculated_level")
"""What alerts tell, but rules cannot read; without its plain names."""


def may_tell(name: str) -> bool:
    """Whether an alert may have it from the enrichment."""
    return may_give(name) or name in RISK


def may_give(name: str) -> bool:
    """Whether a rule may read it: configured with all that there is, and tables with any columns."""
    return name in _NAMES or name.startswith(_ASSETS)
