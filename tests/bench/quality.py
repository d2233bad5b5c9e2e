"""What the built-in rules find in others' attack logs, and what they make of harmless ones.

Each figure has its numerator (`count`) and denominator (`of`). An alert is a match at `min_level` (low) or above.
- crs_recall: requests of OWASP CRS's regression tests that paranoia level 1 should match and that an access log shows;
  crs_silence: those that it should not (some are attacks of another kind than the test is about).
- payloads_KIND_recall, payloads_false_positive_rate: parameters, as `GET /search?q=…`.
- access_log_alerts: lines of an ordinary site's log that alert.
- cloudtrail_techniques: of Stratus Red Team's, those with an alert on one of their events.
- panther_recall, panther_silence: Panther's tests of CloudTrail detections, without those that need mocks.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pyarrow as pa

from detector.config import Config, Limits
from detector.parsing.registry import Parsers, compile_parsers
from detector.parsing.registry import read_sources as read_parser_sources
from detector.resources import builtin
from detector.sigma.loading import compile_rules
from detector.sigma.ruleset import RuleSet
from detector.sigma.source import read_sources
from detector.window import RECORDS

CORPORA = Path(__file__).parents[3] / "shared" / "corpora"
_AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
_BATCH = 500
_KINDS = {"sqli": "sqli", "xss": "xss", "path-traversal": "traversal", "cmdi": "cmdi"}
_HARMLESS = {"norm", "benign"}

Figures = dict[str, Any]


class Rules:
    """The built-in rules and parsers."""

    def __init__(self) -> None:
        limits = Limits()
        self._limits = limits
        self._parsers: Parsers = compile_parsers(read_parser_sources(), limits=limits)
        self._rules: RuleSet = compile_rules(read_sources([builtin("sigma")], limits), limits=limits)
        self._severity = Config().output.min_level.severity

    def alerts(self, records: Iterable[bytes]) -> Iterator[list[str]]:
        """The titles of the rules that alert on each record, any of its events."""
        batch: list[bytes] = []
        for record in records:
            batch.append(record)
            if len(batch) == _BATCH:
                yield from self._batch(batch)
                batch = []
        yield from self._batch(batch)

    def _batch(self, values: list[bytes]) -> Iterator[list[str]]:
        rows = [
            {"span": 0, "offset": row, "timestamp": 1_717_200_000_000, "key": None, "value": value, "headers": None}
            for row, value in enumerate(values)
        ]
        records = pa.RecordBatch.from_pylist(rows, schema=RECORDS)
        found: list[list[str]] = [[] for _ in values]
        for event in self._parsers.parse(records, format="auto", logsource=None, limits=self._limits).events:
            for rule, views in self._rules.bound_to(event):
                if rule.level.severity >= self._severity and rule.matches(views):
                    found[event.record].append(rule.title)
        return iter(found)


def run(*, short: bool) -> Figures:
    """Measure; `short` takes every tenth payload only."""
    if not CORPORA.is_dir():
        raise SystemExit(f"no corpora at {CORPORA}")
    rules = Rules()
    return crs(rules) | payloads(rules, 10 if short else 1) | access_log(rules) | cloudtrail(rules) | panther(rules)


def crs(rules: Rules) -> Figures:
    """Requests of OWASP CRS's regression tests."""
    tests = [
        test
        for test in _lines("03_crs/crs_regression.jsonl")
        if test["paranoia_level"] == 1
        and (test["expect_match"] is False or (test["expect_match"] and test["access_log_visible_guess"]))
    ]
    counts: Counter[tuple[bool, bool]] = Counter()
    for test, alerts in zip(tests, rules.alerts(test["access_log_line"].encode() for test in tests), strict=True):
        counts[test["expect_match"], bool(alerts)] += 1
    return {
        "crs_recall": _share(counts[True, True], counts[True, True] + counts[True, False]),
        "crs_silence": _share(counts[False, False], counts[False, False] + counts[False, True]),
    }


def payloads(rules: Rules, step: int) -> Figures:
    """Parameters, every `step`th of them."""
    kinds: list[str] = []
    records: list[bytes] = []
    for name in ("httpparams_train", "libinjection", "gotestwaf"):
        for payload in list(_lines(f"12_web_payloads/{name}.jsonl"))[::step]:
            kind = payload.get("attack_type") or payload.get("label")
            if kind is None:
                kind = "benign" if payload["set"] == "false-pos" else "gotestwaf"
            kinds.append(kind)
            url = f"/search?q={quote(payload['payload'], safe='')}"
            line = f'203.0.113.7 - - [01/Jun/2024:00:00:00 +0000] "GET {url} HTTP/1.1" 200 512 "-" "{_AGENT}"'
            records.append(line.encode())
    counts: Counter[tuple[str, bool]] = Counter()
    for kind, alerts in zip(kinds, rules.alerts(records), strict=True):
        counts["harmless" if kind in _HARMLESS else kind, bool(alerts)] += 1
    figures = {
        f"payloads_{name}_recall": _share(counts[kind, True], counts[kind, True] + counts[kind, False])
        for kind, name in _KINDS.items()
    }
    harmless = counts["harmless", True] + counts["harmless", False]
    return figures | {"payloads_false_positive_rate": _share(counts["harmless", True], harmless)}


def access_log(rules: Rules) -> Figures:
    """An ordinary site's log."""
    lines = (CORPORA / "08_access_logs/elastic_apache_10k.log").read_bytes().splitlines()
    return {"access_log_alerts": _share(sum(map(bool, rules.alerts(lines))), len(lines))}


def cloudtrail(rules: Rules) -> Figures:
    """Attack techniques on AWS."""
    events = list(_lines("11_cloudtrail/stratus_red_team.jsonl"))
    found: defaultdict[str, bool] = defaultdict(bool)
    for event, alerts in zip(
        events, rules.alerts(json.dumps(event["event"]).encode() for event in events), strict=True
    ):
        found[event["technique"]] |= bool(alerts)
    return {"cloudtrail_techniques": _share(sum(found.values()), len(found))}


def panther(rules: Rules) -> Figures:
    """Tests of detections for CloudTrail."""
    tests = [
        test
        for test in _lines("04_panther/panther_all.jsonl")
        if test["log_types"] == ["AWS.CloudTrail"] and not test["has_mocks"]
    ]
    counts: Counter[tuple[bool, bool]] = Counter()
    for test, alerts in zip(tests, rules.alerts(json.dumps(test["event"]).encode() for test in tests), strict=True):
        counts[test["expected"], bool(alerts)] += 1
    return {
        "panther_recall": _share(counts[True, True], counts[True, True] + counts[True, False]),
        "panther_silence": _share(counts[False, False], counts[False, False] + counts[False, True]),
    }


def _lines(path: str) -> Iterator[dict[str, Any]]:
    with (CORPORA / path).open(encoding="utf-8") as file:
        yield from map(json.loads, file)


def _share(count: int, of: int) -> dict[str, float]:
    return {"share": round(count / of, 4), "count": count, "of": of}
