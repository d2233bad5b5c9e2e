"""From pySigma's detections, whose values the modifiers have been through, to the nodes that are evaluated."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, ip_network

from sigma.conditions import ConditionAND
from sigma.modifiers import (
    SigmaCaseSensitiveModifier,
    SigmaContainsModifier,
    SigmaEndswithModifier,
    SigmaStartswithModifier,
    modifier_mapping,
)
from sigma.rule import SigmaDetection, SigmaDetectionItem
from sigma.types import (
    CompareOperators,
    SigmaBool,
    SigmaCasedString,
    SigmaCIDRExpression,
    SigmaCompareExpression,
    SigmaExists,
    SigmaExpansion,
    SigmaFieldReference,
    SigmaNull,
    SigmaNumber,
    SigmaRegularExpression,
    SigmaRegularExpressionFlag,
    SigmaString,
    SigmaTimestampPart,
    SigmaType,
    SpecialChars,
)

from detector.sigma.fields import KEYWORDS
from detector.sigma.folding import fold
from detector.sigma.modifiers import check_placeholders
from detector.sigma.nodes import (
    And,
    Cidr,
    Compare,
    Exists,
    FieldRef,
    Leaf,
    Matcher,
    Node,
    Not,
    Null,
    Operator,
    Or,
    Regex,
    Text,
    Wildcard,
)
from detector.sigma.values import TimePart, text_of

_WILDCARDS = {SpecialChars.WILDCARD_MULTI: Wildcard.ANY, SpecialChars.WILDCARD_SINGLE: Wildcard.ONE}
_OPERATORS = {
    CompareOperators.LT: Operator.LT,
    CompareOperators.LTE: Operator.LTE,
    CompareOperators.GT: Operator.GT,
    CompareOperators.GTE: Operator.GTE,
}
_FLAGS = {
    SigmaRegularExpressionFlag.IGNORECASE: "i",
    SigmaRegularExpressionFlag.MULTILINE: "m",
    SigmaRegularExpressionFlag.DOTALL: "s",
}
_PLACES = {SigmaStartswithModifier, SigmaEndswithModifier, SigmaContainsModifier}
_NAMES = {modifier: name for name, modifier in reversed(modifier_mapping.items())}
_MAPPED_BITS = 96
"""Length of the prefix ::ffff:0:0/96 of the IPv6 addresses that are IPv4 ones."""


class LoweringError(Exception):
    """A detection asks for what has no meaning; the message says how to mend it."""


def lower(detection: SigmaDetection, selection: str) -> Node:
    """The node of a selection of this name. Raises LoweringError, and SigmaPlaceholderError of pySigma."""
    nodes = [
        _lower_item(item, selection) if isinstance(item, SigmaDetectionItem) else lower(item, selection)
        for item in detection.detection_items
    ]
    return _join(nodes, all_of=detection.item_linking is ConditionAND)


def _join(nodes: Iterable[Node], *, all_of: bool) -> Node:
    nodes = tuple(nodes)
    if len(nodes) == 1:
        return nodes[0]
    return And(nodes) if all_of else Or(nodes)


def _lower_item(item: SigmaDetectionItem, selection: str) -> Node:
    label = "|".join(_NAMES[modifier] for modifier in item.modifiers)
    field = item.field or KEYWORDS

    def node(value: SigmaType) -> Node:
        if isinstance(value, SigmaExpansion):
            return _join(map(node, value.values), all_of=False)
        return Leaf(field, _matcher(value, item), label, selection)

    joined = _join(map(node, item.value), all_of=item.value_linking is ConditionAND)
    return Not(joined) if item.negated else joined


def _matcher(value: SigmaType, item: SigmaDetectionItem) -> Matcher:
    match value:
        case SigmaString():
            return _text(value, item)
        case SigmaTimestampPart():
            return _on_field(item, Compare(Operator.EQ, value.number, _time_part(value)))
        case SigmaNumber() | SigmaBool():
            literal = text_of(value.number if isinstance(value, SigmaNumber) else value.boolean)
            return _text(SigmaString.from_str(literal), item)
        case SigmaRegularExpression():
            return _regex(value, item)
        case SigmaCompareExpression():
            part = _time_part(value.number) if isinstance(value.number, SigmaTimestampPart) else None
            return _on_field(item, Compare(_OPERATORS[value.op], value.number.number, part))
        case SigmaCIDRExpression():
            return _on_field(item, Cidr(_network(value)))
        case SigmaFieldReference():
            cased = SigmaCaseSensitiveModifier in item.modifiers
            return _on_field(item, FieldRef(value.field, value.starts_with, value.ends_with, cased))
        case SigmaNull():
            return _on_field(item, Null())
        case SigmaExists():
            return _on_field(item, Exists(value.exists))
        case _:
            raise LoweringError(f"a {type(value).__name__} can be searched for in a database, not in an event")


def _on_field(item: SigmaDetectionItem, matcher: Matcher) -> Matcher:
    if item.field is None:
        raise LoweringError(f"`{matcher}` must be asked of a field: keywords are texts or regular expressions")
    return matcher


def _time_part(value: SigmaTimestampPart) -> TimePart:
    return TimePart[value.timestamp_part.name]


def _text(value: SigmaString, item: SigmaDetectionItem) -> Text:
    check_placeholders(value)
    cased = isinstance(value, SigmaCasedString) or SigmaCaseSensitiveModifier in item.modifiers
    parts: list[str | Wildcard] = [part if isinstance(part, str) else _WILDCARDS[part] for part in value.s]  # type: ignore[index]
    if item.field is None and not _places(item):
        parts = [Wildcard.ANY, *parts, Wildcard.ANY]
    normal: list[str | Wildcard] = []
    for part in parts:
        if isinstance(part, str):
            folded = part if cased else fold(part)
            if normal and isinstance(normal[-1], str):
                normal[-1] += folded
            elif folded:
                normal.append(folded)
        elif part is Wildcard.ONE or normal[-1:] != [Wildcard.ANY]:
            normal.append(part)
    return Text(tuple(normal), cased)


def _places(item: SigmaDetectionItem) -> bool:
    """Whether the modifiers say where in the text the value stands; otherwise a keyword stands anywhere."""
    return any(
        modifier in (SigmaStartswithModifier, SigmaEndswithModifier, SigmaContainsModifier)
        for modifier in item.modifiers
    )


def _regex(value: SigmaRegularExpression, item: SigmaDetectionItem) -> Regex:
    check_placeholders(value.regexp)
    flags = "".join(sorted(_FLAGS[flag] for flag in value.flags))
    pattern = f"(?{flags}){value.regexp}" if flags else str(value.regexp)
    if SigmaStartswithModifier in item.modifiers:
        pattern = rf"\A(?:{pattern})"
    if SigmaEndswithModifier in item.modifiers:
        pattern = rf"(?:{pattern})\z"
    return Regex(pattern)


def _network(value: SigmaCIDRExpression) -> IPv4Network | IPv6Network:
    network = value.network
    if isinstance(network, IPv6Network) and network.prefixlen >= _MAPPED_BITS and network[0].ipv4_mapped:
        return ip_network(f"{network[0].ipv4_mapped}/{network.prefixlen - _MAPPED_BITS}")
    return network
