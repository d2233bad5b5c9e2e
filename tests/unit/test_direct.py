"""The direct lane: whatever the records are, the answers of the parsers and the engine without it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from random import Random
from typing import Any

import orjson
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.config import Config, Level, Limits
from detector.parsing.direct import kernels, value_kernels
from detector.parsing.warm import warm as warm_parsing
from detector.pipeline import Pipeline
from detector.reload import load
from detector.sigma.engine import slot_kernels
from detector.sigma.engine.warm import warm as warm_engine
from detector.sigma.source import RuleSource
from detector.window import RECORDS, Message, Span, Window, WindowResult
from tests import sigmahq
from tests.bench.processes import sysmon_events
from tests.corpora import corpus

TIME_MS = 1_717_200_000_000

RULES = {
    "sysmon": "logsource: {product: windows, category: process_creation}\n"
    "detection: {s: {CommandLine|contains: 'é'}, t: {Image|endswith: \\x.exe}, u: {EventID|gte: 1, User: null}, "
    "condition: s or t or u}",
    "windows": "logsource: {product: windows}\ndetection: {keywords: [needle, 5], condition: keywords}",
    "regex": "logsource: {product: windows, service: security}\n"
    "detection: {s: {CommandLine|re: 'a.*b'}, t: {Image|fieldref: CommandLine}, condition: s or t}",
    "cloud": "logsource: {product: aws, service: cloudtrail}\n"
    "detection: {s: {eventName: [stop, start]}, f: {userIdentity.name|exists: true}, condition: s and not f}",
    "array": "logsource: {product: aws}\ndetection: {s: {requestParameters.items.name|contains: a}, condition: s}",
    "web": "logsource: {category: webserver}\ndetection: {s: {cs-uri-query|contains: a}, t: {cs-method: get}, "
    "condition: s or t}",
}  # fmt: skip


@pytest.fixture(scope="module")
def pipeline() -> Pipeline:
    """With a few rules, one of each kind."""
    spec, _ = load(Config())
    rules = tuple(RuleSource(f"{name}.yml", f"title: {name}\n{text}\n".encode()) for name, text in RULES.items())
    made = Pipeline(replace(spec, rules=rules, min_level=Level.INFORMATIONAL, sha=""))
    assert not made.rules.refused
    return made


def answers(pipeline: Pipeline, values: Sequence[bytes | None]) -> list[object]:
    """All that a window of these values causes, but for the time that it takes."""
    rows = [{"span": 0, "offset": row, "timestamp": TIME_MS, "value": value} for row, value in enumerate(values)]
    span = Span("logs", 0, 0, len(rows), len(rows), len(rows))
    result: WindowResult = pipeline.run(Window((span,), pa.RecordBatch.from_pylist(rows, schema=RECORDS)))
    return [result.spans, result.counts, *map(_timeless, result.messages)]


def _timeless(message: Message) -> Message:
    if message.topic != "alerts":
        return message
    alert = orjson.loads(message.value or b"")
    del alert["detected_at"]
    return replace(message, value=orjson.dumps(alert))


def both(pipeline: Pipeline, values: Sequence[bytes | None]) -> tuple[list[object], list[object]]:
    """The answers with the direct lane, when it knows the kinds of the records; and without it."""
    answers(pipeline, values)
    direct = answers(pipeline, values)
    pipeline.direct = False
    try:
        return direct, answers(pipeline, values)
    finally:
        pipeline.direct = True


def taken(pipeline: Pipeline, values: Sequence[bytes | None]) -> int:
    """How many records the direct lane takes, when it knows their kinds."""
    rows = [{"span": 0, "offset": row, "timestamp": TIME_MS, "value": value} for row, value in enumerate(values)]
    records = pa.RecordBatch.from_pylist(rows, schema=RECORDS)
    pipeline.lane("logs").run(records)
    return len(values) - len(pipeline.lane("logs").run(records).rest)


KEYS = [
    *("Channel", "EventID", "Image", "CommandLine", "User", "Event", "System", "EventData", "Data", "Name", "#text"),
    *("eventSource", "eventName", "userIdentity", "eventTime", "requestParameters", "items", "name", "Records"),
    *("http", "request", "method", "url", "path", "original", "a b", "é", "winlog", "channel", "EventType", "ID"),
]  # fmt: skip
TEXTS = [
    *("Security", "Microsoft-Windows-Sysmon/Operational", "C:\\x.exe", "a", "ab", "needle", "É", "\u212ak", "", "1"),
    *("s3.amazonaws.com", "stop", "2024-05-17T10:05:03Z", "/a?b=a", "GET", "4688", "\U0001f600", "\x7f\x00"),
    *("CreateKey", "1715940303.250:1234", '{"Image": "\\\\x.exe"}'),
]  # fmt: skip
NUMBERS = [1, 13, 4688, 0, -1, 1.5, 5.0, 1e22, 0.00001, 2**63, 2**70, 1715940303.25, True, False, None]
BITS = [
    b"",
    b" ",
    b"\n",
    b"\\",
    b'"',
    b"{",
    b"}",
    b",",
    b"]",
    b"\xff",
    b"\xc3\xa9",
    b"\\ud800",
    b"0",
    b"\x01",
    b"{}",
    b"null",
]
WINDOWS = {"Channel": "Microsoft-Windows-Sysmon/Operational", "EventID": 1}
CLOUD = {"eventSource": "s3.amazonaws.com", "eventName": "stop", "eventTime": "2024-05-17T10:05:03Z"}
BASES: list[dict[str, Any]] = [
    {},
    WINDOWS,
    WINDOWS | {"Channel": "Security", "EventID": 4688},
    CLOUD,
    CLOUD | {"eventName": "x"},
]


def anything(random: Random, depth: int = 3) -> Any:
    """A JSON value."""
    kind = random.random()
    if kind < 0.25 and depth:
        return {random.choice(KEYS): anything(random, depth - 1) for _ in range(random.randrange(4))}
    if kind < 0.35 and depth:
        return [anything(random, depth - 1) for _ in range(random.randrange(3))]
    return random.choice(NUMBERS if kind < 0.5 else TEXTS)


def record(random: Random) -> bytes | None:
    """A record: mostly an object of a known format, at times damaged."""
    more = {random.choice(KEYS): anything(random) for _ in range(random.randrange(5))}
    separators = random.choice([(",", ":"), (", ", ": "), (" ,", ":\t")])
    made = json.dumps(random.choice(BASES) | more, ensure_ascii=random.random() < 0.5, separators=separators).encode()
    damage = random.random()
    if damage < 0.02:
        return None
    if damage < 0.3:
        place = random.randrange(len(made))
        made = made[:place] + random.choice(BITS) + made[place + random.randrange(3) :]
    return made


FLAT = [json.dumps(WINDOWS | {"Image": f"C:\\{number}.exe", "CommandLine": "a"}).encode() for number in range(4)]


class TestAgreement:
    """The same answers as without it."""

    @settings(max_examples=80, deadline=None)
    @given(st.integers(0, 1 << 32))
    def test_all(self, pipeline: Pipeline, seed: int) -> None:
        """Whatever the records are."""
        random = Random(seed)
        values = [record(random) for _ in range(40)]

        direct, plain = both(pipeline, [*FLAT, *values, *random.sample(values, 5)])

        assert direct == plain

    @pytest.mark.parametrize(
        "value",
        [
            b'{"Channel":"Security","EventID":1,"EventID":4688,"User":null}',
            b'{"Channel":"Security","Channel":{},"EventID":4688}',
            b'{"Channel":{},"EventID":4688,"Channel":"Security"}',
            b'{"Channel":"Security","EventID":-0}',
            b'{"Channel":"Security","EventID":4688,"Image":"5","CommandLine":5.0}',
            b'{"Channel":"Security","EventID":4688,"Image":"1.5","CommandLine":1.5}',
            b'{"Records":[{"eventSource":"s3.amazonaws.com","eventName":"stop","eventTime":1}]}',
            b'{"Channel":"\\u0053ecurity","EventID":4688,"CommandLine":"\\u00e9"}',
            b'{"Channel":"Security","EventID":4688,"\\u0043ommandLine":"ab"}',
        ],
    )
    def test_odd(self, pipeline: Pipeline, value: bytes) -> None:
        """Keys that stand twice, numbers that are written in several ways, arrays of events, escapes."""
        direct, plain = both(pipeline, [value, value])

        assert direct == plain

    def test_samples(self, pipeline: Pipeline) -> None:
        """Of all samples of the parsers, good, odd and malformed."""
        definitions = pipeline.parsers.definitions.values()
        samples = chain.from_iterable(definition.samples for definition in definitions)
        texts = [
            orjson.dumps(each.record) if isinstance(each.record, dict) else each.record.encode() for each in samples
        ]

        direct, plain = both(pipeline, list(texts))

        assert direct == plain

    def test_sigmahq(self) -> None:
        """Of all rules of SigmaHQ on the events that they must match, and on processes that start."""
        with corpus("05_sigma/regression.jsonl").open() as file:
            events = [event for line in file for event in json.loads(line)["events"]]
        values = [*(orjson.dumps(event) for event in events), *sysmon_events(500)]

        direct, plain = both(sigmahq.pipeline(), values)

        assert direct == plain
        assert taken(sigmahq.pipeline(), values) > len(values) * 0.95


class TestWarm:
    """Kernels are compiled before the first records come."""

    def test_nothing_left(self, pipeline: Pipeline) -> None:
        """After that, reading records compiles none any more."""
        warm_parsing()
        warm_engine()
        compiled = [kernel for each in (kernels, value_kernels, slot_kernels) for kernel in vars(each).values()]
        before = {kernel: len(kernel.signatures) for kernel in compiled if hasattr(kernel, "signatures")}

        both(pipeline, FLAT)

        assert {kernel: len(kernel.signatures) for kernel in before} == before
        assert all(before[kernel] for kernel in (kernels.scan, kernels.classify, slot_kernels.gather))


class TestTaken:
    """Which records take the direct lane."""

    @pytest.mark.parametrize(
        "value",
        [
            FLAT[0],
            json.dumps(json.loads(FLAT[0]), indent=1).encode() + b" \r\n",
            b'{"Event": {"System": {"Channel": "Security", "EventID": 4624}, "EventData": {"A": null, "Data": ["a"]}}}',
            json.dumps(CLOUD | {"requestParameters": {"items": [{"name": "é"}, {"name": "\U0001f600"}]}}).encode(),
            '{"Channel": "Security", "EventID": 4688, "CommandLine": "Straße ® \\u212a"}'.encode(),
        ],
    )  # fmt: skip
    def test_taken(self, pipeline: Pipeline, value: bytes) -> None:
        """Objects of known formats: flat, nested, with arrays, with white space, with escapes, beyond ASCII."""
        assert taken(pipeline, [value, value]) == 2

    @pytest.mark.parametrize(
        "value",
        [
            None,
            b"",
            b"text",
            b"[]",
            b' {"Channel": "Security", "EventID": 1}',
            b'{"Channel": "Security", "EventID": 1',
            b'{"Channel": "Security", "EventID": 1}}',
            b'{"Channel": "Security", "EventID": 1, "EventID": 2}',
            b'{"Channel": "Security", "EventID": 1, "User": "\xff"}',
            b'{"Channel": "Security", "EventID": 1, "User": "\\ud800"}',
            b'{"Channel": "Security", "EventID": 1e3}',
            b'{"Channel": "Security", "EventID": 1, "Data": ' + b"[" * 40 + b"]" * 40 + b"}",
        ],
    )
    def test_not_taken(self, pipeline: Pipeline, value: bytes | None) -> None:
        """What is no object, malformed, ambiguous or too deep."""
        assert taken(pipeline, [value, value]) == 0

    def test_once(self, pipeline: Pipeline) -> None:
        """A kind is learnt when it comes again: records that are each of their own kind cost no more than before."""
        values = [json.dumps(WINDOWS | {f"field_{number}": 1}).encode() for number in range(20)]
        rows = [{"span": 0, "offset": row, "timestamp": 0, "value": value} for row, value in enumerate(values)]

        direct = pipeline.lane("logs").run(pa.RecordBatch.from_pylist(rows, schema=RECORDS))

        assert len(direct.rest) == 20

    def test_size(self) -> None:
        """A record that is longer than the limit is cut, and so not taken."""
        spec, _ = load(Config())
        small = Pipeline(replace(spec, limits=Limits(max_line_bytes=1024), sha=""))

        value = FLAT[0][:-1] + b', "a": "' + b"a" * 1000 + b'"}'

        assert taken(small, [value, value]) == 0
