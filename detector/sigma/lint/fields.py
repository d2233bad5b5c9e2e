"""Fields that the events of a rule's log source do not have, and log sources that no events have."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property, reduce
from operator import or_

from detector.config import InputTopic, Limits
from detector.enrichment.names import may_give
from detector.events import LogSource
from detector.parsing.known import KnownFields, fields_by_logsource, logsources
from detector.parsing.registry import Parsers
from detector.sigma.checks import MAX_DOTS
from detector.sigma.nearest import nearest
from detector.sigma.rule import runs_on

_PARTS = ("category", "product", "service")


class Surroundings:
    """What the configured formats have: fields and log sources.

    formats: the log sources of the topics' events, each with their formats.
    """

    def __init__(self, parsers: Parsers, topics: Iterable[InputTopic], limits: Limits) -> None:
        self.formats: Mapping[LogSource, frozenset[str]] = logsources(parsers, topics)
        self._parsers = parsers
        self._limits = limits
        self._known: dict[LogSource, KnownFields | None] = {}
        self._answers: dict[tuple[LogSource, str], str | None] = {}

    @cached_property
    def _fields(self) -> Mapping[LogSource, KnownFields]:
        """For which all samples are parsed: not before somebody asks."""
        return fields_by_logsource(self._parsers, self._limits)

    def is_bound(self, rule: LogSource) -> bool:
        """Whether events of a configured format have the log source."""
        return any(runs_on(rule, logsource) for logsource in self.formats)

    def unbound(self, rule: LogSource) -> str:
        """What may be wrong with a log source that no configured format has; empty where nothing is known."""
        declared = {part: {getattr(each, part) for each in self.formats} - {None} for part in _PARTS}
        for part in _PARTS:
            name = getattr(rule, part)
            if name is None or name in declared[part]:
                continue
            for other in _PARTS:
                if name in declared[other]:
                    return f"`{name}` is a {other}: write `{other}: {name}`."
            near = nearest(name, sorted(declared[part]), cutoff=0.8)
            if near:
                return f"Did you mean `{part}: {near}`?"
        return ""

    def unknown(self, rule: LogSource, field: str) -> str | None:
        """The nearest field to one that the rule's events do not have ("" if none is near); None if they may have it.

        Where a record brings its own fields, only those count that differ by a slip of the pen from known ones.
        """
        key = rule, field
        if key not in self._answers:
            self._answers[key] = self._unknown(rule, field)
        return self._answers[key]

    def _unknown(self, rule: LogSource, field: str) -> str | None:
        known = self._known_of(rule)
        if known is None or known.has(field) or may_give(field) or field.count(".") > MAX_DOTS:
            return None
        if known.closed:
            return nearest(field, sorted(known.names)) or ""
        return next((name for name in sorted(known.names) if _is_slip(field, name)), None)

    def _known_of(self, rule: LogSource) -> KnownFields | None:
        if rule not in self._known:
            found = [known for logsource, known in self._fields.items() if runs_on(rule, logsource)]
            self._known[rule] = reduce(or_, found) if found else None
        return self._known[rule]


def _is_slip(written: str, known: str) -> bool:
    """Whether two names differ in case, in what joins their words, or in one letter (one too many, or two swapped)."""
    if _joined(written) == _joined(known):
        return written.strip("_@") != known.strip("_@")
    if abs(len(written) - len(known)) > 1 or min(len(written), len(known)) < 5:
        return False
    start = next((at for at, (one, other) in enumerate(zip(written, known, strict=False)) if one != other), None)
    if start is None:
        return written[-1:].isalpha() and known[-1:].isalpha()
    one, other = written[start:], known[start:]
    if not (one[0].isalpha() and other[0].isalpha()):
        return False
    return (
        one[1:] == other[1:]
        or one[1:] == other
        or one == other[1:]
        or (one[:2] == other[1::-1] and one[2:] == other[2:])
    )


def _joined(name: str) -> str:
    return name.casefold().translate(_JOINTS)


_JOINTS = str.maketrans("", "", "-_. @")
