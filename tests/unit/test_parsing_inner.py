from __future__ import annotations

import json

import pytest

from tests.parsing import event, parsers_of, sources

BOX = """\
name: box
title: A box
pattern: '(?P<who>\\w+)> (?P<line>.*)'
recognize: {starts: '\\w+> '}
inner: {from: line, program: who}
fields: {message: line, host.name: who}
samples: []
---
name: pair
title: Two words
pattern: '(?P<a>\\w+) (?P<b>\\w+)'
recognize: {starts: '\\w+ \\w+$'}
fields: {user.name: a, message: b}
logsources: [{logsource: {product: pair}}]
samples: []
---
name: tool
title: A tool
programs: tool
messages:
  - pattern: 'did (?P<what>\\w+)'
    fields: {event.action: what}
samples: []
"""
PARSERS = parsers_of(BOX)


class TestInner:
    def test_added(self) -> None:
        """What is recognized inside adds its fields and log sources; its message replaces the line."""
        found = event(b"h> alice left", parsers=PARSERS)

        assert (found.format, found.flags) == ("box", ())
        assert found.ecs == {"host.name": "h", "user.name": "alice", "message": "left"}
        assert found.raw == {"who": "h", "line": "alice left", "a": "alice", "b": "left"}
        assert sources(found) == {(None, "pair", None)}

    def test_deep(self) -> None:
        """A line in a line in a line is parsed; the outermost name of a host stays."""
        found = event(b"x> y> alice left", parsers=PARSERS)

        assert found.ecs == {"host.name": "x", "user.name": "alice", "message": "left"}

    @pytest.mark.parametrize("depth", [20, 500])
    def test_bounded(self, depth: int) -> None:
        """However often it is wrapped, parsing ends."""
        found = event(b"x> " * depth + b"alice left", parsers=PARSERS)

        assert "user.name" not in found.ecs

    def test_program(self) -> None:
        """The parser of the program that wrote the line is asked first."""
        found = event(b"tool> did it", parsers=PARSERS)

        assert found.ecs == {"host.name": "tool", "message": "did it", "event.action": "it"}

    def test_nothing(self) -> None:
        """A line that is nothing known leaves the event as it is."""
        found = event(b"h> !?", parsers=PARSERS)

        assert found.ecs == {"host.name": "h", "message": "!?"}


class TestBuiltIn:
    def test_broken_json(self) -> None:
        """JSON inside that is cut adds nothing."""
        outer = json.dumps({"time": "2024-05-17T10:05:03Z", "stream": "stdout", "log": '{"level": "inf'})

        assert event(outer.encode()).flags == ()
