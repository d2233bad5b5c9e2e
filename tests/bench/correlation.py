"""Correlations: messages of signals in, what fires out, in one process, over 100,000 groups.

Seconds are those of the process's CPU: it has one thread, and what else the machine does is not its doing.
"""

from __future__ import annotations

import resource
import time
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
from detector.correlation.rule import Correlation
from detector.correlation.signals import Signal, decode, encode
from detector.sigma.loading import compile_rules
from detector.sigma.source import RuleSource

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


def run(*, short: bool) -> dict[str, Any]:
    """Figures: events a second by type, of which so many fired; memory of a million groups; replay."""
    events = 40_000 if short else 500_000
    figures: dict[str, Any] = {}
    for name, section in _KINDS.items():
        rule = _rule(section)
        messages = list(_messages(rule, events))
        rate, fired = _rate(rule, messages)
        figures[name] = {"events_per_second": rate, "fired": fired}
    figures |= _million(20_000 if short else 1_000_000)
    return figures


def _rule(section: dict[str, Any]) -> Correlation:
    document = {
        "title": "x",
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
