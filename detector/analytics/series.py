"""What the pages draw besides the tables of the areas: levels, response times, countries, ports, links."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import pyarrow as pa
import pyarrow.compute as pc

from detector.analytics.questions import Question, quantile

COLUMNS: Mapping[str, pa.DataType] = {
    "destination.ip": pa.string(),
    "destination.port": pa.int64(),
    "event.duration": pa.float64(),  # seconds
    "event.duration_ms": pa.float64(),
    "haproxy.total_time": pa.float64(),  # milliseconds
    "host.name": pa.string(),
    "log.level": pa.string(),
    "log.offset": pa.int64(),
    "service.name": pa.string(),
    "source.geo.country_iso_code": pa.string(),
    "source.geo.country_name": pa.string(),
    "url.domain": pa.string(),
}
QUESTIONS: Mapping[str, Question] = {
    "levels": Question(("log.level",), where="leveled"),
    "response_times": Question(("hour", "response_ms"), where="responded"),
    "countries": Question(
        ("source.geo.country_iso_code", "source.geo.country_name"), where="located", sums=("failed",)
    ),
    "ports": Question(("source.ip", "destination.port"), where="ported"),
    "links": Question(("source.ip", "target"), where="linked", sums=("failed",)),
}
SCANNED_PORTS = 10
"""Distinct ports that one address tries, from which on it counts as a port scan."""
ALERTS_PER_RULE = 5
"""Alerts of a rule that a page shows."""
_BINS_PER_DECADE = 20  # a response time is off by 6 % at most, and there are at most 200 of them an hour
_REPUTATION_OF_ERRORS = 30

Columns = Mapping[str, pa.ChunkedArray]


class Totals(Protocol):
    """What has been added up, by question."""

    def of(self, name: str) -> pa.Table:
        """The total of a question: its keys, count, sums, first, last; the largest counts first."""


def derived(columns: Columns, known: Columns) -> dict[str, pa.ChunkedArray]:
    """What the questions look at. known: what was derived before (web)."""
    took = pc.coalesce(
        columns["event.duration_ms"], columns["haproxy.total_time"], pc.multiply(columns["event.duration"], 1_000.0)
    )
    target = pc.coalesce(
        columns["destination.ip"], columns["host.name"], columns["service.name"], columns["url.domain"]
    )
    country = pc.coalesce(columns["source.geo.country_iso_code"], columns["source.geo.country_name"])
    addressed = pc.is_valid(columns["source.ip"])
    return {
        "leveled": pc.is_valid(columns["log.level"]),
        "responded": pc.fill_null(pc.and_(known["web"], pc.greater_equal(took, 0.0)), fill_value=False),
        "response_ms": _binned(took),
        "located": pc.is_valid(country),
        "ported": pc.and_(addressed, pc.is_valid(columns["destination.port"])),
        "target": target,
        "linked": pc.and_(addressed, pc.is_valid(target)),
    }


def tables(totals: Totals, alerts: pa.Table, threat_sources: pa.Table) -> dict[str, pa.Table]:
    """The tables of the series, by name."""
    return {
        "events_by_level": _named(totals.of("levels"), level="log.level", events="count"),
        "response_times": _summed(totals.of("response_times"), "response_ms").rename_columns(
            ["response_ms", "requests"]
        ),
        "response_times_hourly": _percentiles(totals.of("response_times")),
        "sources_by_country": _named(
            totals.of("countries"),
            country_code="source.geo.country_iso_code",
            country_name="source.geo.country_name",
            events="count",
            errors="failed",
        ),
        "port_scans": _scans(totals.of("ports")),
        "network_links": _named(
            totals.of("links").slice(0, 1_000), source_ip="source.ip", target="target", events="count", errors="failed"
        ),
        "threats_hourly": _threats(alerts),
        "threat_samples": _latest(alerts),
        "source_reputation": _reputation(totals.of("addresses"), threat_sources),
    }


def _binned(took: pa.ChunkedArray) -> pa.ChunkedArray:
    """Milliseconds, rounded to the middle of bins of equal width on a logarithmic scale from 0.1 ms to 1,000 s."""
    bounded = pc.min_element_wise(pc.max_element_wise(took, 0.1), 1e6)
    steps = pc.round(pc.multiply(pc.log10(bounded), float(_BINS_PER_DECADE)))
    return pc.round(pc.power(10.0, pc.divide(steps, float(_BINS_PER_DECADE))), ndigits=2)


def _summed(table: pa.Table, key: str) -> pa.Table:
    found = table.group_by(key, use_threads=False).aggregate([("count", "sum")])
    return found.rename_columns([key, "count"]).sort_by(key)


def _percentiles(times: pa.Table) -> pa.Table:
    rows = []
    for hour in sorted(pc.unique(times["hour"]).to_pylist()):
        part = times.filter(pc.equal(times["hour"], pa.scalar(hour, times["hour"].type))).sort_by("response_ms")
        values, counts = part["response_ms"].to_pylist(), part["count"].to_pylist()
        shares = {f"p{share}": quantile(values, counts, share / 100) for share in (50, 95, 99)}
        rows.append({"hour": hour, "requests": sum(counts)} | shares)
    numbers = [pa.field(name, pa.float64()) for name in ("p50", "p95", "p99")]
    schema = pa.schema([("hour", pa.timestamp("us", "UTC")), ("requests", pa.int64()), *numbers])
    return pa.Table.from_pylist(rows, schema)


def _scans(ports: pa.Table) -> pa.Table:
    """By port: what addresses tried that tried many ports."""
    tried = ports.group_by("source.ip", use_threads=False).aggregate([("destination.port", "count_distinct")])
    tried = tried.rename_columns(["source.ip", "ports"])
    scanners = tried.filter(pc.greater_equal(tried["ports"], SCANNED_PORTS))["source.ip"]
    scans = ports.filter(pc.is_in(ports["source.ip"], scanners.combine_chunks()))
    found = scans.group_by("destination.port", use_threads=False).aggregate(
        [("count", "sum"), ("source.ip", "count_distinct")]
    )
    found = found.rename_columns(["destination_port", "attempts", "scanners"])
    return found.sort_by([("attempts", "descending"), ("destination_port", "ascending")])


def _threats(alerts: pa.Table) -> pa.Table:
    hours = alerts.append_column("hour", pc.floor_temporal(alerts["time"], unit="hour"))
    found = hours.group_by(["hour", "level"], use_threads=False).aggregate([([], "count_all")])
    return found.rename_columns(["hour", "threat_level", "alerts"]).sort_by(
        [("hour", "ascending"), ("threat_level", "ascending")]
    )


def _latest(alerts: pa.Table) -> pa.Table:
    """A few alerts of each rule, the latest first."""
    kept: dict[str, list[int]] = {}
    ordered = alerts.sort_by([("time", "descending"), ("entity", "ascending")])
    for row, rule in enumerate(ordered["rule"].to_pylist()):
        rows = kept.setdefault(rule, [])
        if len(rows) < ALERTS_PER_RULE:
            rows.append(row)
    rows = sorted(row for found in kept.values() for row in found)
    return _named(
        ordered.take(pa.array(rows, pa.int64())), time="time", rule="rule", threat_level="level", source="entity"
    )


def _reputation(addresses: pa.Table, threats: pa.Table) -> pa.Table:
    """100 is best: less the threat score of the alerts of the address, less 30 times the share of its errors.

    The share is of five events more than there were, so that one error alone says little.
    """
    addresses = addresses.filter(pc.is_valid(addresses["source.ip"])).select(["source.ip", "count", "failed"])
    scores = pa.table(
        {"source.ip": threats["source"], "threat_score": threats["threat_score"].cast(pa.int64())},
    ).filter(pc.is_valid(threats["source"]))
    joined = addresses.join(scores, "source.ip", join_type="left outer", use_threads=False)
    score = pc.fill_null(joined["threat_score"], 0)
    share = pc.divide(joined["failed"].cast(pa.float64()), pc.add(joined["count"].cast(pa.float64()), 5.0))
    worth = pc.subtract(pc.subtract(100.0, score.cast(pa.float64())), pc.multiply(share, float(_REPUTATION_OF_ERRORS)))
    found = pa.table(
        {
            "ip_address": joined["source.ip"],
            "reputation": pc.max_element_wise(pc.round(worth, ndigits=1), 0.0),
            "threat_score": score,
            "events": joined["count"],
            "errors": joined["failed"],
        }
    )
    return found.sort_by([("reputation", "ascending"), ("events", "descending"), ("ip_address", "ascending")])


def _named(table: pa.Table, **columns: str) -> pa.Table:
    return table.select(list(columns.values())).rename_columns(list(columns))
