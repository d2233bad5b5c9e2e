"""What all partitions of the signals topic share."""

from __future__ import annotations

from dataclasses import dataclass

from detector.config import Config
from detector.correlation.signals import source_of


@dataclass(frozen=True, slots=True)
class Setting:
    """partitions: of the signals topic; max_bytes: of a message there. sources: all input partitions."""

    config: Config
    partitions: int
    max_bytes: int
    sources: tuple[str, ...]

    @property
    def others(self) -> tuple[str, ...]:
        """What the signals partitions are called as sources of alerts."""
        return tuple(source_of(self.config.output.signals_topic, number) for number in range(self.partitions))
