"""What a rule says of itself: keys and tags."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from detector.sigma.checks import Path
from detector.sigma.nearest import nearest

Odd = tuple[str, str, Path, str]
"""The code, the message, what leads to the part, and what to do, where the code does not say it."""

_KEYS = {
    *("title", "id", "name", "related", "taxonomy", "status", "description", "license", "references", "author"),
    *("date", "modified", "logsource", "detection", "fields", "falsepositives", "level", "tags", "scope", "detector"),
}
_WANTED = {"id": "S101", "level": "S102", "description": "S103", "date": "S104"}

TACTICS = frozenset(
    {
        *("reconnaissance", "resource-development", "initial-access", "execution", "persistence"),
        *("privilege-escalation", "defense-evasion", "stealth", "defense-impairment", "credential-access"),
        *("discovery", "lateral-movement", "collection", "command-and-control", "exfiltration", "impact"),
    }
)
"""The tactics of ATT&CK for enterprises; version 19 has stealth and defense-impairment in place of defense-evasion."""

_TAGS = {
    "attack": re.compile(r"t\d{4}(\.\d{3})?|(g|s|ds|m|a)\d{4}"),
    "car": re.compile(r"\d{4}-\d{2}-\d{3}"),
    "cve": re.compile(r"\d{4}-\d{4,}"),
    "d3fend": re.compile(r"d3-[a-z0-9-]+|d3f-[A-Za-z0-9-]+|model|harden|detect|isolate|deceive|evict"),
    "detection": re.compile(r"dfir|emerging-threats|threat-hunting"),
    "stp": re.compile(r"[1-5][auk]?"),
    "tlp": re.compile(r"red|amber|amber-strict|green|clear"),
}
"""The namespaces of the specification's appendix on tags, and what they hold beside tactics."""


def odd_metadata(document: Mapping[str, Any]) -> Iterator[Odd]:
    """What a rule lacks, misspells or writes in an old form."""
    for key, code in _WANTED.items():
        if document.get(key) in (None, ""):
            yield code, f"the rule has no `{key}`", (), ""
    for key in document:
        if key not in _KEYS and (near := nearest(key, sorted(_KEYS), cutoff=0.85)) and near not in document:
            yield "S107", f"`{key}` is no key of a rule", (key,), f"Rename it to `{near}`."
    tags = document.get("tags")
    for index, tag in enumerate(tags if isinstance(tags, list) else ()):
        if isinstance(tag, str) and (wrong := _wrong_tag(tag)):
            message, fix = wrong
            yield "S105", f"the tag `{tag}` {message}", ("tags", index), fix


def _wrong_tag(tag: str) -> tuple[str, str] | None:
    """What is wrong with a tag, and how to write it; None if nothing is."""
    namespace, _, name = tag.partition(".")
    if namespace not in _TAGS:
        near = nearest(namespace, sorted(each for each in _TAGS if len(each) > 3), cutoff=0.8)
        return ("is of no namespace of the specification", f"Write `{near}.{name}`.") if near else None
    if _TAGS[namespace].fullmatch(name) or (namespace == "attack" and name in TACTICS):
        return None
    lower = name.lower().replace("_", "-") if namespace == "attack" else name.lower()
    if _TAGS[namespace].fullmatch(lower) or lower in TACTICS:
        return "is in an old form" if "_" in name else "has capitals", f"Write `{namespace}.{lower}`."
    near = nearest(lower, sorted(TACTICS), cutoff=0.7) if namespace == "attack" else None
    if near:
        return "is no tactic of ATT&CK", f"Write `attack.{near}`."
    return f"is not what `{namespace}` holds", ""
