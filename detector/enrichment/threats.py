"""Whether a value of an event is an indicator of threat intelligence."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from detector.enrichment.indicators import Indicator, Kind, as_network, single, url
from detector.enrichment.model import NOTHING, Answer
from detector.enrichment.networks import ADDRESSES
from detector.enrichment.ranges import Ranges
from detector.events import JsonValue

FIELDS: Mapping[Kind, tuple[str, ...]] = {
    "ip": tuple(f"{side}.ip" for side in ADDRESSES),
    "domain": ("url.domain", "dns.question.name", "destination.domain", "source.domain", "tls.client.server_name"),
    "url": ("url.full", "url.original"),
    "hash": tuple(f"{of}.hash.{algorithm}" for of in ("file", "process") for algorithm in ("md5", "sha1", "sha256")),
}
"""The fields whose values are looked up, by kind; of several that are indicators the first one counts."""

FIELD = "threat.enrichments.matched.field"
NAMES = (
    "threat.indicator.type",
    "threat.indicator.name",
    "threat.indicator.confidence",
    "threat.indicator.description",
    "threat.indicator.provider",
    "threat.indicator.reference",
    "threat.feed.name",
    FIELD,
    "threat.enrichments.matched.atomic",
)


class Threats:
    """Gives `threat.indicator.*`, `threat.feed.name` and what matched; never two indicators mixed."""

    __slots__ = ("_exact", "_ranges")

    key: str | None = "threat.indicator.type"

    def __init__(self, indicators: Iterable[Indicator]) -> None:
        self._exact: dict[Kind, dict[str, Indicator]] = {}
        networks: dict[str, Indicator] = {}
        for each in indicators:
            known = self._exact.setdefault(each.kind, {})
            if each.kind == "ip" and not single(each.value):
                known = networks
            before = known.get(each.value)
            if before is None or each.lasting > before.lasting:
                known[each.value] = each
        self._ranges: Ranges[Indicator] | None = None
        if networks:
            self._ranges = Ranges((as_network(value), each) for value, each in networks.items())

    def asked(self) -> Mapping[str, Mapping[str, type]]:
        """See `Provider.asked`: only fields that an indicator may match."""
        return {
            field: dict.fromkeys(NAMES, str)
            for kind, fields in FIELDS.items()
            if kind in self._exact
            for field in fields
        }

    def look_up(self, field: str, values: Sequence[str]) -> list[Answer]:
        """See `Provider.look_up`."""
        kind = next(kind for kind, fields in FIELDS.items() if field in fields)
        return [
            NOTHING if indicator is None else _answer(indicator, field, value)
            for value, indicator in zip(values, self.indicators(kind, values), strict=True)
        ]

    def indicators(self, kind: Kind, values: Sequence[str]) -> list[Indicator | None]:
        """The indicator that each value is, if it is one."""
        known = self._exact.get(kind, {})
        if kind == "domain":
            return [_domain(known, value.lower().rstrip(".")) for value in values]
        if kind == "url":
            return [known.get(url(value)) if "://" in value else None for value in values]
        if kind == "hash":
            return [known.get(value.lower()) for value in values]
        found = [known.get(value) for value in values]
        if self._ranges is not None:
            around = self._ranges.look_up(values)
            found = [narrow or wide for narrow, wide in zip(found, around, strict=True)]
        return found


def _domain(known: Mapping[str, Indicator], name: str) -> Indicator | None:
    """The indicator of a domain itself, else of the nearest one above it that is listed with all below."""
    found = known.get(name) or known.get("." + name)
    while found is None and "." in name:
        name = name.partition(".")[2]
        found = known.get("." + name)
    return found


def _answer(indicator: Indicator, field: str, value: str) -> Answer:
    fields: dict[str, JsonValue] = {
        "threat.indicator.type": indicator.type,
        "threat.indicator.name": indicator.value,
        "threat.indicator.confidence": indicator.level,
        "threat.indicator.description": indicator.description,
        "threat.indicator.provider": indicator.provider,
        "threat.indicator.reference": indicator.reference,
        "threat.feed.name": indicator.feed,
        FIELD: field,
        "threat.enrichments.matched.atomic": value,
    }
    known = {name: each for name, each in fields.items() if each is not None}
    return Answer(known, indicator.since_us, indicator.until_us)
