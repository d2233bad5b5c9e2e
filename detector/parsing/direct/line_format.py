"""How lines of one format become slots: which of its fields somebody asks for, and how each is made."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from detector.events import Binding, LogSource
from detector.parsing.definition import Alternative, Fields
from detector.parsing.direct import line_kernels, unpack_kernels
from detector.parsing.direct.line_inner import InnerLines
from detector.parsing.direct.line_parts import Parts, names_within, sources_of
from detector.parsing.direct.line_programs import Programs
from detector.parsing.direct.line_recognizer import LineRecognizer
from detector.parsing.direct.line_steps import (
    Steps,
    Texts,
    UnfitError,
    conditions_of,
    makes_other_than_integers,
    names_asked,
    names_made,
)
from detector.parsing.direct.line_work import Work
from detector.parsing.text import TextParser
from detector.parsing.tokenizer import Tokenizer
from detector.sigma.fields import KEYWORDS, RAW

_TIME = "@timestamp"
EITHER = "?"
"""Before the name of a slot that holds the field as it stands, where there is one, else the ECS field of that name."""
_MOST_LOGSOURCES = 63

Asked = Callable[[LogSource | None], Iterable[str]]
"""The fields that rules read of events of a log source; of None: ECS names that somebody reads of all events.

With `@timestamp` among them, what it is read from is in slots, too."""


@dataclass(frozen=True, slots=True, eq=False)
class LineKind:
    """Lines of a format that have the same log sources."""

    format: LineFormat
    bindings: tuple[Binding, ...]

    @property
    def parser(self) -> TextParser:
        """Of the format."""
        return self.format.parser

    @property
    def slots(self) -> dict[str, int]:
        """Of the format."""
        return self.format.slots

    def makes(self, name: str) -> bool:
        """Whether a line may have an ECS field of that name."""
        return self.format.makes(name)

    def paths(self, binding: Binding, name: str) -> tuple[str, ...]:
        """What a field of a rule reads, see `LineFormat.paths`."""
        return self.format.paths(binding, name)

    def slots_of(self, binding: Binding, name: str) -> tuple[int, ...]:
        """The slots of a field of a rule; of what no line has, none."""
        found = (self.format.slots.get(path) for path in self.format.paths(binding, name))
        return tuple(dict.fromkeys(slot for slot in found if slot is not None))


class LineFormat:
    """Reads the lines of a format.

    slots: the number of each field that is asked for: of an ECS name, of `raw:` with a field as it stands, of KEYWORDS,
        of `?` with a name that may be either.
    beginnings: of the ECS names whose ends depend on a line.

    Raises UnfitError for a format that cannot be read so, and where a name that is asked for is in no slot.
    """

    def __init__(
        self, parser: TextParser, topic: LogSource | None, asked: Asked, recognizer: LineRecognizer | None = None
    ) -> None:
        definition = parser.definition
        if parser.pattern.tokenizer is None:
            raise UnfitError("its lines are not read by the tokenizer")
        self.parser = parser
        self._topic = topic
        self.tokenizer: Tokenizer = parser.pattern.tokenizer
        self._programs = (
            Programs(dict(parser.programs), definition.program, definition.content or "")
            if definition.program and parser.programs
            else None
        )
        self._maps: list[Fields] = [definition.fields]
        if self._programs:
            self._maps += [message.fields for message in self._programs.messages]
        self._unpacked = bool(definition.unpack or definition.audit)
        within = names_within(definition.unpack, definition.audit)
        self._outer = None if within is None else within | frozenset(parser.pattern.names)
        standing = [self._outer, *(message.names for message in (self._programs.messages if self._programs else ()))]
        self._standing: frozenset[str] | None = frozenset()
        for names in standing:
            self._standing = None if names is None or self._standing is None else self._standing | names
        self._made = frozenset(
            name
            for fields in self._maps
            for field, alternatives in fields.items()
            for alternative in alternatives
            for name in names_made(field, alternative)
        )
        self.beginnings = tuple(name for name in self._made if name.endswith("."))
        self._numbers: dict[str, int] = {}
        self.slots: dict[str, int] = {KEYWORDS: 0}
        ruled = self._want_all(asked)
        number = self._number
        for name in sources_of(definition.unpack, definition.audit):
            self._numbers.setdefault(name, len(self._numbers))
        times = {path: (Alternative(template=path[len(RAW) :]),) for path in self.slots if "{" in path}
        self._steps = Steps(definition.fields | times, number, self.slots)
        if self._programs:
            self._programs.compile(self._always, self.slots, frozenset(parser.pattern.names))
        self._inner = InnerLines(parser, self._always, recognizer) if definition.inner else None
        self._copies = self._copies_of_fields()
        self._set_sources(ruled=ruled)
        self._parts = Parts(definition.unpack, definition.audit, self._numbers) if self._unpacked else None
        if self._programs:
            self._programs.finish(self._numbers)
        self._groups = np.array([self._numbers.get(name, -1) for name in parser.pattern.names], np.int32)
        absent = [text.encode() for text in definition.absent]
        self._absent = np.frombuffer(b"".join(absent) or b"\0", np.uint8)
        self._absent_end = np.cumsum(np.array([len(text) for text in absent], np.int32), dtype=np.int32)

    def _want_all(self, asked: Asked) -> bool:
        """Give slots to all that is asked for; whether rules ask for anything."""
        definition = self.parser.definition
        every = tuple(asked(None))
        wanted = [path for path in every if path != _TIME]
        if _TIME in every and definition.time:
            wanted += [RAW + path for path in definition.time.paths]
        ruled = False
        for binding in self.parser.possible(self._topic):
            names = tuple(asked(binding.logsource))
            ruled |= bool(names)
            wanted += [path for name in names for path in self.paths(binding, name)]
        if ruled:
            wanted += [path for row in definition.logsources for path in row.when]
        for fields in self._maps:
            wanted += names_asked(fields)
        for path in wanted:
            ecs = path.removeprefix(EITHER)
            if path.startswith(RAW):
                name = path[len(RAW) :]
                there = "{" in name or self._may_stand(name)
            else:
                there = self.makes(ecs)
            if there:
                self.slots.setdefault(ecs, len(self.slots))
            if path.startswith(EITHER):
                self.slots.setdefault(path, len(self.slots))
        return ruled

    def _copies_of_fields(self) -> np.ndarray:
        copies = []
        for path, slot in self.slots.items():
            if path.startswith(RAW) and "{" not in path:
                copies.append((self._always(path[len(RAW) :]), slot, -1))
            elif path.startswith(EITHER):
                copies.append((self._always(path[1:]), slot, self.slots.get(path[1:], -1)))
        return np.array(copies, np.int32).reshape(-1, 3)

    def _set_sources(self, *, ruled: bool) -> None:
        """Tables of the log sources, where these depend on fields."""
        rows = self.parser.definition.logsources
        self._conditional = ruled and any(row.when for row in rows)
        self._kinds: dict[int, LineKind] = {}
        if not self._conditional:
            self._kinds[0] = LineKind(self, self.parser.bindings(self._topic) if ruled else ())
            return
        if len(rows) > _MOST_LOGSOURCES:
            raise UnfitError("it has too many log sources")
        texts = Texts()
        conditions: list[tuple[int, ...]] = []
        ends: list[int] = []
        for row in rows:
            conditions += conditions_of(row.when, self._union, self.slots, texts)
            ends.append(len(conditions))
        self._sources = (
            np.array(ends, np.int32), np.array(conditions, np.int32).reshape(-1, 5), *texts.arrays(),
        )  # fmt: skip

    def _may_stand(self, name: str) -> bool:
        """Whether a line may have a field of that name as it stands."""
        return self._standing is None or name in self._standing

    def makes(self, name: str) -> bool:
        """Whether a line may have an ECS field of that name."""
        return name in self._made or name.startswith(self.beginnings)

    def _always(self, name: str) -> int:
        return self._numbers.setdefault(name, len(self._numbers))

    def _union(self, name: str) -> int:
        return self._always(name) if self._may_stand(name) else -1

    def _number(self, name: str) -> int:
        """The number of a field of the line itself, -1 for what none has."""
        return self._always(name) if self._outer is None or name in self._outer else -1

    def paths(self, binding: Binding, name: str) -> tuple[str, ...]:
        """What a field of a rule reads: as `sigma.fields.values_at`, for the events of this format."""
        if name == KEYWORDS:
            return (KEYWORDS,)
        paths = binding.aliases.get(name)
        if paths is None:
            there, made = self._may_stand(name), self.makes(name)
            paths = (EITHER + name if there and made else RAW + name if there else name,)
        if _TIME in paths and self.parser.definition.time:
            raise UnfitError("the time is in no slot")
        return paths

    def gives_integers(self, name: str) -> bool:
        """Whether an ECS name holds nothing but integers."""
        return not any(makes_other_than_integers(fields, name) for fields in self._maps)

    def read(self, work: Work, rows: np.ndarray) -> list[tuple[LineKind, np.ndarray]]:
        """Fill in the slots of lines of the format; the rows of each kind, without those that are slow."""
        begin = work.begin[rows]
        spans = self.tokenizer.spans(work.data, begin, work.end[rows])
        taken = spans.status == 0
        bounds = spans.bounds
        if not taken.all():
            rows, begin, bounds = rows[taken], begin[taken], bounds[taken]
        work.fields(max(len(self._numbers), 1))
        unpack_kernels.groups(
            work.data, rows, begin, bounds, self._groups, self._absent, self._absent_end, work.field_starts,
            work.field_sizes, work.seen,
        )  # fmt: skip
        if self._parts:
            self._parts.run(work, rows)
        self._steps.run(work, rows)
        plain = self._programs.run(work, rows) if self._programs else rows
        if self._inner:
            self._inner.run(work, plain)
        line_kernels.copied(
            rows, self._copies, work.state, work.field_starts, work.field_sizes, work.bases, work.starts, work.sizes,
            work.flags,
        )  # fmt: skip
        rows = rows[work.slow[rows] == 0]
        if not len(rows):
            return []
        return self._by_sources(work, rows) if self._conditional else [(self._kinds[0], rows)]

    def _by_sources(self, work: Work, rows: np.ndarray) -> list[tuple[LineKind, np.ndarray]]:
        masks = np.empty(len(rows), np.int64)
        line_kernels.masks(
            work.data, rows, *self._sources, work.field_starts, work.field_sizes, work.bases, work.starts, work.sizes,
            masks,
        )  # fmt: skip
        found = []
        for mask in np.unique(masks).tolist():
            kind = self._kinds.get(mask)
            if kind is None:
                kind = self._kinds[mask] = LineKind(self, self.parser.bindings_of(mask, self._topic))
            found.append((kind, rows[masks == mask]))
        return found
