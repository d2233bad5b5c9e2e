from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.config import Limits
from detector.parsing.timestamps import Instant, TimeParser, epoch, plausible, rfc3339
from tests.parsing import BUILTIN, batch

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DATES = st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1))  # noqa: DTZ001 -- given their zone below
ZONES = st.integers(-23 * 60 - 59, 23 * 60 + 59).map(lambda minutes: timezone(timedelta(minutes=minutes)))


def micros(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(microseconds=1)


def instant(form: str, text: object, reference: str | None = None) -> Instant | None:
    reference_us = micros(datetime.fromisoformat(reference)) if reference else None
    return TimeParser((form,)).parse(text, reference_us)[0]


class TestAgainstTheStandardLibrary:
    """strptime and fromisoformat are the oracle: they share no code with ours."""

    @given(DATES, ZONES)
    def test_access_logs(self, naive: datetime, zone: timezone) -> None:
        """The time of an access log is the instant that strptime reads."""
        text = naive.replace(tzinfo=zone).strftime("%d/%b/%Y:%H:%M:%S %z")

        found = instant("%d/%b/%Y:%H:%M:%S %z", text)

        assert found is not None
        assert found.us == micros(datetime.strptime(text, "%d/%b/%Y:%H:%M:%S %z"))

    @given(DATES, ZONES, st.sampled_from(("auto", "seconds", "milliseconds", "microseconds")))
    def test_rfc3339(self, naive: datetime, zone: timezone, precision: str) -> None:
        """RFC 3339 with any number of digits is the instant that fromisoformat reads."""
        text = naive.replace(tzinfo=zone).isoformat(timespec=precision)

        found = instant("rfc3339", text)

        assert found is not None
        assert found.us == micros(datetime.fromisoformat(text))

    @given(DATES, st.integers(-180, 180))
    def test_missing_year(self, naive: datetime, days: int) -> None:
        """A time without year is the one of all years that is nearest to the record's time."""
        moment = naive.replace(microsecond=0, tzinfo=UTC)
        reference = moment + timedelta(days=days)
        text = moment.strftime("%b %d %H:%M:%S")

        found, flag = TimeParser(("%b %d %H:%M:%S",)).parse(text, micros(reference))

        assert flag is None
        assert found is not None
        assert found.us == micros(moment)

    @given(st.integers(0, 4_102_444_800_000_000))
    def test_text(self, us: int) -> None:
        """The text of an instant is read back as the same instant."""
        assert instant("rfc3339", rfc3339(us)) == Instant(us, rfc3339(us), leap=False)


class TestForms:
    @pytest.mark.parametrize(
        ("form", "text", "expected"),
        [
            ("rfc3339", "2024-05-17T10:05:03Z", "2024-05-17T10:05:03Z"),
            ("rfc3339", "2024-05-17 10:05:03", "2024-05-17T10:05:03Z"),
            ("rfc3339", "2024-05-17T10:05:03,25+0200", "2024-05-17T08:05:03.250000Z"),
            ("rfc3339", "2024-05-17T10:05:03.123456789-03:30", "2024-05-17T13:35:03.123456Z"),
            ("%b %e %H:%M:%S %Y", "Jan  2 03:04:05 2024", "2024-01-02T03:04:05Z"),
            ("%y%m%d %H:%M:%S", "240102  3:04:05", "2024-01-02T03:04:05Z"),
            ("%d/%m/%Y %H:%M:%S.%f", "02/01/2024 03:04:05.5", "2024-01-02T03:04:05.500000Z"),
            ("epoch", "1715940303", "2024-05-17T10:05:03Z"),
            ("epoch", "1715940303.25", "2024-05-17T10:05:03.250000Z"),
            ("epoch", 1715940303250, "2024-05-17T10:05:03.250000Z"),
            ("epoch", "1715940303250001", "2024-05-17T10:05:03.250001Z"),
            ("epoch", "1715940303250001999", "2024-05-17T10:05:03.250001Z"),
            ("epoch", 1715940303.25, "2024-05-17T10:05:03.250000Z"),
        ],
    )
    def test_reads(self, form: str, text: object, expected: str) -> None:
        """Each form becomes UTC; a time without zone is UTC."""
        found = instant(form, text)

        assert found is not None
        assert found.text == expected

    @pytest.mark.parametrize(
        ("form", "text"),
        [
            ("rfc3339", "2024-02-30T10:05:03Z"),
            ("rfc3339", "2024-05-17T24:05:03Z"),
            ("rfc3339", "2024-05-17T10:05:61Z"),
            ("rfc3339", "2024-05-17T10:05"),
            ("rfc3339", "2024-05-17T10:05:03Zx"),
            ("rfc3339", "\uff12024-05-17T10:05:03Z"),
            ("rfc3339", "0000-01-01T00:00:00Z"),
            ("%d/%b/%Y:%H:%M:%S %z", "17/Foo/2024:10:05:03 +0000"),
            ("%d/%b/%Y:%H:%M:%S %z", "17/May/2024:10:05:03 +2500"),
            ("epoch", "-5"),
            ("epoch", "1" * 21),
            ("epoch", True),
            ("rfc3339", 1715940303),
            ("epoch", None),
        ],
    )
    def test_refuses(self, form: str, text: object) -> None:
        """What is no time is flagged, and gives none."""
        assert TimeParser((form,)).parse(text, None) == (None, "bad_time")

    def test_leap_second(self) -> None:
        """`:60` is the first second of the next minute, and says so."""
        assert instant("rfc3339", "2016-12-31T23:59:60Z") == Instant(
            1_483_228_800_000_000, "2017-01-01T00:00:00Z", True
        )

    def test_29_february(self) -> None:
        """A day that only leap years have is in the nearest of them that is next to the record's year."""
        found = instant("%b %d %H:%M:%S", "Feb 29 12:00:00", "2025-01-01T00:00:00+00:00")

        assert found is not None
        assert found.text == "2024-02-29T12:00:00Z"

    def test_no_reference(self) -> None:
        """Without the record's time, a time without year stays unknown."""
        assert TimeParser(("%b %d %H:%M:%S",)).parse("Feb 20 12:00:00", None) == (None, "no_reference_time")

    def test_same_text_another_year(self) -> None:
        """What is remembered of a text does not outlive the record's year."""
        parser = TimeParser(("%b %d %H:%M:%S",))

        found = [
            parser.parse("Feb 20 12:00:00", micros(datetime(year, 3, 1, tzinfo=UTC)))[0] for year in (2020, 2024, 2020)
        ]

        assert [moment.text[:4] for moment in found if moment] == ["2020", "2024", "2020"]

    def test_unknown_format(self) -> None:
        """A format that is not known is an error when the definition is loaded."""
        with pytest.raises(ValueError, match="%Q is not known"):
            TimeParser(("%Q",))

    @given(st.text(max_size=40))
    def test_any_text(self, text: str) -> None:
        """No text raises."""
        for form in ("rfc3339", "epoch", "%d/%b/%Y:%H:%M:%S %z", "%b %d %H:%M:%S"):
            TimeParser((form,)).parse(text, 0)


class TestPlausible:
    def test_bounds(self) -> None:
        """A day ahead and ten years behind are the last plausible times."""
        day, now = 86_400_000_000, micros(datetime(2024, 1, 1, tzinfo=UTC))

        assert plausible(now + day, now)
        assert not plausible(now + day + 1, now)
        assert plausible(now - int(3652.5 * day), now)
        assert not plausible(now - int(3652.5 * day) - 1, now)
        assert plausible(0, None)


class TestEpoch:
    def test_digits(self) -> None:
        """11 digits are the last seconds (the year 5138); 21 digits are no time."""
        last = epoch("9" * 11)

        assert last is not None
        assert last.text == "5138-11-16T09:46:39Z"
        assert epoch("9" * 21) is None


class TestZones:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("2024-01-15 12:00:00", "2024-01-15T11:00:00Z"),
            ("2024-07-15 12:00:00", "2024-07-15T10:00:00Z"),
            ("2024-10-27 02:30:00", "2024-10-27T00:30:00Z"),  # comes twice: the earlier
            ("2024-03-31 02:30:00", "2024-03-31T01:30:00Z"),  # is left out: an hour later
            ("2024-07-15 12:00:00Z", "2024-07-15T12:00:00Z"),
            ("2024-07-15 12:00:00+05:00", "2024-07-15T07:00:00Z"),
        ],
    )
    def test_default(self, text: str, expected: str) -> None:
        """A time without a zone is one of the zone that is configured."""
        instant, _ = TimeParser(("rfc3339",), ZoneInfo("Europe/Berlin")).parse(text, None)

        assert instant is not None
        assert instant.text == expected

    def test_without_year(self) -> None:
        """Neither a year nor a zone: both are found."""
        instant, _ = TimeParser(("%b %d %H:%M:%S",), ZoneInfo("America/New_York")).parse(
            "May 17 06:05:03", 1_715_940_000_000_000
        )

        assert instant is not None
        assert instant.text == "2024-05-17T10:05:03Z"

    @pytest.mark.parametrize(
        ("text", "expected"),
        [("17/05/2024 12:05 AM", "00:05"), ("17/05/2024 12:05 PM", "12:05"), ("17/05/2024 1:05 pm", "13:05")],
    )
    def test_half_days(self, text: str, expected: str) -> None:
        """Twelve at night is 0, twelve at noon 12."""
        instant, _ = TimeParser(("%d/%m/%Y %I:%M %p",)).parse(text, None)

        assert instant is not None
        assert instant.text == f"2024-05-17T{expected}:00Z"

    def test_of_a_topic(self) -> None:
        """A topic's zone reaches lines, JSON and lines within lines."""
        lines = [b"2024-07-15 12:00:00 ERROR x", b'{"time":"2024-07-15 12:00:00","level":"info","msg":"x"}']

        parsed = BUILTIN.parse(
            batch(lines, 1_721_000_000_000), format="auto", logsource=None, limits=Limits(), time_zone="Europe/Berlin"
        )

        assert [found.ecs["@timestamp"] for found in parsed.events] == ["2024-07-15T10:00:00Z"] * 2
