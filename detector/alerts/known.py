"""What an alert tells of its entity beyond its name, where the enrichment knows something."""

from __future__ import annotations

from collections.abc import Mapping

from detector.alerts.model import Entity, Room
from detector.enrichment.names import may_tell
from detector.enrichment.threats import FIELD as MATCHED
from detector.events import JsonValue


def entity_part(entity: Entity, fields: Mapping[str, JsonValue], room: Room) -> dict[str, JsonValue]:
    """The entity, with those fields of its event that the enrichment gives about it: `source.geo.*` of `source.ip`.

    fields: of the event, by ECS names. Without any there is no key `enrichment`.
    """
    told: dict[str, JsonValue] = {"field": entity.field, "type": entity.type, "value": entity.value}
    above = entity.field.rpartition(".")[0] + "."
    listed = fields.get(MATCHED) == entity.field
    known = {
        name: room.value(value)
        for name, value in fields.items()
        if may_tell(name) and (name.startswith(above) or (listed and name.startswith("threat.")))
    }
    return told | ({"enrichment": known} if known else {})
