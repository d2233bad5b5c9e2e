"""Rule tests: records that a rule must match and records that it must not, in `RULE.test.yml` beside `RULE.yml`.

    format: apache_access   # name of a parser; default auto
    logsource:              # what the topic of such records declares, if it does
      product: shop
    match:
      - '192.0.2.7 - - [10/Oct/2024:13:55:36 +0000] "GET /?id=1%27%20or%201=1 HTTP/1.1" 200 12'
    no_match:
      - {eventName: ListBuckets}   # a mapping or list is written as compact JSON

Records go through the real parsers and the rule set as loaded, so that a test sees what the service sees.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa

from detector.config import Limits
from detector.documents import Document, DocumentError, read_documents
from detector.errors import RuleError
from detector.events import Event, LogSource
from detector.parsing.registry import AUTO, Parsed, Parsers
from detector.sigma.fields import KEYWORDS, EventView
from detector.sigma.nodes import leaves
from detector.sigma.rule import Rule
from detector.sigma.ruleset import RuleSet
from detector.window import RECORDS

RECORD_TIME_MS = 1_717_200_000_000
"""The timestamp of every sample as a record, 2024-06-01T00:00:00Z: what completes a time without a year."""

_KEYS = {"format", "logsource", "match", "no_match"}
_SHOWN = 200
"""Characters of a value in a message."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A record and whether the rule must match it; where it is written, and which of its kind it is."""

    name: str
    record: bytes
    matches: bool
    where: str


@dataclass(frozen=True, slots=True)
class RuleTest:
    """The samples of one rule file, and how they are parsed."""

    format: str
    logsource: LogSource | None
    samples: tuple[Sample, ...]


@dataclass(frozen=True, slots=True)
class Failure:
    """What is wrong: `where` is `file:line`, or the rule's file if it has no test."""

    where: str
    rule: str
    message: str


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a sample, or of a rule file that has none. path: of the rule file. rule: title, if it has one.

    name: the sample's kind and place, as `match 1`; empty where there is none. message: why it failed; None: it passed.
    """

    path: str
    rule: str
    name: str
    where: str
    message: str | None


def run_tests(rules: RuleSet, parsers: Parsers, limits: Limits) -> tuple[int, list[Failure]]:
    """Test each rule of a set. Gives the number of samples and what failed."""
    results = list(test_results(rules, parsers, limits))
    failures = [Failure(each.where, each.rule, each.message) for each in results if each.message is not None]
    return sum(bool(each.name) for each in results), failures


def test_results(rules: RuleSet, parsers: Parsers, limits: Limits) -> Iterator[Result]:
    """Test each rule of a set.

    A rule that cannot be loaded, has no test, or no sample of either kind, is a failure. Rules of one file share its
    samples: a sample matches if one of them matches. Files with correlations have tests of their own
    (`detector.correlation.testing`).
    """
    for error in rules.refused:
        yield Result(error.where.rpartition(":")[0], "", "", error.where, error.message)
    files: dict[str, list[Rule]] = {}
    with_correlations = {each.about.path for each in rules.correlations}
    for rule in rules.rules:
        if rule.path not in with_correlations:
            files.setdefault(rule.path, []).append(rule)
    for path, its_rules in files.items():
        title = ", ".join(rule.title for rule in its_rules)
        try:
            test = read_test(path, limits)
        except RuleError as error:
            yield Result(path, title, "", error.where, error.message)
            continue
        for sample in test.samples:
            parsed = parse_records(parsers, [sample.record], test.format, test.logsource, limits)
            yield Result(path, title, sample.name, sample.where, _judge(sample, parsed, path, rules))


def read_test(rule_path: str, limits: Limits) -> RuleTest:
    """The test beside a rule file. Raises RuleError where there is none, or it is not one."""
    path, document = read_document(rule_path, limits, "`match` and `no_match`")
    return _test(document, path)


def read_document(rule_path: str, limits: Limits, parts: str) -> tuple[Path, Document]:
    """The document of the test beside a rule file; `parts`: what is in one. Raises RuleError."""
    path = Path(rule_path).with_suffix(".test.yml")
    try:
        text = path.read_bytes()
        if len(text) > limits.max_rule_file_bytes:
            raise RuleError("larger than limits.max_rule_file_bytes: split the rule", where=str(path))
        document = next(read_documents(text.decode()), None)
    except FileNotFoundError:
        raise RuleError(f"has no test: write {path.name} with {parts}", where=rule_path) from None
    except (OSError, UnicodeDecodeError) as error:
        raise RuleError(f"cannot be read as text: {error}", where=str(path)) from None
    except DocumentError as error:
        raise RuleError(error.message, where=f"{path}:{error.line}") from None
    if document is None or not isinstance(document.value, dict):
        raise RuleError(f"a rule test is a mapping with {parts}", where=str(path))
    return path, document


def parse_records(
    parsers: Parsers, records: Sequence[bytes], format_name: str, logsource: LogSource | None, limits: Limits
) -> Parsed:
    """The events of records as those of a topic of this format and log source, all of RECORD_TIME_MS."""
    columns = {"span": 0, "timestamp": RECORD_TIME_MS}
    rows = [{**columns, "offset": offset, "value": value} for offset, value in enumerate(records)]
    batch = pa.RecordBatch.from_pylist(rows, schema=RECORDS)
    return parsers.parse(batch, format=format_name, logsource=logsource, limits=limits)


def _test(document: Document, path: Path) -> RuleTest:
    content: dict[str, Any] = document.value

    def error(message: str, *part: str | int) -> RuleError:
        return RuleError(message, where=f"{path}:{document.line(*part)}")

    for key in content:
        if key not in _KEYS:
            raise error(f"`{key}` is not known here: a rule test has {', '.join(sorted(_KEYS))}", key)
    samples: list[Sample] = []
    for key in ("match", "no_match"):
        records = content.get(key)
        if not isinstance(records, list) or not records:
            raise error(f"`{key}` must list at least one record", key)
        for index, record in enumerate(records):
            if not isinstance(record, (str, dict, list)) or not record:
                raise error("a record is a text, a mapping or a list", key, index)
            value = record.encode() if isinstance(record, str) else orjson.dumps(record)
            samples.append(Sample(f"{key} {index + 1}", value, key == "match", f"{path}:{document.line(key, index)}"))
    return RuleTest(*how_parsed(document, path), tuple(samples))


def how_parsed(document: Document, path: Path) -> tuple[str, LogSource | None]:
    """The format and log source that a test gives its records. Raises RuleError."""
    format_name = document.value.get("format", AUTO)
    logsource = document.value.get("logsource")
    if not isinstance(format_name, str):
        raise RuleError("`format` must be the name of a parser", where=f"{path}:{document.line('format')}")
    if logsource is not None and not (isinstance(logsource, dict) and set(logsource) <= set(LogSource.__slots__)):
        where = f"{path}:{document.line('logsource')}"
        raise RuleError("`logsource` is a mapping of category, product, service", where=where)
    return format_name, LogSource(**logsource) if logsource else None


def _judge(sample: Sample, parsed: Parsed, path: str, rules: RuleSet) -> str | None:
    """Why a sample of the rules in a file fails, or None."""
    bound = [(rule, views) for event in parsed.events for rule, views in rules.bound_to(event) if rule.path == path]
    matched = [(rule, views) for rule, views in bound if rule.matches(views)]
    if matched and not sample.matches:
        rule, views = matched[0]
        evidence = rule.explain(views).evidence
        values = (f"{each.field or 'keyword'} {_short(each.value)} for {_short(each.pattern)}" for each in evidence)
        return f"must not match, but does: {'; '.join(values) or 'nothing that it excludes is there'}"
    if matched or not sample.matches:
        return None
    if not bound:
        return f"must match, but runs on none of its events: {'; '.join(_unbound(parsed))}"
    return f"must match, but does not: {'; '.join(_fields(*bound[0]))}"


def _unbound(parsed: Parsed) -> Iterator[str]:
    for failure in parsed.failures:
        yield f"{failure.reason.value}: {failure.detail}"
    for event in parsed.events:
        yield f"format {event.format}, log sources {_logsources(event)}"


def _logsources(event: Event) -> str:
    named = (
        "/".join(part or "-" for part in (each.category, each.product, each.service))
        for each in (binding.logsource for binding in event.bindings)
    )
    return ", ".join(named) or "none"


def _fields(rule: Rule, views: Sequence[EventView]) -> Iterator[str]:
    """The fields that the rule asks for, as they are."""
    for name in dict.fromkeys(leaf.field for leaf in leaves(rule.condition)):
        found = views[0].found(name)
        yield f"{name if name != KEYWORDS else 'keywords'} is " + (
            ", ".join(map(_short, found.values)) or ("null or empty" if found.present else "absent")
        )


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
