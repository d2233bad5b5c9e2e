"""Compile the kernels before they are needed, or load them from numba's cache."""

from __future__ import annotations

from detector.events import Binding, Event, LogSource
from detector.sigma.engine.program import Program
from detector.sigma.fields import EventView
from detector.sigma.nodes import FieldRef, Leaf, Or, Regex, Text, Wildcard


def warm() -> None:
    """Run every kernel once."""
    event = Event(0, 0, {"a": "value", "b": "value"}, {}, b"", "", ())
    binding = Binding(LogSource())
    matchers = (Text(("text",)), Text((Wildcard.ANY, "text")), Regex("v.*e"), FieldRef("b"))
    program = Program([Or(tuple(Leaf("a", matcher) for matcher in matchers))])
    program.run([(event, binding)], lambda _row: EventView(event, binding))
