"""Compile the kernels before they are needed, or load them from numba's cache."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from detector.events import Binding, Event, LogSource
from detector.parsing.direct.trie import Trie
from detector.sigma.engine.program import Program
from detector.sigma.engine.slots import FieldSlots, Reading, gather
from detector.sigma.fields import EventView
from detector.sigma.nodes import FieldRef, Leaf, Or, Regex, Text, Wildcard


def warm() -> None:
    """Run every kernel once."""
    event = Event(0, 0, {"a": "value", "b": "value"}, {}, b"", "", ())
    binding = Binding(LogSource())
    matchers = (Text(("text",)), Text((Wildcard.ANY, "text")), Regex("v.*e"), FieldRef("b"))
    program = Program([Or(tuple(Leaf("a", matcher) for matcher in matchers))])
    program.run([(event, binding)], lambda _row: EventView(event, binding))
    slots, _ = Trie().read(pa.array([b'{"a": "value", "b": 1.5}'], pa.binary()), 1 << 10)
    reading = Reading(program.fields)
    view = reading.add({"a": FieldSlots((0,)), "b": FieldSlots((1,))})
    for joined in (frozenset[int](), frozenset([0])):
        gather(slots, reading, np.zeros(1, np.int32), np.full(1, view, np.int32), program.columns, joined)
