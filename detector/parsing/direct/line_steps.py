"""A definition's fields as tables for a kernel: the ways to each ECS field that somebody asks for, in their order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from detector.parsing.definition import Alternative, Fields, When, template_parts
from detector.parsing.direct import field_kernels, line_kernels
from detector.parsing.direct.line_memo import Made, Memo
from detector.parsing.direct.line_work import Work
from detector.parsing.direct.request_kernels import NAMES, URL_NAMES
from detector.parsing.mapping import canonical
from detector.parsing.values import TYPES
from detector.sigma.values import text_of

_KINDS = {
    "value": field_kernels.COPY,
    "text": field_kernels.TEXT,
    "int": field_kernels.INT,
    "float": field_kernels.FLOAT,
    "ip": field_kernels.IP,
    "address": field_kernels.ADDRESS,
    "url": field_kernels.URL,
    "http_request": field_kernels.REQUEST,
    "account": field_kernels.ACCOUNT,
    "file_name": field_kernels.FILE_NAME,
}
_COPIES = frozenset({field_kernels.URL, field_kernels.REQUEST})
_LONGEST_ADDRESS = 48
_INTEGERS = {"int": ("",), "serial": ("",), "address": (".port",)}
_HASHES = ("md5", "sha1", "sha256", "imphash")
_MISSES, _ROUNDS = 4_096, 24
_ANY = "*"


class UnfitError(Exception):
    """What cannot be read into slots; it says why."""


def in_order(fields: Fields) -> list[tuple[str, tuple[Alternative, ...]]]:
    """Fields in the order in which `mapping.FieldMap` fills them in."""
    plain = [item for item in fields.items() if _is_plain(item[1])]
    return plain + [item for item in fields.items() if not _is_plain(item[1])]


def _is_plain(alternatives: tuple[Alternative, ...]) -> bool:
    first = alternatives[0]
    simple = len(alternatives) == len(first.paths) == 1 and not (first.when or first.map)
    return simple and "." not in first.paths[0]


def names_made(name: str, alternative: Alternative) -> tuple[str, ...]:
    """The ECS names that a way to a field may give, in the order of the kernels; one that ends in `.` begins some."""
    if not (alternative.paths or alternative.template):
        return (name,)
    match alternative.type:
        case "http_request":
            return NAMES
        case "url":
            return NAMES[:URL_NAMES]
        case "address":
            return tuple(f"{name}.{part}" for part in ("address", "ip", "port", "domain"))
        case "account":
            return name, f"{name.rpartition('.')[0]}.domain".removeprefix(".")
        case "hashes":
            return tuple(f"{name}.{part}" for part in _HASHES)
        case "syslog_priority":
            return (
                "log.syslog.priority", "log.syslog.facility.code", "log.syslog.severity.code", "log.level",
            )  # fmt: skip
        case "structured_data":
            return (f"{name}.",)
        case _:
            return (name,)


def makes_other_than_integers(fields: Fields, name: str) -> bool:
    """Whether an ECS name may get a value that is no integer, or one that kernels do not tell from it."""
    for field, alternatives in fields.items():
        for alternative in alternatives:
            if name not in names_made(field, alternative):
                continue
            if alternative.value is not None:
                if type(alternative.value) is not int:
                    return True
            elif alternative.map and not all(type(value) is int for value in alternative.map.values()):
                return True
            elif alternative.type == "syslog_priority":
                if name == "log.level":
                    return True
            elif alternative.type in ("url", "http_request"):
                if name != "url.port":
                    return True
            elif not any(name == field + end for end in _INTEGERS.get(alternative.type, ())):
                return True
    return False


def names_asked(fields: Fields) -> set[str]:
    """Paths that conditions look up, in fields as they stand, else in ECS."""
    return {path for alternatives in fields.values() for each in alternatives for path in each.when}


class Texts:
    """Texts on end."""

    def __init__(self) -> None:
        self.bytes = bytearray()
        self.ends = [0]

    def add(self, text: str) -> int:
        """The number of a text that is added."""
        self.bytes += text.encode()
        self.ends.append(len(self.bytes))
        return len(self.ends) - 2

    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """The bytes, and where each text begins and ends."""
        return np.frombuffer(bytes(self.bytes) or b"\0", np.uint8), np.array(self.ends, np.int32)


def conditions_of(
    when: When, field: Callable[[str], int], slots: dict[str, int], texts: Texts
) -> Iterable[tuple[int, int, int, int, int]]:
    """Rows of the table of conditions."""
    for path, values in when.items():
        first = len(texts.ends) - 1
        for value in values:
            text = canonical(value)
            if text is not None and text != _ANY:
                texts.add(text)
        yield field(path), slots.get(path, -1), int(_ANY in values), first, len(texts.ends) - 1


class Steps:
    """Fills in the slots of ECS fields from a table of fields.

    field: the number of a field as it stands, -1 for one that no line has. slots: of the ECS names that are asked for.
    Raises UnfitError.
    """

    __slots__ = ("_converters", "_copies", "_memo", "_tables", "_writes")

    def __init__(self, fields: Fields, field: Callable[[str], int], slots: dict[str, int]) -> None:
        texts = Texts()
        ways: list[list[int]] = []
        conditions: list[tuple[int, ...]] = []
        sources: list[int] = []
        targets: list[int] = []
        self._converters: dict[int, Callable[[str], Made]] = {}
        self._copies, self._writes = 0, 0  # of a line's bytes, and bytes beside these, that it may write to the arena
        ordered = in_order(fields)
        levels = [name for name, _ in ordered if name == "log.level"]
        for name, alternatives in ordered:
            asked = [_slots_of(name, alternative, slots) for alternative in alternatives]
            if not any(slot >= 0 for its in asked for slot in its.values()):
                continue
            begun = len(ways)
            for alternative, its in zip(alternatives, asked, strict=True):
                if alternative.type == "syslog_priority" and levels:
                    raise UnfitError("a severity fills a gap")
                parts = _sources(alternative, field, texts)
                if parts is None:
                    continue
                kind = field_kernels.CONSTANT if alternative.value is not None else _kind(alternative)
                if kind in (field_kernels.URL, field_kernels.REQUEST) and _shared(name, its, ordered):
                    kind = field_kernels.OTHER
                first = len(conditions)
                conditions += conditions_of(alternative.when, field, slots, texts)
                ways.append([kind, 0, first, len(conditions), len(sources), 0, len(targets),
                             int(alternative.template is not None)])  # fmt: skip
                sources += parts
                ways[-1][line_kernels.SOURCES_END] = len(sources)
                targets += its.values()
                self._copies += int(kind in _COPIES) + int(alternative.template is not None) * len(parts)
                self._writes += _LONGEST_ADDRESS
                if kind != field_kernels.CONSTANT:
                    self._converters[len(ways) - 1] = _converter(name, alternative, slots)
            for way in ways[begun:]:
                way[line_kernels.SKIP] = len(ways)
        of_texts, text_end = texts.arrays()
        self._writes += len(of_texts)
        self._memo = Memo(bytes(texts.bytes))
        self._tables = (
            np.array(ways, np.int32).reshape(-1, 8), np.array(conditions, np.int32).reshape(-1, 5),
            np.array([*sources, -1], np.int32), np.array([*targets, *[-1] * 15], np.int32), of_texts, text_end,
        )  # fmt: skip

    def run(self, work: Work, rows: np.ndarray) -> None:
        """Fill in slots of some rows; those that remain unknown are slow then."""
        if not len(self._tables[0]):
            return
        self._memo.bound()
        misses = np.empty((_MISSES, 3), np.int64)
        for _ in range(_ROUNDS):
            made = work.room(self._memo.made)
            work.reserve(self._copies * work.size + self._writes * len(rows))
            pending = np.empty(len(rows), np.uint8)
            work.arena, missed = line_kernels.derive(
                work.data, work.arena, rows, work.state, work.field_starts, work.field_sizes, *self._tables,
                *self._memo.arrays, made, work.bases, work.starts, work.sizes, work.flags, pending, misses,
                np.empty(8, np.int64),
            )  # fmt: skip
            rows = rows[pending != 0]
            if not len(rows):
                return
            self._learn(work, misses[:missed])
        work.slow[rows] = 1

    def _learn(self, work: Work, misses: np.ndarray) -> None:
        found: dict[tuple[int, bytes], Made] = {}
        for way, at, size in misses.tolist():
            text = work.data[at : at + size].tobytes()
            if (way, text) not in found:
                found[way, text] = self._converters[way](text.decode())
        self._memo.learn([(way, text, made) for (way, text), made in found.items()])


def _kind(alternative: Alternative) -> int:
    return field_kernels.OTHER if alternative.map else _KINDS.get(alternative.type, field_kernels.OTHER)


def _shared(name: str, its: dict[str, int], ordered: Sequence[tuple[str, tuple[Alternative, ...]]]) -> bool:
    """Whether another field may give one of these names, too."""
    return any(
        not set(its).isdisjoint(names_made(other, each))
        for other, alternatives in ordered
        if other != name
        for each in alternatives
    )


def _slots_of(name: str, alternative: Alternative, slots: dict[str, int]) -> dict[str, int]:
    """The slots that a way may fill in by their names, -1 for those that nobody asks for."""
    names = names_made(name, alternative)
    if names[0].endswith("."):
        return {each: slot for each, slot in slots.items() if each.startswith(names[0])}
    return {each: slots.get(each, -1) for each in names}


def _sources(alternative: Alternative, field: Callable[[str], int], texts: Texts) -> list[int] | None:
    """The numbers of the fields that a way takes its value from, of a template with texts; None: it gives none."""
    if alternative.value is not None:
        return [texts.add(text_of(alternative.value))]
    if alternative.template is None:
        found = [number for path in alternative.paths if (number := field(path)) >= 0]
        return found or None
    parts: list[int] = []
    for text, path in template_parts(alternative.template):
        if text:
            parts.append(-texts.add(text) - 1)
        if path:
            if field(path) < 0:
                raise UnfitError(f"{path} of a template may stand in ECS")
            parts.append(field(path))
    return parts


def _converter(name: str, alternative: Alternative, slots: dict[str, int]) -> Callable[[str], Made]:
    """What the plain converter of a way makes of a text."""
    convert = TYPES[alternative.type](name)
    gaps = {"log.level"} if alternative.type == "syslog_priority" else set()

    def made(text: str) -> Made:
        value = alternative.map.get(text) if alternative.map else text
        ecs: dict[str, object] = {}
        if value is None or not convert(value, ecs):
            return None
        found = [(slots[each], text_of(it).encode(), each in gaps) for each, it in ecs.items() if each in slots]
        return found or [(-1, b"", False)]

    return made
