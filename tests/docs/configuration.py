"""`docs/configuration.md`, from the model of the settings."""

from __future__ import annotations

import json
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from detector.config import Config, InputTopic, LogSourceSetting, ThreatList
from detector.config_sources import Leaf, leaves, variable
from tests.docs.markdown import generated, table

_HEAD = """# Configuration

Sources, later ones win, merged setting by setting: defaults, a YAML file (`--config FILE` or `DETECTOR_CONFIG`),
environment variables, flags of a command. An unknown key or variable is an error (exit code 2) that names the nearest
known one; all problems are reported at once, with file and line. `detector config show` prints every setting with its
value and where it comes from (secrets masked), `detector config schema` a JSON Schema of the file for editors.

```yaml
kafka:
  bootstrap_servers: [kafka-1:9092, kafka-2:9092]
  security:
    protocol: SASL_SSL
    sasl_mechanism: SCRAM-SHA-512
    sasl_username: detector
    sasl_password_file: /run/secrets/kafka/password
input:
  topics:
    - name: web
      format: apache
    - name: everything-else
output:
  min_level: medium
```

In the environment, the levels are joined by two underscores: `DETECTOR_KAFKA__GROUP_ID=detector`. A list is separated
by commas (`DETECTOR_KAFKA__BOOTSTRAP_SERVERS=kafka-1:9092,kafka-2:9092`) or JSON, a list of objects is JSON
(`DETECTOR_INPUT__TOPICS='[{"name": "web", "format": "apache"}]'`); a list replaces the one of an earlier source. An
empty variable counts as not set. The variables that Kubernetes sets in every pod for a service named `detector`
(`DETECTOR_SERVICE_HOST`, `DETECTOR_PORT_8080_TCP` …) are left alone.
"""


def page() -> str:
    """The whole page."""
    sections: dict[Leaf, list[list[str]]] = {}
    for leaf, info in leaves():
        sections.setdefault(leaf[:-1], []).append(_row(leaf, info))
    schema = Config.model_json_schema()
    parts = [generated("detector/config.py"), _HEAD]
    for section, rows in sections.items():
        parts += [f"## `{'.'.join(section)}`\n", _section_text(section), table(_COLUMNS, rows), ""]
        if section == ("input",):
            parts += [_nested("input.topics[]", InputTopic), _nested("input.topics[].logsource", LogSourceSetting)]
        if section == ("enrichment",):
            parts.append(_nested("enrichment.threat_lists[]", ThreatList))
    assert schema  # the schema command works on the same model
    return "\n".join(parts)


_COLUMNS = ("setting", "default", "values", "meaning", "variable")


def _row(leaf: Leaf, info: FieldInfo) -> list[str]:
    return [f"`{leaf[-1]}`", _default(info), _values(leaf), info.description or "", f"`{variable(leaf)}`"]


def _nested(name: str, model: type[BaseModel]) -> str:
    properties = model.model_json_schema()["properties"]
    rows = [
        [f"`{key}`", _default(info), _describe(properties[key], {}), info.description or ""]
        for key, info in model.model_fields.items()
    ]
    return "\n".join((f"### `{name}`\n", _first_line(model), "", table(_COLUMNS[:-1], rows), ""))


def _section_text(section: Leaf) -> str:
    model: Any = Config
    for name in section:
        model = model.model_fields[name].annotation
    return f"{_first_line(model)}\n"


def _first_line(model: type) -> str:
    return (model.__doc__ or "").strip().splitlines()[0]


def _default(info: FieldInfo) -> str:
    if info.default is PydanticUndefined:
        return "required" if info.default_factory is None else "found at start"
    if info.default is None:
        return "none"
    value = json.loads(json.dumps(info.default, default=_plain))
    if isinstance(value, list):
        return ", ".join(f"`{json.dumps(each)}`" for each in value) or "empty"
    return f"`{json.dumps(value)}`"


def _plain(value: Any) -> Any:
    return value.model_dump(mode="json", exclude_none=True) if hasattr(value, "model_dump") else str(value)


def _values(leaf: Leaf) -> str:
    schema = Config.model_json_schema()
    definitions = schema["$defs"]
    node: dict[str, Any] = schema
    for name in leaf:
        node = _resolve(node, definitions)["properties"][name]
    return _describe(node, definitions)


def _resolve(node: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    return definitions[node["$ref"].rpartition("/")[2]] if "$ref" in node else node


def _describe(node: dict[str, Any], definitions: dict[str, Any]) -> str:
    node = _resolve(node, definitions) if definitions else node
    if "anyOf" in node:
        return ", ".join(_describe(each, definitions) for each in node["anyOf"] if each.get("type") != "null")
    if "$ref" in node:
        return "section"
    if "enum" in node or "const" in node:
        return ", ".join(f"`{value}`" for value in node.get("enum", [node.get("const")]))
    kind = node.get("type")
    if kind in ("integer", "number"):
        bounds = [_number(node[bound]) for bound in ("minimum", "maximum") if bound in node]
        return " to ".join(bounds) or "number"
    if kind == "array":
        inner = _resolve(node["items"], definitions)
        return (
            "list of objects, below" if inner.get("type") == "object" else f"list of {_describe(inner, definitions)}s"
        )
    if kind == "boolean":
        return "`true`, `false`"
    return {"path": "path", "password": "secret"}.get(str(node.get("format")), "text")


def _number(value: float) -> str:
    return f"{value:,}".removesuffix(".0").replace(",", " ")
