"""Runs the samples of definitions: what a definition says a record becomes, against what it becomes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import orjson
import pyarrow as pa

from detector.config import Limits
from detector.events import Event
from detector.parsing.definition import Expected, LogSourceName, ProgramDefinition, Sample
from detector.parsing.registry import AUTO, Parsed, Parsers
from detector.parsing.timestamps import TimeParser
from detector.window import RECORDS

_TIMES = TimeParser(("rfc3339",))


@dataclass(frozen=True, slots=True)
class SampleResult:
    """What came of a sample under one format. differences: expected and found, one a line; none: it passed."""

    parser: str
    title: str
    format: str
    differences: tuple[str, ...]


def run_samples(parsers: Parsers, limits: Limits) -> Iterator[SampleResult]:
    """Run every sample as its own format, and as `auto` unless it says otherwise; those of programs as `auto`."""
    for definition in (*parsers.definitions.values(), *parsers.programs):
        own = () if isinstance(definition, ProgramDefinition) else (definition.name,)
        for sample in definition.samples:
            for form in (*own, AUTO) if sample.auto else own:
                parsed = parsers.parse(record_batch(sample), format=form, logsource=None, limits=limits)
                differences = tuple(_differences(sample, parsed, own[0] if own else None))
                yield SampleResult(definition.name, sample.title, form, differences)


def record_batch(sample: Sample) -> pa.RecordBatch:
    """The sample as the one record of a batch."""
    value = sample.record.encode() if isinstance(sample.record, str) else orjson.dumps(sample.record)
    instant, _ = _TIMES.parse(sample.reference, None)
    timestamp_ms = instant.us // 1_000 if instant else -1
    columns = {"span": 0, "offset": 0, "timestamp": timestamp_ms, "key": None, "value": value, "headers": None}
    return pa.RecordBatch.from_pylist([columns], schema=RECORDS)


def _differences(sample: Sample, parsed: Parsed, form: str | None) -> Iterator[str]:
    if len(parsed.events) != len(sample.expect):
        yield f"events: expected {len(sample.expect)}, found {len(parsed.events)}"
    reasons = tuple(failure.reason.value for failure in parsed.failures)
    if reasons != sample.failures:
        yield f"failures: expected {sample.failures}, found {reasons}"
    for number, (expected, event) in enumerate(zip(sample.expect, parsed.events, strict=False)):
        place = f"event {number}: " if len(sample.expect) > 1 else ""
        for difference in _of_event(form, expected, event):
            yield place + difference


def _of_event(form: str | None, expected: Expected, event: Event) -> Iterator[str]:
    form = expected.format or form
    if form and event.format != form:
        yield f"format: expected {form}, found {event.format}"
    if expected.time is not None:
        instant, _ = _TIMES.parse(expected.time, None)
        if instant is None or event.time_us != instant.us:
            yield f"time: expected {expected.time}, found {event.ecs.get('@timestamp')}"
    for kind, wanted, found in (("ecs", expected.ecs, event.ecs), ("raw", expected.raw, event.raw)):
        for key, value in wanted.items():
            if key not in found:
                yield f"{kind} {key}: expected {value!r}, found nothing"
            elif found[key] != value or isinstance(found[key], bool) != isinstance(value, bool):
                yield f"{kind} {key}: expected {value!r}, found {found[key]!r}"
    for key in expected.absent:
        if key in event.ecs:
            yield f"ecs {key}: expected nothing, found {event.ecs[key]!r}"
    if expected.flags is not None and event.flags != expected.flags:
        yield f"flags: expected {expected.flags}, found {event.flags}"
    if expected.logsources is not None:
        sources = [binding.logsource for binding in event.bindings]
        found_names = tuple(
            LogSourceName(category=source.category, product=source.product, service=source.service)
            for source in sources
        )
        if found_names != expected.logsources:
            yield f"logsources: expected {_names(expected.logsources)}, found {_names(found_names)}"


def _names(sources: tuple[LogSourceName, ...]) -> str:
    return ", ".join("/".join(part or "*" for part in (s.category, s.product, s.service)) for s in sources) or "none"
