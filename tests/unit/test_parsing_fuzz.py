"""Every parser on every other format's lines, and on lines that are broken or made to be slow."""

from __future__ import annotations

import time

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.config import Limits
from detector.parsing.definition import TextDefinition
from tests.parsing import BUILTIN, batch, event, parse

RECORDS = [
    sample.record.encode() if isinstance(sample.record, str) else orjson.dumps(sample.record)
    for definition in (*BUILTIN.definitions.values(), *BUILTIN.programs)
    for sample in definition.samples
]
TEXTS = [name for name, definition in BUILTIN.definitions.items() if isinstance(definition, TextDefinition)]
SIZE = 20_000
SLOW = [
    *(piece * (SIZE // len(piece)) for piece in (b" ", b"a", b"=", b'"', b"a=", b'a="', b"\\", b"|", b",", b"\t")),
    *(piece * (SIZE // len(piece)) for piece in (b"[", b"1.", b": ", b"0x", b"\x00")),
    b"CEF:0|a|b|c|d|e|f|" + b"a=\\" * (SIZE // 3),
    b"LEEF:2.0|a|b|c|d|^|" + b"a=^" * (SIZE // 3),
    b"date=2024-05-17 time=10:05:03 devname=" + b'"' * SIZE,
    b'203.0.113.7 - - [17/May/2024:10:05:03 +0000] "' + b'\\"' * (SIZE // 2),
    b"Jun  1 00:00:00 web1 kernel: " + b"IN=" * (SIZE // 3),
    b"Jun  1 00:00:00 web1 sudo: " + b"a : b ; " * (SIZE // 8),
    b"Jun  1 00:00:00 mx postfix/smtpd[1]: " + b"x[" * (SIZE // 2),
    b"Jun  1 00:00:00 mx dovecot: imap-login: Disconnected (" + b"(" * SIZE,
    b"%ASA-4-106023: Deny tcp src " + b"a:b/" * (SIZE // 4),
    b"1,2024/05/17 10:05:03,1,TRAFFIC," + b'"",' * (SIZE // 3),
    b"2024/05/17 10:05:03 [error] 1#1: *1 " + b", client: x, server: y" * (SIZE // 22),
    b"1715940303.250000\tC11111111\t1.1.1.1\t1\t1.1.1.1\t1\ttcp\t" + b"-\t" * (SIZE // 2),
]
LONGEST_S = 2.0
"""A line of 20 kB takes some milliseconds; the rest is for busy machines."""


class TestEveryParser:
    @pytest.mark.parametrize("form", [*BUILTIN.definitions, "auto"])
    def test_on_lines_of_others(self, form: str) -> None:
        """A record that is of another format gives an event or a dead letter, and no error."""
        parsed = parse(*RECORDS, form=form)

        answered = {found.record for found in parsed.events} | {found.record for found in parsed.failures}
        assert answered == set(range(len(RECORDS)))

    @pytest.mark.parametrize("form", [*TEXTS, "auto"])
    def test_time(self, form: str) -> None:
        """No line takes long, whatever stands in it."""
        for line in SLOW:
            start = time.perf_counter()
            parse(line, form=form)

            assert time.perf_counter() - start < LONGEST_S, line[:60]


class TestBroken:
    @settings(max_examples=60, deadline=None)
    @given(st.data())
    def test_auto(self, data: st.DataObject) -> None:
        """Records that are cut, repeated within, or have other bytes in them, are still events."""
        record = data.draw(st.sampled_from(RECORDS))
        at = data.draw(st.integers(0, len(record)))
        odd = [b"", b'"', b"\\", b"\x00", b"\xff", b"=", b"|", b"[" * 40, "ü".encode(), record]
        inserted = data.draw(st.sampled_from(odd))
        kept = data.draw(st.integers(at, len(record)))

        parsed = BUILTIN.parse(
            batch([record[:at] + inserted + record[kept:]]), format="auto", logsource=None, limits=Limits()
        )

        assert parsed.events or parsed.failures


class TestNothingIsBent:
    @pytest.mark.parametrize(
        ("line", "message"),
        [
            (b"\x1b[31mred\x1b[0m", "\x1b[31mred\x1b[0m"),
            (b"a\x00b", "a\x00b"),
            (b"crlf\r\n", "crlf"),
            (b"\xef\xbb\xbfbom", "bom"),
            ("😀".encode(), "😀"),
            (b"", ""),
        ],
    )
    def test_noise(self, line: bytes, message: str) -> None:
        """What is of no format is its own message, and its original is kept to the byte."""
        found = event(line)

        assert (found.ecs["message"], found.original, found.format) == (message, line, "raw")
