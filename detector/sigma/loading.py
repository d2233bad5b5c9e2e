"""From rule sources to a rule set: what cannot be loaded is refused with file and line, and the rest runs."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING

from detector.config import Limits
from detector.correlation.loading import Known, Resolver, with_families
from detector.correlation.parsing import Parsed, parse_correlation
from detector.correlation.rule import Correlation
from detector.documents import Document, DocumentError, read_documents
from detector.errors import RuleError
from detector.sigma.checks import Refusal
from detector.sigma.modifiers import Values, placeholder_values
from detector.sigma.nodes import And, Node
from detector.sigma.parsing import Filter, filter_for, logsource_of, parse_filter, parse_rule
from detector.sigma.rule import Rule
from detector.sigma.ruleset import RuleSet
from detector.sigma.source import RuleSource, digest
from detector.suppression.parsing import kind_of, parse_exception, parse_suppression
from detector.suppression.policies import Exemption, Policies, Suppression

if TYPE_CHECKING:
    from detector.sigma.pipelines import Pipelines

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
    parsed: list[tuple[Document, Parsed]] = []
    policies: list[Exemption | Suppression] = []
    refused: list[RuleError] = []
    changes = _pipelines(pipelines, limits)
    shared = hashlib.sha256(repr((values, limits, tuple(pipelines))).encode()).digest()
    keys = [hashlib.sha256(shared + repr(each.path).encode() + each.text).digest() for each in sources]
    plain: dict[bytes, tuple[Rule, ...]] = {}
    documents: dict[str, Document] = {}
    with placeholder_values(values or {}):
        for source, key in zip(sources, keys, strict=True):
            before = _known.get(key)
            if before is not None and not any(rule.key in rules for rule in before):
                rules.update((rule.key, rule) for rule in before)
                plain[key] = before
                continue
            others, first = len(refused) + len(filters) + len(parsed) + len(policies), len(rules)
            for document in documents_of(source, limits, refused):
                try:
                    if (kind := kind_of(document.value)) is not None:
                        parse = parse_exception if kind == "exception" else parse_suppression
                        policies.append(parse(document.value))
                        continue
                    if _is_correlation(document):
                        parsed.append((document, _correlation(document, source.path, rules, parsed)))
                        continue
                    rule = _load(document, source.path, rules, filters, changes)
                    if rule is not None and changes is not None:
                        documents[rule.key] = document  # for the filters, which are changed as the rule is
                except Refusal as error:
                    refused.append(_error(error.message, source.path, document.line(*error.path), error.code))
                except Exception as error:  # noqa: BLE001 -- pySigma on hostile input: it costs one document, no more
                    message = f"cannot be loaded ({type(error).__name__}: {error})"
                    refused.append(_error(message, source.path, document.line()))
            if others == len(refused) + len(filters) + len(parsed) + len(policies):
                plain[key] = tuple(islice(rules.values(), first, None))
        remember(plain)
        if changes is None or not filters:
            filtered = [
                _filtered(rule, [each.condition for each in filters if each.is_for(rule)]) for rule in rules.values()
            ]
        else:
            texts = {source.path: source for source in sources}
            filtered = []
            for rule in rules.values():
                document = documents.get(rule.key) or _document(texts[rule.path], rule, limits)
                filtered.append(_filtered(rule, _changed(rule, filters, document, changes, refused)))
    correlations = tuple(with_families(list(_resolved(filtered, parsed, refused))))
    sha = digest(sources, values or {}, pipelines)
    return RuleSet(tuple(filtered), tuple(refused), sha, correlations, _policies(policies))


def _policies(found: Sequence[Exemption | Suppression]) -> Policies:
    return Policies(
        tuple(each for each in found if isinstance(each, Exemption)),
        tuple(each for each in found if isinstance(each, Suppression)),
    )


_known: dict[bytes, tuple[Rule, ...]] = {}
"""The rules of each file of the rule set that was compiled last, if all that is in it is rules; for the next one."""


def remembered() -> dict[bytes, tuple[Rule, ...]]:
    """What need not be read again in the next rule set: files by a hash, with their rules."""
    return dict(_known)


def remember(files: dict[bytes, tuple[Rule, ...]]) -> None:
    """Remember these, and no others."""
    _known.clear()
    _known.update(files)


def _pipelines(sources: Sequence[RuleSource], limits: Limits) -> Pipelines | None:
    if not sources:
        return None
    from detector.sigma.pipelines import Pipelines  # pySigma's half of it takes long to import, and few have any

    return Pipelines(sources, limits)


def documents_of(source: RuleSource, limits: Limits, refused: list[RuleError]) -> Iterator[Document]:
    try:
        yield from read_documents(_decode(source.text, limits.max_rule_file_bytes))
    except DocumentError as error:
        refused.append(_error(error.message, source.path, error.line))


def _document(source: RuleSource, rule: Rule, limits: Limits) -> Document:
    """The document of a rule that was known, read again."""
    return next(each for each in documents_of(source, limits, []) if each.number == rule.document)


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
    if "filter" in content:
        filters.append(parse_filter(content, pipelines))
        return None
    rule = parse_rule(content, path, document.number, pipelines)
    if rule.key in rules:
        raise _same_id(rule, rules[rule.key])
    rules[rule.key] = rule
    return rule


def _same_id(rule: Rule, first: Rule) -> Refusal:
    message = f"the id {rule.key} is also that of {first.title!r} in {first.path}: give one a new id"
    return Refusal(message, "id", code="S007")


def _is_correlation(document: Document) -> bool:
    return isinstance(document.value, dict) and "correlation" in document.value and "action" not in document.value


def _correlation(
    document: Document, path: str, rules: dict[str, Rule], others: Sequence[tuple[Document, Parsed]]
) -> Parsed:
    """The correlation in a document. Raises Refusal."""
    parsed = parse_correlation(document.value, path, document.number)
    for first in (*rules.values(), *(other.about for _, other in others)):
        if first.key == parsed.about.key:
            raise _same_id(parsed.about, first)
    return parsed


def _resolved(
    rules: Sequence[Rule], parsed: Sequence[tuple[Document, Parsed]], refused: list[RuleError]
) -> Iterator[Correlation]:
    keys = {rule.key: rule for rule in rules}
    resolver = Resolver(Known.of(rules, [each for _, each in parsed]))
    for document, each in parsed:
        try:
            if each.about.key in keys:  # a rule in a later file
                raise _same_id(each.about, keys[each.about.key])
            yield resolver.resolve(each)
        except Refusal as error:
            refused.append(_error(error.message, each.about.path, document.line(*error.path), error.code))


def _changed(
    rule: Rule, filters: Sequence[Filter], document: Document, pipelines: Pipelines, refused: list[RuleError]
) -> list[Node]:
    """What the filters of a rule add, changed as the rule is; one that cannot be is left out and refused."""
    added = []
    for each in filters:
        if each.is_for(rule, logsource_of(document.value)):
            try:
                added.append(filter_for(document.value, each, pipelines))
            except Refusal as error:
                message = f"runs without the filter {each.title!r}: {error.message}"
                refused.append(_error(message, rule.path, document.line(), error.code))
    return added


def _filtered(rule: Rule, added: Sequence[Node]) -> Rule:
    return replace(rule, condition=And((rule.condition, *added))) if added else rule


def _error(message: str, path: str, line: int, code: str = "S001") -> RuleError:
    return RuleError(message, where=f"{path}:{line}", code=code)
