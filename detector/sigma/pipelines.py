"""pySigma's processing pipelines: YAML files that change rules as they are loaded, for other names of fields and more.

A pipeline is applied to each rule, and to each filter as it is AND-ed to a rule, before its tree is made. What makes
text of a query has no meaning here and is refused, as is what reads other files, the network or the output of programs.
The form is pySigma 2.0's: https://sigmahq-pysigma.readthedocs.io/en/latest/Processing_Pipelines.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sigma.conditions import ConditionAND
from sigma.correlations import SigmaCorrelationRule
from sigma.exceptions import SigmaError, SigmaTransformationError
from sigma.processing.pipeline import ProcessingPipeline
from sigma.processing.transformations import transformations
from sigma.processing.transformations.fields import FieldMappingTransformation, FieldPrefixMappingTransformation
from sigma.processing.transformations.meta import NestedProcessingTransformation
from sigma.rule import SigmaDetection, SigmaDetectionItem, SigmaRule
from sigma.types import SigmaExists, SigmaNull

from detector.config import Limits
from detector.documents import Document, DocumentError, read_documents
from detector.errors import RuleError
from detector.sigma.checks import MAX_LEAVES, Path, Refusal, check_detection
from detector.sigma.nearest import nearest
from detector.sigma.source import RuleSource

_KEYS = ("name", "priority", "vars", "transformations", "allowed_backends")
_OUTSIDE = "it reads what is outside the rules: put the values into the file that `rules.values_file` names"
_REFUSED = {
    "field_name_transform": "it needs a function, which a file cannot give: use field_name_mapping or _prefix_mapping",
    "regex": "texts compare without case here as they are: remove it",
    "query_expression_placeholders": "it makes text of a query: use value_placeholders, or `rules.values_file`",
    "file_placeholders": _OUTSIDE,
    "http_placeholders": _OUTSIDE,
    "command_placeholders": _OUTSIDE,
}


class _Bounded(ProcessingPipeline):
    """A pipeline that stops before a rule is too large: mapped fields multiply."""

    def apply(self, rule: SigmaRule | SigmaCorrelationRule) -> SigmaRule | SigmaCorrelationRule:
        """Apply each transformation as pySigma does, and look at what it made."""
        items, self.items = self.items, []
        try:
            super().apply(rule)  # forgets the rule before
        finally:
            self.items = items
        for item in items:
            applied = item.apply(rule)
            if isinstance(rule, SigmaRule) and sum(map(_size, rule.detection.detections.values())) > MAX_LEAVES:
                raise SigmaTransformationError(f"expands the rule to more than {MAX_LEAVES} values")
            self.applied.append(applied)
            if applied and item.identifier:
                self.applied_ids.add(item.identifier)
        return rule


def _size(detection: SigmaDetection | SigmaDetectionItem) -> int:
    """Values in a detection."""
    if isinstance(detection, SigmaDetection):
        return 1 + sum(map(_size, detection.detection_items))
    return len(detection.value)


class Pipelines:
    """The pipelines of some files as one, those of a lower priority first.

    Raises RuleError with file and line for what is no pipeline, or asks for what has no meaning here.
    """

    __slots__ = ("_pipeline", "_places")

    def __init__(self, sources: Sequence[RuleSource], limits: Limits) -> None:
        read = [pipeline for number, source in enumerate(sources) for pipeline in _read(source, number, limits)]
        read.sort(key=lambda each: each[0].priority)
        self._places = [place for _, places in read for place in places]
        self._pipeline: ProcessingPipeline = _Bounded()
        for pipeline, _ in read:
            self._pipeline += pipeline
        for item in self._pipeline.items:
            _share(item.transformation, self._pipeline.vars)

    def apply(self, rule: SigmaRule) -> None:
        """Change a rule that was just parsed. Raises Refusal where a transformation refuses it."""
        try:
            self._pipeline.apply(rule)
        except Exception as error:  # noqa: BLE001 -- whatever it is: it costs one rule, no more
            place = self._places[len(self._pipeline.applied)]
            if isinstance(error, SigmaTransformationError):  # what the author of the pipeline says of it
                raise Refusal(f"refused by the pipeline in {place}: {error}", code="S009") from None
            detail = str(error) if isinstance(error, SigmaError) else f"{type(error).__name__}: {error}"
            raise Refusal(f"cannot be changed by the pipeline in {place}: {detail}", code="S009") from None


def _read(source: RuleSource, number: int, limits: Limits) -> Iterator[tuple[ProcessingPipeline, list[str]]]:
    """The pipelines in a file, each with the place of each of its transformations."""
    if len(source.text) > limits.max_rule_file_bytes:
        raise RuleError(f"larger than limits.max_rule_file_bytes ({limits.max_rule_file_bytes})", where=source.path)
    try:
        for document in read_documents(source.text.decode("utf-8-sig")):
            yield _pipeline(document, source.path, f"{number}_{document.number}")
    except UnicodeDecodeError:
        raise RuleError("not UTF-8: save the file in UTF-8", where=source.path) from None
    except DocumentError as error:
        raise RuleError(error.message, where=f"{source.path}:{error.line}") from None


def _pipeline(document: Document, path: str, label: str) -> tuple[ProcessingPipeline, list[str]]:
    def error(message: str, *part: str | int) -> RuleError:
        return RuleError(message, where=f"{path}:{document.line(*part)}")

    content = document.value
    if not isinstance(content, dict):
        raise error("a pipeline is a mapping with `transformations`")
    for key in content:
        if key in ("postprocessing", "finalizers"):
            raise error(f"`{key}` changes queries, and none are made here: remove it", key)
        if key not in _KEYS:
            near = nearest(key, _KEYS)
            raise error(f"`{key}` is no key of a pipeline" + (f": did you mean `{near}`?" if near else ""), key)
    if not isinstance(content.get("priority", 0), int):
        raise error("`priority` must be a whole number", "priority")
    if not isinstance(content.get("vars", {}), dict):
        raise error("`vars` must map names to values", "vars")
    items = content.get("transformations", [])
    if not isinstance(items, list):
        raise error("`transformations` must be a list", "transformations")
    places: list[str] = []
    pipeline: ProcessingPipeline = _Bounded(priority=content.get("priority", 0), vars=content.get("vars", {}))
    for number, item in enumerate(items):
        part: Path = ("transformations", number)
        kind = item.get("type") if isinstance(item, dict) else None
        place = f"{path}:{document.line(*part)} (transformation {number + 1}, {kind})"
        places.append(place)
        try:
            ready = _checked(item, f"{label}_{number}")
            parsed = _Bounded.from_dict({"transformations": [ready]})
        except Refusal as refusal:
            raise error(f"transformation {number + 1}: {refusal.message}", *part, *refusal.path) from None
        except Exception as fault:  # noqa: BLE001 -- pySigma checks few of its arguments
            detail = str(fault) if isinstance(fault, SigmaError) else f"{type(fault).__name__}: {fault}"
            raise error(f"transformation {number + 1} ({kind}): {detail}", *part) from None
        priority = pipeline.priority
        pipeline += parsed
        pipeline.priority = priority
    return pipeline, places


def _checked(item: Any, label: str) -> dict[str, Any]:
    """A transformation as pySigma should see it. Raises Refusal, with the path within it.

    label: tells what a pipeline adds to rules apart; pySigma would make a name by chance.
    """
    if not isinstance(item, dict):
        raise Refusal("it must be a mapping with `type`")
    kind = item.get("type")
    if kind not in transformations:
        near = nearest(str(kind), transformations)
        raise Refusal(f"`{kind}` is no type of transformation" + (f": did you mean `{near}`?" if near else ""), "type")
    if kind in _REFUSED:
        raise Refusal(f"`{kind}` has no meaning here: {_REFUSED[kind]}", "type")
    if kind == "nest":
        items = item.get("items")
        if not isinstance(items, list):
            raise Refusal("`items` must be a list of transformations", "items")
        nested: list[dict[str, Any]] = []
        for number, each in enumerate(items):
            try:
                nested.append(_checked(each, f"{label}_{number}"))
            except Refusal as refusal:
                raise Refusal(refusal.message, "items", number, *refusal.path) from None
        return {**item, "items": nested}
    if kind in ("field_name_mapping", "field_name_prefix_mapping", "map_string"):
        _check_mapping(item.get("mapping"))
    if kind == "add_condition":
        conditions = item.get("conditions")
        check_detection({"added": conditions, "condition": "added"}, "conditions")
        SigmaDetection.from_definition(conditions)
        return {"name": f"_pipeline_{label}", **item}
    return item


def _check_mapping(mapping: Any) -> None:
    if not isinstance(mapping, dict):
        raise Refusal("`mapping` must map each name to another, or to a list of them", "mapping")
    for name, others in mapping.items():
        if not all(isinstance(each, str) for each in (others if isinstance(others, list) else [others])):
            raise Refusal(f"`{name}` must be mapped to a text or a list of texts", "mapping", name)


def _share(transformation: object, variables: Mapping[str, Any]) -> None:
    """Give the variables of the pipelines to nested ones, too, which pySigma does not."""
    if isinstance(transformation, NestedProcessingTransformation):
        nested = transformation._nested_pipeline  # noqa: SLF001 -- pySigma has no other way to it
        nested.vars = dict(variables)
        for item in nested.items:
            _share(item.transformation, variables)


class _Mapped:
    """Joins the items of a field that is mapped to several.

    pySigma joins them by `or`. What is true because nothing is there (`neq`, `exists: false`, null) must be so of each.
    """

    def apply_detection_item(self, detection_item: SigmaDetectionItem) -> SigmaDetection | SigmaDetectionItem | None:
        asks_for_absence = detection_item.negated or all(
            isinstance(value, SigmaNull) or (isinstance(value, SigmaExists) and not value.exists)
            for value in detection_item.value
        )
        result: SigmaDetection | SigmaDetectionItem | None = super().apply_detection_item(detection_item)  # type: ignore[misc]
        if isinstance(result, SigmaDetection) and asks_for_absence:
            result.item_linking = ConditionAND
        return result


class _FieldMapping(_Mapped, FieldMappingTransformation):
    """`field_name_mapping`."""


class _FieldPrefixMapping(_Mapped, FieldPrefixMappingTransformation):
    """`field_name_prefix_mapping`."""


transformations.update({"field_name_mapping": _FieldMapping, "field_name_prefix_mapping": _FieldPrefixMapping})
