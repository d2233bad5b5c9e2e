"""Rules on events on one core: JSON texts or log lines in, matches out; parsing counts, loading rules does not.

Figures are of processor time, so that neighbours on the machine count little; each is the median of several runs, in
turn with RSigma (https://crates.io/crates/rsigma) where `rsigma` is on the PATH.
- windows: SigmaHQ's rules for process creation on Windows, 1.5 KB events of Sysmon. `engine_per_second`: of the rules
  alone, on events that were parsed into objects. `ratio`: to RSigma; `differences`: sum over the rules of how far the
  matches are apart.
- mixed: all of SigmaHQ's rules, bound by log source, on events of ten sources in one stream (`tests.bench.mixed`).
  RSigma gets them as JSON in the names of the rules, with their log source, and routes by it.
- web: SigmaHQ's rules for web servers, on access-log lines.
- plain_ratio: to the plain evaluator, rule by rule; the first events are compared with it, `plain_differences`.
- scaling: rules of the windows lane to events per second.
- candidates_p95: share of the windows lane's rules that run on an event, the 95th percentile.
- compile_seconds, cached_load_seconds, reload_one_seconds: all of SigmaHQ's rules until they can run: compiled,
  kept on disk by another process, and when one file among them changes.
- worker_memory_mb: what they add to two workers.
"""

from __future__ import annotations

import gzip
import json
import multiprocessing
import resource
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from statistics import median
from time import process_time
from typing import Any

import numpy as np
import pyarrow as pa

from detector.config import InputTopic, Limits
from detector.demo.generator import access_lines
from detector.direct import DirectLane
from detector.events import Event
from detector.parsing.registry import compile_parsers, read_sources
from detector.sigma.cache import prepared_rules
from detector.sigma.engine.columns import gather
from detector.sigma.engine.warm import warm
from detector.sigma.loading import compile_rules, remember
from detector.sigma.ruleset import RuleSet
from detector.sigma.source import RuleSource
from detector.stream.memory import keep_freed
from detector.window import RECORDS
from tests.bench.mixed import mixed_records, rival_records
from tests.bench.processes import sysmon_events
from tests.bench.quality import CORPORA

Figures = dict[str, Any]

_LIMITS = Limits()
_START_US = 1_717_200_000_000_000
_WINDOW = 2_000
"""Records that are parsed and matched at once."""
_WORKERS = 2
"""Processes that each have the rules, on the machine that the figures are of."""
_PROCESSES = (b"category: process_creation", b"product: windows")
_ALONE = 2_000
"""Events that are parsed to measure the engine without parsing."""
_SCALING = (1, 10, 100, 1_000)


def run(*, short: bool) -> Figures:
    """Measure; `short`: fewer events, and once."""
    count, runs = (4_000, 1) if short else (200_000, 5)
    keep_freed()  # as the processes do that read windows
    warm()
    windows = _sources(*_PROCESSES)
    events = list(sysmon_events(count))
    figures: Figures = {"windows": _lane(windows, events, runs, rsigma=True)}
    figures["mixed"] = _lane(_sources(), list(mixed_records(count)), runs, rsigma=True, routed=True)
    figures["web"] = _lane(
        _sources(b"category: webserver"), list(access_lines(count, 1, _START_US)), runs, rsigma=False
    )
    return figures | _engine(windows, events[: count // 10]) | _loading(_sources())


def _lane(
    sources: Sequence[RuleSource], records: list[bytes], runs: int, *, rsigma: bool, routed: bool = False
) -> Figures:
    rules = compile_rules(sources, limits=_LIMITS)
    rules.engine.prepare()
    lane = _Lane(rules, records)
    lane.run()
    ours, theirs = [], []
    theirs_too = list(rival_records(records, lane.parse)) if routed else records
    rival = _Rival(sources, theirs_too, routed=routed) if rsigma and shutil.which("rsigma") else None
    for _ in range(runs):
        ours.append(_seconds(lane.run))
        if rival:
            theirs.append(rival.run())
    events = lane.parse(records[:_ALONE])
    figures: Figures = {
        "rules": len(rules.rules),
        "events": len(records),
        "bytes_per_event": sum(map(len, records)) // len(records),
        "matches": lane.matches.total(),
        "events_per_second": round(len(records) / median(ours)),
        "engine_per_second": round(_ALONE / _seconds(lambda: rules.matching(events))),
    }
    if rival:
        figures["rsigma_per_second"] = round(len(records) / median(theirs))
        figures["ratio"] = round(median(theirs) / median(ours), 2)
        figures["differences"] = sum(
            abs(lane.matches[key] - rival.matches[key]) for key in lane.matches.keys() | rival.matches.keys()
        )
    elif rsigma:
        print("  no rsigma on the PATH: compared with the plain evaluator only", file=sys.stderr)
    return figures | _plain(rules, lane.parse(records[:500]))


class _Lane:
    """Records through the direct lane, and what it leaves through the parsers and the engine."""

    def __init__(self, rules: RuleSet, records: list[bytes]) -> None:
        self._rules = rules
        self._batches = [_batch(records[start : start + _WINDOW]) for start in range(0, len(records), _WINDOW)]
        self._parsers = compile_parsers(read_sources(), limits=_LIMITS)
        self._direct = DirectLane(self._parsers, rules.engine, InputTopic(name="bench"), _LIMITS)
        self.matches: Counter[str] = Counter()

    def parse(self, records: list[bytes]) -> list[Event]:
        return self._parse(_batch(records))

    def run(self) -> None:
        """Once through all."""
        self.matches.clear()
        numbers = np.zeros(len(self._rules.rules), np.int64)
        for batch in self._batches:
            direct = self._direct.run(batch)
            numbers += np.bincount(direct.matches[:, 1], minlength=len(numbers))
            if len(direct.rest):
                rest = batch if len(direct.rest) == batch.num_rows else batch.take(pa.array(direct.rest))
                for matches in self._rules.matching(self._parse(rest)):
                    self.matches.update(rule.key for rule, _ in matches)
        for number in np.flatnonzero(numbers).tolist():
            self.matches[self._rules.rules[number].key] += int(numbers[number])

    def _parse(self, batch: pa.RecordBatch) -> list[Event]:
        return self._parsers.parse(batch, format="auto", logsource=None, limits=_LIMITS).events


class _Rival:
    """RSigma on the same rules and events; what it takes for a single event is subtracted."""

    def __init__(self, sources: Sequence[RuleSource], records: list[bytes], *, routed: bool) -> None:
        self._options = ["--logsource-routing"] if routed else []
        self._folder = tempfile.TemporaryDirectory()
        folder = Path(self._folder.name)
        (folder / "rules").mkdir()
        for number, source in enumerate(sources):
            (folder / "rules" / f"{number}.yml").write_bytes(source.text)
        (folder / "all").write_bytes(b"\n".join(records) + b"\n")
        (folder / "one").write_bytes(records[0] + b"\n")
        self.matches: Counter[str] = Counter()

    def run(self) -> float:
        """Seconds of processor time for the events."""
        loading = self._eval("one")
        seconds = self._eval("all") - loading
        with (Path(self._folder.name) / "found").open("rb") as file:
            self.matches = Counter(_rule_id(json.loads(line)) for line in file)
        return seconds

    def _eval(self, events: str) -> float:
        folder = Path(self._folder.name)
        command = ["rsigma", "engine", "eval", "-r", str(folder / "rules"), "-e", f"@{folder / events}", "-q"]
        command += self._options
        before = _children_seconds()
        with (folder / "found").open("wb") as found:
            subprocess.run(command, stdout=found, stderr=subprocess.DEVNULL, check=True)
        return _children_seconds() - before


def _rule_id(match: dict[str, Any]) -> str:
    return str(match.get("rule_id") or match.get("id") or match.get("rule", {}).get("id"))


def _plain(rules: RuleSet, events: list[Event]) -> Figures:
    """The first events by the plain evaluator, too."""
    found: list[list[str]] = []
    fast: list[list[str]] = []

    def plainly() -> None:
        found.extend([rule.key for rule, views in rules.bound_to(event) if rule.matches(views)] for event in events)

    def by_engine() -> None:
        fast.extend([rule.key for rule, _ in each] for each in rules.matching(events))

    for rule in rules.rules:
        rule.matches(())  # compiled
    slow = _seconds(plainly)
    return {
        "plain_ratio": round(slow / max(_seconds(by_engine), 1e-9), 1),
        "plain_differences": sum(one != other for one, other in zip(found, fast, strict=True)),
    }


def _engine(sources: Sequence[RuleSource], records: list[bytes]) -> Figures:
    """The engine alone: by the number of rules, and what compiling takes."""
    scaling: dict[str, int] = {}
    for count in (*_SCALING, len(sources)):
        rules = compile_rules(sources[:: max(len(sources) // count, 1)][:count], limits=_LIMITS)
        lane = _Lane(rules, records)
        lane.run()
        scaling[str(count)] = round(len(records) / median(_seconds(lane.run) for _ in range(3)))
    rules = compile_rules(sources, limits=_LIMITS)
    return {
        "scaling": scaling,
        "candidates_p95": _candidates(rules, _Lane(rules, []).parse(records[:_ALONE])),
    }


def _loading(sources: list[RuleSource]) -> Figures:
    """All rules: compiled, loaded by a new process, and with one file changed, of the largest log source."""
    remember({})
    with tempfile.TemporaryDirectory() as folder:
        load = _seconds(lambda: prepared_rules(sources, limits=_LIMITS, folder=Path(folder)))
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            cached, memory = pool.submit(_load_kept, folder).result()
    one = next(number for number, each in enumerate(sources) if all(part in each.text for part in _PROCESSES))
    changed = [*sources]
    changed[one] = RuleSource(sources[one].path, sources[one].text + b"\n# changed\n")
    before = compile_rules(sources, limits=_LIMITS)
    before.engine.prepare()

    def reload() -> None:
        compile_rules(changed, limits=_LIMITS).engine.prepare()

    reload_seconds = _seconds(reload)
    return {
        "rules": len(before.rules),
        "compile_seconds": round(load, 2),
        "cached_load_seconds": round(cached, 2),
        "reload_one_seconds": round(reload_seconds, 2),
        "worker_memory_mb": _WORKERS * memory,
    }


def _load_kept(folder: str) -> tuple[float, int]:
    """In a process of its own: seconds to load the rules that are kept in a folder, and MB that they take."""
    sources = _sources()
    prepared_rules(sources[:1], limits=_LIMITS, folder=Path(folder))
    before = _resident_mb()
    seconds = _seconds(lambda: loaded.append(prepared_rules(sources, limits=_LIMITS, folder=Path(folder))))
    return seconds, _resident_mb() - before


loaded: list[RuleSet] = []
"""What a process has loaded, so that it stays while its memory is measured."""


def _resident_mb() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() >> 20


def _candidates(rules: RuleSet, events: list[Event]) -> float:
    """Share of the rules that run on an event, the 95th percentile."""
    binding = next(binding for binding in events[0].bindings if binding.logsource.category == "process_creation")
    program = rules.engine.program(binding.logsource)
    assert program is not None
    columns = gather([(event, binding) for event in events], program.fields, program.columns)
    rows, _ = program.candidates(columns, *program.scan(columns))
    shares = np.bincount(rows, minlength=len(events)) / len(rules.rules)
    return round(float(np.percentile(shares, 95)), 4)


def _sources(*wanted: bytes) -> list[RuleSource]:
    if not CORPORA.is_dir():
        raise SystemExit(f"no corpora at {CORPORA}")
    with gzip.open(CORPORA / "05_sigma/sigmahq_rules.jsonl.gz", "rt") as file:
        rules = (RuleSource(rule["path"], rule["yaml"].encode()) for rule in map(json.loads, file))
        return [rule for rule in rules if all(each in rule.text for each in wanted)]


def _batch(values: Iterable[bytes]) -> pa.RecordBatch:
    rows = [
        {"span": 0, "offset": row, "timestamp": _START_US // 1000, "key": None, "value": value, "headers": None}
        for row, value in enumerate(values)
    ]
    return pa.RecordBatch.from_pylist(rows, schema=RECORDS)


def _seconds(function: Callable[[], object]) -> float:
    started = process_time()
    function()
    return process_time() - started


def _children_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
