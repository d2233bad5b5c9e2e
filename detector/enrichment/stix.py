"""Indicators of a bundle of STIX 2.1: https://docs.oasis-open.org/cti/stix/v2.1/stix-v2.1.html

Of patterns those are used that one value alone makes true: comparisons with `=`, `IN` and `ISSUBSET`, joined by `OR`.
Others (`AND`, `FOLLOWEDBY`, qualifiers, other languages than STIX's) are left out, for half of them would be wrong.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import orjson

from detector.config import ThreatList
from detector.enrichment.indicators import Indicator, recognized
from detector.errors import EnrichmentError

_TOKEN = re.compile(
    r"\s*(?:(\[|\]|\(|\)|,|=)|'((?:[^'\\]|\\.)*)'|([A-Za-z0-9_:.-]+(?:\.?'[^']*')?(?:\.[A-Za-z0-9_]+)*))"
)
_ESCAPED = re.compile(r"\\(.)")
_PATHS = ("ipv4-addr:value", "ipv6-addr:value", "domain-name:value", "url:value")
_HASHES = "file:hashes."
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def indicators(text: str, settings: ThreatList, until_us: int | None) -> Iterator[Indicator]:
    """The indicators of a bundle that are valid and not revoked. until_us: of those that do not say.

    Raises EnrichmentError with file and line for what is no bundle, and for an indicator that is none.
    """
    path = settings.path
    try:
        bundle = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise EnrichmentError(f"is no JSON: {error.msg}", where=f"{path}:{error.lineno}") from None
    objects = bundle.get("objects") if isinstance(bundle, dict) and bundle.get("type") == "bundle" else None
    if not isinstance(objects, list):
        raise EnrichmentError('is no bundle of STIX: an object with "type": "bundle" and "objects"', where=f"{path}:1")
    names = {each.get("id"): each.get("name") for each in objects if isinstance(each, dict)}
    for each in objects:
        if not isinstance(each, dict) or each.get("type") != "indicator" or each.get("revoked") is True:
            continue
        if each.get("pattern_type", "stix") == "stix":
            yield from _of(each, text, settings, until_us, names)


def _of(
    each: dict[str, Any], text: str, settings: ThreatList, until_us: int | None, names: dict[Any, Any]
) -> Iterator[Indicator]:
    def wrong(detail: str) -> EnrichmentError:
        place = text.find(str(each.get("id")))
        line = text.count("\n", 0, max(place, 0)) + 1
        return EnrichmentError(f"indicator {each.get('id')}: {detail}", where=f"{settings.path}:{line}")

    def time(name: str) -> int | None:
        if each.get(name) is None:
            return None
        us = time_us(str(each[name]))
        if us is None:
            raise wrong(f"{name} is no time: {each[name]!r}")
        return us

    confidence = each.get("confidence", settings.confidence)
    if type(confidence) is not int or not 0 <= confidence <= 100:
        raise wrong(f"confidence is a number from 0 to 100, not {confidence!r}")
    pattern = each.get("pattern")
    if not isinstance(pattern, str):
        raise wrong("it has no pattern")
    references = each.get("external_references")
    first = references[0] if isinstance(references, list) and references else None
    until = time("valid_until")
    for value in values(pattern):
        found = recognized(value)
        if found is None:
            raise wrong(f"{value!r} is no address, network, domain, URL or hash")
        kind, comparable, type_ = found
        yield Indicator(
            kind=kind,
            value=comparable,
            type=type_,
            confidence=confidence,
            feed=settings.feed,
            since_us=time("valid_from"),
            until_us=until_us if until is None else until,
            description=_text(each.get("description")) or _text(each.get("name")),
            reference=_text(first.get("url")) if isinstance(first, dict) else None,
            provider=_text(names.get(each.get("created_by_ref"))),
        )


def values(pattern: str) -> list[str]:
    """The values of which each alone makes a pattern true; none where that is not all that it asks for."""
    tokens: list[tuple[str, str]] = []
    place = 0
    pattern = pattern.strip()
    while place < len(pattern):
        found = _TOKEN.match(pattern, place)
        if found is None:
            return []
        sign, literal, word = found.groups()
        tokens.append(
            ("sign", sign) if sign else ("text", _ESCAPED.sub(r"\1", literal)) if word is None else ("word", word)
        )
        place = found.end()
    try:
        return _observations(tokens)
    except (IndexError, ValueError):
        return []


def _observations(tokens: list[tuple[str, str]]) -> list[str]:
    """`[ … ] OR [ … ]`. Raises IndexError or ValueError for anything else."""
    found: list[str] = []
    rest = iter(tokens)
    for kind, text in rest:
        if (kind, text) != ("sign", "["):
            raise ValueError(text)
        inner: list[tuple[str, str]] = []
        for each in rest:
            if each == ("sign", "]"):
                break
            inner.append(each)
        found += _comparisons(inner)
        joined = next(rest, None)
        if joined is None:
            return found
        if joined != ("word", "OR"):
            raise ValueError(joined[1])
    raise ValueError("ends with OR")


def _comparisons(tokens: list[tuple[str, str]]) -> list[str]:
    """`path = 'text' OR path IN ('text', …)`."""
    (kind, path), (_, operator) = tokens[:2]
    if kind != "word" or not (path in _PATHS or path.startswith(_HASHES)):
        raise ValueError(path)
    place = 2
    if operator in ("=", "ISSUBSET"):
        found = [tokens[place]]
        place += 1
    elif operator == "IN" and tokens[place] == ("sign", "("):
        end = tokens.index(("sign", ")"), place)
        found = tokens[place + 1 : end : 2]
        place = end + 1
    else:
        raise ValueError(operator)
    if not found or any(each[0] != "text" for each in found):
        raise ValueError(path)
    texts = [text for _, text in found]
    if place == len(tokens):
        return texts
    if tokens[place] != ("word", "OR"):
        raise ValueError(tokens[place][1])
    return texts + _comparisons(tokens[place + 1 :])


def time_us(text: str) -> int | None:
    """Microseconds of a time in ISO 8601, without a zone in UTC; None if it is none."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    found = found if found.tzinfo else found.replace(tzinfo=UTC)
    return round((found - _EPOCH).total_seconds() * 1e6)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
