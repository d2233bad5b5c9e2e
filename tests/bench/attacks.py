"""Whose addresses the built-in rules and correlations flag, in others' attack logs and in an ordinary site's.

A scenario is a log with the addresses that must be flagged; `attacks_scope.tsv` gives its kind of attack, and was
frozen before any result was looked at. In scope are the kinds that rules of ours are for (`KINDS`); logs of single
applications in forms of their own are not. An address is flagged by an alert of level medium or above. Each figure has
its numerator (`count`) and denominator (`of`).
- right: scenarios of these kinds in which each address that should be flagged is.
- others: scenarios of these kinds in which any other address is flagged, too.
- right_KIND: the same by kind, those out of scope as well.
- access_log_alerts: alerts of level medium or above on 10,000 lines of an ordinary site.
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa

from detector.alerts.model import entity_type
from detector.config import Config, Level
from detector.correlation.alerts import encode_fired
from detector.correlation.fold import Fold
from detector.correlation.inputs import Entry, entries_of, inputs_of, silenced
from detector.correlation.signals import Signal, decode, encode
from detector.parsing.registry import compile_parsers
from detector.parsing.registry import read_sources as read_parser_sources
from detector.resources import builtin
from detector.sigma.loading import compile_rules
from detector.sigma.source import read_sources
from detector.window import RECORDS
from tests.bench.quality import CORPORA

KINDS = frozenset(
    (
        "port_scan",
        "service_brute_force",
        "ssh_brute_force",
        "web_brute_force",
        "web_exploit",
        "web_scan",
        "windows_brute_force",
    )
)
SCOPE = Path(__file__).with_name("attacks_scope.tsv")
_RECORD_MS = 1_795_500_000_000
"""November 2026: later than all logs, as records are."""
_SOURCE = "logs:0"
_END_US = 1 << 60


class Service:
    """The built-in rules, parsers and correlations, over one log at a time."""

    def __init__(self) -> None:
        self._config = Config()
        limits = self._config.limits
        self._parsers = compile_parsers(read_parser_sources(), limits=limits)
        folders = [builtin("sigma"), builtin("correlations")]
        self._rules = compile_rules(read_sources(folders, limits), limits=limits)
        self._inputs = inputs_of(self._rules.correlations)
        self._silenced = silenced(self._rules.correlations)

    def alerts(self, lines: Sequence[bytes]) -> list[tuple[str, str]]:
        """The title and address of each alert; the address is empty where it is about none."""
        rows = [
            {"span": 0, "offset": row, "timestamp": _RECORD_MS, "key": None, "value": line, "headers": None}
            for row, line in enumerate(lines)
        ]
        records = pa.RecordBatch.from_pylist(rows, schema=RECORDS)
        found: list[tuple[str, str]] = []
        entries: list[Entry] = []
        parsed = self._parsers.parse(records, format="auto", logsource=None, limits=self._config.limits)
        for event, matches in zip(parsed.events, self._rules.matching(parsed.events), strict=True):
            for rule, view in matches:
                if rule.key in self._inputs:
                    entries += entries_of(self._inputs[rule.key], [view], event, event.record, _RECORD_MS)
                if rule.key not in self._silenced and rule.level.severity >= Level.MEDIUM.severity:
                    found.append((rule.title, str(event.ecs.get("source.ip", ""))))
        return found + self._correlated(entries, len(rows))

    def _correlated(self, entries: list[Entry], rows: int) -> list[tuple[str, str]]:
        fold = Fold(self._rules.correlations, [_SOURCE], self._config.correlation)
        found = []
        for fired in fold.apply(decode(encode(Signal(_SOURCE, 0, rows, _END_US, entries)))):
            about = fired.correlation.about
            if about.key in self._silenced or about.level.severity < Level.MEDIUM.severity:
                continue
            message = encode_fired(
                fired, at=("signals", 0, 0), ruleset_sha="", detected_at_us=0, limits=self._config.limits
            )
            entity = orjson.loads(message.value or b"")["entity"]
            found.append((about.title, entity["value"] if entity_type(entity["field"]) == "ip" else ""))
        return found


def run(*, short: bool) -> dict[str, Any]:
    """Measure; `short` takes every third scenario."""
    if not CORPORA.is_dir():
        raise SystemExit(f"no corpora at {CORPORA}")
    service = Service()
    kinds = dict(line.split("\t") for line in SCOPE.read_text().splitlines())
    right: dict[str, list[bool]] = {}
    others: list[bool] = []
    with (CORPORA / "09_crowdsec/scenarios.jsonl").open(encoding="utf-8") as file:
        for scenario in list(map(json.loads, file))[:: 3 if short else 1]:
            expected = {address for alert in scenario["expected_alerts"] for address in map(_address, alert["sources"])}
            expected.discard("")
            if not expected:
                continue  # it flags users, processes, or nobody
            kind = kinds[scenario["test"]]
            flagged = {_address(address) for _, address in service.alerts([*map(str.encode, scenario["lines"])])} - {""}
            right.setdefault(kind, []).append(expected <= flagged)
            if kind in KINDS:
                others.append(bool(flagged - expected))
                if not expected <= flagged or flagged - expected:
                    missed, more = sorted(expected - flagged), sorted(flagged - expected)
                    print(f"  {scenario['test']}: missed {missed}, others {more}")
    of_scope = [each for kind, results in right.items() if kind in KINDS for each in results]
    lines = (CORPORA / "08_access_logs/elastic_apache_10k.log").read_bytes().splitlines()
    alerts = service.alerts(lines)
    return {
        "right": _share(of_scope),
        "others": _share(others),
        **{f"right_{kind}": _share(results) for kind, results in sorted(right.items())},
        "access_log_alerts": {"count": len(alerts), "of": len(lines)},
        "access_log_titles": sorted({title for title, _ in alerts}),
    }


def _address(text: str) -> str:
    """An address in its usual form, an IPv4 one in IPv6 as itself; empty if it is none."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return ""
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address)


def _share(results: Sequence[bool]) -> dict[str, float]:
    return {"share": round(sum(results) / len(results), 4), "count": sum(results), "of": len(results)}
