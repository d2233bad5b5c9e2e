"""Lines as slots: what rules read there is what they read of the events that the parsers make."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import product

from hypothesis import example, given, settings
from hypothesis import strategies as st

from detector.config import Limits
from detector.demo.generator import access_lines
from detector.events import LogSource
from detector.parsing.direct.line_lane import LineLane
from detector.parsing.direct.line_recognizer import LineRecognizer
from detector.parsing.tokenizer import joined
from detector.sigma.fields import EventView
from detector.sigma.values import text_of
from tests.corpora import corpus
from tests.parsing import BUILTIN, batch, parse, parsers_of

WEB = LogSource("webserver")
ASKED = (
    "", "c-ip", "c-uri", "cs-bytes", "cs-host", "cs-method", "cs-referer", "cs-uri", "cs-uri-query", "cs-uri-stem",
    "cs-user-agent", "cs-username", "cs-version", "sc-bytes", "sc-status", "client", "request", "url.scheme",
    "url.port", "source.port", "source.domain", "nowhere", "forwarded", "user_agent.original",
)  # fmt: skip
LIMITS = Limits(max_line_bytes=2_000)


def lane(form: str = "auto", topic: LogSource | None = None) -> LineLane:
    return LineLane(BUILTIN, form, topic, LIMITS, lambda logsource: ASKED if logsource else ())


RECOGNIZER = LineRecognizer(BUILTIN.recognizer.text)
LANES = {form: lane(form) for form in ("auto", "apache_combined", "apache_common")}


def check(values: Sequence[bytes | None], form: str = "auto") -> int:
    """Compare, and return how many lines were read into slots."""
    slots, kinds = LANES[form].read(batch(values))
    events = {event.record: event for event in parse(*values, form=form, limits=LIMITS).events}
    taken = 0
    for record, number in enumerate(kinds.tolist()):
        if number < 0:
            continue
        taken += 1
        kind = LANES[form].kinds[number]
        event = events[record]
        assert event.format == kind.parser.name
        assert "unparsed" not in event.flags
        assert event.bindings == kind.bindings
        for binding in event.bindings:
            for name in ASKED:
                texts = (slots.text(record, slot) for slot in kind.slots_of(binding, name))
                expected = EventView(event, binding).texts(name)
                assert tuple(text for text in texts if text is not None) == expected, (name, values[record])
    return taken


CLIENTS = (
    "203.0.113.9", "-", "2001:DB8::1", "::ffff:1.2.3.4", "1.2.3.4:80", "[::1]:9", "1.2.3.256", "01.2.3.4", "1.2.3",
    "Host.example", "a_é",
)  # fmt: skip
METHODS = ("GET", "get", "CONNECT", "", "%41", "A" * 33, "GËT", "PROPFIND", '\\"')
URLS = (
    "/", "/a?b=c", "/a?", "*", "", "/a%20b?q=1+%271", "/a+b", "/%zz%4", "/a//b", "/a/./b", "/a/../b", "/%2e%2e/x",
    "/%5c..",
    "http://h.example:8/x?y", "x://y?z%41", "/?u=http://e/%41", "a/b%41", "/%ff%fe", "/é?€=%C3%A9", "/a b",
    "/?a%3Fb?c+d", "a?b://c", "h.example:443", "/%", "/%00", "/a%2Fb", ".", "%2e", "/?+",
)  # fmt: skip
PROTOCOLS = (" HTTP/1.1", "", " http/1.0", " HTTP/", " HTTQ/1.1", " HTTP/1.1 ", " x")
NUMBERS = ("200", "007", "-", "000")
TAILS = (
    '"-" "curl/8"', '"" ""', '"https://x/\\"" "a \\\\"', '"é" "€"', '"-" "-" "10.0.0.1"', '"-" "x" "-"', '"a"b" "c"',
)  # fmt: skip
LINE = st.builds(
    '{} - {} [17/May/2024:10:05:03 +0000] "{} {}{}" {} {} {}'.format,
    st.sampled_from(CLIENTS),
    st.sampled_from(("-", "alice", "bob smith")),
    st.sampled_from(METHODS),
    st.sampled_from(URLS) | st.text(alphabet='/%2e5cé+?&.: \\"a€', max_size=12),
    st.sampled_from(PROTOCOLS),
    st.sampled_from(NUMBERS),
    st.sampled_from((*NUMBERS, "9" * 18, "9" * 19, "0" * 20)),
    st.sampled_from(TAILS),
)
DECIMAL = st.from_regex(r"0{0,2}[0-9]{0,16}(\.[0-9]{0,9})?", fullmatch=True)
VALUE = st.builds(
    lambda before, line, after: before + line.encode() + after,
    st.sampled_from((b"", b"", b"", b"", b"\xef\xbb\xbf", b" ", b"{", b"\xff")),
    LINE,
    st.sampled_from((b"", b"", b"\n", b"\r\n", b"\r\r\n", b" ", b"\xc3", b"\xed\xa0\x80", b"\x00")),
)


class TestSlots:
    @settings(max_examples=150, deadline=None)  # the first example compiles
    @given(st.lists(VALUE | st.none() | st.binary(max_size=60), min_size=1, max_size=12), st.sampled_from(list(LANES)))
    @example([None, b"", b"x" * 3_000], "auto")
    @example([b""], "auto")
    def test_any_line(self, values: list[bytes | None], form: str) -> None:
        """Of any record: the same format, and the same values of each field that rules ask for."""
        check(values, form)

    def test_requests(self) -> None:
        """All requests made of these parts."""
        lines = [
            f'1.2.3.4 - - [17/May/2024:10:05:03 +0000] "{method} {url}{protocol}" 200 5 "-" "x"'.encode()
            for method, url, protocol in product(METHODS, URLS, PROTOCOLS)
        ]

        assert check(lines) > len(lines) * 0.99

    def test_generated(self) -> None:
        """Every line of the demonstration is read into slots."""
        assert check(list(access_lines(1_000, 3, 1_717_200_000_000_000))) == 1_000

    def test_real(self) -> None:
        """So is every line of a real access log."""
        lines = corpus("08_access_logs/elastic_apache_10k.log").read_bytes().splitlines()

        assert check(lines) == len(lines)

    def test_samples(self) -> None:
        """The samples of all formats."""
        samples = [sample.record for definition in BUILTIN.definitions.values() for sample in definition.samples]

        assert check([sample.encode() for sample in samples if isinstance(sample, str)]) > 10

    def test_slice(self) -> None:
        """Records that are a part of a batch."""
        lines = list(access_lines(10, 3, 1_717_200_000_000_000))
        whole, part = batch(lines), batch(lines).slice(4, 3)

        slots, kinds = LANES["auto"].read(part)

        assert kinds.tolist() == LANES["auto"].read(whole)[1][4:7].tolist()
        assert [slots.text(record, 0) for record in range(3)] == [line.decode() for line in lines[4:7]]


class TestFormats:
    def test_unfit(self) -> None:
        """A format that the tokenizer cannot run, or with a template of what may stand in ECS, is not read."""
        fit = "name: a\ntitle: A\npattern: 'a (?P<x>.*)'\nfields: {x.y: x}\nlogsources: [{logsource: {product: p}}]\n"
        for text, count in (
            (fit, 1),
            (fit.replace("fields: {x.y: x}", "fields: {x.y: [x, {value: z}]}"), 1),
            (fit.replace("{x.y: x}", "{x: {from: x, type: hashes}}"), 1),
            (fit.replace("(?P<x>.*)", r"(?P<x>(?i:q)*)"), 0),
        ):
            parsers = parsers_of(text)
            assert not parsers.errors
            assert len(LineLane(parsers, "a", None, LIMITS, lambda _logsource: ()).formats) == count

    @given(
        st.lists(
            st.tuples(st.sampled_from(("1.2.3.4", "1.2.3.4:7", "a.example:8", "-")), st.sampled_from(("9", "x", "-")))
        )
    )
    @settings(max_examples=50, deadline=None)
    def test_one_name_of_two_fields(self, pairs: list[tuple[str, str]]) -> None:
        """The later one counts where it is there."""
        text = (
            "name: a\ntitle: A\npattern: '(?P<x>\\S+) (?P<y>\\S+)'\nabsent: ['-']\n"
            "fields: {s: {from: x, type: address}, s.port: {from: y, type: int}, k: {value: 5}}\n"
            "logsources: [{logsource: {product: p}}]\n"
        )
        parsers = parsers_of(text)
        names = ("s.ip", "s.domain", "s.port", "k", "x", "y")
        values = [f"{x} {y}".encode() for x, y in pairs]

        reader = LineLane(parsers, "a", None, LIMITS, lambda logsource: names if logsource else ())
        slots, kinds = reader.read(batch(values))

        assert kinds.tolist() == [0] * len(values)
        for record, event in enumerate(parse(*values, form="a", parsers=parsers).events):
            for name in names:
                texts = (slots.text(record, slot) for slot in reader.kinds[0].slots_of(event.bindings[0], name))
                expected = EventView(event, event.bindings[0]).texts(name)
                assert tuple(text for text in texts if text is not None) == expected

    @given(
        st.lists(st.from_regex(r"0{0,2}[0-9]{0,9}(\.[0-9]{0,9})?", fullmatch=True) | st.floats().map(str), min_size=1)
    )
    @settings(max_examples=100, deadline=None)
    def test_numbers(self, texts: list[str]) -> None:
        """The text of a number with a fraction is the one by which it compares."""
        parsers = parsers_of("name: a\ntitle: A\npattern: 'x(?P<x>.*)'\nfields: {n: {from: x, type: float}}\n"
                             "logsources: [{logsource: {product: p}}]\n")  # fmt: skip
        values = [f"x{text}".encode() for text in texts]

        slots, _ = LineLane(parsers, "a", None, LIMITS, lambda logsource: ("n",) if logsource else ()).read(
            batch(values)
        )

        for record, event in enumerate(parse(*values, form="a", parsers=parsers).events):
            assert slots.text(record, 1) == (text_of(event.ecs["n"]) if "n" in event.ecs else None)

    def test_the_topics_log_source(self) -> None:
        """It adds to the format's."""
        reader = lane("apache_combined", LogSource(product="apache"))

        reader.read(batch(list(access_lines(1, 3, 1_717_200_000_000_000))))

        (kind,) = reader.kinds
        assert [binding.logsource for binding in kind.bindings] == [WEB, LogSource("webserver", "apache")]


class TestRecognition:
    def test_samples(self) -> None:
        """Each line's format is the one that the recognizer of single lines finds."""
        samples = [sample.record for definition in BUILTIN.definitions.values() for sample in definition.samples]
        lines = [sample.encode() for sample in samples if isinstance(sample, str) and "\n" not in sample]

        assert recognized(lines) == sum(BUILTIN.recognizer.line(line) is not None for line in lines) > 30

    @settings(deadline=None)
    @given(st.lists(LINE | st.text(max_size=80), min_size=1, max_size=10))
    def test_any(self, lines: list[str]) -> None:
        """Also of odd lines and of noise."""
        recognized([line.encode() for line in lines])

    def test_not_lowered(self) -> None:
        """A signature that is no program counts where it comes first."""
        texts = (
            f"name: {name}\ntitle: T\npattern: '(?P<x>.*)'\nrecognize: {{starts: '{starts}', priority: {priority}}}\n"
            for name, starts, priority in (("a", "x", 0), ("b", "(?i:XY)", 1), ("c", "z", 2))
        )
        parsers = parsers_of(*texts)
        data, offsets = joined([b"x1", b"xy", b"z", b"q"])

        found = LineRecognizer(parsers.recognizer.text).lines(data, offsets[:-1], offsets[1:])

        assert {parser.name: rows.tolist() for parser, rows in found} == {"a": [0], "c": [2]}


def recognized(lines: Iterable[bytes]) -> int:
    lines = list(lines)
    data, offsets = joined(lines)
    for _ in range(20):  # it learns some at a time
        found = RECOGNIZER.lines(data, offsets[:-1], offsets[1:])
    names = {row: parser.name for parser, rows in found for row in rows.tolist()}
    for row, line in enumerate(lines):
        parser = BUILTIN.recognizer.line(line)
        assert names.get(row) in (None, parser.name if parser else None)
    return len(names)
