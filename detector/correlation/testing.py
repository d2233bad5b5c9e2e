"""Tests of correlations: records with times, and the alerts that they must raise, in `RULE.test.yml` beside `RULE.yml`.

    format: sshd            # as in any rule test, and so is `logsource`
    cases:
      - name: six failures of one address
        records:
          - {at: 0s, record: 'sshd[1]: Failed password for root from 192.0.2.7 port 4 ssh2', times: 6, every: 10s}
        alerts:
          - [192.0.2.7]     # the values of the fields of `group-by`
      - name: five are not enough
        records: [...]
        alerts: []

`at` counts from the case's beginning and stands for the record's own time, whatever that says. All time passes then; a
case ends earlier with `until: 2h`, so that a source may be silent at its end, or not yet be. Where a file has several
correlations, `alerts` maps the title of each one that fires to its groups.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa

from detector.config import Config
from detector.correlation.fold import Fold
from detector.correlation.inputs import Entry, entries_of, inputs_of, silenced
from detector.correlation.rule import Correlation
from detector.correlation.signals import Signal, decode, encode
from detector.documents import Document
from detector.errors import RuleError
from detector.events import LogSource
from detector.parsing.registry import Parsers
from detector.sigma.ruleset import RuleSet
from detector.sigma.testing import RECORD_TIME_MS, Result, how_parsed, read_document
from detector.window import RECORDS

MAX_RECORDS = 10_000
"""Records of a case, repetitions included."""

_KEYS = {"format", "logsource", "cases"}
_CASE_KEYS = {"name", "records", "alerts"}
_UNTIL = "until"
_RECORD_KEYS = {"at", "record", "times", "every"}
_SPAN = re.compile(r"([0-9]{1,9})(ms|s|m|h|d)")
_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_SOURCE = "test:0"
_END_US = 1 << 60

Alerts = dict[str, set[tuple[str, ...]]]
"""The groups for which a correlation fires, by its title."""


@dataclass(frozen=True, slots=True)
class Case:
    """Records with their times in milliseconds from the beginning, and what must fire; where it is written.

    until_us: up to when time passes.
    """

    name: str
    records: tuple[tuple[int, bytes], ...]
    alerts: Alerts
    where: str
    until_us: int = _END_US


def case_results(rules: RuleSet, parsers: Parsers, settings: Config) -> Iterator[Result]:
    """Test each correlation of a set.

    A correlation without a test is a failure, and so is one that fires in no case, or in each.
    """
    files: dict[str, list[Correlation]] = {}
    for each in rules.correlations:
        files.setdefault(each.about.path, []).append(each)
    for path, correlations in files.items():
        titles = ", ".join(each.about.title for each in correlations)
        try:
            test, document = read_document(path, settings.limits, "`cases`")
            cases = _cases(document, test, correlations)
            bench = _Bench(rules, parsers, settings, *how_parsed(document, test))
        except RuleError as error:
            yield Result(path, titles, "", error.where, error.message)
            continue
        for case in cases:
            wrong = "; ".join(_compare(case, _fired(case, correlations, bench)))
            yield Result(path, titles, case.name, case.where, f"{case.name}: {wrong}" if wrong else None)
        for each in correlations:
            raised = sum(each.about.title in case.alerts for case in cases)
            if raised in (0, len(cases)) and each.key not in silenced(rules.correlations):
                message = "needs a case in which it fires, and one in which it does not"
                yield Result(path, each.about.title, "", str(test), message)


@dataclass(frozen=True, slots=True)
class _Bench:
    """What records of a file's cases are run through."""

    rules: RuleSet
    parsers: Parsers
    settings: Config
    format: str
    logsource: LogSource | None


def _fired(case: Case, correlations: list[Correlation], bench: _Bench) -> Alerts:
    needed = _needed(correlations, bench.rules.correlations)
    inputs = inputs_of(needed)
    entries: list[Entry] = []
    rows = [
        {"span": 0, "offset": offset, "timestamp": RECORD_TIME_MS + at_ms, "value": record}
        for offset, (at_ms, record) in enumerate(case.records)
    ]
    records = pa.RecordBatch.from_pylist(rows, schema=RECORDS)
    limits = bench.settings.limits
    parsed = bench.parsers.parse(records, format=bench.format, logsource=bench.logsource, limits=limits)
    for event in parsed.events:
        time_ms = RECORD_TIME_MS + case.records[event.record][0]
        event.time_us = time_ms * 1_000
        for rule, views in bench.rules.bound_to(event):
            if rule.key in inputs and rule.matches(views):
                entries += entries_of(inputs[rule.key], views, event, event.record, time_ms)
    fold = Fold(needed, [_SOURCE], bench.settings.correlation)
    found: Alerts = {}
    message = encode(Signal(_SOURCE, 0, len(rows), case.until_us, entries))
    quiet = silenced(bench.rules.correlations) | {each.key for each in needed if each not in correlations}
    for fired in fold.apply(decode(message)):
        if fired.correlation.key in quiet:
            continue
        found.setdefault(fired.correlation.about.title, set()).add(tuple(orjson.loads(fired.hit.group)))
    return found


def _needed(correlations: list[Correlation], everything: Sequence[Correlation]) -> list[Correlation]:
    """The correlations, and those of other files that they refer to, directly or not."""
    by_key = {each.key: each for each in everything}
    needed = {each.key: each for each in correlations}
    left = list(correlations)
    while left:
        below = [by_key[key] for key in left.pop().rules if key in by_key and key not in needed]
        needed |= {each.key: each for each in below}
        left += below
    return list(needed.values())


def _compare(case: Case, found: Alerts) -> Iterator[str]:
    for title in sorted(case.alerts.keys() | found.keys()):
        wanted, got = case.alerts.get(title, set()), found.get(title, set())
        for group in sorted(wanted - got):
            yield f"{title!r} must fire for {list(group)}, but does not"
        for group in sorted(got - wanted):
            yield f"{title!r} must not fire for {list(group)}, but does"


def _cases(document: Document, path: Path, correlations: list[Correlation]) -> list[Case]:
    content = document.value

    def error(message: str, *part: str | int) -> RuleError:
        return RuleError(message, where=f"{path}:{document.line(*part)}")

    for key in content:
        if key not in _KEYS:
            raise error(f"`{key}` is not known here: the test of a correlation has {', '.join(sorted(_KEYS))}", key)
    cases = content.get("cases")
    if not isinstance(cases, list) or not cases:
        raise error("`cases` must list at least two cases", "cases")
    read = []
    for index, case in enumerate(cases):
        if not isinstance(case, dict) or not _CASE_KEYS <= set(case) <= _CASE_KEYS | {_UNTIL}:
            raise error("a case has `name`, `records` and `alerts`, and may have `until`", "cases", index)
        try:
            records = tuple(_records(case["records"]))
            alerts = _alerts(case["alerts"], correlations)
            until_us = (RECORD_TIME_MS + _ms(case[_UNTIL])) * 1_000 if _UNTIL in case else _END_US
        except (TypeError, ValueError) as mistake:
            raise error(str(mistake), "cases", index) from None
        read.append(Case(str(case["name"]), records, alerts, f"{path}:{document.line('cases', index)}", until_us))
    return read


def _records(listed: Any) -> Iterator[tuple[int, bytes]]:
    if not isinstance(listed, list) or not listed:
        raise ValueError("`records` must list records")
    left = MAX_RECORDS
    for each in listed:
        if not isinstance(each, dict) or not {"at", "record"} <= set(each) <= _RECORD_KEYS:
            raise ValueError("a record has `at` and `record`, and may have `times` and `every`")
        at_ms, times, record = _ms(each["at"]), each.get("times", 1), each["record"]
        if not isinstance(times, int) or not 0 < times <= left:
            raise ValueError(f"`times` must be a number: a case may have {MAX_RECORDS} records")
        left -= times
        value = record.encode() if isinstance(record, str) else orjson.dumps(record)
        step_ms = _ms(each.get("every", "0s"))
        for number in range(times):
            # `{n}` in a repeated record is its number: values that differ need no list
            yield at_ms + number * step_ms, value.replace(b"{n}", str(number).encode())


def _ms(text: Any) -> int:
    match = _SPAN.fullmatch(str(text))
    if not match:
        raise ValueError(f"{text!r} must be a number and ms, s, m, h or d, such as `10s`")
    return int(match[1]) * _MS[match[2]]


def _alerts(given: Any, correlations: list[Correlation]) -> Alerts:
    if isinstance(given, list) and len(correlations) == 1:
        given = {correlations[0].about.title: given} if given else {}
    if not isinstance(given, dict):
        if given == []:
            return {}
        raise ValueError("`alerts` must list groups; where the file has several correlations, by their titles")
    titles = {each.about.title for each in correlations}
    for title, groups in given.items():
        if title not in titles:
            raise ValueError(f"the file has no correlation with the title {title!r}")
        if not isinstance(groups, list) or not all(isinstance(group, list) for group in groups):
            raise ValueError("a group is a list of the values of the fields of `group-by`")
    return {title: {tuple(map(str, group)) for group in groups} for title, groups in given.items() if groups}
