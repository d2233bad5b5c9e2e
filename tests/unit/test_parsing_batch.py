from __future__ import annotations

import time
from collections import Counter

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.config import Limits
from detector.events import LogSource
from detector.metrics import DeadLetterReason
from detector.parsing.model import Parsed
from tests.parsing import BUILTIN, REFERENCE_MS, event, parse, sources

ACCESS = b'192.0.2.7 - - [17/May/2024:10:05:03 +0000] "GET /a?b=%s HTTP/1.1" 200 5 "-" "curl"'
SSHD = b"Jun  1 00:00:00 gw sshd[7]: Invalid user %s from 192.0.2.7 port 5"
TRAIL = (
    b'{"eventVersion":"1.08","eventTime":"2024-05-17T10:05:03Z","eventSource":"sts.amazonaws.com",'
    b'"eventName":"GetCallerIdentity","userAgent":"%s"}'
)
SMALL = Limits(max_line_bytes=1_024, max_json_depth=8, max_fields=32, max_events_per_record=3)


def reasons(parsed: Parsed) -> list[DeadLetterReason]:
    return [failure.reason for failure in parsed.failures]


class TestOddInput:
    """The table of odd input in docs/parsing.md, row by row."""

    def test_null(self) -> None:
        """A null value is a dead letter only."""
        parsed = parse(None)

        assert parsed.events == []
        (failure,) = parsed.failures
        assert (failure.reason, failure.evaluated) == (DeadLetterReason.UNDECODABLE, False)

    @pytest.mark.parametrize("value", [b"", b"\n", b"\r\n", b"\xef\xbb\xbf"])
    def test_empty(self, value: bytes) -> None:
        """An empty line is a raw event with an empty message, and a dead letter."""
        parsed = parse(value)

        assert [(found.format, found.ecs) for found in parsed.events] == [("raw", {"message": ""})]
        assert [failure.detail for failure in parsed.failures] == ["empty line"]

    def test_noise(self) -> None:
        """A line that no format recognizes is a raw event without a log source."""
        parsed = parse(b"the quick brown fox")

        (found,) = parsed.events
        assert (found.format, found.flags, found.bindings) == ("raw", ("unparsed",), ())
        assert found.ecs == {"message": "the quick brown fox"}
        assert [(failure.reason, failure.position) for failure in parsed.failures] == [(DeadLetterReason.UNPARSED, 0)]

    @pytest.mark.parametrize("form", ["apache_combined", "auto"])
    def test_invalid_utf8(self, form: str) -> None:
        """Invalid bytes are replaced in the fields, flagged, and kept in the original."""
        found = event(ACCESS % b"\xff\xfe", form=form)

        assert found.format == "apache_combined"
        assert found.flags == ("invalid_utf8",)
        assert found.ecs["url.query"] == "b=\ufffd\ufffd"
        assert found.original == ACCESS % b"\xff\xfe"

    def test_nul_ansi_and_wide_characters(self) -> None:
        """NUL, terminal escapes and characters of four bytes stay as they are."""
        value = "\x00\x1b[31m\U0001f600".encode()

        assert event(ACCESS % value).ecs["url.query"] == "b=\x00\x1b[31m\U0001f600"
        assert event(SSHD % value).ecs["user.name"] == "\x00\x1b[31m\U0001f600"
        assert event(orjson.dumps({"msg": value.decode()})).ecs["message"] == value.decode()

    @pytest.mark.parametrize("value", [ACCESS % b"x", SSHD % b"x", TRAIL % b"x"])
    def test_line_ends_and_byte_order_mark(self, value: bytes) -> None:
        """A byte order mark and line ends are no part of the line."""
        plain, dressed = event(value), event(b"\xef\xbb\xbf" + value + b"\r\n")

        assert (dressed.format, dressed.raw, dressed.ecs) == (plain.format, plain.raw, plain.ecs)
        assert dressed.original == b"\xef\xbb\xbf" + value + b"\r\n"

    def test_line_end_inside(self) -> None:
        """A record is one event, also when it has several lines."""
        found = event(b"Jun  1 00:00:00 gw app: one\n\ttwo\n")

        assert found.ecs["message"] == "one\n\ttwo"

    def test_position_counts_the_bytes_of_the_record(self) -> None:
        """Where parsing stopped is a byte of the record's value."""
        line = '\ufeff192.0.2.7 - ü [17/May/2024:10:05:03 +0000] "GET /ü'.encode()

        (failure,) = parse(line).failures

        assert failure.position == len(line)

    def test_position_in_json(self) -> None:
        """The same for JSON."""
        (failure,) = parse(b'\xef\xbb\xbf{"a":1 x').failures

        assert failure.position == 10

    def test_10_mb_line(self) -> None:
        """A long line is evaluated as far as the limit, in no time, and a dead letter once."""
        limits = Limits()
        started = time.process_time()

        parsed = parse(ACCESS % (b"A" * 10_000_000), ACCESS % b"x")

        assert time.process_time() - started < 1
        long, short = parsed.events
        assert (long.format, long.flags) == ("raw", ("truncated", "unparsed"))
        assert len(str(long.ecs["url.query"])) > limits.max_line_bytes - 100
        assert sources(long) == {("webserver", None, None)}
        assert len(long.original) == limits.max_line_bytes
        assert (short.format, short.flags) == ("apache_combined", ())
        assert [(failure.reason, failure.evaluated) for failure in parsed.failures] == [
            (DeadLetterReason.TRUNCATED, True)
        ]

    def test_cut_in_the_message(self) -> None:
        """A line of syslog that is cut within its message is still one of syslog."""
        parsed = parse(SSHD % (b"A" * 5_000), limits=SMALL)

        assert [(found.format, found.flags) for found in parsed.events] == [("syslog_rfc3164", ("truncated",))]
        assert reasons(parsed) == [DeadLetterReason.TRUNCATED]

    def test_cut_before_a_character(self) -> None:
        """The cut makes no character invalid."""
        for shift in range(4):
            line = b"Jun  1 00:00:00 gw app: " + b"x" * shift + "\U0001f600".encode() * 400

            assert event(line, limits=SMALL).flags == ("truncated",)

    def test_10000_deep(self) -> None:
        """JSON that is too deep is a raw event with what is not."""
        parsed = parse(TRAIL.replace(b'"%s"', b"[" * 10_000 + b"]" * 10_000))

        (found,) = parsed.events
        assert (found.format, found.flags, found.ecs["event.action"]) == ("raw", ("unparsed",), "GetCallerIdentity")
        assert sources(found) == {(None, "aws", "cloudtrail")}
        assert "nested more than 64 deep" in parsed.failures[0].detail

    def test_10000_fields(self) -> None:
        """JSON with too many fields is a raw event with the first of them."""
        parsed = parse(orjson.dumps({"msg": "x", **{f"k{number}": number for number in range(10_000)}}))

        (found,) = parsed.events
        assert (found.format, len(found.raw), found.ecs["message"]) == ("raw", 1_024, "x")
        assert reasons(parsed) == [DeadLetterReason.UNPARSED]

    @pytest.mark.parametrize("value", [b"[1,2]", b'"x"', b"5", b"null", b"[]", b"[[{}]]"])
    def test_no_object(self, value: bytes) -> None:
        """JSON that is no object is a raw event, as JSON and as anything."""
        for form in ("json", "auto"):
            parsed = parse(value, form=form)

            assert [found.format for found in parsed.events] == ["raw"]
            assert reasons(parsed) == [DeadLetterReason.UNPARSED]


class TestArrays:
    def records(self, *elements: object) -> bytes:
        return orjson.dumps({"Records": elements})

    def trail(self, name: str) -> dict[str, object]:
        return {"eventVersion": "1", "eventSource": "s3.amazonaws.com", "eventName": name}

    @pytest.mark.parametrize("form", ["aws_cloudtrail", "auto"])
    def test_bad_elements(self, form: str) -> None:
        """Elements that are no events are dead letters with their ordinal; the others are evaluated."""
        value = self.records(self.trail("a"), None, {"x": 1}, "text", self.trail("b"))

        parsed = parse(value, form=form)

        assert [(found.ordinal, found.format) for found in parsed.events] == [
            (0, "aws_cloudtrail"),
            (2, "raw"),
            (4, "aws_cloudtrail"),
        ]
        assert [(failure.ordinal, failure.reason, failure.evaluated) for failure in parsed.failures] == [
            (1, DeadLetterReason.BAD_ELEMENT, False),
            (2, DeadLetterReason.BAD_ELEMENT, True),
            (3, DeadLetterReason.BAD_ELEMENT, False),
        ]

    def test_many_bad_elements(self) -> None:
        """A record is not copied to the dead letters thousands of times."""
        parsed = parse(self.records(self.trail("a"), *([None] * 1_000)))

        assert reasons(parsed) == [DeadLetterReason.BAD_ELEMENT] * 17
        assert parsed.failures[-1].detail.startswith("984 more elements")

    def test_original(self) -> None:
        """The original of an element is its own JSON text."""
        parsed = parse(self.records(self.trail("a"), self.trail("b")))

        assert [orjson.loads(found.original) for found in parsed.events] == [self.trail("a"), self.trail("b")]

    def test_too_many(self) -> None:
        """Beyond the limit of events, the record is a dead letter, and the first events are evaluated."""
        parsed = parse(self.records(*(self.trail(str(number)) for number in range(5))), limits=SMALL)

        assert [found.raw["eventName"] for found in parsed.events] == ["0", "1", "2"]
        assert reasons(parsed) == [DeadLetterReason.TRUNCATED]

    def test_fields_count_per_event(self) -> None:
        """The limits of depth and fields are those of an event, not of the array."""
        wide = self.trail("wide") | {f"k{number}": number for number in range(40)}
        parsed = parse(self.records(*(self.trail("a") for _ in range(2)), wide), limits=SMALL)

        assert [found.format for found in parsed.events] == ["aws_cloudtrail", "aws_cloudtrail", "raw"]
        assert reasons(parsed) == [DeadLetterReason.BAD_ELEMENT]

    def test_cut(self) -> None:
        """Of an array that is cut, the whole elements are events of their format, and the last is raw."""
        value = self.records(*(self.trail(str(number)) for number in range(100)))

        parsed = parse(value, limits=Limits(max_line_bytes=1_024))

        formats = [found.format for found in parsed.events]
        assert formats == ["aws_cloudtrail"] * (len(formats) - 1) + ["raw"]
        assert len(formats) > 10
        assert reasons(parsed) == [DeadLetterReason.TRUNCATED]

    def test_empty(self) -> None:
        """An empty array is an object like any other: no record goes without a trace."""
        assert [found.format for found in parse(self.records()).events] == ["json"]

    def test_another_service_with_records(self) -> None:
        """Notifications of S3 have the same shape, and are no CloudTrail."""
        value = self.records({"eventVersion": "2.1", "eventSource": "aws:s3", "eventName": "ObjectCreated:Put"})

        assert [found.format for found in parse(value).events] == ["json"]

    def test_top_level(self) -> None:
        """An array of events may stand alone."""
        parsed = parse(orjson.dumps([self.trail("a"), self.trail("b")]))

        assert [(found.ordinal, found.format) for found in parsed.events] == [
            (0, "aws_cloudtrail"),
            (1, "aws_cloudtrail"),
        ]


class TestFixedFormat:
    def test_other_lines(self) -> None:
        """What is not of the topic's format is a raw event that declares the format's log source all the same."""
        parsed = parse(b"GET /etc/passwd", form="apache_combined")

        (found,) = parsed.events
        assert (found.format, found.flags) == ("raw", ("unparsed",))
        assert sources(found) == {("webserver", None, None)}

    @pytest.mark.parametrize(
        "line",
        [
            ACCESS.replace(b'" 200', b" 200") % b"1'+or+1=1",
            ACCESS.replace(b"200 5", b"OK") % b"1'+or+1=1",
            b"junk junk " + ACCESS % b"1'+or+1=1",
            ACCESS.replace(b"- -", b"- - x") % b"1'+or+1=1",
            (ACCESS % (b"1'+or+1=1&" + b"A" * 2_000)),
        ],
    )
    def test_the_request_is_always_seen(self, line: bytes) -> None:
        """However a line is broken or padded, rules on the query see the request."""
        found = event(line, form="apache_combined", limits=SMALL)

        (binding,) = found.bindings
        values = [str(found.ecs.get(path)) for path in binding.aliases["cs-uri-query"]]
        assert any("1' or 1=1" in value for value in values)

    def test_json_lacks_members(self) -> None:
        """An object that lacks what the format needs is raw, with the fields that it has."""
        found = event(b'{"eventName":"StopLogging","userIdentity":{"type":"Root"}}', form="aws_cloudtrail")

        assert (found.format, found.ecs["event.action"], found.ecs["user.name"]) == ("raw", "StopLogging", "root")
        assert sources(found) == {(None, "aws", "cloudtrail")}

    def test_json_is_none(self) -> None:
        """What is no JSON is a raw event of the format's log source."""
        found = event(b"StopLogging", form="aws_cloudtrail")

        assert (found.format, found.ecs["message"]) == ("raw", "StopLogging")
        assert sources(found) == {(None, "aws", "cloudtrail")}


class TestText:
    @pytest.mark.parametrize(
        ("value", "text"),
        [
            (ACCESS % b"x", True),
            (b"noise", True),
            (ACCESS[:60], True),
            (TRAIL % b"x", False),
            (b'{"a":1}', False),
            (b'{"a":1', True),
            (b'{"Records":[%s]}' % (TRAIL % b"x"), False),
        ],
    )
    def test_keywords(self, value: bytes, text: bool) -> None:
        """Keywords search the line of a text, and of JSON that is broken; else the values."""
        assert event(value).text is text


class TestLogSources:
    def test_completed(self) -> None:
        """A topic's log source is added, completed by the parser's, with the parser's names of fields."""
        found = event(ACCESS % b"x", logsource=LogSource(product="apache", service="access"))

        assert sources(found) == {("webserver", None, None), ("webserver", "apache", "access")}
        assert len({id(binding.aliases) for binding in found.bindings}) == 1

    def test_alone(self) -> None:
        """An event without a log source has the topic's."""
        topic = LogSource("application", "django")

        assert sources(event(b'{"a":1}', logsource=topic)) == {("application", "django", None)}
        assert sources(event(b"noise", logsource=topic)) == {("application", "django", None)}

    def test_by_program(self) -> None:
        """The program that wrote a line decides what it is."""
        line = b"Jun  1 00:00:00 gw %s[1]: x"

        assert sources(event(line % b"CRON")) == {
            (None, "linux", "syslog"),
            (None, "linux", "cron"),
            (None, "linux", "auth"),
        }
        assert sources(event(line % b"app")) == {(None, "linux", "syslog")}
        assert (None, "linux", "auth") in sources(event(b"<81>" + line % b"app"))

    def test_absent_is_not_null(self) -> None:
        """A null stays a null, what is not there is not there."""
        found = event(b'{"event":{"category":null}}')

        assert found.ecs == {"event.category": None}
        assert found.raw == {"event": {"category": None}}


class TestTime:
    def test_no_timestamp(self) -> None:
        """Without the record's time nothing is implausible, and a time without year is unknown."""
        assert event(ACCESS % b"x", timestamp_ms=-1).time_us == 1_715_940_303_000_000
        assert event(SSHD % b"x", timestamp_ms=-1).flags == ("no_reference_time",)

    @pytest.mark.parametrize("timestamp_ms", [-(2**63), 2**63 - 1, 0, 253_402_300_799_001])
    def test_any_timestamp(self, timestamp_ms: int) -> None:
        """No timestamp of a record raises."""
        assert len(parse(ACCESS % b"x", SSHD % b"x", timestamp_ms=timestamp_ms).events) == 2

    def test_next_candidate(self) -> None:
        """Of several members that may hold the time, the first that can be read counts."""
        found = event(b'{"time":"soon","ts":1715940303}')

        assert (found.time_us, found.flags) == (1_715_940_303_000_000, ())
        assert event(b'{"time":"soon"}').flags == ("bad_time",)

    def test_not_the_wall_clock(self) -> None:
        """The same record gives the same event at any time, near its own time or not."""
        day_ms = 86_400_000

        years = [event(SSHD % b"x", timestamp_ms=REFERENCE_MS + days * day_ms).time_us for days in (-100, 0, 150)]

        assert years == [None, 1_717_200_000_000_000, 1_717_200_000_000_000]


class TestOrder:
    def test_records(self) -> None:
        """Events and failures come in the order of the records, whatever their formats."""
        values = [ACCESS % b"x", b"noise", SSHD % b"x", TRAIL % b"x", b'{"a":', ACCESS % b"y", None, SSHD % b"y"] * 10

        parsed = parse(*values)

        assert [found.record for found in parsed.events] == [row for row in range(80) if row % 8 != 6]
        assert Counter(failure.record % 8 for failure in parsed.failures) == {1: 10, 4: 10, 6: 10}

    @settings(max_examples=30)
    @given(st.lists(st.sampled_from([ACCESS % b"x", b"noise", SSHD % b"x", TRAIL % b"x", b'{"a":', ACCESS % b"\xff"])))
    def test_alone_and_together(self, values: list[bytes]) -> None:
        """A record gives the same events alone as among others, in columns or line by line."""
        together = parse(*(values * 5)).events[: len(values)]

        for row, found in enumerate(together):
            (alone,) = parse(values[row]).events
            alone.record = row
            assert alone == found


LINES = st.sampled_from(
    [
        sample.record.encode() if isinstance(sample.record, str) else orjson.dumps(sample.record)
        for definition in (*BUILTIN.definitions.values(), *BUILTIN.programs)
        for sample in definition.samples
    ]
)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A line of some format, cut and stuffed."""
    line = bytearray(draw(LINES))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(line)))
        line[at : at + draw(st.integers(0, 9))] = draw(
            st.binary(max_size=6) | st.sampled_from([b'"', b"\\", b"[", b" "])
        )
    return bytes(line)


class TestFuzz:
    @settings(max_examples=150)
    @given(st.binary(max_size=200) | mutated(), st.sampled_from(["auto", *BUILTIN.definitions]))
    def test_every_parser_on_everything(self, value: bytes, form: str) -> None:
        """No bytes raise in any parser; each record has an event or a failure, and the event can be written."""
        parsed = parse(value, form=form, limits=SMALL)

        assert parsed.events or parsed.failures
        for found in parsed.events:
            orjson.dumps([found.raw, found.ecs, found.flags])
            assert found.record == 0
            assert (found.format == "raw") == ("unparsed" in found.flags)

    @pytest.mark.parametrize("form", ["auto", *BUILTIN.definitions])
    @pytest.mark.parametrize(
        "piece", [b" ", b'"', b"\\", b"[", b"<1>", b"a ", b'" "', b"- ", b"{", b": ", b"\xff", b'\\"']
    )
    def test_no_runaway(self, form: str, piece: bytes) -> None:
        """A quarter of a megabyte of anything is done within a second."""
        prefix = {"apache": b'192.0.2.7 - - [17/May/2024:10:05:03 +0000] "', "syslog": b"Jun  1 00:00:00 gw sshd[7]: "}
        value = piece * (250_000 // len(piece))
        started = time.process_time()

        parse(value, prefix.get(form.partition("_")[0], b"") + value, form=form)

        assert time.process_time() - started < 1
