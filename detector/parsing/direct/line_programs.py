"""The messages of programs in lines of syslog, for kernels: which program's, which message of it, and its fields."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from detector.parsing.definition import Fields, MessageShape, ProgramDefinition
from detector.parsing.direct import unpack_kernels
from detector.parsing.direct.line_parts import Parts, names_within, sources_of
from detector.parsing.direct.line_steps import Steps, UnfitError
from detector.parsing.direct.line_work import Work
from detector.parsing.direct.names import Names, lookup_all, names_of
from detector.parsing.text import ProgramParser
from detector.parsing.tokenizer import NO_MATCH

_NOTHING = np.zeros(0, np.int32)
_REPEATED = np.frombuffer(b"message repeated ", np.uint8)


class Message:
    """One message of a program.

    certain: whether a line with this message has a field of it, whatever it says.
    """

    __slots__ = ("_fields", "_groups", "_names", "_parts", "_shape", "_steps", "certain")

    def __init__(self, shape: MessageShape, names: tuple[str, ...], optional: frozenset[str], fields: Fields) -> None:
        self._shape = shape
        self._names = names
        self._fields = shape.fields | fields
        self.certain = len(optional) < len(names)
        self._steps: Steps | None = None
        self._parts: Parts | None = None
        self._groups = _NOTHING

    @property
    def names(self) -> frozenset[str] | None:
        """Of its fields as they stand; None: any."""
        within = names_within(self._shape.unpack, None) if self._shape.unpack else frozenset[str]()
        return None if within is None else within | frozenset(self._names)

    @property
    def fields(self) -> Fields:
        """Its ECS fields."""
        return self._fields

    def compile(self, number: Callable[[str], int], slots: dict[str, int], outer: frozenset[str]) -> None:
        """Number the fields that it needs; a message that kernels cannot read has no steps then.

        number: gives a field a number. outer: the fields of the line around it.
        """
        names = self.names

        def own(path: str) -> int:
            if path in self._names:
                return number(path)
            if names is not None and path not in names:
                return -1
            if path in outer:
                raise UnfitError(f"{path} may be a field of the line, too")
            return number(path)

        try:
            self._steps = Steps(self._fields, own, slots)
        except UnfitError:
            self._steps = None
            return
        for source in sources_of(self._shape.unpack, None):
            number(source)

    def finish(self, numbers: dict[str, int]) -> None:
        """All fields have their numbers."""
        self._groups = np.array([numbers.get(name, -1) for name in self._names], np.int32)
        try:
            self._parts = Parts(self._shape.unpack, None, numbers) if self._shape.unpack and self._steps else None
        except UnfitError:
            self._steps = None

    def run(self, work: Work, rows: np.ndarray, begin: np.ndarray, bounds: np.ndarray) -> None:
        """Fill in the slots of lines with this message. bounds: from the tokenizer."""
        if self._steps is None or not self.certain:
            work.slow[rows] = 1
            return
        if self._parts:
            work.seen[rows] = 0
        unpack_kernels.groups(
            work.data, rows, begin, bounds, self._groups, _NO_TEXTS, _NOTHING, work.field_starts,
            work.field_sizes, work.seen,
        )  # fmt: skip
        if self._parts:
            self._parts.run(work, rows)
        self._steps.run(work, rows)


_NO_TEXTS = np.zeros(1, np.uint8)


class Programs:
    """The messages of all programs. program, content: names of the fields that name it, and hold its message."""

    __slots__ = ("_content", "_messages", "_names", "_parsers", "_program", "content", "program")

    def __init__(self, parsers: dict[str, ProgramParser], program: str, content: str) -> None:
        unique = list({id(parser): parser for parser in parsers.values()}.values())
        self._parsers = unique
        places = {id(parser): place for place, parser in enumerate(unique)}
        self._names: Names = names_of({name: places[id(parser)] for name, parser in parsers.items()})
        self._messages = [_messages(parser) for parser in unique]
        self.program, self.content = program, content
        self._program = self._content = -1

    @property
    def messages(self) -> list[Message]:
        """Of all programs."""
        return [message for messages in self._messages for message in messages]

    def compile(self, number: Callable[[str], int], slots: dict[str, int], outer: frozenset[str]) -> None:
        """Number the fields that they need."""
        self._program, self._content = number(self.program), number(self.content)
        for message in self.messages:
            message.compile(number, slots, outer)

    def finish(self, numbers: dict[str, int]) -> None:
        """All fields have their numbers."""
        for message in self.messages:
            message.finish(numbers)

    def run(self, work: Work, rows: np.ndarray) -> np.ndarray:
        """Fill in the slots of lines with a message; returns the rows that have none of them."""
        which = np.empty(len(rows), np.int32)
        lookup_all(work.data, rows, work.field_starts, work.field_sizes, self._program, *self._names, which)
        rest = [rows[which < 0]]
        known = np.flatnonzero(np.bincount(which[which >= 0])).tolist()
        rest += [self._of_program(work, rows[which == place], place) for place in known]
        return np.sort(np.concatenate(rest))

    def _of_program(self, work: Work, rows: np.ndarray, place: int) -> np.ndarray:
        parser, messages = self._parsers[place], self._messages[place]
        sizes = work.field_sizes[rows, self._content]
        begin = np.where(sizes >= 0, work.field_starts[rows, self._content], 0).astype(np.int64)
        if parser.tokenizer is None:
            work.slow[rows] = 1
            return rows[:0]
        spans = parser.tokenizer.spans(work.data, begin, begin + np.maximum(sizes, 0))
        work.slow[rows[spans.status < NO_MATCH]] = 1
        work.slow[rows[_begins(work.data, begin, sizes)]] = 1
        counts = np.bincount(spans.status[spans.status >= 0], minlength=len(messages))
        for number, message in enumerate(messages):
            if counts[number]:
                its = np.flatnonzero(spans.status == number)
                message.run(work, rows[its], begin[its], spans.bounds[its])
        rest: np.ndarray = rows[spans.status == NO_MATCH]
        return rest


def _begins(data: np.ndarray, begin: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Which texts begin with what stands around one that came several times."""
    found = np.flatnonzero((sizes >= len(_REPEATED)) & (data[begin] == _REPEATED[0]))
    if not len(found):
        return found
    heads = data[begin[found, None] + np.arange(len(_REPEATED))]
    repeated: np.ndarray = found[(heads == _REPEATED).all(axis=1)]
    return repeated


def _messages(parser: ProgramParser) -> list[Message]:
    definition: ProgramDefinition = parser.definition
    return [
        Message(shape, pattern.names, pattern.optional, definition.fields)
        for shape, pattern in zip(definition.messages, parser.patterns, strict=True)
    ]
