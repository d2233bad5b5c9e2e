"""From parsed correlations to ones that run: references are looked up, aliases and conditions resolved."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import combinations

import orjson

from detector.correlation.parsing import Parsed
from detector.correlation.rule import Correlation, Way
from detector.sigma.checks import Refusal
from detector.sigma.conditions import ConditionError, parse_condition
from detector.sigma.nodes import And, Leaf, Node, Not, Or, Text
from detector.sigma.rule import Rule

MAX_WAYS = 256
"""Ways in which the condition of a temporal correlation may become true."""

_SECTION = "correlation"


@dataclass(frozen=True, slots=True)
class Known:
    """What a reference may mean: by id and by name, rules and correlations; `ambiguous` names stand for several."""

    rules: Mapping[str, Rule]
    correlations: Mapping[str, Parsed]
    ambiguous: frozenset[str]

    @classmethod
    def of(cls, rules: Sequence[Rule], correlations: Sequence[Parsed]) -> Known:
        """Index them."""
        seen: dict[str, str] = {}
        ambiguous = set()
        for about in (*rules, *(each.about for each in correlations)):
            for name in filter(None, (about.id, about.name)):
                if seen.setdefault(name, about.key) != about.key:
                    ambiguous.add(name)
        return cls(
            {name: rule for rule in rules for name in (rule.id, rule.name) if name},
            {name: each for each in correlations for name in (each.about.id, each.about.name) if name},
            frozenset(ambiguous),
        )


class Resolver:
    """Looks references up, those to correlations too; what is found once is kept."""

    def __init__(self, known: Known) -> None:
        self._known = known
        self._found: dict[str, Correlation | Refusal] = {}

    def resolve(self, parsed: Parsed) -> Correlation:
        """The correlation with its references looked up, but for its family. Raises Refusal."""
        found = self._found.get(parsed.about.key)
        if found is None:
            try:
                found = self._resolve(parsed)
            except Refusal as refusal:
                found = refusal
            self._found[parsed.about.key] = found
        if isinstance(found, Refusal):
            raise found
        return found

    def _resolve(self, parsed: Parsed) -> Correlation:
        rules, below = [], {}
        for index, reference in enumerate(parsed.references):
            rule = _rule(reference, index, parsed, self._known)
            rules.append(rule)
            if reference in self._known.correlations:
                try:
                    below[index] = self.resolve(self._known.correlations[reference])
                except Refusal:
                    message = f"{reference!r} cannot be loaded itself"
                    raise _refusal(message, _SECTION, "rules", index) from None
        return _correlation(parsed, rules, below)


def with_families(correlations: Sequence[Correlation]) -> Iterator[Correlation]:
    """The correlations, with those that depend on each other made families."""
    family = {each.key: each.key for each in correlations}
    for each in correlations:
        for key in each.rules:
            if key in family:
                old, new = family[key], family[each.key]
                family = {name: new if of == old else of for name, of in family.items()}
    for each in correlations:
        members = [other for other in correlations if family[other.key] == family[each.key]]
        shared = set(each.group_by).intersection(*(other.group_by for other in members))
        names = sorted(shared)
        text = orjson.dumps([sorted(other.definition for other in members), names])
        yield replace(
            each,
            family=hashlib.sha256(text).hexdigest()[:16],
            shared=tuple(each.group_by.index(name) for name in names),
        )


def _correlation(parsed: Parsed, rules: Sequence[Rule], below: Mapping[int, Correlation]) -> Correlation:
    for alias, named in parsed.aliases.items():
        for reference in named:
            if _place(reference, rules, parsed) is None:
                raise _refusal(f"`{reference}` is none of the `rules`", _SECTION, "aliases", alias, reference)
    fields = tuple(tuple(_fields(parsed.group_by, parsed, rules, place)) for place in range(len(rules)))
    values = tuple(tuple(_fields(parsed.value_fields, parsed, rules, place)) for place in range(len(rules)))
    for place, lower in below.items():
        for name in (*fields[place], *values[place]):
            if name not in lower.group_by:
                message = f"{parsed.references[place]!r} has no field `{name}`: it groups by {list(lower.group_by)}"
                raise _refusal(message, _SECTION, "rules", place)
    keys = tuple(rule.key for rule in rules)
    threshold = parsed.threshold
    ways = _ways(parsed, rules) if parsed.kind.temporal else ()
    meaning = [
        parsed.about.key,
        parsed.kind,
        keys,
        [lower.definition for lower in below.values()],
        fields,
        values,
        parsed.timespan_us,
        threshold.bounds if threshold else None,
        [[way.required, sorted(way.forbidden)] for way in ways],
        parsed.percentile,
    ]
    if parsed.options is not None:
        meaning.append(asdict(parsed.options))
    return Correlation(
        about=parsed.about,
        kind=parsed.kind,
        rules=keys,
        names=parsed.references,
        group_by=parsed.group_by,
        fields=fields,
        values=values,
        timespan_us=parsed.timespan_us,
        threshold=None if parsed.kind.temporal else threshold,
        ways=ways,
        percentile=parsed.percentile,
        generate=parsed.generate,
        options=parsed.options,
        definition=hashlib.sha256(orjson.dumps(meaning)).hexdigest()[:16],
    )


def _refusal(message: str, *path: str | int) -> Refusal:
    return Refusal(message, *path, code="S010")


def _rule(reference: str, index: int, parsed: Parsed, known: Known) -> Rule:
    place = (_SECTION, "rules", index)
    if reference in known.ambiguous:
        raise _refusal(f"several rules are called {reference!r}: refer to one by its id", *place)
    if reference in known.rules:
        return known.rules[reference]
    if reference not in known.correlations:
        message = f"there is no rule with the id or name {reference!r}, or it cannot be loaded itself"
        raise _refusal(message, *place)
    if parsed.about.key in _reached(known.correlations[reference], known):
        raise _refusal(f"{reference!r} leads back to this correlation: break the circle", *place)
    return known.correlations[reference].about


def _reached(start: Parsed, known: Known) -> set[str]:
    """Keys of the correlations that one refers to, directly or not, and its own."""
    reached: set[str] = set()
    left = [start]
    while left:
        parsed = left.pop()
        if parsed.about.key not in reached:
            reached.add(parsed.about.key)
            left += [known.correlations[name] for name in parsed.references if name in known.correlations]
    return reached


def _place(reference: str, rules: Sequence[Rule], parsed: Parsed) -> int | None:
    for place, rule in enumerate(rules):
        if reference in (rule.name, rule.id, parsed.references[place]):
            return place
    return None


def _fields(names: Sequence[str], parsed: Parsed, rules: Sequence[Rule], place: int) -> Iterator[str]:
    """What one of the rules calls the fields of these names."""
    for name in names:
        fields = parsed.aliases.get(name)
        if fields is None:
            yield name
            continue
        found = [field for reference, field in fields.items() if _place(reference, rules, parsed) == place]
        if not found:
            raise _refusal(
                f"the alias does not say what {parsed.references[place]!r} calls it", _SECTION, "aliases", name
            )
        yield found[0]


def _ways(parsed: Parsed, rules: Sequence[Rule]) -> tuple[Way, ...]:
    everyone = range(len(rules))
    if parsed.condition is not None:
        leaves = {name: Leaf("", Text((str(place),)), "", "") for place, name in enumerate(parsed.references)}
        try:
            node = parse_condition(parsed.condition, leaves)
        except ConditionError as error:
            raise _refusal(str(error), _SECTION, "condition") from None
        places = {id(leaf): place for place, leaf in enumerate(leaves.values())}
        terms = _terms(node, places, positive=True)
    elif parsed.threshold is not None:
        terms = [
            (frozenset(chosen), frozenset(everyone) - frozenset(chosen))
            for number in range(1, len(rules) + 1)
            if parsed.threshold.holds(number)
            for chosen in _chosen(len(rules), number)
        ]
        if parsed.threshold.least is not None:
            terms = [(required, frozenset()) for required, _ in terms]
    else:
        terms = [(frozenset(everyone), frozenset())]
    return tuple(_simplest(terms))


def _chosen(rules: int, number: int) -> list[tuple[int, ...]]:
    found = []
    for chosen in combinations(range(rules), number):
        found.append(chosen)
        if len(found) > MAX_WAYS:
            raise _refusal(f"the condition can be true in more than {MAX_WAYS} ways", _SECTION, "condition")
    return found


_Term = tuple[frozenset[int], frozenset[int]]


def _terms(node: Node, places: Mapping[int, int], *, positive: bool) -> list[_Term]:
    """The condition as alternatives: which rules must have matched, which must not."""
    if isinstance(node, Not):
        return _terms(node.node, places, positive=not positive)
    if isinstance(node, Leaf):
        one = frozenset((places[id(node)],))
        return [(one, frozenset()) if positive else (frozenset(), one)]
    parts = [_terms(child, places, positive=positive) for child in node.nodes]
    if isinstance(node, Or) is positive:
        return _bounded([term for part in parts for term in part])
    assert isinstance(node, (And, Or))
    terms: list[_Term] = [(frozenset(), frozenset())]
    for part in parts:
        joined = ((a | c, b | d) for a, b in terms for c, d in part)
        terms = _bounded([(required, forbidden) for required, forbidden in joined if not required & forbidden])
    return terms


def _bounded(terms: list[_Term]) -> list[_Term]:
    distinct = list(dict.fromkeys(terms))
    if len(distinct) > MAX_WAYS:
        raise _refusal(f"the condition can be true in more than {MAX_WAYS} ways", _SECTION, "condition")
    return distinct


def _simplest(terms: list[_Term]) -> Iterator[Way]:
    """The alternatives that no other one makes superfluous. Raises Refusal where none can be."""
    terms = _bounded(terms)
    if not terms:
        raise _refusal("the condition can never be true", _SECTION, "condition")
    if not all(required for required, _ in terms):
        raise _refusal(
            "the condition may be true of no event at all: ask for a rule that matched", _SECTION, "condition"
        )
    for required, forbidden in terms:
        if not any((a, b) != (required, forbidden) and a <= required and b <= forbidden for a, b in terms):
            yield Way(tuple(sorted(required)), forbidden)
