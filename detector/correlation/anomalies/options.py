"""What the types of anomalies take in their `condition`, with defaults, and what of it is refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any

from detector.correlation.slo import Objective


class Measure(StrEnum):
    """What a baseline is of, in each timespan."""

    RATE = "rate"  # events
    RATIO = "ratio"  # events of the first rule, as a share of those of the second
    SIZE = "size"  # mean of a field
    SUM = "sum"  # sum of a field
    DISTINCT = "distinct"  # different values of a field


class Direction(StrEnum):
    """Which deviations count."""

    UP = "up"
    DOWN = "down"
    BOTH = "both"


@dataclass(frozen=True, slots=True)
class NewValueOptions:
    """minimum: events of a group before it can have a new value."""

    minimum: int = 10

    @property
    def numeric(self) -> bool:
        """Whether values are numbers."""
        return False


@dataclass(frozen=True, slots=True)
class RareValueOptions:
    """share: of a group's events, below which a value is rare. minimum: events before anything is."""

    share: float = 0.001
    minimum: int = 1_000

    @property
    def numeric(self) -> bool:
        """Whether values are numbers."""
        return False


@dataclass(frozen=True, slots=True)
class BaselineOptions:
    """deviations: robust standard deviations from what is expected. minimum: timespans before it is judged."""

    measure: Measure = Measure.RATE
    direction: Direction = Direction.UP
    deviations: float = 6.0
    minimum: int = 24

    @property
    def numeric(self) -> bool:
        """Whether values are numbers."""
        return self.measure in (Measure.SIZE, Measure.SUM)


@dataclass(frozen=True, slots=True)
class OutlierOptions:
    """quantile: of the past, 0 to 1. times: a value must exceed it so many times. minimum: values before that."""

    quantile: float = 0.99
    times: float = 1.0
    minimum: int = 1_000

    @property
    def numeric(self) -> bool:
        """Whether values are numbers."""
        return True


@dataclass(frozen=True, slots=True)
class TravelOptions:
    """speed_kmh: the fastest that is possible. distance_km: nearer places are one, as geolocation is inexact."""

    speed_kmh: float = 1_000.0
    distance_km: float = 500.0

    @property
    def numeric(self) -> bool:
        """Whether values are numbers: they are pairs, as texts."""
        return False


@dataclass(frozen=True, slots=True)
class AbsenceOptions:
    """minimum: events of a group before it can fall silent."""

    minimum: int = 10

    @property
    def numeric(self) -> bool:
        """Whether values are numbers."""
        return False


Options = (
    NewValueOptions | RareValueOptions | BaselineOptions | OutlierOptions | TravelOptions | AbsenceOptions | Objective
)

OPTIONS: Mapping[str, type[Options]] = {
    "new_value": NewValueOptions,
    "rare_value": RareValueOptions,
    "baseline": BaselineOptions,
    "outlier": OutlierOptions,
    "impossible_travel": TravelOptions,
    "absence": AbsenceOptions,
    "slo": Objective,
}
"""By type."""

_WORDS: Mapping[str, type[StrEnum]] = {"measure": Measure, "direction": Direction}
_RANGES: Mapping[str, tuple[float, float]] = {
    "minimum": (1, 1e9),
    "share": (1e-9, 0.5),
    "deviations": (1, 1e6),
    "quantile": (0.5, 0.999999),
    "times": (1, 1e6),
    "speed_kmh": (1, 1e6),
    "distance_km": (1, 20_000),
    "objective": (1, 99.99999),
    "lte": (0, 1e300),
}


class OptionError(ValueError):
    """An option that is not possible. `key` names it."""

    def __init__(self, key: str, message: str) -> None:
        super().__init__(message)
        self.key = key


def parse_options(kind: str, condition: Mapping[str, Any]) -> Options:
    """The options of a type, from a `condition` without its `field`. Raises OptionError."""
    made = OPTIONS[kind]
    names = [each.name for each in fields(made)]
    return made(**{key: _option(key, value, names, kind) for key, value in condition.items()})


def _option(key: str, value: Any, names: list[str], kind: str) -> Any:
    if key not in names:
        raise OptionError(key, f"`{key}` is not known here: the condition of {kind} has {', '.join(names)}")
    if key in _WORDS:
        try:
            return _WORDS[key](str(value))
        except ValueError:
            raise OptionError(key, f"`{key}` is one of {', '.join(_WORDS[key])}, not {value!r}") from None
    low, high = _RANGES[key]
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not low <= value <= high:
        raise OptionError(key, f"`{key}` must be a number from {low:g} to {high:g}, not {value!r}")
    if key == "minimum":
        if value != int(value):
            raise OptionError(key, f"`{key}` must be a whole number, not {value!r}")
        return int(value)
    return float(value)
