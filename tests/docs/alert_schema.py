"""`docs/alert-schema.md`, from the JSON Schema, and an alert made of `tests/alert_samples.py`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib import resources
from typing import Any

from tests.alert_samples import alert_message
from tests.docs.markdown import generated, table

SCHEMA: dict[str, Any] = json.loads(resources.files("detector.alerts").joinpath("schema.json").read_text())

_HEAD = """# Alerts and dead letters

One alert per event and rule, as JSON in UTF-8 on `output.alerts_topic`. The JSON Schema is
[`detector/alerts/schema.json`](../detector/alerts/schema.json), and installed with the package.

What a subscriber may rely on:

- **The id** is the same whenever the same record is evaluated by the same rule: deduplicate by it. It is the SHA-256,
  in hex, of the UTF-8 text of a JSON array without white space: rule id, `kafka:<topic>:<partition>`, offset, ordinal:
  `sha256('["RULE","kafka:web:3",41,0]')`. The rule set's hash is a field, not a part of the id.
- **The key** of the message is the entity's value, so alerts about one address, user or host come in order.
- **Everything quoted from a log is data.** It is valid JSON in valid Unicode whatever the log held, and characters that
  a terminal obeys or that reorder text (C0, C1, bidirectional marks, invisible ones) are in `\\u` notation. It is still
  what a stranger wrote: escape it for HTML, chat and queries.
- **The size is bounded.** Values are cut to `limits.max_alert_value_bytes`, and `truncated` says so. With the default
  limit no alert exceeds 600 KB (every byte of it escaped); an ordinary one has 2 KB.
- **Changes.** New fields raise the second number of `schema_version`, so ignore fields that you do not know; the schema
  in this repository allows none, because the tests use it. A change that breaks readers raises the first number and
  the type in the header `ce_type`.

## Headers

[CloudEvents](https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/kafka-protocol-binding.md) in binary
mode, and two more to filter by without reading the value.
"""

_HEADERS = {
    "ce_specversion": "Version of CloudEvents.",
    "ce_id": "`id`",
    "ce_type": "Kind of message; its number is the first of `schema_version`.",
    "ce_source": "`source.id`",
    "ce_subject": "`entity.value`, control characters made visible.",
    "ce_time": "`time`",
    "content-type": "Always this.",
    "rule_id": "`rule.id`",
    "level": "`rule.level`",
}

_BOUNDS = """## Bounds

| what | at most | then |
| --- | --- | --- |
| a value of a field, of a match, a pattern; the original | `limits.max_alert_value_bytes` (8 KiB) | cut, `truncated` |
| fields of `event` | 256, together 4 x `limits.max_alert_value_bytes` | the rest is left out, `truncated` |
| `matches` | 32, together 4 x `limits.max_alert_value_bytes` | the rest is left out, `truncated` |
| elements of a list | 64 | the rest is left out, `truncated` |
| names of fields and selections | 256 bytes | cut |
| `entity.value`, the message's key | 256 bytes | cut |
| texts of `rule` | together 16 KiB | cut, `truncated` |
| an alert, all of it escaped | 54 x `limits.max_alert_value_bytes` + 110 KiB | a dead letter if the topic takes less |
"""

_DEAD_LETTERS = """## Dead letters

A record that could not be parsed, evaluated or delivered as it should goes to `output.dead_letters_topic`: value, key
and headers are the record's own bytes, and these headers follow after its own. A header of the same name that the
record brought itself stands before `detector.reason` and means nothing.

| header | meaning |
| --- | --- |
| `detector.reason` | one of the reasons in [metrics](metrics.md#deadletterreason); always the first |
| `detector.detail` | what went wrong, for people; at most 1 KiB |
| `detector.topic`, `detector.partition`, `detector.offset` | where the record is |
| `detector.timestamp` | the record's timestamp, Unix time in milliseconds |
| `detector.ordinal` | the event's place in the record, where the reason is about one event |
| `detector.position` | byte of the value at which it went wrong, where that is known |
| `detector.value_bytes` | length of the record's value; absent for a null value |
| `detector.truncated` | which of `headers`, `key`, `value` are not whole, because the topic takes no larger message |

To replay one, send value, key and the headers before `detector.reason` to `detector.topic` again
(`detector.alerts.dead_letters.parse_dead_letter` takes a message apart). Two things are not kept: a null header value
becomes an empty one, and a header name that is not UTF-8 gets U+FFFD for its invalid bytes. Headers that are not in
Kafka's format are kept undecoded, as the value of one header `detector.headers`. Where the reason is `alert_too_large`,
the value is the alert, not the record.
"""


def page() -> str:
    """The whole page."""
    message = alert_message()
    assert message.value is not None
    headers = [[f"`{name}`", f"`{value.decode()}`", _HEADERS[name]] for name, value in message.headers]
    example = json.dumps(json.loads(message.value), indent=2, ensure_ascii=False)
    parts = [
        generated("detector/alerts/schema.json and tests/alert_samples.py"),
        _HEAD,
        table(("header", "example", "meaning"), headers),
        "\n## Example\n",
        f"```json\n{example}\n```",
        "\n## Fields\n\nAll are always there, unless their meaning says otherwise.\n",
        table(("field", "type", "meaning"), rows("", SCHEMA, SCHEMA["$defs"])),
        "",
        _BOUNDS,
        _DEAD_LETTERS,
    ]
    return "\n".join(parts).rstrip() + "\n"


def rows(prefix: str, node: dict[str, Any], defs: dict[str, Any]) -> Iterator[list[str]]:
    """The rows of a table of the fields of a schema."""
    for name, field in node["properties"].items():
        target = defs[field["$ref"].rpartition("/")[2]] if "$ref" in field else field
        inner = target.get("items", target)
        place = f"{prefix}{name}{'[]' if 'properties' in target.get('items', {}) else ''}"
        yield [f"`{place}`", _type(target), field.get("description", "")]
        if "properties" in inner:
            yield from rows(f"{place}.", inner, defs)


def _type(node: dict[str, Any]) -> str:
    if "enum" in node:
        return ", ".join(f"`{value}`" for value in node["enum"])
    if "const" in node:
        return f"`{node['const']}`"
    if "anyOf" in node:
        return "any but an object"
    kinds = node["type"] if isinstance(node["type"], list) else [node["type"]]
    return " or ".join(kinds)
