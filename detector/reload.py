"""The rules, the parsers and the enrichment that run, and their successors when files change."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Self

import structlog
import watchfiles

from detector import metrics
from detector.config import Config
from detector.enrichment.loading import Sources, check
from detector.errors import DetectorError, EnrichmentError, RuleError
from detector.metrics import ReloadResult, Stage
from detector.parsing.registry import RAW, compile_parsers
from detector.parsing.registry import read_sources as read_parser_sources
from detector.pipeline import Spec
from detector.resources import builtin
from detector.sigma.loading import compile_rules
from detector.sigma.ruleset import RuleSet
from detector.sigma.source import read_pipelines, read_sources, read_values

DEBOUNCE_MS = 500
"""Files that change together, as in a checkout or a Kubernetes volume, make one new set."""

log = structlog.get_logger()


class Reloader:
    """Loads what the configuration names, and again whenever its files change, while it is entered.

    spec: the set that runs; another takes over only in `take`, between two epochs. levels: of its rules, by key.
    rules: these, and correlations: those of them that run.
    formats: names that an event's format can have.

    Raises:
        DetectorError: nothing can be loaded.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self.formats: list[str] = []
        self._use(*load(config))
        self._next: tuple[Spec, RuleSet] | None = None
        self._folders = _folders(config) if config.rules.watch else []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="reload", daemon=True)

    def __enter__(self) -> Self:
        if self._folders:
            self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop.set()
        if self._folders:
            self._thread.join(2.0)

    @property
    def following(self) -> Spec | None:
        """The set that waits for the next epoch, if one does."""
        following = self._next
        return following[0] if following is not None else None

    def take(self) -> Spec:
        """Let the set that waits, if one does, be the one that runs."""
        if self._next is not None:
            following, self._next = self._next, None
            self._use(*following)
            metrics.rule_reloads.labels(ReloadResult.SUCCESS).inc()
        return self.spec

    def _use(self, spec: Spec, rules: RuleSet) -> None:
        self.spec = spec
        self.formats = [*compile_parsers(spec.parsers, limits=spec.limits).definitions, RAW]
        self.levels = {rule.key: rule.level for rule in rules.rules}
        self.rules = rules
        self.correlations = rules.correlations if spec.correlate else ()
        self.levels |= {each.key: each.about.level for each in self.correlations}
        if rules.correlations and not spec.correlate:
            log.warning("correlation rules do not run: set correlation.enabled", rules=len(rules.correlations))
        if rules.policies.suppressions and not spec.correlate:
            log.warning(
                "suppressions do not run, all alerts are sent: set correlation.enabled",
                suppressions=len(rules.policies.suppressions),
            )
        metrics.preset_rules(self.levels, rules.sha, len(rules.refused))
        if spec.enrichment is not None:
            for path, entries in spec.enrichment.entries.items():
                metrics.enrichment_entries.labels(str(path)).set(entries)
                metrics.enrichment_built.labels(str(path)).set(spec.enrichment.built_s[path])
        for refused in rules.refused:
            log.warning("a rule is refused, the others run", where=refused.where, reason=refused.message)
        log.info("rules loaded", rules=len(rules.rules), refused=len(rules.refused), ruleset=rules.sha)

    def _watch(self) -> None:
        watch = watchfiles.watch(
            *self._folders, stop_event=self._stop, debounce=DEBOUNCE_MS, rust_timeout=500, raise_interrupt=False
        )
        for _changes in watch:
            try:
                spec, rules = load(self._config, running=self.spec.enrichment)
            except (DetectorError, OSError) as error:
                metrics.rule_reloads.labels(ReloadResult.FAILURE).inc()
                metrics.errors.labels(Stage.RELOAD).inc()
                log.error("the changed rules cannot be loaded, the old ones go on", error=str(error))  # noqa: TRY400
                continue
            self._next = (spec, rules) if spec.sha != self.spec.sha else None


def load(config: Config, *, running: Sources | None = None) -> tuple[Spec, RuleSet]:
    """Read and compile the rules and parsers that the configuration names, and check the files of the enrichment.

    running: the enrichment that goes on where a file of the next one is broken.

    Raises:
        DetectorError: a file cannot be read, a parser or pipeline is wrong, or there are rules but none loads.
    """
    settings = config.rules
    folders = _builtin_rules(config) + list(settings.paths)
    sources = read_sources(folders, config.limits)
    parsers = read_parser_sources(settings.parser_paths)
    values = read_values(settings.values_file, config.limits)
    pipelines = read_pipelines(settings.pipelines, config.limits)
    rules = compile_rules(sources, values=values, limits=config.limits, pipelines=pipelines)
    if sources and not rules.rules:
        raise RuleError(
            f"none of {len(rules.refused)} rules can be loaded; the first: {rules.refused[0]}",
            where=", ".join(map(str, folders)),
        )
    compiled = compile_parsers(parsers, limits=config.limits)
    for error in compiled.errors:
        log.warning("a parser is refused, the others work", where=error.where, reason=error.message)
    for topic in config.input.topics:
        compiled.check_format(topic.format)
    enrichment = _enrichment(config, running)
    return Spec.of(config, sources, parsers, values, pipelines, enrichment), rules


def _enrichment(config: Config, running: Sources | None) -> Sources | None:
    try:
        found = check(config.enrichment, running)
    except EnrichmentError as error:
        if running is None:
            raise
        metrics.enrichment_reloads.labels(ReloadResult.FAILURE).inc()
        metrics.errors.labels(Stage.RELOAD).inc()
        log.error("a file of the enrichment is not used, the old one goes on", error=str(error))  # noqa: TRY400
        return running
    if running is not None and found is not None and found.identity != running.identity:
        metrics.enrichment_reloads.labels(ReloadResult.SUCCESS).inc()
    return found


def _builtin_rules(config: Config) -> list[Path]:
    if not config.rules.builtin:
        return []
    folders = ["sigma"]
    if config.correlation.enabled:
        folders += ["correlations", *(["anomalies"] if config.correlation.every_event else [])]
    return [builtin(folder) for folder in folders]


def _folders(config: Config) -> list[Path]:
    """What to watch: folders, because Kubernetes changes a mounted file by swapping a link beside it."""
    settings = config.rules
    files = [settings.values_file] if settings.values_file else []
    files += config.enrichment.files
    paths: Iterable[Path] = [*settings.paths, *settings.parser_paths, *settings.pipelines, *files]
    if settings.builtin:
        paths = [*_builtin_rules(config), builtin("parsers"), *paths]
    return sorted({path if path.is_dir() else path.parent for path in paths})
