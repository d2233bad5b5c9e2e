"""Compile the kernels for lines and JSON before the first records come, or load them from the disk."""

from __future__ import annotations

import pyarrow as pa

from detector.config import Limits
from detector.parsing.direct.lane import warm as warm_json
from detector.parsing.direct.line_lane import LineLane
from detector.parsing.registry import Parsers, ParserSource
from detector.parsing.tokenizer import Tokenizer
from detector.window import RECORDS

_FORMAT = """\
name: a
title: A
pattern: '(?P<a>[^ ]+) (?P<b>\\d+) (?P<c>.*)'
absent: ['-']
fields: {source: {from: a, type: address}, n: {from: b, type: int}, http.request: {from: c, type: http_request}}
logsources: [{logsource: {product: a}}]
recognize: {starts: '[^ ]'}
"""
_NAMES = ("source.ip", "n", "url.path", "url.path_decoded", "a")


def warm() -> None:
    """Run every kernel once."""
    Tokenizer(["(?P<a>a)"]).texts([b"a"])
    parsers = Parsers([ParserSource("a.yml", _FORMAT)], Limits())
    lane = LineLane(parsers, "auto", None, Limits(), lambda _logsource: _NAMES)
    row = {"span": 0, "offset": 0, "timestamp": 0, "value": b"1.2.3.4 5 GET /%41 HTTP/1.1"}
    warm_json()
    lane.read(pa.RecordBatch.from_pylist([row], schema=RECORDS))
