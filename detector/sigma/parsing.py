"""One document, a rule or a filter, by pySigma and our own checks."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import re2
import sigma.exceptions as errors
from sigma.filters import SigmaFilter
from sigma.modifiers import modifier_mapping
from sigma.policy import SigmaPolicy
from sigma.policy.regex_engine import RE2RegexEngine, RegexPattern
from sigma.rule import SigmaDetection, SigmaDetections, SigmaLogSource, SigmaRule, SigmaRuleBase

from detector.config import Level
from detector.events import LogSource
from detector.sigma.checks import MAX_LEAVES, Path, Refusal, check_detection, entity_of, exact_integers
from detector.sigma.conditions import ConditionError, parse_condition
from detector.sigma.lowering import LoweringError, lower
from detector.sigma.nearest import nearest
from detector.sigma.nodes import And, Leaf, Node, Not, Or, Regex, Text, Wildcard, leaves, without_empty
from detector.sigma.patterns import MAX_REGEX_BYTES, regex_options
from detector.sigma.reference import compile_test
from detector.sigma.rule import Rule

if TYPE_CHECKING:
    from detector.sigma.pipelines import Pipelines

MAX_REGEX_PROGRAM = 100_000
"""Instructions that the regular expressions of a rule may have together, as RE2 counts."""

_TAXONOMIES = ("sigma", "ecs")
_KEYS = {"identifier": "id", "tag": "tags", "value": "tags"}
_FAILURES = (errors.SigmaError, LoweringError, re2.error)
_FLAGS = ("i", "m", "s", "ignorecase", "multiline", "dotall")
_TACTIC, _TECHNIQUE = "attack.", "attack.t"


@dataclass(frozen=True, slots=True)
class Filter:
    """A filter (meta rule): the condition to add to the rules that it names, or to all of a log source (None).

    document: what it was made of, as pySigma should see it.
    """

    title: str
    logsource: LogSource
    rules: tuple[str, ...] | None
    condition: Node
    document: Mapping[str, Any] = field(compare=False, repr=False)

    def is_for(self, rule: Rule, logsource: LogSource | None = None) -> bool:
        """Whether it applies to a rule: named by id or name, and with every part of the log source that it names.

        logsource: the one that the rule's document names, where a pipeline changed it.
        """
        its = logsource or rule.logsource
        named = self.rules is None or rule.id in self.rules or rule.name in self.rules
        return named and all(
            mine == getattr(its, part)
            for part in LogSource.__slots__
            if (mine := getattr(self.logsource, part)) is not None
        )


def parse_rule(document: Mapping[str, Any], path: str, number: int, pipelines: Pipelines | None = None) -> Rule:
    """The rule in a document, changed by the pipelines. Raises Refusal."""
    document = _checked(document, "detection")
    parsed = SigmaRule.from_dict(document, collect_errors=True, policy=_policy())
    _raise_first(parsed, document, "detection")
    if pipelines is not None:
        pipelines.apply(parsed)
    rule_id = str(parsed.id) if parsed.id else None
    tags = tuple(map(str, parsed.tags))
    return Rule(
        key=rule_id or hashlib.sha256(f"{path}\0{number}".encode()).hexdigest()[:32],
        id=rule_id,
        name=parsed.name,
        title=parsed.title,
        level=Level(parsed.level.name.lower()) if parsed.level else Level.MEDIUM,
        status=parsed.status.name.lower() if parsed.status else None,
        description=parsed.description,
        author=parsed.author,
        date=parsed.date.isoformat() if parsed.date else None,
        modified=parsed.modified.isoformat() if parsed.modified else None,
        tags=tags,
        techniques=tuple(tag.removeprefix(_TACTIC).upper() for tag in tags if _is_technique(tag)),
        tactics=tuple(tag.removeprefix(_TACTIC).replace("_", "-") for tag in tags if _is_tactic(tag)),
        references=tuple(map(str, parsed.references)),
        falsepositives=tuple(map(str, parsed.falsepositives)),
        fields=tuple(map(str, parsed.fields)),
        logsource=_lower_case(parsed.logsource),
        entity=entity_of(document),
        path=path,
        document=number,
        condition=_condition(parsed.detection, document, "detection", "", changed=pipelines is not None),
    )


def parse_filter(document: Mapping[str, Any], pipelines: Pipelines | None = None) -> Filter:
    """The filter in a document, as it is without the pipelines. Raises Refusal."""
    document = _checked(document, "filter")
    parsed = SigmaFilter.from_dict(document, collect_errors=True, policy=_policy())
    _raise_first(parsed, document, "filter")
    named = parsed.filter.rules
    rules = None if isinstance(named, str) else tuple(str(reference.reference) for reference in named)
    label = f"{parsed.title}: "
    try:
        condition = _condition(parsed.filter, document, "filter", label)
    except Refusal as refusal:
        if pipelines is None or refusal.code != "S006":
            raise
        condition = And(())  # the pipelines may have the values: `filter_for` asks them
    return Filter(parsed.title, _lower_case(parsed.logsource), rules, condition, document)


def filter_for(rule: Mapping[str, Any], found: Filter, pipelines: Pipelines) -> Node:
    """The condition of a filter, changed by the pipelines as they change the rule in a document. Raises Refusal."""
    selections = {name: each for name, each in found.document["filter"].items() if name != "rules"}
    document = {**rule, "detection": exact_integers(selections)}
    parsed = SigmaRule.from_dict(document, policy=_policy())
    pipelines.apply(parsed)
    return _condition(parsed.detection, document, "detection", f"{found.title}: ", changed=True)


class _Engine(RE2RegexEngine):
    """RE2 for pySigma, bounded for the rule as a whole."""

    def __init__(self) -> None:
        super().__init__()
        self._spent = 0

    def compile(self, pattern: str, flags: int = 0) -> RegexPattern:  # noqa: ARG002 -- pySigma's signature
        if len(pattern.encode()) > MAX_REGEX_BYTES:
            raise re2.error(f"longer than {MAX_REGEX_BYTES} bytes")
        # Which flags are set does not matter for whether RE2 takes it; the lowered pattern has them.
        compiled = re2.compile(pattern, regex_options())
        self._spent += compiled.programsize
        if self._spent > MAX_REGEX_PROGRAM:
            raise re2.error("the regular expressions of the rule are too large together")
        return compiled  # type: ignore[no-any-return]


def _policy() -> SigmaPolicy:
    return SigmaPolicy(regex_engine=_Engine())


def _checked(document: Mapping[str, Any], section: str) -> dict[str, Any]:
    """The document as pySigma should see it. Raises Refusal for what it would miss or say less well."""
    logsource = document.get("logsource")
    if not isinstance(logsource, dict) or not any(map(logsource.get, ("category", "product", "service"))):
        raise Refusal(
            "the rule must name a log source (category, product or service): it would run on no event", "logsource"
        )
    for part in ("category", "product", "service"):
        if not isinstance(logsource.get(part), (str, type(None))):
            raise Refusal(f"`{part}` must be a text", "logsource", part)
    if not isinstance(document.get("id"), (str, type(None))):
        raise Refusal("`id` must be a UUID in quotes", "id")
    if document.get("taxonomy", "sigma") not in _TAXONOMIES:
        raise Refusal(f"`taxonomy` must be one of {', '.join(_TAXONOMIES)}: rename the fields", "taxonomy")
    if section not in document:
        near = nearest(section, map(str, document), cutoff=0.8)
        raise Refusal(
            f"the rule has no `{section}`" + (f": rename `{near}`" if near else ""), *([near] if near else [])
        )
    check_detection(document[section], section)
    return {**document, section: exact_integers(document[section])}


def _raise_first(parsed: SigmaRuleBase, document: Mapping[str, Any], section: str) -> None:
    """Raise Refusal for the first error that pySigma collected, at the part of the document that is at fault."""
    if not parsed.errors:
        return
    for name, definition in document[section].items():
        if name not in ("condition", "rules"):
            _refuse_if_broken(definition, (section, name))
    error = parsed.errors[0]
    key = type(error).__name__.removeprefix("Sigma").removesuffix("Error").lower()
    raise Refusal(str(error), _KEYS.get(key, key))


def _condition(
    detections: SigmaDetections, document: Mapping[str, Any], section: str, label: str, *, changed: bool = False
) -> Node:
    """The tree of a section. changed: a pipeline was at it, so that it is no longer what the document says."""
    selections: dict[str, Node] = {}
    for name, detection in detections.detections.items():
        try:
            selections[name] = _lower_checked(detection, label + name)
        except _FAILURES as error:
            if changed:
                raise Refusal(str(error), section, name, code=_code_of(error)) from None
            _refuse_if_broken(document[section][name], (section, name))
            raise
    try:
        nodes = tuple(parse_condition(each.condition, selections) for each in detections.parsed_condition)
    except ConditionError as error:
        raise Refusal(str(error), section, "condition") from None
    node = nodes[0] if len(nodes) == 1 else Or(nodes)
    if changed:
        left = without_empty(node)
        if left is None:
            raise Refusal("the pipelines leave nothing of the condition", section, "condition", code="S009")
        node = left
    if _weight(node, {}) > MAX_LEAVES:
        raise Refusal(f"the condition asks for more than {MAX_LEAVES} comparisons", section, "condition")
    return node


def _lower_checked(detection: SigmaDetection, selection: str) -> Node:
    node = lower(detection, selection)
    for leaf in leaves(node):
        matcher = leaf.matcher
        if isinstance(matcher, Regex) or (isinstance(matcher, Text) and Wildcard.ONE in matcher.parts):
            compile_test(leaf)
    return node


def _refuse_if_broken(definition: Any, path: Path) -> None:
    """Raise Refusal at the smallest part of a selection that cannot be loaded, if there is one."""
    try:
        _lower_checked(SigmaDetection.from_definition(definition, policy=_policy()), "")
    except _FAILURES as error:
        for part, its_path in _parts(definition, path):
            _refuse_if_broken(part, its_path)
        raise Refusal(_said(error), *path, code=_code_of(error)) from None


def _said(error: Exception) -> str:
    """What an error says, in the words of rules where pySigma has those of its classes."""
    words = str(error).split()
    if words[:1] != ["Modifier"] or words[2:3] != ["incompatible"]:
        return str(error)
    name = next((name for name, modifier in modifier_mapping.items() if modifier.__name__ == words[1]), words[1])
    if name in _FLAGS:
        return f"`{name}` is a flag of regular expressions: write `re|{name}`"
    return f"`{name}` cannot follow the modifiers before it: docs/writing-rules.md says what each takes"


def _code_of(error: Exception) -> str:
    return "S006" if isinstance(error, errors.SigmaPlaceholderError) else ""


def _parts(definition: Any, path: Path) -> Iterator[tuple[Any, Path]]:
    if isinstance(definition, list) and (len(definition) > 1 or isinstance(definition[0], (dict, list))):
        for index, each in enumerate(definition):
            yield each, (*path, index)
    elif isinstance(definition, dict) and len(definition) > 1:
        for key, value in definition.items():
            yield {key: value}, (*path, key)
    elif isinstance(definition, dict):
        key, values = next(iter(definition.items()))
        if isinstance(values, list) and len(values) > 1:
            for index, each in enumerate(values):
                yield {key: each}, (*(path if path[-1] == key else (*path, key)), index)
        elif path[-1] != key:
            yield definition, (*path, key)


def _weight(node: Node, known: dict[int, int]) -> int:
    """Leaves that are asked at most, each as often as it stands in the tree."""
    if isinstance(node, Leaf):
        return 1
    if id(node) not in known:
        children = (node.node,) if isinstance(node, Not) else node.nodes
        known[id(node)] = sum(_weight(child, known) for child in children)
    return known[id(node)]


def logsource_of(document: Mapping[str, Any]) -> LogSource:
    """The log source that a rule's document names."""
    logsource = document["logsource"]
    return LogSource(*((logsource.get(part) or "").lower() or None for part in LogSource.__slots__))


def _lower_case(logsource: SigmaLogSource) -> LogSource:
    parts = (logsource.category, logsource.product, logsource.service)
    return LogSource(*((part or "").lower() or None for part in parts))


def _is_technique(tag: str) -> bool:
    return tag.startswith(_TECHNIQUE) and tag.removeprefix(_TECHNIQUE).replace(".", "").isdigit()


def _is_tactic(tag: str) -> bool:
    """Whether it names a tactic: techniques (t1059), groups (g0016) and software (s0002) have digits."""
    return tag.startswith(_TACTIC) and not any(char.isdigit() for char in tag)
