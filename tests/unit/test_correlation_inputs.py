"""What a window's matches are to correlations."""

from __future__ import annotations

from pathlib import Path

import orjson
import pyarrow as pa
import pytest

from detector.config import Config, Correlation, Input, InputTopic, Rules
from detector.correlation.inputs import MAX_KEY_BYTES, entries_of, group_of, inputs_of, time_of
from detector.correlation.outgoing import ALERT
from detector.pipeline import Pipeline
from detector.reload import load
from detector.sigma.fields import EventView
from detector.window import RECORDS, Span, SpanResult, Window, merge
from tests.correlations import correlation
from tests.sigma import event

TIME_MS = 1_795_507_200_000
LINE = b'192.0.2.7 - - [24/Nov/2026:08:00:05 +0000] "GET %s HTTP/1.1" 404 12 "-" "x"'
RULES = """\
title: A probe
name: probe
id: 8d2f7a52-5f0e-4c39-9a0b-6a6a6a6a6a6a
logsource: {category: webserver}
detection:
  s: {cs-uri-stem|startswith: /probe/}
  condition: s
level: high
---
title: Probes
id: 8d2f7a52-5f0e-4c39-9a0b-6a6a6a6a6a6b
correlation:
  type: value_count
  rules: [probe]
  group-by: [source.ip]
  timespan: 1h
  condition: {gte: 4, field: cs-uri-stem}
"""


def window(*values: bytes) -> Window:
    rows = [{"span": 0, "offset": 100 + n, "timestamp": TIME_MS, "value": value} for n, value in enumerate(values)]
    span = Span("logs", 3, 100, 100 + len(values), len(values), 1_000)
    return Window((span,), pa.RecordBatch.from_pylist(rows, schema=RECORDS))


def run(folder: Path, *values: bytes, rules: str = RULES, enabled: bool = True) -> tuple[SpanResult, int]:
    """What became of a window, and the number of alerts."""
    (folder / "rules.yml").write_text(rules)
    config = Config(
        input=Input(topics=(InputTopic(name="logs"),)),
        rules=Rules(paths=(folder,), builtin=False, watch=False),
        correlation=Correlation(enabled=enabled),
    )
    result = Pipeline(load(config)[0]).run(window(*values))
    return result.spans[0], len(result.messages)


class TestPipeline:
    """Entries of a window."""

    def test_entries(self, tmp_path: Path) -> None:
        """A match is an entry with group, time, coordinates and value, and no alert; other events are neither."""
        part, alerts = run(tmp_path, LINE % b"/probe/1", LINE % b"/", LINE % b"/probe/2")

        found = [(each.group, each.offset, each.ordinal, each.value) for each in part.entries]
        assert found == [('["192.0.2.7"]', 100, 0, "/probe/1"), ('["192.0.2.7"]', 102, 0, "/probe/2")]
        assert {each.time_us for each in part.entries} == {part.newest_us} == {TIME_MS * 1_000 + 5_000_000}
        assert alerts == 0

    def test_generate(self, tmp_path: Path) -> None:
        """With `generate`, its events are alerts, too, and what incidents are told of them."""
        loud = RULES.replace("correlation:", "correlation:\n  generate: true")

        part, alerts = run(tmp_path, LINE % b"/probe/1", rules=loud)

        assert [each.definition.startswith(ALERT) for each in part.entries] == [False, True]
        assert alerts == 1

    def test_switched_off(self, tmp_path: Path) -> None:
        """Without `correlation.enabled` nothing is different from what it was without correlations."""
        part, alerts = run(tmp_path, LINE % b"/probe/1", enabled=False)

        assert (part.entries, part.newest_us, alerts) == ((), None, 1)

    def test_time_passes_without_matches(self, tmp_path: Path) -> None:
        """Also where no rule matches a record, and no event is made of it."""
        record = orjson.dumps({"@timestamp": "2026-11-24T08:00:07Z", "kubernetes": {"pod": "x"}, "message": "hello"})

        part, _ = run(tmp_path, record, record)

        assert part.newest_us == TIME_MS * 1_000 + 7_000_000

    def test_parts_merge(self, tmp_path: Path) -> None:
        """What was read record by record is together again."""
        (tmp_path / "rules.yml").write_text(RULES)
        config = Config(rules=Rules(paths=(tmp_path,), builtin=False), correlation=Correlation(enabled=True))
        pipeline = Pipeline(load(config)[0])

        merged = merge([pipeline.run(window(LINE % b"/probe/1")), pipeline.run(window(LINE % b"/probe/2"))])

        assert len(merged.spans[0].entries) == 2
        assert merged.spans[0].newest_us == TIME_MS * 1_000 + 5_000_000


class TestEntries:
    """The entries of an event."""

    COUNT = correlation(
        {"type": "event_count", "rules": ["a"], "group-by": ["x", "y"], "timespan": "1m", "condition": {"gte": 2}}
    )
    SUM = correlation({"type": "value_sum", "rules": ["a"], "timespan": "1m", "condition": {"gte": 2, "field": "v"}})
    TUPLES = correlation(
        {"type": "value_count", "rules": ["a"], "timespan": "1m", "condition": {"gte": 2, "field": ["v", "x"]}}
    )

    @pytest.mark.parametrize(
        ("fields", "group"),
        [
            ({"x": "1", "y": 2}, ["1", "2"]),
            ({"x": ["1", "3"], "y": {"z": 1}}, ["1", '{"z":1}']),
            ({"x": "1"}, None),
            ({"x": "1", "y": None}, None),
            ({"x": "", "y": "é" * 200}, ["", "é" * (MAX_KEY_BYTES // 2)]),
        ],
    )
    def test_group(self, fields: dict[str, object], group: list[str] | None) -> None:
        """The texts of all fields; an event that lacks one does not count."""
        found = self.entries(self.COUNT, fields)

        assert found == ([] if group is None else [(group_of(group), None)])

    @pytest.mark.parametrize(
        ("value", "number"), [(5, 5.0), ("5.5", 5.5), (["x", "7"], 7.0), ("x", None), (True, None)]
    )
    def test_number(self, value: object, number: float | None) -> None:
        """What is computed with is a number, or does not count."""
        found = self.entries(self.SUM, {"v": value})

        assert found == ([] if number is None else [("[]", number)])

    def test_tuples(self) -> None:
        """Several fields count together; what is long stands by its hash."""
        (short,), (long,), (other,) = (
            self.entries(self.TUPLES, {"v": v, "x": "b"}) for v in ("a", "a" * 999, "a" * 998)
        )

        assert short == ("[]", "a\0b")
        assert len(str(long[1])) == 32
        assert long != other

    def entries(self, rule: object, fields: dict[str, object]) -> list[tuple[str, object]]:
        subject = event(fields)
        view = EventView(subject, subject.bindings[0])
        (inputs,) = inputs_of([rule]).values()  # type: ignore[list-item]
        return [(each.group, each.value) for each in entries_of(inputs, [view], subject, 5, TIME_MS)]


@pytest.mark.parametrize(
    ("event_s", "record_s", "time_s"), [(None, 100, 100), (90, 100, 90), (400, 100, 400), (401, 100, 100), (50, -1, 50)]
)
def test_time(event_s: int | None, record_s: int, time_s: int) -> None:
    """An event's own time, unless it is more than five minutes after its record's."""
    event_us = None if event_s is None else event_s * 1_000_000

    assert time_of(event_us, record_s * 1_000) == time_s * 1_000_000
