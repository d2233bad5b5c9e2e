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
from detector.sigma.parsing import Filter, parse_filter, parse_rule
from detector.sigma.rule import Rule
from detector.sigma.ruleset import RuleSet
from detector.sigma.source import RuleSource, digest

__all__ = ["RuleSet", "compile_rules"]


def compile_rules(sources: Sequence[RuleSource], *, values: Values | None = None, limits: Limits) -> RuleSet:
    """The rules of the sources, with the filters among them applied.

    values: what placeholders (`|expand`) stand for.
    It raises nothing: a document that cannot be loaded is in `refused`.
    """
    rules: dict[str, Rule] = {}
    filters: list[Filter] = []
    refused: list[RuleError] = []
    with placeholder_values(values or {}):
        for source in sources:
            for document in documents_of(source, limits, refused):
                try:
                    _load(document, source.path, rules, filters)
                except Refusal as error:
                    refused.append(_error(error.message, source.path, document.line(*error.path), error.code))
                except Exception as error:  # noqa: BLE001 -- pySigma on hostile input: it costs one document, no more
                    message = f"cannot be loaded ({type(error).__name__}: {error})"
                    refused.append(_error(message, source.path, document.line()))
    filtered = tuple(_filtered(rule, filters) for rule in rules.values())
    return RuleSet(filtered, tuple(refused), digest(sources, values or {}))


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


def _load(document: Document, path: str, rules: dict[str, Rule], filters: list[Filter]) -> None:
    content = document.value
    if not isinstance(content, dict):
        raise Refusal("a rule is a mapping with `title`, `logsource` and `detection`")
    if "action" in content:
        raise Refusal("`action` was removed from Sigma: write each rule out", "action")
    if "correlation" in content:
        raise Refusal("correlation rules are not supported", "correlation", code="S008")
    if "filter" in content:
        filters.append(parse_filter(content))
        return
    rule = parse_rule(content, path, document.number)
    if rule.key in rules:
        first = rules[rule.key]
        message = f"the id {rule.key} is also that of {first.title!r} in {first.path}: give one a new id"
        raise Refusal(message, "id", code="S007")
    rules[rule.key] = rule


def _filtered(rule: Rule, filters: Sequence[Filter]) -> Rule:
    added = [each.condition for each in filters if each.is_for(rule)]
    return replace(rule, condition=And((rule.condition, *added))) if added else rule


def _error(message: str, path: str, line: int, code: str = "S001") -> RuleError:
    return RuleError(message, where=f"{path}:{line}", code=code)
