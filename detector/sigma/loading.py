"""From rule sources to a rule set: what cannot be loaded is refused with file and line, and the rest runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from detector.config import Limits
from detector.documents import Document, DocumentError, read_documents
from detector.errors import RuleError
from detector.sigma.checks import Refusal
from detector.sigma.modifiers import Values, placeholder_values
from detector.sigma.nodes import And
from detector.sigma.parsing import Filter, filter_for, logsource_of, parse_filter, parse_rule
from detector.sigma.pipelines import Pipelines
from detector.sigma.rule import Rule
from detector.sigma.ruleset import RuleSet
from detector.sigma.source import RuleSource, digest

__all__ = ["RuleSet", "compile_rules"]


def compile_rules(
    sources: Sequence[RuleSource],
    *,
    values: Values | None = None,
    limits: Limits,
    pipelines: Sequence[RuleSource] = (),
) -> RuleSet:
    """The rules of the sources, changed by the pipelines, with the filters among them applied.

    values: what placeholders (`|expand`) stand for. pipelines: the texts of pySigma's processing pipelines.
    A document that cannot be loaded is in `refused`. Raises RuleError for a pipeline that cannot be used.
    """
    rules: dict[str, Rule] = {}
    filters: list[Filter] = []
    refused: list[RuleError] = []
    changes = Pipelines(pipelines, limits) if pipelines else None
    documents: dict[str, Document] = {}
    with placeholder_values(values or {}):
        for source in sources:
            for document in documents_of(source, limits, refused):
                try:
                    if rule := _load(document, source.path, rules, filters, changes):
                        documents[rule.key] = document
                except Refusal as error:
                    refused.append(_error(error.message, source.path, document.line(*error.path), error.code))
                except Exception as error:  # noqa: BLE001 -- pySigma on hostile input: it costs one document, no more
                    message = f"cannot be loaded ({type(error).__name__}: {error})"
                    refused.append(_error(message, source.path, document.line()))
        filtered = tuple(_filtered(rule, filters, documents[rule.key], changes, refused) for rule in rules.values())
    return RuleSet(filtered, tuple(refused), digest(sources, values or {}, pipelines))


def documents_of(source: RuleSource, limits: Limits, refused: list[RuleError]) -> Iterator[Document]:
    try:
        yield from read_documents(_decode(source.text, limits.max_rule_file_bytes))
    except DocumentError as error:
        refused.append(_error(error.message, source.path, error.line))


def _decode(text: bytes, largest: int) -> str:
    if len(text) > largest:
        raise DocumentError(f"larger than limits.max_rule_file_bytes ({largest}): split the file", 1)
    try:
        return text.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DocumentError("not UTF-8: save the file in UTF-8", text.count(b"\n", 0, error.start) + 1) from None


def _load(
    document: Document, path: str, rules: dict[str, Rule], filters: list[Filter], pipelines: Pipelines | None
) -> Rule | None:
    """The rule in a document; a filter is kept. Raises Refusal."""
    content = document.value
    if not isinstance(content, dict):
        raise Refusal("a rule is a mapping with `title`, `logsource` and `detection`")
    if "action" in content:
        raise Refusal("`action` was removed from Sigma: write each rule out", "action")
    if "correlation" in content:
        raise Refusal("correlation rules are not supported", "correlation", code="S008")
    if "filter" in content:
        filters.append(parse_filter(content, pipelines))
        return None
    rule = parse_rule(content, path, document.number, pipelines)
    if rule.key in rules:
        first = rules[rule.key]
        message = f"the id {rule.key} is also that of {first.title!r} in {first.path}: give one a new id"
        raise Refusal(message, "id", code="S007")
    rules[rule.key] = rule
    return rule


def _filtered(
    rule: Rule,
    filters: Sequence[Filter],
    document: Document,
    pipelines: Pipelines | None,
    refused: list[RuleError],
) -> Rule:
    """The rule with the filters that are for it; one that the pipelines cannot change is left out and refused."""
    if pipelines is None:
        added = [each.condition for each in filters if each.is_for(rule)]
    else:
        added = []
        for each in filters:
            if each.is_for(rule, logsource_of(document.value)):
                try:
                    added.append(filter_for(document.value, each, pipelines))
                except Refusal as error:
                    message = f"runs without the filter {each.title!r}: {error.message}"
                    refused.append(_error(message, rule.path, document.line(), error.code))
    return replace(rule, condition=And((rule.condition, *added))) if added else rule


def _error(message: str, path: str, line: int, code: str = "S001") -> RuleError:
    return RuleError(message, where=f"{path}:{line}", code=code)
