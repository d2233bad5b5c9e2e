"""One correlation document: what it may say, and what of it is refused with its place."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from detector.correlation.anomalies.options import BaselineOptions, Measure, OptionError, Options, parse_options
from detector.correlation.anomalies.travel import FIELDS
from detector.correlation.rule import MAX_RULES, OPERATORS, Kind, Threshold
from detector.correlation.slo import Objective
from detector.sigma.checks import MAX_DOTS, Refusal
from detector.sigma.nearest import nearest
from detector.sigma.parsing import parse_rule
from detector.sigma.rule import Rule

MAX_FIELDS = 8
"""Fields to group by, and fields whose values are counted together."""
MAX_TIMESPAN_US = 31 * 86_400_000_000
"""The longest timespan: a month; all that long, its events are state."""

MIN_PERIOD_US = 7 * 86_400_000_000
"""The shortest period of an objective: its longest window is three days."""

_PAIR = 2
_SECTION = "correlation"
_KEYS = ("type", "rules", "group-by", "timespan", "timeframe", "condition", "aliases", "generate")
_TIMESPAN = re.compile(r"([1-9][0-9]{0,8})([smhdwMy])")
_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800, "M": 2_629_746, "y": 31_556_952}
_NO_EVENTS: dict[str, Any] = {
    "logsource": {"category": "correlation"},
    "detection": {"nothing": {"nothing|exists": True}, "condition": "nothing"},
}


@dataclass(frozen=True, slots=True)
class Parsed:
    """A correlation whose references are not looked up yet.

    references: ids or names, each once. condition: the text of an extended one. aliases: by alias, then by reference.
    """

    about: Rule
    kind: Kind
    references: tuple[str, ...]
    group_by: tuple[str, ...]
    timespan_us: int
    threshold: Threshold | None
    condition: str | None
    value_fields: tuple[str, ...]
    percentile: float
    aliases: Mapping[str, Mapping[str, str]]
    generate: bool
    options: Options | None = None


def parse_correlation(document: Mapping[str, Any], path: str, number: int) -> Parsed:
    """The correlation in a document. Raises Refusal."""
    for key in ("detection", "logsource"):
        if key in document:
            raise _refusal(f"a correlation has no `{key}`: it takes the events of its `rules`", key)
    section = document[_SECTION]
    if not isinstance(section, dict):
        raise _refusal("`correlation` must be a mapping with `type`, `rules` and `timespan`", _SECTION)
    for key in section:
        if key not in _KEYS:
            near = nearest(key, _KEYS)
            hint = f"did you mean `{near}`?" if near else f"there are {', '.join(_KEYS)}"
            raise _refusal(f"`{key}` is not known here: {hint}", _SECTION, key)
    kind = _kind(section)
    condition = section.get("condition")
    extended = condition if isinstance(condition, str) else None
    if extended is not None and not kind.temporal:
        raise _refusal(f"the condition of {kind} is a mapping, such as `gte: 6`", _SECTION, "condition")
    references = _references(section, extended)
    options = None
    if kind.anomaly:
        condition = {} if condition is None else condition
        options = _options(condition, kind, references, _timespan(section))
    rest = {key: value for key, value in document.items() if key != _SECTION}
    return Parsed(
        about=parse_rule(rest | _NO_EVENTS, path, number),
        kind=kind,
        references=references,
        group_by=_names(section, "group-by"),
        timespan_us=_timespan(section),
        threshold=None if extended is not None or kind.anomaly else _threshold(condition, kind),
        condition=extended,
        value_fields=_value_fields(condition, kind, options) if isinstance(condition, dict) else (),
        percentile=_percentile(condition, kind),
        aliases=_aliases(section),
        generate=_generate(section, document),
        options=options,
    )


def _refusal(message: str, *path: str | int) -> Refusal:
    return Refusal(message, *path, code="S010")


def _kind(section: Mapping[str, Any]) -> Kind:
    name = section.get("type")
    try:
        return Kind(str(name))
    except ValueError:
        near = nearest(str(name), list(Kind))
        hint = f"did you mean `{near}`?" if near else f"there are {', '.join(Kind)}"
        raise _refusal(f"`type` must name a kind of correlation, not {name!r}: {hint}", _SECTION, "type") from None


def _references(section: Mapping[str, Any], extended: str | None) -> tuple[str, ...]:
    given = section.get("rules")
    if given is None and extended is not None:
        words = re.findall(r"[A-Za-z0-9_-]+", extended)
        given = list(dict.fromkeys(word for word in words if word not in ("and", "or", "not")))
    listed = [given] if isinstance(given, str) else given
    if not isinstance(listed, list) or not listed or not all(isinstance(each, str) and each for each in listed):
        raise _refusal("`rules` must list the ids or names of rules", _SECTION, "rules")
    if len(listed) > MAX_RULES:
        raise _refusal(f"`rules` lists more than {MAX_RULES} rules", _SECTION, "rules")
    for index, each in enumerate(listed):
        if each in listed[:index]:
            raise _refusal(f"`rules` lists {each!r} twice", _SECTION, "rules", index)
    return tuple(listed)


def _names(section: Mapping[str, Any], key: str) -> tuple[str, ...]:
    given = section.get(key, [])
    listed = [given] if isinstance(given, str) else given
    if not isinstance(listed, list) or not all(_is_field(each) for each in listed):
        raise _refusal(f"`{key}` must list names of fields", _SECTION, key)
    if len(listed) > MAX_FIELDS or len(set(listed)) < len(listed):
        raise _refusal(f"`{key}` lists a field twice, or more than {MAX_FIELDS}", _SECTION, key)
    return tuple(listed)


def _is_field(name: Any) -> bool:
    return isinstance(name, str) and bool(name) and name.count(".") <= MAX_DOTS


def _timespan(section: Mapping[str, Any]) -> int:
    key = "timespan" if "timespan" in section or "timeframe" not in section else "timeframe"
    match = _TIMESPAN.fullmatch(str(section.get(key, "")))
    if not match:
        raise _refusal("`timespan` must be a number and s, m, h, d, w, M or y, such as `10m`", _SECTION, key)
    timespan_us = int(match[1]) * _SECONDS[match[2]] * 1_000_000
    if timespan_us > MAX_TIMESPAN_US:
        raise _refusal(f"`timespan` is longer than {MAX_TIMESPAN_US // 86_400_000_000} days", _SECTION, key)
    return timespan_us


def _threshold(condition: Any, kind: Kind) -> Threshold | None:
    if condition is None and kind.temporal:
        return None
    if not isinstance(condition, dict):
        raise _refusal(f"{kind} needs a `condition`, such as `gte: 6`", _SECTION, "condition")
    bounds = []
    for key, value in condition.items():
        if key in ("field", "percentile"):
            continue
        if key not in OPERATORS:
            raise _refusal(f"`{key}` is no comparison: there are {', '.join(OPERATORS)}", _SECTION, "condition", key)
        if not isinstance(value, (int, float)) or isinstance(value, bool):
            raise _refusal(f"`{key}` takes a number without quotes, not {value!r}", _SECTION, "condition", key)
        bounds.append((key, float(value)))
    names = {key for key, _ in bounds}
    if not (len(bounds) == 1 or (len(bounds) == 2 and names & {"gt", "gte"} and names & {"lt", "lte"})):
        raise _refusal(
            "`condition` must have one comparison, or a lower and an upper bound of a range", _SECTION, "condition"
        )
    threshold = Threshold(tuple(bounds))
    if not kind.of_numbers and threshold.least is not None and threshold.least < 1:
        raise _refusal("it is true of no event at all: ask for at least 1", _SECTION, "condition")
    return threshold


def _options(condition: Any, kind: Kind, references: tuple[str, ...], timespan_us: int) -> Options:
    """What an anomaly takes, and that it takes as many rules as it needs."""
    if not isinstance(condition, dict):
        raise _refusal(f"the condition of {kind} is a mapping", _SECTION, "condition")
    try:
        options = parse_options(kind, {key: value for key, value in condition.items() if key != "field"})
    except OptionError as error:
        raise _refusal(str(error), _SECTION, "condition", error.key) from None
    if isinstance(options, BaselineOptions) and options.measure is Measure.RATIO and len(references) != _PAIR:
        raise _refusal("a ratio is of two `rules`: the part, and the whole", _SECTION, "rules")
    if isinstance(options, Objective):
        if options.numeric and len(references) != 1:
            raise _refusal("an objective with `lte` has one rule, which takes all events", _SECTION, "rules")
        if not options.numeric and len(references) != _PAIR:
            message = "an objective has two `rules`: one that takes all events, and one that takes the bad ones"
            raise _refusal(message, _SECTION, "rules")
        if timespan_us < MIN_PERIOD_US:
            raise _refusal("the period of an objective is at least 7 days", _SECTION, "timespan")
    return options


def _takes_fields(kind: Kind, options: Options | None) -> bool:
    if isinstance(options, BaselineOptions):
        return options.measure in (Measure.SIZE, Measure.SUM, Measure.DISTINCT)
    if kind.anomaly:
        return kind is not Kind.ABSENCE and (kind is not Kind.SLO or (options is not None and options.numeric))
    return kind is Kind.VALUE_COUNT or kind.of_numbers


def _value_fields(condition: Mapping[str, Any], kind: Kind, options: Options | None) -> tuple[str, ...]:
    wanted = _takes_fields(kind, options)
    if "field" in condition and not wanted:
        raise _refusal(f"{kind} looks at no `field` here", _SECTION, "condition", "field")
    if not wanted:
        return ()
    given = condition.get("field", list(FIELDS) if kind is Kind.IMPOSSIBLE_TRAVEL else None)
    listed = given if isinstance(given, list) else [given]
    if not listed or not all(_is_field(each) for each in listed) or len(listed) > MAX_FIELDS:
        raise _refusal(f"{kind} needs the name of a `field`", _SECTION, "condition")
    if (kind.of_numbers or (options is not None and options.numeric)) and len(listed) > 1:
        raise _refusal(f"{kind} computes with one `field`", _SECTION, "condition", "field")
    if kind is Kind.IMPOSSIBLE_TRAVEL and len(listed) != _PAIR:
        raise _refusal(f"{kind} needs two fields: latitude and longitude", _SECTION, "condition", "field")
    return tuple(listed)


def _percentile(condition: Any, kind: Kind) -> float:
    given = condition.get("percentile") if isinstance(condition, dict) else None
    if kind is not Kind.VALUE_PERCENTILE:
        if given is not None:
            raise _refusal("`percentile` is for value_percentile", _SECTION, "condition", "percentile")
        return 50.0
    if not isinstance(given, (int, float)) or isinstance(given, bool) or not 0 <= given <= 100:
        raise _refusal("value_percentile needs `percentile`: a number from 0 to 100", _SECTION, "condition")
    return float(given)


def _aliases(section: Mapping[str, Any]) -> Mapping[str, Mapping[str, str]]:
    aliases = section.get("aliases", {})
    if not isinstance(aliases, dict):
        raise _refusal("`aliases` must map each alias to rules and their fields", _SECTION, "aliases")
    for alias, fields in aliases.items():
        if not isinstance(fields, dict) or not fields or not all(_is_field(each) for each in fields.values()):
            raise _refusal(f"the alias `{alias}` must map rules to their fields", _SECTION, "aliases", alias)
    return aliases


def _generate(section: Mapping[str, Any], document: Mapping[str, Any]) -> bool:
    generate = section.get("generate", document.get("generate", False))
    if not isinstance(generate, bool):
        raise _refusal("`generate` must be true or false", *((_SECTION, "generate") if "generate" in section else ()))
    return generate
