"""`docs/incident-schema.md`, from the JSON Schema."""

from __future__ import annotations

import json
from importlib import resources

from tests.docs.alert_schema import rows
from tests.docs.markdown import generated, table

_HEAD = """# Incidents as messages

JSON in UTF-8 on `output.incidents_topic`, one message for each version of an incident; what an incident is, and when it
is told, is in [incidents](incidents.md). The JSON Schema is
[`detector/alerts/incident.schema.json`](../detector/alerts/incident.schema.json), and installed with the package.

The key is the entity's value, so the versions of an incident come in order. `id` and `version` name a message: the same
alerts give the same ones, and after a crash the last may come again under `at_least_once`. The headers are those of
CloudEvents in binary mode (`ce_id` is `id:version`, `ce_type` is `detector.incident.v1`), `change` and `level`.

## Fields
"""


def page() -> str:
    """The whole page."""
    schema = json.loads(resources.files("detector.alerts").joinpath("incident.schema.json").read_text())
    parts = [
        generated("detector/alerts/incident.schema.json"),
        _HEAD,
        table(("field", "type", "meaning"), rows("", schema, schema["$defs"])),
    ]
    return "\n".join(parts) + "\n"
