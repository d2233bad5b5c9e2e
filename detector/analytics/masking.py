"""Personal data in tables made pseudonyms: the same value has the same one throughout a report, in no other."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc

from detector.analytics.questions import distinct

_PERSONAL = (
    "user_name",
    "user_identity",
    "session_id",
    "ip_address",
    "source_ip",
)
"""Columns that hold nothing but personal data."""
_MIXED = {
    "anomalies": "subject",
    "threat_sources": "source",
    "threat_samples": "source",
    "privileged_actions": "target",
}
"""Columns that hold a person, an address or something else, by their table."""
_EMAIL = r"[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}"
_IPV4 = r"\b\d{1,3}(?:\.\d{1,3}){3}\b"
_IPV6 = r"\b(?:[0-9A-Fa-f]{1,4}:){2,7}(?::?[0-9A-Fa-f]{1,4})?\b|\b(?:[0-9A-Fa-f]{1,4}:){1,6}:(?:[0-9A-Fa-f]{1,4})?"


def masked(tables: Mapping[str, pa.Table], key: bytes | None = None) -> dict[str, pa.Table]:
    """The tables with users, addresses and sessions as pseudonyms, e-mail and network addresses in texts cut out.

    key: makes the pseudonyms; None: a random one, so that nobody can make them again.
    """
    key = secrets.token_bytes(32) if key is None else key
    return {name: _masked(table, _MIXED.get(name), key) for name, table in tables.items()}


def _masked(table: pa.Table, mixed: str | None, key: bytes) -> pa.Table:
    columns = []
    for name in table.column_names:
        column = table[name]
        if pa.types.is_string(column.type):
            whole = name in _PERSONAL or name == mixed
            column = distinct(column, partial(_pseudonyms if whole else _without_addresses, key=key))
        columns.append(column)
    return pa.table(columns, names=table.column_names)


def _pseudonyms(texts: pa.Array, *, key: bytes) -> pa.Array:
    return pa.array([None if text is None else _pseudonym(text, key) for text in texts.to_pylist()], pa.string())


def _pseudonym(text: str, key: bytes) -> str:
    return f"id-{hmac.new(key, text.encode('utf-8', 'replace'), hashlib.sha256).hexdigest()[:12]}"


def _without_addresses(texts: pa.Array, *, key: bytes) -> pa.Array:
    """An address alone is a pseudonym, too: it is looked up by it."""
    alone = pc.match_substring_regex(texts, f"^(?:{_IPV4}|{_IPV6})$")
    cut = texts
    for expression in (_EMAIL, _IPV4, _IPV6):
        cut = pc.replace_substring_regex(cut, expression, "<masked>")
    return pc.if_else(alone, _pseudonyms(pc.if_else(alone, texts, None), key=key), cut)
