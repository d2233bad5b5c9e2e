"""Where an address is and whose network it is in, by MaxMind's databases or others of their form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from detector.enrichment.model import NOTHING, Answer
from detector.enrichment.networks import ADDRESSES, Networks
from detector.events import JsonValue

if TYPE_CHECKING:  # the names alone are asked for by what checks rules, without the library
    from detector.enrichment.databases import Database, Record

INSIDE = "Internal"
"""Country and city of an address of an internal network, in the plain names only: it is no place."""

_LANGUAGE = "en"
PATHS: Mapping[str, tuple[tuple[str | int, ...], ...]] = {
    "geo.continent_code": (("continent", "code"),),
    "geo.continent_name": (("continent", "names", _LANGUAGE),),
    "geo.country_iso_code": (("country", "iso_code"),),
    "geo.country_name": (("country", "names", _LANGUAGE),),
    "geo.region_iso_code": (("subdivisions", 0, "iso_code"),),
    "geo.region_name": (("subdivisions", 0, "names", _LANGUAGE),),
    "geo.city_name": (("city", "names", _LANGUAGE),),
    "geo.postal_code": (("postal", "code"),),
    "geo.timezone": (("location", "time_zone"),),
    "geo.location.lat": (("location", "latitude"),),
    "geo.location.lon": (("location", "longitude"),),
    "as.number": (("autonomous_system_number",), ("traits", "autonomous_system_number")),
    "as.organization.name": (
        ("autonomous_system_organization",),
        ("traits", "autonomous_system_organization"),
        ("isp",),
    ),
}
"""ECS name below `source` and its like -> where it stands in a record; the first that is there counts.

https://dev.maxmind.com/geoip/docs/databases
"""
_TYPES = {"geo.location.lat": float, "geo.location.lon": float, "as.number": int}
PLAIN = {"geo_country": "geo.country_iso_code", "geo_city": "geo.city_name"}
"""Plain names, of the source alone."""


class Places:
    """Gives `source.geo.*`, `source.as.*` and their like, and `geo_country` and `geo_city` of the source.

    databases: of several that know a field of an address, the first counts. internal: what is nowhere, but inside.
    """

    __slots__ = ("_databases", "_internal", "_names")

    key: str | None = None

    def __init__(self, databases: Sequence[Database], internal: Networks) -> None:
        self._databases = tuple(databases)
        self._internal = internal
        self._names = {side: {name: f"{side}.{name}" for name in PATHS} for side in ADDRESSES}

    def asked(self) -> Mapping[str, Mapping[str, type]]:
        """See `Provider.asked`."""
        asked = {
            f"{side}.ip": {full: _TYPES.get(name, str) for name, full in names.items()}
            for side, names in self._names.items()
        }
        asked[f"{ADDRESSES[0]}.ip"] |= dict.fromkeys(PLAIN, str)
        return asked

    def look_up(self, field: str, values: Sequence[str]) -> list[Answer]:
        """See `Provider.look_up`."""
        side = field.removesuffix(".ip")
        inside = dict.fromkeys(PLAIN, INSIDE) if side == ADDRESSES[0] else {}
        answers = {True: Answer(inside), None: NOTHING}
        return [
            answers[state] if state is not False else self._answer(side, value)
            for value, state in zip(values, self._internal.contain(values), strict=True)
        ]

    def _answer(self, side: str, address: str) -> Answer:
        known: dict[str, JsonValue] = {}
        for database in self._databases:
            record = database.get(address)
            if record is not None:
                for name, value in fields(record).items():
                    known.setdefault(name, value)
        found = {self._names[side][name]: value for name, value in known.items()}
        if side == ADDRESSES[0]:
            found |= {plain: known[name] for plain, name in PLAIN.items() if name in known}
        return Answer(found)


def fields(record: Record) -> dict[str, JsonValue]:
    """What a record says, by the names of ECS below `source`; values of another type than theirs are left out."""
    found: dict[str, JsonValue] = {}
    for name, paths in PATHS.items():
        type_ = _TYPES.get(name, str)
        for path in paths:
            value = _at(record, path)
            if type(value) is type_ or (type_ is float and type(value) is int):
                found[name] = value
                break
    return found


def _at(value: JsonValue, path: Sequence[str | int]) -> JsonValue:
    for key in path:
        if isinstance(key, int):
            value = value[key] if isinstance(value, list) and key < len(value) else None
        else:
            value = value.get(key) if isinstance(value, dict) else None
    return value
