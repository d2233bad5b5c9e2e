"""Correlations: messages of signals in, what fires out, in one process, over 100,000 groups.

Seconds are those of the process's CPU: it has one thread, and what else the machine does is not its doing.
"""

from __future__ import annotations

import resource
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import orjson
import psutil

from detector.config import Correlation as Settings
from detector.config import Limits
from detector.correlation.alerts import encode_fired
from detector.correlation.fold import Fold
from detector.correlation.inputs import Entry, group_of
from detector.correlation.rule import Correlation, Kind
from detector.correlation.signals import Signal, decode, encode
from detector.sigma.loading import compile_rules
from detector.sigma.source import RuleSource
from tests.bench.correlation_latency import SECONDS, SHORT_SECONDS, crossing_to_alert

GROUPS = 100_000
WINDOW = 2_000
"""Entries of a message: what a reader's window of 30 ms holds at 70,000 matches a second."""
DISTINCT = 1_800
"""Values of a group within the timespan of `value_count`, where RSigma recounts them at each event."""
STEP_US = 250
"""Between two events: 4,000 a second of event time."""
SOURCE = "logs:0"

_BASE = "title: {0}\nname: {0}\nlogsource: {{category: test}}\ndetection: {{s: {{f: {0}}}, condition: s}}\n"
_KINDS: dict[str, dict[str, Any]] = {
    "event_count": {"type": "event_count", "condition": {"gte": 20}},
    "value_count": {"type": "value_count", "condition": {"gte": 2 * DISTINCT, "field": "v"}},
    "temporal": {"type": "temporal"},
    "temporal_ordered": {"type": "temporal_ordered"},
    "value_sum": {"type": "value_sum", "condition": {"gte": 10_000, "field": "v"}},
    "value_percentile": {"type": "value_percentile", "condition": {"gte": 99, "field": "v", "percentile": 95}},
}


_ANOMALIES: dict[str, dict[str, Any]] = {
    "new_value": {"timespan": "1m", "condition": {"field": "v"}},
    "rare_value": {"condition": {"field": "v", "minimum": 20}},
    "baseline": {"timespan": "10s", "condition": {"minimum": 10}},
    "outlier": {"timespan": "10s", "condition": {"field": "v", "minimum": 20, "times": 2}},
    "impossible_travel": {"condition": {"field": ["v", "w"]}},
    "absence": {"timespan": "30s"},
    "slo": {"timespan": "30d", "rules": ["a", "b"]},
}
_PLACES = ("48.86\0002.35", "48.7\0002.1", "52.52\00013.4", "-33.87\000151.21")


def run(*, short: bool) -> dict[str, Any]:
    """Figures: events a second by type, of which so many fired, and of those that all types of anomalies look at; from
    the record that fulfils a correlation to its alert, in the running service; memory of a million groups; replay.
    """
    events = 40_000 if short else 500_000
    figures: dict[str, Any] = {}
    for name, section in _KINDS.items():
        rule = _rule(section)
        messages = list(_messages(rule, events))
        rate, fired = _rate(rule, messages)
        figures[name] = {"events_per_second": rate, "fired": fired}
    figures |= _anomalies(20_000 if short else 200_000)
    figures |= crossing_to_alert(SHORT_SECONDS if short else SECONDS)
    figures |= _million(20_000 if short else 1_000_000)
    return figures


def _rule(section: dict[str, Any], number: int = 0) -> Correlation:
    document = {
        "title": "x",
        "id": f"{number:08d}-0000-4000-8000-000000000000",
        "correlation": {"rules": ["a", "b", "c"], "group-by": ["g"], "timespan": "5m", **section},
    }
    texts = [*(_BASE.format(name).encode() for name in "abc"), orjson.dumps(document)]
    rules = compile_rules([RuleSource(f"{n}.yml", text) for n, text in enumerate(texts)], limits=Limits())
    return rules.correlations[0]


def _messages(rule: Correlation, events: int) -> Iterator[bytes]:
    """Events of groups drawn at random; for value_count of few groups with many values each."""
    random = np.random.default_rng(1)
    counts_values = rule.kind == "value_count"
    drawn = random.integers(0, max(1, events // DISTINCT) if counts_values else GROUPS, events)
    kinds = np.minimum(random.integers(0, 2_000, events) // 999, 2)  # the last one is rare: few fire, as in life
    for start in range(0, events, WINDOW):
        entries = [
            Entry(
                rule.definition,
                int(kinds[at]),
                group_of([f"192.0.2.{drawn[at]}"]),
                at * STEP_US,
                at,
                0,
                f"value {at}" if counts_values else float(at % 100),
                0,
            )
            for at in range(start, min(events, start + WINDOW))
        ]
        yield encode(Signal(SOURCE, start, start + len(entries), start * STEP_US, entries))


def _rate(rule: Correlation, messages: list[bytes]) -> tuple[int, int]:
    fold = Fold([rule], [SOURCE], Settings())
    limits = Limits()
    fired = 0
    started = time.process_time()
    for message in messages:
        for each in fold.apply(decode(message)):
            encode_fired(each, at=("x", 0, 0), ruleset_sha="x", detected_at_us=1, limits=limits)
            fired += 1
    seconds = time.process_time() - started
    return round(fold.tally.counts["applied"] / seconds), fired


def _anomalies(events: int) -> dict[str, Any]:
    """Events of 1,000 groups, each of which all types of anomalies look at, with the lateness of the defaults."""
    rules = [_rule({"type": name, **section}, number) for number, (name, section) in enumerate(_ANOMALIES.items())]
    random = np.random.default_rng(1)
    groups = [group_of([f"192.0.2.{drawn}"]) for drawn in random.integers(0, 1_000, events)]
    sizes = random.lognormal(6, 1, events)
    texts = random.zipf(1.5, events) % 500
    messages = []
    for start in range(0, events, WINDOW // len(rules)):
        entries = [
            Entry(rule.definition, 0, groups[at], at * STEP_US, at, 0, _value(rule, at, sizes, texts), 0)
            for at in range(start, min(events, start + WINDOW // len(rules)))
            for rule in rules
        ]
        end = start + len(entries) // len(rules)
        messages.append(encode(Signal(SOURCE, start, end, end * STEP_US - round(Settings().lateness_s * 1e6), entries)))
    messages.append(encode(Signal(SOURCE, events, events, events * STEP_US, [])))
    fold = Fold(rules, [SOURCE], Settings())
    started = time.process_time()
    found = Counter(str(each.correlation.kind) for message in messages for each in fold.apply(decode(message)))
    seconds = time.process_time() - started
    return {"anomaly_events_per_second": round(events / seconds), "anomalies_found": dict(found)}


def _value(rule: Correlation, at: int, sizes: Any, texts: Any) -> str | float | None:
    if rule.kind is Kind.IMPOSSIBLE_TRAVEL:
        return _PLACES[texts[at] % len(_PLACES) if texts[at] > 100 else 0]  # most people are where they were
    if rule.numeric:
        return float(sizes[at])
    return f"value {texts[at]}" if rule.values[0] else None


def _rss_mb() -> float:
    return float(psutil.Process().memory_info().rss) / (1 << 20)


def _million(groups: int) -> dict[str, Any]:
    """Groups with one event each: what they take, and how fast they come back from their messages."""
    rule = _rule(_KINDS["event_count"])
    messages = []
    for start in range(0, groups, WINDOW):
        entries = [
            Entry(rule.definition, 0, group_of([f"10.0.0.{at}"]), 1, at, 0, None, 0)
            for at in range(start, start + WINDOW)
        ]
        messages.append(encode(Signal(SOURCE, start, start + WINDOW, None, entries)))
    before = _rss_mb()
    fold = Fold([rule], [SOURCE], Settings(max_groups=2 * groups))
    started = time.process_time()
    for message in messages:
        fold.apply(decode(message))
    seconds = time.process_time() - started
    after = _rss_mb()
    began = time.process_time()
    dumped = orjson.dumps(fold.dump())
    dumped_s = time.process_time() - began
    return {
        "million_groups_mb": round(after - before, 1),
        "million_groups": fold.groups,
        "replay_entries_per_second": round(groups / seconds),
        "snapshot_mb": round(len(dumped) / 1e6, 1),
        "snapshot_seconds": round(dumped_s, 3),
        "peak_rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
    }
