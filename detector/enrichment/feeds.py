"""Threat intelligence lists in files: a value a line, CSV, or a bundle of STIX 2.1."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from pathlib import Path

from detector.config import ThreatList
from detector.enrichment import stix
from detector.enrichment.files import decoded
from detector.enrichment.indicators import Indicator, recognized
from detector.errors import EnrichmentError

MAX_INDICATORS = 5_000_000
"""Of one list."""
COLUMNS: Mapping[str, str] = {
    "indicator": "indicator", "value": "indicator", "ioc": "indicator", "ioc_value": "indicator",
    "ip": "indicator", "address": "indicator", "domain": "indicator", "url": "indicator", "hash": "indicator",
    "confidence": "confidence", "confidence_level": "confidence",
    "valid_from": "valid_from", "first_seen": "valid_from", "first_seen_utc": "valid_from",
    "valid_until": "valid_until", "expires": "valid_until", "expiration": "valid_until",
    "description": "description", "comment": "description", "threat": "description",
    "reference": "reference", "link": "reference",
}  # fmt: skip
"""Headings of CSV files, in lower case -> what is below them; others are passed over."""


def read(settings: ThreatList, content: bytes, modified_s: float) -> Iterator[Indicator]:
    """The indicators of a list. modified_s: when its file was changed, Unix time: what `max_age_s` counts from.

    Raises EnrichmentError with file and line for what cannot be read.
    """
    path = settings.path
    until_us = None if settings.max_age_s is None else int((modified_s + settings.max_age_s) * 1e6)
    text = decoded(content, str(path))
    form = settings.format if settings.format != "auto" else _form(path, text)
    if form == "stix":
        found = stix.indicators(text, settings, until_us)
    elif form == "csv":
        found = _csv(text, settings, until_us)
    else:
        found = _plain(text, settings, until_us)
    for number, indicator in enumerate(found):
        if number >= MAX_INDICATORS:
            raise EnrichmentError(f"has more than {MAX_INDICATORS:,} indicators", where=str(path))
        yield indicator


def _form(path: Path, text: str) -> str:
    if text.lstrip()[:1] == "{":
        return "stix"
    return "csv" if path.suffix.lower() == ".csv" else "plain"


def _plain(text: str, settings: ThreatList, until_us: int | None) -> Iterator[Indicator]:
    """A value a line; what follows it after a space is its description, and after # or ; as well."""
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split(None, 1)
        if not words or words[0][0] in "#;":
            continue
        told = words[1].strip().lstrip("#;").strip() if len(words) > 1 else None
        yield _indicator(words[0], f"{settings.path}:{number}", settings, until_us=until_us, description=told or None)


def _csv(text: str, settings: ThreatList, until_us: int | None) -> Iterator[Indicator]:
    rows = csv.reader(io.StringIO(text), skipinitialspace=True, strict=True)
    names = _names(settings.columns) if settings.columns else None
    try:
        for row in rows:
            if not row or row[0].startswith("#") or not any(cell.strip() for cell in row):
                continue
            where = f"{settings.path}:{rows.line_num}"
            if names is None:
                names = _names(row)
                if "indicator" not in names:
                    raise EnrichmentError(
                        "has no heading `indicator` (or value, ioc, ip, domain, url, hash); name its columns in"
                        " enrichment.threat_lists[].columns",
                        where=where,
                    )
                continue
            cells = {name: cell.strip() for name, cell in zip(names, row, strict=False) if name and cell.strip()}
            if "indicator" not in cells:
                raise EnrichmentError("a row without an indicator", where=where)
            yield _indicator(
                cells["indicator"],
                where,
                settings,
                until_us=_time(cells.get("valid_until"), where) or until_us,
                since_us=_time(cells.get("valid_from"), where),
                confidence=_confidence(cells.get("confidence"), where),
                description=cells.get("description"),
                reference=cells.get("reference"),
            )
    except csv.Error as error:
        raise EnrichmentError(f"is not CSV: {error}", where=f"{settings.path}:{rows.line_num}") from None


def _names(headings: tuple[str, ...] | list[str]) -> list[str]:
    return [COLUMNS.get(heading.strip().lstrip("#").strip().lower(), "") for heading in headings]


def _indicator(
    text: str,
    where: str,
    settings: ThreatList,
    *,
    until_us: int | None,
    since_us: int | None = None,
    confidence: int | None = None,
    description: str | None = None,
    reference: str | None = None,
) -> Indicator:
    found = recognized(text)
    if found is None:
        shown = text if len(text) <= 100 else text[:100] + "…"
        raise EnrichmentError(f"{shown!r} is no address, network, domain, URL or hash", where=where)
    kind, value, type_ = found
    return Indicator(
        kind=kind,
        value=value,
        type=type_,
        confidence=settings.confidence if confidence is None else confidence,
        feed=settings.feed,
        since_us=since_us,
        until_us=until_us,
        description=description,
        reference=reference,
    )


def _confidence(text: str | None, where: str) -> int | None:
    if text is None:
        return None
    try:
        number = float(text)
    except ValueError:
        number = -1
    if not 0 <= number <= 100:
        raise EnrichmentError(f"a confidence is a number from 0 to 100, not {text!r}", where=where)
    return round(number)


def _time(text: str | None, where: str) -> int | None:
    """Microseconds of ISO 8601 (without a zone: UTC) or of Unix seconds."""
    if text is None:
        return None
    us = stix.time_us(text)
    if us is not None:
        return us
    if text.isascii() and text.isdigit() and len(text) <= 11:
        return int(text) * 1_000_000
    raise EnrichmentError(f"{text!r} is no time as 2026-01-31T00:00:00Z", where=where)
