"""What is refused before pySigma sees it: what would cost too much, what it takes in silently, and usual mistakes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from sigma.modifiers import modifier_mapping

from detector.sigma.nearest import nearest

MAX_LEAVES = 50_000
"""Comparisons that a rule may make of one event, each as often as its condition asks for it."""
MAX_WILDCARDS = 4096
"""`*` and `?` in a value, escaped ones included."""
MAX_DOTS = 12
"""Dots in the name of a field."""

_DASH = re.compile(r"\B[-/]\b")  # as in pySigma's windash
_DASHES, _MAX_DASHES, _OFFSETS = 5, 3, 3
_HINTS = {
    "not": "write `neq`",
    "equalsfield": "write `fieldref`",
    "endswithfield": "write `fieldref|endswith`",
    "regex": "write `re`",
    "count": "counting was removed from modifiers: write a correlation rule",
}
_TEXT = {
    *("contains", "startswith", "endswith", "cased", "windash", "wide", "utf16le", "utf16be", "utf16", "base64"),
    *("base64offset", "re", "cidr", "fieldref", "expand"),
}
_NUMBER = {"lt", "lte", "gt", "gte", "minute", "hour", "day", "week", "month", "year"}
_EXACT = 2**53
RESERVED = ("condition", "rules")
"""Keys of a detection that are no selections."""

Path = tuple[str | int, ...]


class Refusal(Exception):  # noqa: N818 -- an outcome, not a fault: it becomes a RuleError where the file is known
    """A document is refused; `path` leads to the part of it that is at fault.

    code: that of `detector rules check`; without one, the part of the document says which.
    """

    def __init__(self, message: str, *path: str | int, code: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.path: Path = path
        self.code = code or _code(path)


def _code(path: Path) -> str:
    if not path:
        return "S001"
    if path[0] == "logsource":
        return "S002"
    if path[0] not in ("detection", "filter"):
        return "S003"
    return "S004" if path[1:] in ((), ("condition",), ("rules",)) else "S005"


def check_detection(detection: Any, section: str) -> None:
    """Raise Refusal for a `detection` (or `filter`) section that cannot be meant, or is too large to be expanded."""
    if not isinstance(detection, dict):
        raise Refusal(f"`{section}` must map the names of selections to what they ask for", section)
    if "timeframe" in detection:
        raise Refusal("`timeframe` was removed from Sigma: write a correlation rule", section, "timeframe")
    _check_condition(detection.get("condition"), section)
    if section == "filter" and "rules" not in detection:
        raise Refusal("a filter must say which `rules` it is for: a list of ids or names, or `any`", section)
    expanded = 0
    for name, definition in detection.items():
        if name not in RESERVED:
            for key, value, path in items_of(definition, (section, name)):
                expanded += _check_item(key, value, path)
                if expanded > MAX_LEAVES:
                    raise Refusal(f"the modifiers expand the rule to more than {MAX_LEAVES} values", *path)


def exact_integers(definition: Any, *, compared: bool = False) -> Any:
    """The same with integers that a float cannot hold as texts: pySigma makes every number a float first.

    compared: it stands under a modifier that takes numbers only.
    """
    if isinstance(definition, dict):
        return {
            key: exact_integers(value, compared=not _NUMBER.isdisjoint(key.split("|")[1:]))
            for key, value in definition.items()
        }
    if isinstance(definition, list):
        return [exact_integers(each, compared=compared) for each in definition]
    if isinstance(definition, int) and abs(definition) > _EXACT and not compared:
        return str(definition)
    return definition


def _check_condition(condition: Any, section: str) -> None:
    if condition is None:
        raise Refusal(f"`{section}` has no `condition`: add one, such as `condition: selection`", section)
    conditions = condition if isinstance(condition, list) else [condition]
    if not conditions or not all(isinstance(each, str) for each in conditions):
        raise Refusal("`condition` must be a text or a list of texts", section, "condition")
    if section == "filter" and len(conditions) > 1:
        raise Refusal("a filter has one `condition`", section, "condition")


def items_of(definition: Any, path: Path) -> Iterator[tuple[str, Any, Path]]:
    """The items of a selection (key with its modifiers, value), wherever they are nested; keywords have no key."""
    if isinstance(definition, dict):
        for key, value in definition.items():
            yield key, value, (*path, key)
    elif isinstance(definition, list) and any(isinstance(each, (dict, list)) for each in definition):
        for index, each in enumerate(definition):
            yield from items_of(each, (*path, index))
    else:
        yield "", definition, path
    if definition in ({}, []):
        raise Refusal("the selection is empty: say what it asks for, or remove it", *path)


def _check_item(key: str, value: Any, path: Path) -> int:
    """Number of values after the modifiers. Raises Refusal."""
    field, *modifiers = key.split("|")
    if field.count(".") > MAX_DOTS:
        raise Refusal(f"the field name has more than {MAX_DOTS} dots", *path)
    for modifier in modifiers:
        if modifier not in modifier_mapping:
            raise Refusal(f"`{modifier}` is no modifier: {_hint(modifier)}", *path)
    values = value if isinstance(value, list) else [value]
    if not values:
        raise Refusal("the list of values is empty: `null` asks for an absent field", *path)
    if any(isinstance(each, (dict, list)) for each in values):
        raise Refusal(f"`{field}` must have a value or a list of values: write nested fields as `{field}.NAME`", *path)
    if any(each.count("?") + each.count("*") > MAX_WILDCARDS for each in values if isinstance(each, str)):
        raise Refusal(f"more than {MAX_WILDCARDS} wildcards in a value: ask for parts of it by `contains|all`", *path)
    for modifier in modifiers:
        _check_types(modifier, values, path)
    if "windash" not in modifiers:
        return len(values) * (_OFFSETS if "base64offset" in modifiers else 1)
    dashes = (min(len(_DASH.findall(each)), _MAX_DASHES) for each in values if isinstance(each, str))
    return sum(int(_DASHES**number) for number in dashes) * (_OFFSETS if "base64offset" in modifiers else 1)


def _check_types(modifier: str, values: list[Any], path: Path) -> None:
    for value in values:
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if modifier in _TEXT and not isinstance(value, str):
            raise Refusal(f"`{modifier}` takes texts: put {value!r} in quotes", *path)
        if modifier in _NUMBER and not is_number:
            raise Refusal(f"`{modifier}` takes numbers without quotes, not {value!r}", *path)
        if modifier == "exists" and not isinstance(value, bool):
            raise Refusal(f"`exists` takes true or false, not {value!r}", *path)


def _hint(modifier: str) -> str:
    if modifier in _HINTS:
        return _HINTS[modifier]
    near = nearest(modifier, modifier_mapping)
    return f"did you mean `{near}`?" if near else "docs/writing-rules.md lists them"


def entity_of(document: Mapping[str, Any]) -> str | None:
    """The field in `detector: {entity: NAME}`. Raises Refusal."""
    own = document.get("detector")
    if own is None:
        return None
    if not isinstance(own, dict):
        raise Refusal("`detector` must be a mapping, such as `detector: {entity: user.name}`", "detector")
    for key in own:
        if key != "entity":
            raise Refusal(f"`{key}` is not known here: `detector` takes `entity`", "detector", key)
    entity = own.get("entity")
    if not isinstance(entity, str) or not entity or entity.count(".") > MAX_DOTS:
        raise Refusal("`entity` must be the name of a field, such as `user.name`", "detector", "entity")
    return entity
