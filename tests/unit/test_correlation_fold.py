"""Signals and the fold over them: whatever way the same events come, the same alerts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.config import Correlation as Settings
from detector.correlation.fold import Fired, Fold
from detector.correlation.inputs import Entry, entries_of, group_of, inputs_of, silenced
from detector.correlation.rule import Correlation, Kind
from detector.correlation.signals import Columns, Signal, Signals, SignalsError, decode, encode
from detector.sigma.fields import EventView
from detector.window import Span, SpanResult, WindowResult
from tests.correlations import BASES, PARTITIONS, SOURCES, Replica, Seen, correlation, crossings, oracle, window
from tests.sigma import event, load

SECOND = 1_000_000
LATE_US = 10 * SECOND
SECTIONS: tuple[dict[str, Any], ...] = (
    {"type": "event_count", "condition": {"gte": 3}},
    {"type": "value_count", "condition": {"gte": 2, "field": "v"}},
    {"type": "temporal"},
    {"type": "temporal_ordered"},
    {"type": "event_count", "condition": {"lt": 3}},
    {"type": "value_sum", "condition": {"gte": 3, "field": "v"}},
)
RULES = [
    correlation(
        {"rules": ["a", "b", "c"], "group-by": ["g"], "timespan": "10s", **section},
        id=f"{number:08d}-0000-4000-8000-000000000000",
    )
    for number, section in enumerate(SECTIONS, start=1)
]
SETTINGS = Settings()


def entry(number: int, time_us: int, offset: int, *, group: str = "x", rule: int = 0, value: float = 1) -> Entry:
    return Entry(RULES[number].definition, rule, group_of([group]), time_us, offset, 0, value, 0)


def ids(fired: list[Fired]) -> list[tuple[str, str, int]]:
    return [(each.correlation.key, each.hit.group, each.hit.start_us) for each in fired]


def columns(signal: Signal) -> Columns:
    return decode(encode(signal))


def value_of(rule: Correlation, seen: Seen) -> str | float:
    return str(seen.value) if rule.kind is Kind.VALUE_COUNT else float(seen.value)


EVENT = st.tuples(
    st.sampled_from(["x", "y", "z"]), st.integers(0, 60), st.integers(0, 2), st.integers(0, 3), st.integers(0, 9)
)


class TestSameAnswer:
    """DESIGN's promise: shuffled, repeated, split and restarted it is the same."""

    @settings(max_examples=25, deadline=None)
    @given(st.lists(EVENT, max_size=60), st.data())
    def test_any_way(self, events: list[tuple[str, int, int, int, int]], data: st.DataObject) -> None:
        """Events late by less than the lateness, over two sources, cut into windows, some sent again, with restarts."""
        arrival = sorted(events, key=lambda each: each[1] + each[4])
        seen: list[list[Seen]] = [[], []]
        for number, (group, second, rule, value, _) in enumerate(arrival):
            source = number % 2
            place = (SOURCES[source], len(seen[source]), 0)
            seen[source].append(Seen(group_of([group]), second * SECOND, rule, value, place))
        replica = Replica(RULES, LATE_US)
        positions = [0, 0]

        while any(positions[source] < len(seen[source]) for source in (0, 1)):
            source = data.draw(st.sampled_from([each for each in (0, 1) if positions[each] < len(seen[each])]))
            start = positions[source]
            end = min(len(seen[source]), start + data.draw(st.integers(1, 8)))
            again = max(0, start - data.draw(st.integers(0, 3)))
            for first in {start, again}:
                part = seen[source][first:end]
                entries = [
                    Entry(
                        rule.definition, each.rule, each.group, each.time_us, first + index, 0, value_of(rule, each), 0
                    )
                    for index, each in enumerate(part)
                    for rule in RULES
                ]
                # A source that is behind the other one holds the watermark
                replica.take(window(source, first, end, entries, max(each.time_us for each in part)))
            positions[source] = end
            partition = data.draw(st.integers(0, PARTITIONS - 1))
            if data.draw(st.booleans()):
                replica.snapshot(partition)
            if data.draw(st.booleans()):
                replica.restart(partition)
        for source in (0, 1):
            replica.take(window(source, positions[source], positions[source] + 1, [], 1 << 50))

        everything = seen[0] + seen[1]
        wanted = {(rule.key, *each) for rule in RULES for each in oracle(rule, everything)}
        fired = ids(replica.fired)
        assert len(fired) == len(set(fired))
        assert set(fired) == wanted


def chain(below: dict[str, Any], above: dict[str, Any]) -> list[Correlation]:
    """A correlation of rule a, by two fields, and one of it and rule b, by one of them."""
    documents = [
        {
            "title": "below",
            "name": "below",
            "correlation": {"rules": ["a"], "group-by": ["g", "h"], "timespan": "10s", **below},
        },
        {"title": "above", "name": "above", "correlation": {"group-by": ["g"], "timespan": "20s", **above}},
    ]
    rules = load(*BASES, *(orjson.dumps(document) for document in documents))
    assert rules.refused == ()
    return list(rules.correlations)


BELOW: list[dict[str, Any]] = [
    {"type": "event_count", "condition": {"gte": 3}},
    {"type": "event_count", "condition": {"eq": 2}},
    {"type": "value_count", "condition": {"gte": 2, "field": "v"}},
]
ABOVE: list[dict[str, Any]] = [
    {"type": "temporal_ordered", "rules": ["below", "b"]},
    {"type": "temporal", "rules": ["below", "b"], "condition": "below and not b"},
    {"type": "value_count", "rules": ["below"], "condition": {"gte": 2, "field": "h"}},
    {"type": "event_count", "rules": ["below", "b"], "condition": {"gte": 3}},
]


class TestChains:
    """Correlations of correlations."""

    @pytest.mark.parametrize("above", range(len(ABOVE)))
    @pytest.mark.parametrize("below", range(len(BELOW)))
    @settings(max_examples=15, deadline=None)
    @given(
        events=st.lists(st.tuples(*[st.integers(0, 1)] * 3, st.integers(0, 50), st.integers(0, 9)), max_size=40),
        data=st.data(),
    )
    def test_same_answer(
        self, below: int, above: int, events: list[tuple[int, int, int, int, int]], data: st.DataObject
    ) -> None:
        """In any order within the lateness, with watermarks and restarts between them."""
        lower, upper = chain(BELOW[below], ABOVE[above])
        arrival = sorted(events, key=lambda each: each[3] + each[4])
        seen = [
            (rule, Seen(group_of([f"g{g}", f"h{h}"]), second * SECOND, rule, str(late % 3), (SOURCES[0], offset, 0)))
            for offset, (g, h, rule, second, late) in enumerate(arrival)
        ]
        fold = Fold([upper, lower], [SOURCES[0]], SETTINGS)
        fired: list[tuple[str, str, int]] = []
        newest = 0
        for offset, (rule, each) in enumerate(seen):
            if data.draw(st.integers(0, 9)) == 0:
                dumped = orjson.loads(orjson.dumps(fold.dump()))
                fold = Fold([upper, lower], [SOURCES[0]], SETTINGS)
                fold.load(dumped)
            newest = max(newest, each.time_us)
            group = orjson.loads(each.group)
            taken = (
                Entry(lower.definition, 0, each.group, each.time_us, offset, 0, each.value, 0)
                if rule == 0
                else Entry(upper.definition, 1, group_of(group[:1]), each.time_us, offset, 0, None, 0)
            )
            entries = [taken] if rule == 0 or "b" in upper.names else []
            fired += ids(fold.apply(columns(Signal(SOURCES[0], offset, offset + 1, newest - LATE_US, entries))))
        fired += ids(fold.apply(columns(Signal(SOURCES[0], len(seen), len(seen) + 1, 1 << 60))))

        inputs = [each for rule, each in seen if rule == 0]
        chained = [
            Seen(group_of(orjson.loads(group)[:1]), time_us, 0, orjson.loads(group)[1], ("", start, 0))
            for group, start, time_us in crossings(lower, inputs)
        ]
        others = [replace(each, group=group_of(orjson.loads(each.group)[:1])) for rule, each in seen if rule == 1]
        events_above = chained + (others if "b" in upper.names else [])
        assert len(fired) == len(set(fired))
        assert {each for each in fired if each[0] == lower.key} == {
            (lower.key, *each) for each in oracle(lower, inputs)
        }
        assert {each for each in fired if each[0] == upper.key} == {
            (upper.key, *each) for each in oracle(upper, events_above)
        }

    def test_they_meet(self) -> None:
        """All that a group of the upper one needs goes to one partition."""
        lower, upper = chain(BELOW[0], ABOVE[0])
        taken = inputs_of([lower, upper])

        (first,), (second,) = taken[lower.rules[0]], taken[upper.rules[1]]
        shards = {
            entry.shard
            for inputs, fields in (([first], {"g": "x", "h": "y"}), ([second], {"g": "x"}))
            for subject in [event(fields)]
            for entry in entries_of(inputs, [EventView(subject, subject.bindings[0])], subject, 0, 0)
        }
        assert len(shards) == 1

    def test_quiet(self) -> None:
        """One that another takes is no alert itself."""
        lower, upper = chain(BELOW[0], ABOVE[0])

        assert lower.key in silenced([lower, upper])


class TestFold:
    """Positions, watermarks, bounds."""

    def test_repeated_ranges(self) -> None:
        """What is there already is dropped; of an overlapping range what is new counts."""
        fold = Fold(RULES, SOURCES, SETTINGS)
        first = [entry(0, SECOND, offset) for offset in (0, 1)]
        fold.apply(columns(Signal("logs:0", 0, 2, None, first)))

        again = fold.apply(columns(Signal("logs:0", 0, 2, None, first)))
        overlapping = fold.apply(columns(Signal("logs:0", 1, 3, None, [first[1], entry(0, SECOND, 2)])))

        assert (again, len(overlapping)) == ([], 1)
        assert fold.tally.take()["repeated"] == 3

    def test_gap(self) -> None:
        """A source that goes on elsewhere is counted, and goes on."""
        fold = Fold(RULES, SOURCES, SETTINGS)
        fold.apply(columns(Signal("logs:0", 0, 2, None)))

        fold.apply(columns(Signal("logs:0", 5, 6, None, [entry(0, SECOND, 5)])))

        assert (fold.tally.counts["gaps"], fold.tally.counts["applied"]) == (1, 1)

    def test_nothing_closes_before_every_source_has_spoken(self) -> None:
        """The least of all watermarks counts."""
        fold = Fold(RULES, SOURCES, SETTINGS)

        first = fold.apply(columns(Signal("logs:0", 0, 1, 100 * SECOND, [entry(4, SECOND, 0)])))
        second = fold.apply(columns(Signal("logs:1", 0, 0, 5 * SECOND)))
        third = fold.apply(columns(Signal("logs:1", 0, 0, 50 * SECOND)))

        assert (first, second, ids(third)) == ([], [], [(RULES[4].key, '["x"]', SECOND)])

    def test_late(self) -> None:
        """An event behind every window that is held is counted, no more."""
        fold = Fold(RULES, ["logs:0"], SETTINGS)
        fold.apply(columns(Signal("logs:0", 0, 1, 100 * SECOND)))

        fold.apply(columns(Signal("logs:0", 1, 2, None, [entry(0, 70 * SECOND, 1)])))

        assert fold.tally.counts["late"] == 1

    def test_reload(self) -> None:
        """An unchanged correlation keeps its state, another one's events are counted as unknown."""
        fold = Fold(RULES[:2], SOURCES, SETTINGS)
        fold.apply(columns(Signal("logs:0", 0, 2, None, [entry(0, SECOND, 0), entry(0, SECOND, 1), entry(1, 1, 1)])))

        fold.use([RULES[0]])
        fired = fold.apply(columns(Signal("logs:0", 2, 4, None, [entry(0, SECOND, 2), entry(1, 1, 3)])))

        assert ids(fired) == [(RULES[0].key, '["x"]', 0)]
        assert fold.tally.counts["unknown"] == 1

    def test_bound(self) -> None:
        """Keys that an attacker makes up take no more than their room, and do not push out who is about to fire."""
        fold = Fold(RULES[:1], SOURCES, Settings(max_groups=100))
        fold.apply(columns(Signal("logs:0", 0, 2, None, [entry(0, 1, offset, group="target") for offset in (0, 1)])))

        for offset in range(2, 1_000):
            fold.apply(columns(Signal("logs:0", offset, offset + 1, None, [entry(0, 2, offset, group=str(offset))])))
        fired = fold.apply(columns(Signal("logs:0", 1_000, 1_001, None, [entry(0, 3, 1_000, group="target")])))

        assert fold.groups <= 100
        assert len(fired) == 1
        assert fold.tally.counts["evicted"] > 800


class TestSignals:
    """Messages of windows."""

    def test_every_partition_hears_of_every_window(self) -> None:
        """Also without entries, so that its positions have no gap."""
        messages = Signals(PARTITIONS, 1 << 20, LATE_US).of(window(0, 5, 9, []), 0)

        heard = [decode(message.value) for message in messages]
        assert [message.partition for message in messages] == [0, 1, 2]
        assert {(each.source, each.start, each.end) for each in heard} == {("logs:0", 5, 9)}

    def test_a_group_has_one_partition(self) -> None:
        """All its events meet there."""
        signals = Signals(PARTITIONS, 1 << 20, LATE_US)

        messages = [
            *signals.of(window(0, 0, 1, [entry(0, 1, 0)]), 0),
            *signals.of(window(1, 0, 1, [entry(0, 1, 0)]), 0),
        ]

        assert len({message.partition for message in messages if decode(message.value).columns}) == 1

    def test_large_windows(self) -> None:
        """What exceeds a message is cut between records, without gap or overlap."""
        entries = [entry(0, 1, offset, group=f"a group {offset}") for offset in range(1_000)]

        messages = Signals(1, 20_000, LATE_US).of(window(0, 0, 1_000, entries), 0)

        parts = [decode(message.value) for message in messages]
        assert [part.start for part in parts] == [0, *(part.end for part in parts[:-1])]
        assert parts[-1].end == 1_000
        assert sum(len(part.columns[0]) for part in parts) == 1_000
        assert max(len(message.value or b"") for message in messages) < 20_000

    def test_a_record_too_large(self) -> None:
        """Of a record that no message takes, what does not fit is counted."""
        signals = Signals(1, 20_000, LATE_US)

        (message,) = signals.of(window(0, 0, 1, [entry(0, 1, 0, group=f"a group {n}") for n in range(1_000)]), 0)

        assert len(decode(message.value).columns[0]) + signals.dropped == 1_000

    def test_watermark(self) -> None:
        """The latest time less the lateness; time passes while nothing comes."""
        signals = Signals(1, 1 << 20, LATE_US)
        idle = WindowResult((SpanResult(Span("logs", 0, 1, 1, 0, 1), 0, 0),))

        (busy,) = signals.of(window(0, 0, 1, [], 100 * SECOND), 500 * SECOND)
        (later,) = signals.of(idle, 507 * SECOND)

        assert decode(busy.value).watermark_us == 90 * SECOND
        assert decode(later.value).watermark_us == 97 * SECOND

    def test_a_silent_source(self) -> None:
        """One that never had an event follows the clock, one that is behind says nothing."""
        signals = Signals(1, 1 << 20, LATE_US)
        idle = WindowResult((SpanResult(Span("logs", 0, 0, 0, 0, 0), 0, 0),))
        behind = WindowResult((SpanResult(Span("logs", 1, 0, 0, 0, 5), 0, 0),))

        assert decode(signals.of(idle, 500 * SECOND)[0].value).watermark_us == 490 * SECOND
        assert signals.of(behind, 500 * SECOND) == ()

    @pytest.mark.parametrize(
        "value", [None, b"", b"[]", b"{}", b'{"v":2}', b'{"v":1,"s":"x","f":0,"t":1,"w":0,"d":[],"e":[[1],[]]}']
    )
    def test_not_ours(self, value: bytes | None) -> None:
        """A message that somebody else wrote is said to be none."""
        with pytest.raises(SignalsError):
            decode(value)


class TestSources:
    def test_topic_made_anew_is_another_source(self) -> None:
        """Its offsets begin again, and count: they are not those of the topic that was deleted."""
        old, new = (Signals(1, 10_000, 0, {"logs": each}) for each in ("AAAA", "BBBB"))
        fold = Fold(RULES[:1], ("logs:0:BBBB",), SETTINGS)

        for signals in (old, new, new):
            (message,) = signals.of(window(0, 0, 1, [entry(0, 5, 0)]), 0)
            fold.apply(decode(message.value))

        assert (fold.tally.counts["applied"], fold.tally.counts["repeated"]) == (2, 1)
