"""How lines of one format become slots: which of its fields somebody asks for, and how each is made."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import numpy as np

from detector.events import Binding, LogSource
from detector.parsing.definition import TextDefinition
from detector.parsing.direct import line_kernels
from detector.parsing.direct.request_kernels import NAMES, URL_NAMES
from detector.parsing.text import TextParser
from detector.parsing.tokenizer import Tokenizer
from detector.parsing.values import SPREADING, TYPES, Convert
from detector.sigma.fields import KEYWORDS, RAW
from detector.sigma.values import text_of

_KINDS = {
    "value": line_kernels.COPY,
    "int": line_kernels.INT,
    "float": line_kernels.FLOAT,
    "address": line_kernels.ADDRESS,
    "url": line_kernels.URL,
    "http_request": line_kernels.REQUEST,
}
_ADDRESS_NAMES = ("address", "ip", "port", "domain")
_TIME = "@timestamp"


Asked = Callable[[LogSource], Iterable[str]]
"""The fields that somebody reads of events of a log source."""


class UnfitError(Exception):
    """What cannot be read into slots; it says why."""


class LineFormat:
    """Reads the lines of a format whose fields each come from one group.

    slots: the number of each field that is asked for: of an ECS name, of `raw:` with a group, of KEYWORDS.
    constants: slots with the text that they have in every line.
    shared: whether two steps fill in the same slot, the later one in place of the other.
    steps, targets, raw, absent, absent_end: of `line_kernels.derive`.

    Raises UnfitError for a format that is not so, and where a name that is asked for may stand for two things.
    """

    def __init__(self, parser: TextParser, topic: LogSource | None, asked: Asked) -> None:
        definition = parser.definition
        if parser.pattern.tokenizer is None or definition.unpack or definition.audit or definition.program:
            raise UnfitError("its lines are not read by the tokenizer alone")
        if definition.inner or any(row.when for row in definition.logsources):
            raise UnfitError("its log sources depend on what is in its lines")
        self.parser = parser
        self.tokenizer: Tokenizer = parser.pattern.tokenizer
        self.bindings: tuple[Binding, ...] = parser.bindings(topic)
        self.slots: dict[str, int] = {KEYWORDS: 0}
        groups = {name: number for number, name in enumerate(parser.pattern.names)}
        made = _made(definition)
        for binding in self.bindings:
            for name in asked(binding.logsource):
                for path in self.paths(binding, name):
                    if path in made or path.removeprefix(RAW) in groups:
                        self.slots.setdefault(path, len(self.slots))
        self.raw = np.array([self.slots.get(RAW + name, -1) for name in groups], np.int32)
        steps: list[tuple[int, int]] = []
        targets: list[list[int]] = []
        self.converters: list[tuple[Convert, Mapping[str, int]]] = []
        self.constants: list[tuple[int, bytes]] = []
        for name, alternatives in definition.fields.items():
            alternative = alternatives[0]
            if alternative.value is not None:
                if name in self.slots:
                    self.constants.append((self.slots[name], text_of(alternative.value).encode()))
                continue
            its = {each: self.slots[each] for each in _names(name, alternative.type) if each in self.slots}
            if its and alternative.paths[0] in groups:  # else it is one of a line that is cut
                steps.append((_KINDS.get(alternative.type, line_kernels.OTHER), groups[alternative.paths[0]]))
                targets.append([its.get(each, -1) for each in _names(name, alternative.type)])
                self.converters.append((TYPES[alternative.type](name), its))
        self.steps = np.array(steps, np.int32).reshape(-1, 2)
        filled = [slot for each in targets for slot in each if slot >= 0]
        self.shared = len(set(filled)) < len(filled)
        if not set(filled).isdisjoint(slot for slot, _ in self.constants):
            raise UnfitError("a constant stands in place of what a line may have")
        self.raw[np.setdiff1d(np.flatnonzero(self.raw < 0), self.steps[:, 1])] = line_kernels.UNUSED
        self.targets = np.full((len(steps), len(NAMES)), -1, np.int32)
        for number, each in enumerate(targets):
            self.targets[number, : len(each)] = each
        absent = [text.encode() for text in definition.absent]
        self.absent = np.frombuffer(b"".join(absent) or b"\0", np.uint8)
        self.absent_end = np.cumsum(np.array([len(text) for text in absent], np.int32), dtype=np.int32)
        self.groups = tuple(groups)

    def paths(self, binding: Binding, name: str) -> tuple[str, ...]:
        """What a field of a rule reads: as `sigma.fields.values_at`, for the events of this format."""
        if name == KEYWORDS:
            return (KEYWORDS,)
        paths = binding.aliases.get(name)
        if paths is None:
            there, made = name in self.parser.pattern.names, name in _made(self.parser.definition)
            if there and made:
                raise UnfitError(f"{name} is a group and a field")
            paths = (RAW + name if there else name,)
        if _TIME in paths and self.parser.definition.time:
            raise UnfitError("the time is in no slot")
        return paths

    def makes(self, name: str) -> bool:
        """Whether a line may have an ECS field of that name."""
        return name in _made(self.parser.definition)

    def slots_of(self, binding: Binding, name: str) -> tuple[int, ...]:
        """The slots of a field of a rule; of what no line has, none."""
        found = (self.slots.get(path) for path in self.paths(binding, name))
        return tuple(dict.fromkeys(slot for slot in found if slot is not None))

    def convert(self, step: int, text: str) -> list[tuple[int, bytes]]:
        """What the plain converter of a step makes of a text: slots and their texts."""
        convert, slots = self.converters[step]
        ecs: dict[str, object] = {}
        convert(text, ecs)
        return [(slot, text_of(ecs[name]).encode()) for name, slot in slots.items() if name in ecs]


def _names(name: str, type_: str) -> tuple[str, ...]:
    """The ECS names that a field of a type fills in, in the order of the kernels."""
    if type_ == "http_request":
        return NAMES
    if type_ == "url":
        return NAMES[:URL_NAMES]
    if type_ == "address":
        return tuple(f"{name}.{part}" for part in _ADDRESS_NAMES)
    return (name,)


def _made(definition: TextDefinition) -> list[str]:
    """All ECS names that the fields of a definition may give. Raises UnfitError where one is made in several ways."""
    names: list[str] = []
    for name, alternatives in definition.fields.items():
        first = alternatives[0]
        if len(alternatives) > 1 or first.when or first.map or (len(first.paths) != 1 and first.value is None):
            raise UnfitError(f"{name} is made in several ways")
        if first.type in SPREADING and first.type not in _KINDS:
            raise UnfitError(f"{name} gives names that depend on its value")
        names += _names(name, first.type) if first.value is None else (name,)
    return names
