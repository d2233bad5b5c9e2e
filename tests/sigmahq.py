"""All of SigmaHQ's rules in a pipeline whose topic says nothing of what it holds."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from functools import lru_cache
from typing import Any

import pyarrow as pa

from detector.config import InputTopic, Level, Limits
from detector.parsing.registry import read_sources
from detector.pipeline import Pipeline, Spec
from detector.sigma.source import RuleSource
from detector.window import RECORDS, Span, Window, WindowResult
from tests.corpora import corpus

LATER_MS = 1_790_000_000_000
"""After all times of the corpora, by less than ten years."""


@lru_cache
def sources() -> tuple[RuleSource, ...]:
    """All rules of SigmaHQ."""
    with gzip.open(corpus("05_sigma/sigmahq_rules.jsonl.gz"), "rt") as file:
        return tuple(RuleSource(rule["path"], rule["yaml"].encode()) for rule in map(json.loads, file))


@lru_cache
def pipeline() -> Pipeline:
    """The built-in parsers, and all rules of SigmaHQ."""
    return Pipeline(
        Spec(
            topics=(InputTopic(name="logs"),),
            limits=Limits(),
            min_level=Level.INFORMATIONAL,
            rules=sources(),
            parsers=read_sources(),
            values={},
            sha="",
        )
    )


def run(*records: str | dict[str, Any]) -> WindowResult:
    """What records cause, each a line or an object."""
    values = [(record if isinstance(record, str) else json.dumps(record)).encode() for record in records]
    rows = [{"span": 0, "offset": offset, "timestamp": LATER_MS, "value": value} for offset, value in enumerate(values)]
    span = Span("logs", 0, 0, len(rows), len(rows), len(rows))
    return pipeline().run(Window((span,), pa.RecordBatch.from_pylist(rows, schema=RECORDS)))


def alerts(result: WindowResult) -> Counter[str]:
    """How often each rule alerted."""
    messages = [message for message in result.messages if message.topic == "alerts"]
    return Counter(dict(message.headers)["rule_id"].decode() for message in messages)
