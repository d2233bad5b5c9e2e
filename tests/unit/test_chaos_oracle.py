"""The oracle of the chaos tests can fail: for each fault there is a case in which it says so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import orjson

from tests.chaos import correlated
from tests.chaos.oracle import Verdict, judge
from tests.harness.load import Acknowledged, Journal, alerting_line, find_token, timestamp_ms, token, unparseable_line
from tests.harness.watch import Seen, read_alert, read_dead_letter

RULES = frozenset({"r1", "r2"})
A, B, D = token(1, 1000), token(2, 2000), token(3, 3000)


def alert(marked: str | None, rule: str, identity: str, *, offset: int) -> Seen:
    return Seen(0.0, False, marked, identity, rule, 0, offset)


def dead_letter(marked: str | None, *, offset: int) -> Seen:
    return Seen(0.0, True, marked, "", "", 0, offset)


def journal() -> Journal:
    acked = [Acknowledged(A, "alert", 0, 7), Acknowledged(B, "alert", 0, 8), Acknowledged(D, "dead_letter", 0, 9)]
    return Journal({A, B, D}, acked)


def seen() -> list[Seen]:
    return [
        alert(A, "r1", "a1", offset=7),
        alert(A, "r2", "a2", offset=7),
        alert(B, "r1", "b1", offset=8),
        alert(B, "r2", "b2", offset=8),
        dead_letter(D, offset=9),
    ]


CLEAN = Verdict(obligations=5, lost=0, doubled=0, invented=0, raw_duplicates=0)


class TestJudge:
    def test_clean(self) -> None:
        """Where each obligation is met once, there is no fault."""
        assert judge(journal(), seen(), RULES) == CLEAN

    def test_nothing_came(self) -> None:
        """Without any output everything is lost."""
        assert judge(journal(), [], RULES) == replace(CLEAN, lost=5)

    def test_alert_of_one_rule_lost(self) -> None:
        """An alert of the other rule does not meet the obligation."""
        assert judge(journal(), seen()[1:], RULES) == replace(CLEAN, lost=1)

    def test_dead_letter_lost(self) -> None:
        """A record that no parser takes is owed a dead letter."""
        assert judge(journal(), seen()[:-1], RULES) == replace(CLEAN, lost=1)

    def test_doubled(self) -> None:
        """Two ids for one record and rule are a double that no subscriber can remove."""
        assert judge(journal(), [*seen(), alert(A, "r1", "other", offset=7)], RULES) == replace(CLEAN, doubled=1)

    def test_raw_duplicate(self) -> None:
        """The same id again is a raw duplicate, for alerts and dead letters, each time it comes."""
        again = [seen()[0], seen()[0], seen()[-1]]

        assert judge(journal(), [*seen(), *again], RULES) == replace(CLEAN, raw_duplicates=3)

    def test_invented_without_token(self) -> None:
        """An alert about a harmless record is invented."""
        assert judge(journal(), [*seen(), alert(None, "r1", "x", offset=3)], RULES) == replace(CLEAN, invented=1)

    def test_invented_token(self) -> None:
        """An alert about a record that was never sent is invented."""
        unknown = alert(token(77, 1), "r1", "x", offset=3)

        assert judge(journal(), [*seen(), unknown], RULES) == replace(CLEAN, invented=1)

    def test_invented_rule(self) -> None:
        """An alert of a rule that the record does not fire is invented."""
        assert judge(journal(), [*seen(), alert(A, "r3", "x", offset=7)], RULES) == replace(CLEAN, invented=1)

    def test_wrong_coordinates(self) -> None:
        """An alert that names another record's offset is invented, and does not meet the obligation."""
        wrong = alert(A, "r1", "a1", offset=8)

        assert judge(journal(), [wrong, *seen()[1:]], RULES) == replace(CLEAN, lost=1, invented=1)

    def test_shared_id(self) -> None:
        """An id that belongs to another alert is invented: a subscriber would drop one of the two."""
        shared = alert(B, "r1", "a1", offset=8)

        assert judge(journal(), [*seen()[:2], shared, *seen()[3:]], RULES) == replace(CLEAN, invented=1)

    def test_dead_letter_of_a_good_record(self) -> None:
        """A record that is fine must not be among the dead letters."""
        assert judge(journal(), [*seen(), dead_letter(A, offset=7)], RULES) == replace(CLEAN, invented=1)

    def test_sent_only(self) -> None:
        """A record whose acknowledgement never came may alert or not."""
        unsure = token(9, 1)
        known = journal()
        known.sent.add(unsure)

        assert judge(known, seen(), RULES) == CLEAN
        assert judge(known, [*seen(), alert(unsure, "r1", "u", offset=10)], RULES) == CLEAN


class TestFaults:
    def test_duplicates_only_count_under_exactly_once(self) -> None:
        """At least once allows the same id again."""
        verdict = replace(CLEAN, raw_duplicates=2)

        assert verdict.faults(exactly_once=False) == {}
        assert verdict.faults(exactly_once=True) == {"raw_duplicates": 2}

    def test_others_always_count(self) -> None:
        """Lost, doubled and invented are faults in both modes."""
        verdict = replace(CLEAN, lost=1, doubled=2, invented=3)

        assert verdict.faults(exactly_once=False) == {"lost": 1, "doubled": 2, "invented": 3}


class TestJournal:
    def test_read(self, tmp_path: Path) -> None:
        """A journal is read back; a last line that was cut off does not count."""
        path = tmp_path / "journal"
        path.write_text(f"sent {A}\nsent {B}\nacked {A} alert 1 42\ntotal 100 0\nacked {B} al")

        assert Journal.read(path) == Journal({A, B}, [Acknowledged(A, "alert", 1, 42)], 100, 0)


class TestToken:
    def test_found_where_it_is_quoted(self) -> None:
        """The lines of the load carry their token, and it tells when they were made."""
        marked = token(5, 1_750_000_000_123)

        assert find_token(alerting_line(marked, 1_750_000_000)) == marked
        assert find_token(unparseable_line(marked)) == marked
        assert timestamp_ms(marked) == 1_750_000_000_123
        assert find_token(b"nothing here") is None


class TestReading:
    def test_alert(self) -> None:
        """Id, rule and coordinates are taken from an alert's JSON."""
        source = {"partition": 1, "offset": 2, "record_timestamp": 1_250}
        value = {"id": "i", "rule": {"id": "r"}, "source": source, "original": {"text": A}}
        text = orjson.dumps(value | {"detected_at": "1970-01-01T00:00:01.500000Z"})
        read = read_alert(SimpleNamespace(value=lambda: text))

        assert (read.dead_letter, read.token, read.identity, read.rule) == (False, A, "i", "r")
        assert (read.partition, read.offset, read.detected, read.recorded) == (1, 2, 1.5, 1.25)

    def test_broken_alert(self) -> None:
        """What is not an alert counts as invented."""
        read = read_alert(SimpleNamespace(value=lambda: b"{}"))

        assert judge(journal(), [*seen(), read], RULES) == replace(CLEAN, invented=1)

    def test_dead_letter(self) -> None:
        """Token and coordinates are taken from a dead letter's value and headers."""
        headers = [("detector.partition", b"3"), ("detector.offset", b"4")]
        read = read_dead_letter(SimpleNamespace(value=lambda: unparseable_line(D), headers=lambda: headers))

        assert (read.dead_letter, read.token, read.partition, read.offset) == (True, D, 3, 4)


class TestCounted:
    """The oracle of the correlations that count."""

    RECORDS = tuple(
        Acknowledged(token(number, (1_000_000 + number // 4) * 1_000), "alert", 0, number) for number in range(120)
    )

    def alerts(self, records: Sequence[Acknowledged]) -> list[dict[str, Any]]:
        """What a service that has these fires at four records a second."""
        return [
            {"id": f"{rule}-{start}", "rule": {"id": rule}, "correlation": {"start": start}}
            for rule, least in ((correlated.MANY, 28), (correlated.TOO_MANY, 46))
            for start in correlated.buckets(records, least)
        ]

    def test_right(self) -> None:
        """What the definition says is no fault."""
        assert len(correlated.buckets(self.RECORDS, 28)) == 3
        assert correlated.judge_counted(self.RECORDS, self.alerts(self.RECORDS), 4) == []

    def test_events_lost(self) -> None:
        """State that is lost shows as buckets that did not fire."""
        faults = correlated.judge_counted(self.RECORDS, self.alerts(self.RECORDS[:60]), 4)

        assert len(faults) == 1
        assert "did not fire" in faults[0]

    def test_events_counted_twice(self) -> None:
        """Events that count twice fire what must not."""
        faults = correlated.judge_counted(self.RECORDS, self.alerts(self.RECORDS * 2), 4)

        assert len(faults) == 1
        assert "must not" in faults[0]

    def test_incident_says_two_things(self) -> None:
        """A version of an incident has one content, and none is left out."""
        first = {"id": "a", "version": 1, "alerts": 2, "detected_at": "now"}

        assert correlated.judge_incidents([first, first | {"detected_at": "later"}]) == []
        assert correlated.judge_incidents([first, first | {"alerts": 3}])
        assert correlated.judge_incidents([first | {"version": 2}])
