"""Compile the kernels for lines and JSON before the first records come, or load them from the disk."""

from __future__ import annotations

import pyarrow as pa

from detector.config import Limits
from detector.parsing.direct.lane import warm as warm_json
from detector.parsing.direct.line_lane import LineLane
from detector.parsing.registry import Parsers, ParserSource
from detector.parsing.tokenizer import Tokenizer
from detector.window import RECORDS

_FORMATS = (
    """\
name: a
title: A
pattern: '(?P<a>[^ ]+) (?P<b>\\d+) (?P<c>.*)'
absent: ['-']
fields: {source: {from: a, type: address}, n: {from: b, type: int}, http.request: {from: c, type: http_request}}
logsources: [{logsource: {product: a}}]
recognize: {starts: '[^ ]'}
""",
    """\
name: b
title: B
pattern: '(?P<program>\\w+) (?P<d>[^ ]*) (?P<content>.*)'
program: program
content: content
inner: {from: content}
fields: {n: {from: d, map: {x: 1}}, t: {template: '{d}.', type: text}}
logsources: [{logsource: {product: a}, when: {d: x}}]
""",
    """\
name: c
title: C
programs: [p]
messages: [{pattern: '(?P<m>.*)', fields: {n: {from: m, type: float}}}]
""",
    """\
name: d
title: D
pattern: '(?P<d>[^ ]*) (?P<c>.*)'
unpack:
  - {from: c, absent: ['-']}
  - {from: c, style: cef}
  - {from: c, style: leef, separator: d}
  - {from: c, style: columns, separator: ',', names: [x]}
audit: [d, c]
""",
)
_NAMES = ("source.ip", "n", "url.path", "url.path_decoded", "a", "t", "x", "exe")
_LINES = {"auto": b"1.2.3.4 5 GET /%41 HTTP/1.1", "b": b"p x 5", "d": b'| x="1\\"" exe=41|a=1'}


def warm() -> None:
    """Run every kernel once."""
    Tokenizer(["(?P<a>a)"]).texts([b"a"])
    warm_json()
    parsers = Parsers([ParserSource(f"{number}.yml", text) for number, text in enumerate(_FORMATS)], Limits())
    for form, line in _LINES.items():
        lane = LineLane(parsers, form, None, Limits(), lambda _logsource: _NAMES)
        row = {"span": 0, "offset": 0, "timestamp": 0, "value": line}
        lane.read(pa.RecordBatch.from_pylist([row], schema=RECORDS))
