"""The demo's judge: every planted attack found, nothing else, whichever of alert and acknowledgement comes first."""

from __future__ import annotations

from detector.demo.expected import ALLOWED
from detector.demo.judge import Judge, Latencies
from detector.demo.lines import Attack

PLACE = ("shop.access", 0, 7)
TAGS = ["attack.initial-access", "attack.t1190"]


def judge() -> Judge:
    return Judge(ALLOWED)


class TestJudge:
    def test_found(self) -> None:
        """An alert about a planted record with a tag that fits finds it."""
        it = judge()
        it.plant(PLACE, Attack.SQL_INJECTION)
        it.alert("a", PLACE, TAGS, 20)

        assert (it.alerts, it.missed, it.unexpected) == (1, 0, 0)
        assert it.tallies[Attack.SQL_INJECTION].found == 1

    def test_alert_before_acknowledgement(self) -> None:
        """The broker's answer may come after the alert."""
        it = judge()
        it.alert("a", PLACE, TAGS, 20)
        before = it.unexpected
        it.plant(PLACE, Attack.SQL_INJECTION)

        assert (before, it.unexpected, it.missed) == (1, 0, 0)

    def test_missed(self) -> None:
        """A planted record without an alert is missed."""
        it = judge()
        it.plant(PLACE, Attack.SQL_INJECTION)

        assert (it.missed, it.unexpected) == (1, 0)

    def test_harmless_record(self) -> None:
        """An alert about a record that was not planted is unexpected."""
        it = judge()
        it.plant(PLACE, Attack.SQL_INJECTION)
        it.alert("a", PLACE, TAGS, 20)
        it.alert("b", ("shop.access", 0, 8), TAGS, 20)

        assert (it.missed, it.unexpected) == (0, 1)

    def test_wrong_kind(self) -> None:
        """An alert that is about something else does not find the attack, and is unexpected."""
        it = judge()
        it.plant(PLACE, Attack.AWS_ROOT_LOGIN)
        it.alert("a", PLACE, TAGS, 20)

        assert (it.missed, it.unexpected) == (1, 1)

    def test_several_rules(self) -> None:
        """Several rules may fire for one planted record; it is found once."""
        it = judge()
        it.plant(PLACE, Attack.SQL_INJECTION)
        it.alert("a", PLACE, TAGS, 20)
        it.alert("b", PLACE, TAGS, 20)

        assert (it.alerts, it.missed, it.unexpected, it.tallies[Attack.SQL_INJECTION].found) == (2, 0, 0, 1)

    def test_repeated_alert(self) -> None:
        """The same id again is no new alert, and its latency does not count."""
        it = judge()
        it.plant(PLACE, Attack.SQL_INJECTION)
        first, second = it.alert("a", PLACE, TAGS, 20), it.alert("a", PLACE, TAGS, 9_000)

        assert (first, second, it.alerts, it.latencies.percentile(1.0)) == (True, False, 1, 20.0)

    def test_every_kind_has_tags(self) -> None:
        """There is no kind of attack that nothing could find."""
        assert all(ALLOWED[attack] for attack in Attack)


class TestLatencies:
    def test_none(self) -> None:
        """Without a latency there is no percentile."""
        assert Latencies().percentile(0.5) is None

    def test_percentiles(self) -> None:
        """Nearest rank, to the millisecond."""
        latencies = Latencies()
        for number in range(1, 101):
            latencies.add(number)

        assert [latencies.percentile(share) for share in (0.5, 0.99, 1.0)] == [50.0, 99.0, 100.0]

    def test_bounds(self) -> None:
        """A clock ahead counts as nothing, more than a minute as a minute."""
        latencies = Latencies()
        latencies.add(-5)
        latencies.add(1e9)

        assert (latencies.percentile(0.5), latencies.percentile(1.0)) == (0.0, 60_000.0)
