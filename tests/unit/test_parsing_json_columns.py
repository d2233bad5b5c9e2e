"""Columns of JSON records: the same as by way of events."""

from __future__ import annotations

import json
from random import Random
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.config import Limits
from detector.parsing.columns import TIME
from detector.parsing.direct.text_kernels import distinct
from detector.parsing.json_columns import JsonColumns
from detector.parsing.registry import Parsers, compile_parsers, read_sources
from detector.parsing.simd import padded
from detector.sigma.values import text_of
from detector.window import RECORDS
from tests.unit.test_direct_derived import mutated, samples

NAMES = (TIME, "event.action", "source.ip", "source.address", "user.name", "url.path", "event.outcome", "message")
TIME_MS = 1_717_200_000_000


@pytest.fixture(scope="module")
def parsers() -> Parsers:
    """The built-in ones."""
    return compile_parsers(read_sources(), limits=Limits())


def batch(values: list[bytes]) -> pa.RecordBatch:
    """Records with these values."""
    rows = [{"span": 0, "offset": row, "timestamp": TIME_MS, "value": value} for row, value in enumerate(values)]
    return pa.RecordBatch.from_pylist(rows, schema=RECORDS)


def by_events(parsers: Parsers, records: pa.RecordBatch) -> list[dict[str, Any]]:
    """The rows that the events of records are."""
    events = parsers.parse(records, format="auto", logsource=None, limits=Limits()).events
    found = [{name: event.ecs.get(name) for name in NAMES if name != TIME} for event in events]
    texts = [{name: None if value is None else text_of(value) for name, value in each.items()} for each in found]
    return [each | {TIME: event.time_us} for each, event in zip(texts, events, strict=True)]


class TestJsonColumns:
    """JSON records in columns."""

    @settings(max_examples=8, deadline=None)
    @given(st.integers(0, 1 << 32))
    def test_same(self, parsers: Parsers, seed: int) -> None:
        """The values of events, whatever the records are."""
        random = Random(seed)
        made = [mutated(record, random, 0.1) for record in random.sample(samples(parsers), 30)]
        records = batch([json.dumps(each).encode() for each in made for _ in range(2)])
        reader = JsonColumns(parsers, "auto", NAMES, Limits())
        reader.read(records)

        rows = reader.read(records)

        times = rows[TIME].cast(pa.int64()).to_pylist()
        found = [row | {TIME: time} for row, time in zip(rows.to_pylist(), times, strict=True)]
        assert found == by_events(parsers, records)

    def test_nothing(self, parsers: Parsers) -> None:
        """No records are no rows."""
        assert JsonColumns(parsers, "auto", NAMES, Limits()).read(batch([])).num_rows == 0


class TestDistinct:
    """The kernel that numbers texts."""

    @given(st.lists(st.binary(max_size=20), max_size=30))
    def test_as_a_dictionary(self, texts: list[bytes]) -> None:
        """As a dictionary numbers them."""
        sizes = np.array([len(text) for text in texts], np.int32)
        starts = (np.cumsum(sizes) - sizes).astype(np.int32)
        firsts, numbers = np.empty(len(texts), np.int32), np.empty(len(texts), np.int32)
        table = np.full(128, -1, np.int32)

        count = distinct(padded(np.frombuffer(b"".join(texts), np.uint8)), starts, sizes, table, firsts, numbers)

        known = {text: number for number, text in enumerate(dict.fromkeys(texts))}
        assert numbers.tolist() == [known[text] for text in texts]
        assert firsts[:count].tolist() == [texts.index(text) for text in known]
