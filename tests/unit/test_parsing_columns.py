"""Columns of ECS fields: the values of the events of `Parsers.parse`."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.config import Limits
from detector.demo.generator import access_lines
from detector.parsing import time_kernels
from detector.parsing.addresses import canonical_ip
from detector.parsing.columns import TIME, LineColumns
from detector.parsing.direct.address_kernels import ipv6
from detector.parsing.timestamps import TimeParser
from detector.parsing.tokenizer import joined
from detector.sigma.values import text_of
from tests.corpora import corpus
from tests.parsing import BUILTIN, REFERENCE_MS, batch, parse
from tests.unit.test_line_lane import VALUE

NAMES = (
    TIME, "source.address", "source.ip", "source.port", "user.name", "http.request.method", "url.original", "url.path",
    "url.query_decoded", "http.version", "http.response.status_code", "http.response.body.bytes",
    "http.request.referrer", "user_agent.original", "nowhere",
)  # fmt: skip
INTEGERS = ("source.port", "http.response.status_code", "http.response.body.bytes")
FORMS = {form: LineColumns(BUILTIN, form, NAMES, INTEGERS, Limits()) for form in ("auto", "apache_combined")}


def check(values: list[bytes | None], form: str = "auto", timestamp_ms: int = REFERENCE_MS) -> None:
    rows = FORMS[form].read(batch(values, timestamp_ms)).to_pylist()

    expected = []
    for event in parse(*values, form=form, timestamp_ms=timestamp_ms).events:
        row = {name: event.ecs.get(name) for name in NAMES}
        for name in set(NAMES) - {*INTEGERS, TIME}:
            row[name] = text_of(row[name]) if row[name] is not None else None
        row[TIME] = datetime.fromtimestamp(0, UTC) + event.time_us * US if event.time_us is not None else None
        expected.append(row)
    assert rows == expected


US = datetime.resolution


class TestLineColumns:
    @settings(max_examples=60, deadline=None)
    @given(
        st.lists(VALUE | st.none() | st.just(b'{"source": {"ip": "1.2.3.4"}}') | st.just(b"noise"), max_size=8),
        st.sampled_from(list(FORMS)),
    )
    def test_any(self, values: list[bytes | None], form: str) -> None:
        """Of any record, also of several formats in one batch."""
        check(values, form)

    def test_access_logs(self) -> None:
        """Of generated and of real lines."""
        check(list(access_lines(500, 5, 1_717_200_000_000_000)))
        check(corpus("08_access_logs/elastic_apache_10k.log").read_bytes().splitlines()[:500], timestamp_ms=-1)  # type: ignore[arg-type]

    def test_implausible(self) -> None:
        """A time that cannot belong to the record is none."""
        check([b'1.2.3.4 - - [17/May/1999:10:05:03 +0000] "GET / HTTP/1.1" 200 5'])


FORMATS = [
    ("%d/%b/%Y:%H:%M:%S %z",),
    ("rfc3339",),
    ("%b %d %H:%M:%S", "rfc3339", "%b %d %H:%M:%S.%f", "%b %d %Y %H:%M:%S"),
    ("%y%m%d %e.%m.%Y", "%Y-%m-%d %H:%M:%S,%f"),
]
TIMES = st.sampled_from(
    [
        "17/May/2024:10:05:03 +0200", "29/feb/2023:10:05:03 Z", "29/FEB/2024:23:59:60 -0730", "2024-05-17T10:05:03Z",
        "2024-05-17 10:05:03,1234567 +02:00", "2024-05-17t10:05:03.5", "May 17 10:05:03", "Feb 29 10:05:03",
        "May  7 10:05:03.25", "May 17 2023 10:05:03", "0000-05-17T10:05:03Z", "9999-12-31T23:59:59-23:59",
        "31/Apr/2024:10:05:03 UTC", "May 17 0:05:03", "May 17 2023  9:05:03",
        "1/Jan/0001:00:00:00 +23", "", "2024-05-17 10:05:03,9", "Dec 31 23:59:59",
    ]
)  # fmt: skip


@st.composite
def mistyped(draw: st.DrawFn) -> str:
    text = draw(TIMES)
    at = draw(st.integers(0, len(text)))
    return (
        text[:at]
        + draw(st.sampled_from(["", "", "0", " ", "9", ":", "+", "é", "a"]))
        + text[at + draw(st.integers(0, 1)) :]
    )


EPOCHS = st.from_regex(r"[0-9]{0,21}(\.[0-9]{0,8})?(:[0-9]{0,3})?[x:]?", fullmatch=True) | TIMES


class TestTimes:
    @settings(max_examples=200, deadline=None)
    @given(
        st.sampled_from(FORMATS),
        st.lists(TIMES | mistyped(), min_size=1, max_size=10),
        st.sampled_from([REFERENCE_MS, 1_709_200_000_000, 1_704_067_200_000]),
    )
    def test_as_the_plain_one(self, formats: tuple[str, ...], texts: list[str], reference_ms: int) -> None:
        """What the kernel reads is what the plain parser reads, and it reads all but leap seconds."""
        data, offsets = joined([text.encode() for text in texts])
        steps = time_kernels.steps_of(formats)
        assert steps is not None
        out = np.empty(len(texts), np.int64)
        reference_us = np.full(len(texts), reference_ms * 1_000)
        years = np.full(len(texts), datetime.fromtimestamp(reference_ms / 1000, UTC).year, np.int32)
        starts = offsets[:-1].astype(np.int32)
        time_kernels.times(
            data,
            starts,
            np.diff(offsets).astype(np.int32),
            *steps,
            0,
            reference_us,
            years,
            out,
            np.zeros(time_kernels.PARTS, np.int64),
        )

        for text, us in zip(texts, out.tolist(), strict=True):
            instant, _ = TimeParser(formats).parse(text, reference_ms * 1_000)
            if us != time_kernels.UNREAD:
                assert instant is not None
                assert instant.us == us
            else:
                assert instant is None or instant.leap

    @settings(max_examples=100, deadline=None)
    @given(st.lists(EPOCHS, min_size=1, max_size=8))
    def test_unix_times(self, texts: list[str]) -> None:
        """So it does with Unix times, but those of 20 digits, which it leaves."""
        data, offsets = joined([text.encode() for text in texts])
        steps = time_kernels.steps_of(("rfc3339",))
        assert steps is not None
        out = np.empty(len(texts), np.int64)
        rows = len(texts), REFERENCE_MS * 1_000
        starts, sizes = offsets[:-1].astype(np.int32), np.diff(offsets).astype(np.int32)
        time_kernels.times(
            data,
            starts,
            sizes,
            *steps,
            1,
            np.full(*rows),
            np.full(len(texts), 2024, np.int32),
            out,
            np.zeros(time_kernels.PARTS, np.int64),
        )

        for text, us in zip(texts, out.tolist(), strict=True):
            instant, _ = TimeParser(("rfc3339", "epoch")).parse(text, REFERENCE_MS * 1_000)
            if us != time_kernels.UNREAD:
                assert instant is not None
                assert instant.us == us
            else:
                assert instant is None or instant.leap or len(text.partition(".")[0]) == 20

    def test_left_to_the_plain_one(self) -> None:
        """Of the two halves of a day the kernel knows nothing."""
        assert time_kernels.steps_of(("%a %b %d %I:%M:%S %p %Y",)) is None


class TestAddresses:
    @settings(max_examples=300, deadline=None)
    @given(st.ip_addresses(v=6).map(str) | st.from_regex("[0-9A-Fa-f:]{0,4}(:[0-9A-Fa-f]{0,5}){0,9}", fullmatch=True))
    def test_ipv6(self, text: str) -> None:
        """What the kernel writes is the canonical text; all but mapped ones it can write."""
        data, _ = joined([text.encode() + bytes(64)])
        behind = ipv6(data, 0, len(text), np.empty(8, np.int64), len(text))

        canonical = canonical_ip(text)
        if behind >= 0:
            assert data[len(text) : behind].tobytes().decode() == canonical
        else:
            assert canonical is None or "." in canonical

    @pytest.mark.parametrize("text", ["::", "::1", "1::", "0:0:1:0:0:0:1:0", "1:2:3:4:5:6:7::", "2001:DB8::0:1"])
    def test_edges(self, text: str) -> None:
        """The longest run of zeros is left out, the first of two."""
        data, _ = joined([text.encode() + bytes(64)])

        behind = ipv6(data, 0, len(text), np.empty(8, np.int64), len(text))

        assert data[len(text) : behind].tobytes().decode() == canonical_ip(text)
