"""What is written of a chunk: alerts and dead letters, as JSON lines or Parquet, a file each."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from detector.alerts.dead_letters import parse_dead_letter
from detector.alerts.text import harmless_json
from detector.backfill.atomic import replaced
from detector.window import Message

Form = Literal["jsonl", "parquet"]

ALERTS = pa.schema(
    [
        ("id", pa.string()),
        ("time", pa.timestamp("us", "UTC")),
        ("detected_at", pa.timestamp("us", "UTC")),
        ("rule_id", pa.string()),
        ("rule_title", pa.string()),
        ("level", pa.string()),
        ("severity", pa.int32()),
        ("tactics", pa.list_(pa.string())),
        ("techniques", pa.list_(pa.string())),
        ("entity_type", pa.string()),
        ("entity_value", pa.string()),
        ("source", pa.string()),
        ("offset", pa.int64()),
        ("ordinal", pa.int32()),
        ("alert", pa.string()),
    ]
)
"""Columns of alerts in Parquet; `alert` is the whole, as JSON (`docs/alert-schema.md`)."""

DEAD_LETTERS = pa.schema(
    [
        ("reason", pa.string()),
        ("detail", pa.string()),
        ("source", pa.string()),
        ("offset", pa.int64()),
        ("ordinal", pa.int32()),
        ("position", pa.int64()),
        ("value", pa.binary()),
    ]
)
"""Columns of dead letters in Parquet. position: byte of the value at which it went wrong."""


def write(messages: Sequence[Message], folder: Path, name: str, form: Form) -> None:
    """Write the messages of a chunk below `folder/alerts` and `folder/dead_letters`; nothing where there are none."""
    for role, to_row, schema in (("alerts", alert_row, ALERTS), ("dead_letters", _letter, DEAD_LETTERS)):
        path = folder / role / f"{name}.{form}"
        own = [message for message in messages if message.topic == role]
        if not own:
            path.unlink(missing_ok=True)  # of a chunk that was not whole
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        with replaced(path) as temporary:
            if form == "parquet":
                pq.write_table(pa.Table.from_pylist([to_row(message) for message in own], schema), temporary)
            else:
                to_json = _alert_json if role == "alerts" else _letter_json
                temporary.write_bytes(b"".join(to_json(message) + b"\n" for message in own))


def write_incidents(messages: Sequence[Message], folder: Path) -> None:
    """Write all states of incidents as `folder/incidents/incidents.jsonl`; nothing where there are none."""
    path = folder / "incidents/incidents.jsonl"
    if not messages:
        path.unlink(missing_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with replaced(path) as temporary:
        temporary.write_bytes(b"".join((message.value or b"") + b"\n" for message in messages))


def by_header(messages: Sequence[Message], role: str, header: str) -> dict[str, int]:
    """How many messages of a role there are, by the value of a header."""
    return dict(Counter(dict(each.headers)[header].decode() for each in messages if each.topic == role))


def _alert_json(message: Message) -> bytes:
    return message.value or b""


def alert_row(message: Message) -> dict[str, Any]:
    """The row of an alert, with the columns of ALERTS."""
    alert = orjson.loads(message.value or b"{}")
    rule, source = alert["rule"], alert["source"]
    return {
        "id": alert["id"],
        "time": datetime.fromisoformat(alert["time"]),
        "detected_at": datetime.fromisoformat(alert["detected_at"]),
        "rule_id": rule["id"],
        "rule_title": rule["title"],
        "level": rule["level"],
        "severity": alert["severity"],
        "tactics": [tactic["name"] for tactic in alert["threat"]["tactics"]],
        "techniques": [technique["id"] for technique in alert["threat"]["techniques"]],
        "entity_type": alert["entity"]["type"],
        "entity_value": alert["entity"]["value"],
        "source": source["id"],
        "offset": source["offset"],
        "ordinal": source["ordinal"],
        "alert": (message.value or b"").decode(),
    }


def _letter(message: Message) -> dict[str, Any]:
    letter = parse_dead_letter(message.key, message.value, message.headers)
    return {
        "reason": letter.reason.value,
        "detail": letter.detail,
        "source": f"file:{letter.topic}",
        "offset": letter.offset,
        "ordinal": letter.ordinal,
        "position": letter.position,
        "value": letter.value,
    }


def _letter_json(message: Message) -> bytes:
    row = _letter(message)
    value = row.pop("value") or b""
    try:
        row |= {"value": value.decode(), "encoding": "utf-8"}
    except UnicodeDecodeError:
        row |= {"value": base64.b64encode(value).decode(), "encoding": "base64"}
    return harmless_json(orjson.dumps(row))
