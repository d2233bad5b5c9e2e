"""Lines of all formats as slots and as columns: what the parsers make of them, by way of events."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from functools import cache

from hypothesis import given, settings
from hypothesis import strategies as st

from detector.config import Limits
from detector.events import Binding, LogSource
from detector.parsing.direct.line_format import LineKind
from detector.parsing.direct.line_lane import LineLane
from detector.parsing.registry import Parsers
from detector.sigma.fields import EventView
from tests.corpora import corpus
from tests.parsing import BUILTIN, batch, parse, parsers_of

LIMITS = Limits()


@cache
def names() -> tuple[str, ...]:
    """All that rules could ask for: ECS names, groups, aliases, and fields within the samples."""
    found = {"", "nowhere"}
    for parser in BUILTIN.text.values():
        found |= parser.definition.fields.keys() | set(parser.pattern.names)
        for binding in parser.declared:
            found |= binding.aliases.keys()
    for program in BUILTIN.programs:
        found |= program.fields.keys()
        for message in program.messages:
            found |= message.fields.keys()
    for event in parse(*samples()).events:
        found |= event.raw.keys() | event.ecs.keys()
    return tuple(sorted(found - {"@timestamp"}))


@cache
def samples() -> tuple[bytes, ...]:
    """The lines among the samples of all formats."""
    definitions = [*BUILTIN.definitions.values(), *BUILTIN.programs]
    records = [sample.record for definition in definitions for sample in definition.samples]
    return tuple(record.encode() for record in records if isinstance(record, str))


@cache
def lane(form: str, topic: LogSource | None = None) -> LineLane:
    return LineLane(BUILTIN, form, topic, LIMITS, lambda logsource: names() if logsource else ())


@cache
def readings(kind: LineKind) -> tuple[tuple[Binding, dict[str, tuple[int, ...]]], ...]:
    """The slots of all names through each log source."""
    return tuple((each, {name: kind.slots_of(each, name) for name in names()}) for each in kind.bindings)


def check(values: Sequence[bytes], form: str = "auto") -> Counter[str]:
    """Compare with events; how many lines of each format were read into slots."""
    for _ in range(25):  # it learns some at a time
        slots, kinds = lane(form).read(batch(values))
    events = {event.record: event for event in parse(*values, form=form, limits=LIMITS).events}
    taken: Counter[str] = Counter()
    for record, number in enumerate(kinds.tolist()):
        if number < 0:
            continue
        kind, event = lane(form).kinds[number], events[record]
        taken[event.format] += 1
        assert event.format == kind.parser.name
        assert "unparsed" not in event.flags
        assert event.bindings == kind.bindings, values[record]
        for binding, places in readings(kind):
            view = EventView(event, binding)
            for name, its in places.items():
                if its or name in event.raw or name in event.ecs or name in binding.aliases:
                    texts = (slots.text(record, slot) for slot in its)
                    found = tuple(text for text in texts if text is not None)
                    assert found == view.texts(name), (event.format, name, values[record])
    return taken


class TestSlots:
    def test_samples(self) -> None:
        """All samples of all formats."""
        taken = check(samples())

        assert len(taken) > 40

    def test_corpora(self) -> None:
        """Real lines of many programs."""
        lines: list[bytes] = []
        for path in ("09_crowdsec/parsers.jsonl", "14_grok/logstash_patterns_spec.jsonl"):
            with corpus(path).open() as file:
                lines += [str(json.loads(row)["line"]).encode() for row in file]

        taken = check(lines)

        assert taken["syslog_rfc3164"] + taken["syslog_rfc5424"] > 200


PIECES = st.lists(
    st.sampled_from(
        ("a", "b", "cs1", "cs1Label", "n", "=", "=", " ", " ", '"', "'", "\\", '\\"', "\\=", "\\n", ",", "\t", "^", "|",
         "-", "1.2.3.4", "6162", "00", "argv", "a0", "msg='", "\x1d", "é", "\u2003", "x y", "(null)", "7")
    ),
    max_size=24,
).map("".join)  # fmt: skip
STYLES = (
    "{from: p}", "{from: p, separator: ',;', absent: ['', '-']}", "{from: p, style: cef}",
    "{from: p, style: leef, separator: d}", "{from: p, style: columns, separator: ',', names: [a, b, n], absent: ['']}",
    "{from: p, style: columns, separator: '|', names: [a, b, n]}", "{from: p, style: audit}",
    "[{from: p}, {from: d, style: cef}]",
)  # fmt: skip
ASKED = ("a", "b", "n", "cs1", "argv", "p", "d", "s.ip", "s.address", "k", "t", "m", "x", "o.name", "o.domain", "f")
FIELDS = """fields:
  s: {from: [a, b, cs1], type: address}
  n: {from: n, type: int}
  k: [{value: one, when: {a: [x, b]}}, {value: two, when: {n: '*', cs1: '*'}}, {from: b, type: text}]
  t: {template: '<{a}{n}>', type: text}
  m: {from: [a, n], map: {b: 1, '7': true}}
  x: [{from: n, when: {s.ip: '*'}}, {value: none}]
  o.name: {from: [b, a], type: account}
  f: {from: cs1, type: file_name}
logsources:
  - {logsource: {product: p}}
  - {logsource: {product: q}, when: {n: '*'}, aliases: {c: [n, 'raw:a']}}
  - {logsource: {category: c}, when: {s.address: [a, b], m: '1'}}
"""


@cache
def styled(style: str) -> tuple[Parsers, LineLane]:
    audit = "audit: [d, p]\n" if style == "audit" else f"unpack: {style}\n"
    parsers = parsers_of(f"name: a\ntitle: A\npattern: '(?P<d>[^:]*):(?P<p>.*)'\nabsent: ['-']\n{audit}{FIELDS}")
    assert not parsers.errors
    return parsers, LineLane(parsers, "a", None, LIMITS, lambda logsource: (*ASKED, "c") if logsource else ())


class TestUnpacking:
    @settings(max_examples=250, deadline=None)
    @given(
        st.sampled_from((*STYLES, "audit")),
        st.lists(st.tuples(st.sampled_from(("", "-", "^", "x5e", "0x09", "EXECVE", "xyz", "a=1")), PIECES), max_size=6),
    )
    def test_any(self, style: str, parts: list[tuple[str, str]]) -> None:
        """Of any text, the fields in it are those that the plain readers find; nearly all are found in columns."""
        parsers, reader = styled(style)
        values = [f"Q{head}:{text}".encode()[1:] for head, text in parts]

        slots, kinds = reader.read(batch(values))

        for event in parse(*values, form="a", parsers=parsers).events:
            number = kinds[event.record]
            if number >= 0:
                kind = reader.kinds[number]
                assert event.bindings == kind.bindings
                for binding in event.bindings:
                    for name in (*ASKED, "c"):
                        texts = (slots.text(event.record, slot) for slot in kind.slots_of(binding, name))
                        found = tuple(text for text in texts if text is not None)
                        assert found == EventView(event, binding).texts(name), name

    def test_plain_ones(self) -> None:
        """What has nothing odd is read in columns, whatever its style."""
        for style, text in zip(
            (*STYLES, "audit"),
            ("a=b n=7", "a=b,n=7", "a=b n=7", "a=b\tn=7", "b,x,7", "b|x|7", "a=b n='7'", "a=b n=7", "a=62 n=7"),
            strict=True,
        ):
            slots, kinds = styled(style)[1].read(batch([f"-:{text}".encode()]))
            kind = styled(style)[1].kinds[kinds[0]]
            assert kinds[0] >= 0
            assert slots.text(0, kind.slots_of(kind.bindings[0], "n")[0]) == "7", style
