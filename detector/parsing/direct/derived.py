"""The ECS fields of a kind of JSON records that rules read, as slots behind those of its values.

What a definition makes of a kind is found in its raw fields, whose values are leaves: nearly always, one converter of
one value is left. Copies are made in columns, and numbers, addresses and URLs by the kernels for lines; for what is
left, the definition's own converters are asked, once for all records of a batch with the same values.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import orjson

from detector.events import JsonValue
from detector.parsing.definition import Alternative, Fields, JsonDefinition
from detector.parsing.direct import convert_kernels
from detector.parsing.direct.ecs_names import names_of
from detector.parsing.direct.slots import ABSENT_SIZE, NULL_SIZE, UNICODE
from detector.parsing.direct.symbols import Elements, Leaf, Members, Raw, UnfitError, may_have
from detector.parsing.mapping import MISSING, FieldMap, finder
from detector.parsing.values import SPREADING
from detector.sigma.values import text_of

_KERNELS = {
    "int": convert_kernels.INT,
    "address": convert_kernels.ADDRESS,
    "url": convert_kernels.URL,
    "http_request": convert_kernels.REQUEST,
}
MAX_LEAVES = 64
"""Values that a field may be made of; one that is made of more is not read here."""
_TIME = "@timestamp"
NUMBER = -1
"""A value that is a number as not all are written."""

Made = tuple[int, bytes]
"""Size and text of a slot; see `slots`."""
Maps = dict[tuple[str, frozenset[str]], FieldMap]
"""Some fields of definitions, compiled, by the definition's name and theirs."""


@dataclass(frozen=True, slots=True)
class First:
    """The first of some texts that is not empty. takes_any: whether the last one is also taken if it is empty."""

    target: int
    sources: tuple[int, ...]
    takes_any: bool
    otherwise: int


@dataclass(slots=True)
class Computed:
    """What the converters of a definition make of some values. targets: slots of the ECS names that are asked for."""

    fields: FieldMap
    raw: Raw
    leaves: tuple[Leaf, ...]
    targets: dict[str, int] = field(default_factory=dict)

    def make(self, texts: tuple[bytes, ...]) -> tuple[Made, ...] | None:
        """The slots of a record whose values have these JSON texts (without quotes), in the order of `targets`.

        None if they do not fit into slots.
        """
        values = {leaf.slot: _value(leaf, text) for leaf, text in zip(self.leaves, texts, strict=True)}
        ecs: dict[str, JsonValue] = {}
        self.fields.apply(_filled(self.raw, values), ecs)
        found = [ecs.get(name, MISSING) for name in self.targets]
        return None if any(isinstance(value, (list, dict)) for value in found) else tuple(map(_made, found))


@dataclass(slots=True)
class Converted:
    """What a kernel makes of one text. targets: by ECS name. odd: asked where the kernel does not know."""

    kind: int
    source: int
    names: tuple[str, ...]
    odd: Computed


class Derived:
    """The slots of a kind that are made of its values.

    first: how many slots its values have. width: how many there are behind these. odd: those of its values that must
    be looked at, because they may be written otherwise than they compare: NUMBER, or the flag of keys within.
    """

    __slots__ = ("_definition", "_fields", "_maps", "_raw", "computed", "converted", "first", "firsts", "odd", "width")

    def __init__(self, definition: JsonDefinition, raw: Raw, first: int, maps: Maps) -> None:
        """maps: shared by all kinds."""
        self._definition = definition
        self._raw = raw
        self._maps = maps
        self._fields: dict[str, JsonValue] = {}
        self.first = first
        self.width = 0
        self.firsts: list[First] = []
        self.converted: list[Converted] = []
        self.computed: list[Computed] = []
        self.odd: dict[int, int] = {}

    def field(self, name: str) -> JsonValue:
        """The value of an ECS field: a leaf, null, a part of the record, or MISSING. Raises UnfitError."""
        if name not in self._fields:
            self._fields[name] = self._find(name)
        return self._fields[name]

    def read(self, value: JsonValue) -> int:
        """The slot of a value in which its text is to be as it compares. Raises UnfitError."""
        if isinstance(value, (Members, Elements)):
            self.odd[value.slot] = 0 if value.ascii else UNICODE
            return value.slot
        if not isinstance(value, Leaf):
            raise UnfitError("a value that the parser has put together")
        if not value.exact:
            self.odd[value.slot] = NUMBER
        return value.slot

    def _find(self, name: str) -> JsonValue:
        if name == _TIME and self._definition.time is not None:
            raise UnfitError("the time is in no slot")
        chains = [
            (made, _chain(self._definition, self._raw, alternatives))
            for made, alternatives in self._definition.fields.items()
            if _gives(made, alternatives, name)
        ]
        chains = [(made, chain) for made, chain in chains if chain is None or chain.pairs or chain.null]
        if not chains:
            return MISSING
        made, chain = chains[0]
        if len(chains) == 1 and chain is not None:
            if not chain.pairs:
                return None
            found = self._first(chain) if {kind for kind, _ in chain.pairs} <= {"text", "value"} else MISSING
            if found is MISSING and len(chain.pairs) == 1:
                found = self._convert(name, made, *chain.pairs[0])
            if found is not MISSING:
                return found
        return self._compute(name)

    def _first(self, chain: _Chain) -> JsonValue:
        kind, last = chain.pairs[-1]
        leaves = [value for _, value in chain.pairs if isinstance(value, Leaf)]
        if len(chain.pairs) == 1 and kind == "value":
            return last
        if len(leaves) < len(chain.pairs) or not all(leaf.exact for leaf in leaves):
            return MISSING
        target = self._slot()
        otherwise = NULL_SIZE if chain.null else ABSENT_SIZE
        self.firsts.append(First(target.slot, tuple(leaf.slot for leaf in leaves), kind == "value", otherwise))
        return target

    def _convert(self, name: str, made: str, kind: str, value: JsonValue) -> JsonValue:
        if kind not in _KERNELS or not isinstance(value, Leaf) or (not value.quoted and kind != "int"):
            return MISSING
        names = names_of(made, kind)
        target = self._slot()
        step = next((each for each in self.converted if each.source == value.slot and each.names == names), None)
        if step is None:
            step = Converted(_KERNELS[kind], value.slot, names, computer(self._definition, self._raw, name, self._maps))
            self.converted.append(step)
        step.odd.targets[name] = target.slot
        return target

    def _compute(self, name: str) -> JsonValue:
        made = computer(self._definition, self._raw, name, self._maps)
        shared = next(
            (each for each in self.computed if each.fields is made.fields and each.leaves == made.leaves), None
        )
        if shared is None:
            self.computed.append(made)
        target = self._slot()
        (shared or made).targets[name] = target.slot
        return target

    def _slot(self) -> Leaf:
        leaf = Leaf("")
        leaf.slot = self.first + self.width
        self.width += 1
        return leaf


def computer(definition: JsonDefinition, raw: Raw, name: str, maps: Maps) -> Computed:
    """What computes an ECS field of records of a kind, still without targets. Raises UnfitError."""
    fields = _closure(definition, name)
    which = definition.name, frozenset(fields)
    if which not in maps:
        maps[which] = FieldMap(fields)
    paths = [
        path
        for alternatives in fields.values()
        for alternative in alternatives
        for path in (*alternative.sources, *alternative.when)
    ]
    values = [value for path in paths if (value := finder(path)(raw)) is not MISSING]
    leaves = {leaf.slot: leaf for value in values for leaf in leaves_in(value)}
    if len(leaves) > MAX_LEAVES:
        raise UnfitError(f"{name} is made of too many values")
    tops = {key for key in raw if any(path == key or path.startswith(f"{key}.") for path in paths)}
    return Computed(maps[which], {key: raw[key] for key in tops}, tuple(leaves.values()))


@dataclass(frozen=True, slots=True)
class _Chain:
    """The values that a field may be made of, each with the type of its converter, in their order.

    null: whether the field is null where none of these gives a value.
    """

    pairs: tuple[tuple[str, JsonValue], ...]
    null: bool


def _chain(definition: JsonDefinition, raw: Raw, alternatives: tuple[Alternative, ...]) -> _Chain | None:
    """None where that depends on what the values are."""
    pairs: list[tuple[str, JsonValue]] = []
    null = False
    for alternative in alternatives:
        asked = (*alternative.when, *(alternative.sources if alternative.template is not None else ()))
        if any(finder(path)(raw) is MISSING and not may_have(definition, raw, path) for path in asked):
            continue
        found = [value for path in alternative.paths if (value := finder(path)(raw)) is not MISSING]
        if asked or alternative.value is not None or (alternative.map and found):
            return None
        for value in found:
            if value is None:
                null = null or alternative.type not in SPREADING
            elif alternative.type != "text" or (isinstance(value, Leaf) and value.quoted):
                pairs.append((alternative.type, value))
                if alternative.type == "value":
                    return _Chain(tuple(pairs), null)
    return _Chain(tuple(pairs), null)


def _gives(made: str, alternatives: Iterable[Alternative], name: str) -> bool:
    """Whether a field of a definition may fill in an ECS name."""
    return any(
        name.startswith(f"{made}.") if each.type == "structured_data" else name in names_of(made, each.type)
        for each in alternatives
    )


def _closure(definition: JsonDefinition, name: str) -> Fields:
    """The fields of a definition on which an ECS name depends, in their order."""
    found: set[str] = set()
    asked = {name}
    while asked:
        wanted = asked.pop()
        for made, alternatives in definition.fields.items():
            if made not in found and _gives(made, alternatives, wanted):
                found.add(made)
                for each in alternatives:
                    asked.update(each.when, each.sources if each.template is not None else ())
    return {made: alternatives for made, alternatives in definition.fields.items() if made in found}


def leaves_in(value: JsonValue) -> Iterator[Leaf]:
    """The leaves of a part of a record."""
    if isinstance(value, Leaf):
        yield value
    elif isinstance(value, dict):
        for member in value.values():
            yield from leaves_in(member)
    elif isinstance(value, list):
        for element in value:
            yield from leaves_in(element)


def _filled(value: JsonValue, values: dict[int, JsonValue]) -> JsonValue:
    """A part of a record with values for those of its leaves that have one."""
    if isinstance(value, Leaf):
        return values.get(value.slot, value)
    if isinstance(value, dict):
        return {key: _filled(member, values) for key, member in value.items()}
    if isinstance(value, list):
        return [_filled(element, values) for element in value]
    return value


def _value(leaf: Leaf, text: bytes) -> JsonValue:
    if leaf.quoted:
        return orjson.loads(b'"%b"' % text) if b"\\" in text else text.decode()
    return orjson.loads(text)


def _made(value: JsonValue) -> Made:
    if value is MISSING or value is None:
        return ABSENT_SIZE if value is MISSING else NULL_SIZE, b""
    text = text_of(value).encode()
    return len(text), text
