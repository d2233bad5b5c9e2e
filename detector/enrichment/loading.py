"""From settings and files to an enricher. What reads them is imported where it is configured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from detector.config import Enrichment
from detector.enrichment import networks
from detector.enrichment.enricher import Enricher
from detector.enrichment.files import Copies, File
from detector.enrichment.model import Provider
from detector.enrichment.risks import Risks
from detector.enrichment.threats import Threats


@dataclass(frozen=True, slots=True)
class Sources:
    """What an enricher is made of, as values: it travels to the workers.

    entries, built_s: of each file, how many things it tells of, and when it was made, Unix time.
    """

    settings: Enrichment
    files: tuple[File, ...] = ()
    entries: Mapping[Path, int] = field(default_factory=dict, compare=False, repr=False)
    built_s: Mapping[Path, float] = field(default_factory=dict, compare=False, repr=False)

    @property
    def identity(self) -> tuple[object, ...]:
        """What the answers depend on."""
        return (self.settings, *((file.path, file.sha) for file in self.files))


class Checker:
    """Reads the files that are configured, and looks at all of what is new in them."""

    def __init__(self) -> None:
        self._copies = Copies()
        self._checked: dict[tuple[Path, str], tuple[int, float]] = {}

    def sources(self, settings: Enrichment, running: Sources | None = None) -> Sources | None:
        """The sources as they are now, None where nothing is configured. running: whose files are still needed.

        Raises:
            EnrichmentError: a file cannot be read or is broken.
            ConfigError: a network is none.
        """
        if settings == Enrichment():
            return None
        networks.internal(settings.internal_networks)
        files = self._copies.take(settings.files, running.files if running else ())
        self._checked = {
            (file.path, file.sha): self._checked.get((file.path, file.sha)) or _check(file, settings) for file in files
        }
        facts = {path: fact for (path, _), fact in self._checked.items()}
        return Sources(
            settings,
            files,
            {path: entries for path, (entries, _) in facts.items()},
            {path: built_s for path, (_, built_s) in facts.items()},
        )


check = Checker().sources
"""Of this process: see `Checker.sources`."""


def _check(file: File, settings: Enrichment) -> tuple[int, float]:
    """Entries and time of making of a file. Raises EnrichmentError for one that is broken."""
    if file.path in settings.geo_databases:
        from detector.enrichment import geo
        from detector.enrichment.databases import Database

        database = Database(file.copy, str(file.path))
        database.check(geo.fields)
        return database.networks, database.built_s
    if file.path in settings.tables:
        from detector.enrichment.tables import Table

        return Table(file.copy.read_bytes(), str(file.path)).entries, file.modified_s
    from detector.enrichment import feeds

    lists = [each for each in settings.threat_lists if each.path == file.path]
    return sum(1 for each in lists for _ in feeds.read(each, file.copy.read_bytes(), file.modified_s)), file.modified_s


class Loaded(NamedTuple):
    """What sources are made to. risks: None where they are not asked for."""

    enricher: Enricher
    risks: Risks | None


def load(sources: Sources) -> Loaded:
    """The enrichment of some sources. Raises EnrichmentError where a file is not what was checked."""
    settings = sources.settings
    files = {file.path: file for file in sources.files}
    inside = networks.internal(settings.internal_networks)
    providers: list[Provider] = []
    threats: Threats | None = None
    if settings.is_internal:
        providers.append(networks.InternalAddresses(inside))
    if settings.geo_databases:
        from detector.enrichment.databases import Database
        from detector.enrichment.geo import Places

        databases = [Database(files[path].readable, str(path)) for path in settings.geo_databases]
        providers.append(Places(databases, inside))
    if settings.threat_lists:
        from detector.enrichment import feeds

        threats = Threats(
            indicator
            for each in settings.threat_lists
            for indicator in feeds.read(each, files[each.path].readable.read_bytes(), files[each.path].modified_s)
        )
        providers.append(threats)
    if settings.tables:
        from detector.enrichment.tables import Table

        providers += (Table(files[path].readable.read_bytes(), str(path)) for path in settings.tables)
    if settings.user_agents:
        from detector.enrichment.agents import UserAgents

        providers.append(UserAgents())
    return Loaded(Enricher(providers), Risks(settings.risk_half_life_s, threats) if settings.risk else None)
