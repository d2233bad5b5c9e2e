"""impossible_travel: two places of a group, too far from each other for the time between."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from detector.correlation.anomalies.options import TravelOptions
from detector.correlation.anomalies.ordered import InOrder, Taken
from detector.correlation.buckets import Finding, Hit
from detector.correlation.rule import Correlation

EARTH_KM = 6_371.0088
"""Mean radius (IUGG)."""
FIELDS = ("source.geo.location.lat", "source.geo.location.lon")
_HOUR_US = 3_600_000_000
_LEAST_US = 1_000_000
"""Many logs have whole seconds."""
NEVER = -(1 << 62)


@dataclass(slots=True)
class Whereabouts:
    """The last place of a group: as its events have it, and when; told_us: when it was last told of a journey."""

    value: str
    latitude: float
    longitude: float
    time_us: int
    told_us: int = NEVER


class Travel(InOrder[Whereabouts]):
    """Told of at most once in a timespan, so that one who uses two ways into the net is told of once."""

    def __init__(self, correlation: Correlation, options: TravelOptions) -> None:
        super().__init__(correlation)
        self._speed_kmh = options.speed_kmh
        self._distance_km = options.distance_km

    def take(self, events: Sequence[Taken], found: list[Hit]) -> None:
        """See `InOrder`."""
        groups = self.groups
        for event in events:
            time_us, _, _, group, value = event
            last = groups.get(group)
            if last is not None and last.value == value:
                last.time_us = time_us
                continue
            position = position_of(value)
            if position is None:
                continue
            if last is None:
                groups[group] = Whereabouts(value, *position, time_us)
                continue
            kilometres = distance_km((last.latitude, last.longitude), position)
            if kilometres >= self._distance_km:
                speed_kmh = kilometres * _HOUR_US / max(time_us - last.time_us, _LEAST_US)
                if speed_kmh > self._speed_kmh and time_us - last.told_us >= self.timespan_us:
                    last.told_us = time_us
                    found.append(self._hit(last, event, position, kilometres, speed_kmh))
            last.value, last.time_us = value, time_us
            last.latitude, last.longitude = position

    def _hit(
        self, last: Whereabouts, event: Taken, position: tuple[float, float], kilometres: float, speed_kmh: float
    ) -> Hit:
        time_us, place, _, group, _ = event
        minutes = (time_us - last.time_us) / 60_000_000
        text = (
            f"{kilometres:.0f} km in {minutes:.1f} min, from {last.latitude:g}, {last.longitude:g} "
            f"to {position[0]:g}, {position[1]:g}"
        )
        finding = Finding(
            f"at most {self._speed_kmh:g} km/h", f"{speed_kmh:.0f} km/h", self._speed_kmh / speed_kmh, text
        )
        return Hit(group, time_us, time_us, speed_kmh, place, time_us, "", finding)

    def learned(self, group: Whereabouts) -> bool:
        """See `InOrder`. One who travels is kept."""
        return group.told_us > NEVER

    def dump_group(self, group: Whereabouts) -> Any:
        """See `InOrder`."""
        return [group.value, group.latitude, group.longitude, group.time_us, group.told_us]

    def load_group(self, dumped: Any) -> Whereabouts:
        """See `InOrder`."""
        return Whereabouts(*dumped)


def position_of(value: str) -> tuple[float, float] | None:
    """Latitude and longitude, degrees, of two values with a NUL between; None if it is none."""
    first, _, second = value.partition("\0")
    try:
        latitude, longitude = float(first), float(second)
    except ValueError:
        return None
    return (latitude, longitude) if abs(latitude) <= 90 and abs(longitude) <= 180 else None


def distance_km(a: tuple[float, float], b: tuple[float, float]) -> float:
    """The great-circle distance of two places in degrees (haversine formula)."""
    latitude_a, latitude_b = math.radians(a[0]), math.radians(b[0])
    half = math.sin((latitude_b - latitude_a) / 2) ** 2
    half += math.cos(latitude_a) * math.cos(latitude_b) * math.sin(math.radians(b[1] - a[1]) / 2) ** 2
    return 2 * EARTH_KM * math.asin(math.sqrt(min(1.0, half)))
