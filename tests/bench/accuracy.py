"""How much of others' logs the built-in parsers read right.

Each figure is a share, with its numerator and denominator.
- crowdsec, grok: values that others' parsers give for lines of formats that are built in. What is in scope is frozen in
  `accuracy_scope.tsv` (test, line, key), chosen by format alone; the constants of their own vocabulary and what their
  pipelines compute from other values are not in it. A value counts if a parsed field other than the message equals it
  as a number, an instant, an address or a text.
- access_log: lines of a real and a generated access log, some malformed, against another expression and strptime.
- cloud_recognized: events of clouds with the members that their format needs.
- samples_recognized: samples of the definitions, as `auto`, each among all formats.
- noise_rejected: lines of no format.
- maxmind: look-ups in databases whose records are known.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from ipaddress import ip_address, ip_network
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import pyarrow as pa
import re2

from detector.config import Limits
from detector.enrichment.databases import Database
from detector.events import Event
from detector.parsing.definition import JsonDefinition
from detector.parsing.registry import AUTO, Parsers, compile_parsers, read_sources
from detector.parsing.samples import run_samples
from detector.window import RECORDS
from tests.bench.accuracy_lines import access_lines, noise_lines

CORPORA = Path(__file__).parents[3] / "shared" / "corpora"
SCOPE = Path(__file__).parent / "accuracy_scope.tsv"
_LATER_MS = 1_780_000_000_000
"""After all times of the corpora."""
_ACCESS_MS = 1_735_689_600_000
"""The same of the access logs, by less than ten years."""
_CLOUD = {
    "AWS.CloudTrail": "aws_cloudtrail",
    "AWS.GuardDuty": "aws_guardduty",
    "AWS.VPCFlow": "aws_vpc_flow_json",
    "GitHub.Audit": "github_audit",
    "Okta.SystemLog": "okta",
    "GCP.AuditLog": "gcp_audit",
    "Azure.Audit": "azure",
    "Microsoft365.Audit.General": "microsoft365",
    "Microsoft365.Audit.AzureActiveDirectory": "microsoft365",
    "Amazon.EKS.Audit": "kubernetes_audit",
}
"""Log types of the corpus -> the format that must be recognized."""
_TWIN = re2.compile(
    r'^(?P<client>[0-9a-z.:\-]+) (?P<ident>[^ ]+) (?P<user>[^ ]+) \[(?P<time>[^\]]+)\] "(?P<request>(?:[^"\\]|\\.)*)" '
    r'(?P<status>[0-9]{3}) (?P<bytes>[0-9]+|-) "(?P<referrer>(?:[^"\\]|\\.)*)" "(?P<agent>(?:[^"\\]|\\.)*)"$'
)

_TIMES = (None, "%d/%b/%Y:%H:%M:%S %z", "%a %b %d %H:%M:%S.%f %Y", "%a %b %d %H:%M:%S %Y", "%Y/%m/%d %H:%M:%S")
"""How expected times are written; None: ISO 8601."""

Figures = dict[str, Any]


def run(*, short: bool) -> Figures:
    """Measure; `short` takes fewer generated lines only."""
    if not CORPORA.is_dir():
        raise SystemExit(f"no corpora at {CORPORA}")
    parsers = compile_parsers(read_sources(), limits=Limits())
    scope = read_scope()
    return {
        "crowdsec": _share(values(parsers, scope, crowdsec())),
        "grok": _share(values(parsers, scope, grok())),
        "access_log": _share(access_log(parsers, 500 if short else 5_000)),
        "cloud_recognized": _share(cloud(parsers)),
        "samples_recognized": _share(
            not result.differences for result in run_samples(parsers, Limits()) if result.format == AUTO
        ),
        "noise_rejected": _share(
            event.format == "raw" and not event.ecs.keys() - {"message"}
            for event in parse(parsers, noise_lines(200 if short else 2_000))
        ),
        "maxmind": _share(maxmind()),
    }


def read_scope() -> dict[tuple[str, str], list[str]]:
    """The keys in scope, by test and line."""
    scope: dict[tuple[str, str], list[str]] = {}
    with SCOPE.open(encoding="utf-8", newline="") as file:
        for test, line, key in csv.reader(file, delimiter="\t"):
            scope.setdefault((test, line), []).append(key)
    return scope


def crowdsec() -> Iterator[tuple[str, str, str, Mapping[str, Any]]]:
    """Test, line number, line, and the values by key."""
    for row in _rows("09_crowdsec/parsers.jsonl"):
        parts = ("header_fields", "fields", "meta")
        expected = {f"{part}.{key}": value for part in parts for key, value in (row[part] or {}).items()}
        yield row["test"], str(row["line_no"]), row["line"], expected


def grok() -> Iterator[tuple[str, str, str, Mapping[str, Any]]]:
    """The same of the patterns' own tests; the number is that of the test in the file."""
    for number, row in enumerate(_rows("14_grok/logstash_patterns_spec.jsonl")):
        yield f"{row['pattern']}/{row['mode']}", str(number), row["line"], dict(leaves(row["expect"] or {}, ""))


def values(
    parsers: Parsers,
    scope: Mapping[tuple[str, str], list[str]],
    tests: Iterable[tuple[str, str, str, Mapping[str, Any]]],
) -> Iterator[bool]:
    """Whether each value in scope was found; prints those that were not."""
    chosen = [(test, line, text, expected) for test, line, text, expected in tests if (test, line) in scope]
    lines = [text.encode() for _, _, text, _ in chosen]
    events = parse(parsers, lines, [_reference_ms(expected) for _, _, _, expected in chosen])
    for (test, line, _, expected), event in zip(chosen, events, strict=True):
        found = set(found_values(event))
        for key in scope[test, line]:
            right = bool(found & set(forms(expected[key]))) or _year_left_out(key, expected[key], event)
            if not right:
                print(f"    {test}:{line} {key}: {expected[key]!r} not found in {event.format}")
            yield right


def parse(parsers: Parsers, lines: Iterable[bytes], timestamps_ms: Iterable[int] = ()) -> list[Event]:
    """The first event of each line, as `auto`. timestamps_ms: of the records; _LATER_MS from where there is none."""
    rows = [
        {"span": 0, "offset": row, "timestamp": timestamp_ms, "key": None, "value": value, "headers": None}
        for row, (value, timestamp_ms) in enumerate(zip(lines, chain(timestamps_ms, repeat(_LATER_MS)), strict=False))
    ]
    records = pa.RecordBatch.from_pylist(rows, schema=RECORDS)
    events = parsers.parse(records, format=AUTO, logsource=None, limits=Limits()).events
    return [event for event in events if event.ordinal == 0]


def maxmind() -> Iterator[bool]:
    """Whether the record of each network is the expected one, at its first address and its last."""
    for path in sorted((CORPORA / "06_maxmind/expected").glob("*.json")):
        database = Database(CORPORA / "06_maxmind" / f"{path.stem}.mmdb", path.stem)
        for text, record in chain.from_iterable(entry.items() for entry in json.loads(path.read_bytes())):
            network = ip_network(text, strict=False)
            for address in (ip_address(text.partition("/")[0]), network[-1]):
                right = database.get(str(address)) == record
                if not right:
                    print(f"    {path.stem} {address}: {database.get(str(address))} is not {record}")
                yield right


def _reference_ms(expected: Mapping[str, object]) -> int:
    """A record's time: soon after the line's, where that is told."""
    told = str(expected.get("meta.timestamp") or "2025" + str(expected.get("meta.timestamp[4:]") or ""))
    moments = [form[1] for form in forms(told) if isinstance(form, tuple) and form[0] == "time"]
    return moments[0] // 1_000 + 60_000 if moments else _LATER_MS


def found_values(event: Event) -> Iterator[object]:
    """All values of an event but its message, in every form."""
    for name, value in (*event.ecs.items(), *leaves(event.raw, "")):
        if name not in ("message", "content", "event.original"):
            for each in value if isinstance(value, list) else [value]:
                yield from forms(each)
    if event.time_us is not None:
        yield ("time", event.time_us)


def forms(value: object) -> Iterator[str | tuple[str, Any]]:
    """A value as a text, and as the number, address or instant that it is."""
    text = str(value).strip()
    yield text
    with suppress(ValueError):
        number = float(text)
        yield ("number", number)
        if 1e9 < number < 2e9 and "." in text:
            yield ("time", round(number * 1_000_000))
    with suppress(ValueError):
        yield ("address", str(getattr(ip_address(text), "ipv4_mapped", None) or ip_address(text)))
    for form in _TIMES:
        try:
            moment = datetime.strptime(text, form) if form else datetime.fromisoformat(text)  # noqa: DTZ007 -- next line
        except ValueError:
            continue
        if len(text) > 10:
            moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
            yield ("time", round(moment.timestamp() * 1_000_000))


def leaves(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    """The values of a nested object with their paths; an array of scalars is one value."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from leaves(inner, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list) and any(isinstance(inner, dict | list) for inner in value):
        for number, inner in enumerate(value):
            yield from leaves(inner, f"{path}.{number}")
    else:
        yield path, value


def access_log(parsers: Parsers, generated: int) -> Iterator[bool]:
    """Whether each line became what the twin reads, or a raw event where the twin reads nothing."""
    lines = (CORPORA / "08_access_logs/elastic_apache_10k.log").read_bytes().splitlines()
    lines += access_lines(generated)
    for line, event in zip(lines, parse(parsers, lines, repeat(_ACCESS_MS)), strict=True):
        match = _TWIN.match(line.decode("utf-8", "replace"))
        if match is None:
            yield event.format == "raw"
            continue
        groups = {name: text for name, text in match.groupdict().items() if text != "-"}
        moment = datetime.strptime(groups.pop("time"), "%d/%b/%Y:%H:%M:%S %z")
        status, size = int(groups["status"]), groups.get("bytes")
        yield (
            event.format == "apache_combined"
            and event.time_us == int(moment.timestamp()) * 1_000_000
            and event.ecs["http.response.status_code"] == status
            and event.ecs.get("http.response.body.bytes") == (int(size) if size else None)
            and all(event.raw.get(name) == text for name, text in groups.items())
        )


def cloud(parsers: Parsers) -> Iterator[bool]:
    """Whether each event of a cloud is recognized as what it is."""
    expected: list[tuple[str, Any]] = [
        ("aws_cloudtrail", row["event"]) for row in _rows("11_cloudtrail/stratus_red_team.jsonl")
    ]
    for row in _rows("04_panther/panther_all.jsonl"):
        for log_type in row["log_types"] or ():
            name = _CLOUD.get(log_type)
            event = row["event"]
            if not name or row["has_mocks"] or not isinstance(event, dict):
                continue
            definition = parsers.definitions[name]
            if isinstance(definition, JsonDefinition) and has_keys(definition, event):
                expected.append((name, event))
    events = parse(parsers, (json.dumps(event).encode() for _, event in expected))
    for (name, value), event in zip(expected, events, strict=True):
        if event.format != name:
            print(f"    {name}: found {event.format}: {json.dumps(value)[:200]}")
        yield event.format == name


def has_keys(definition: JsonDefinition, value: dict[str, Any]) -> bool:
    """Whether an object has the members that a format documents."""
    paths = dict(_all_paths(value, ""))
    shape = definition.json_shape
    return all(any(path in paths for path in key.split("|")) for key in shape.keys) and (
        not shape.any or any(path in paths for path in shape.any)
    )


def _all_paths(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            inner_path = f"{path}.{key}" if path else str(key)
            yield inner_path, inner
            yield from _all_paths(inner, inner_path)


def _year_left_out(key: str, expected: object, event: Event) -> bool:
    """Whether a time is right whose year was left out of the line."""
    found = str(event.ecs.get("@timestamp", ""))
    return key.endswith("timestamp[4:]") and found[4:].rstrip("Z") == str(expected).rstrip("Z")


def _rows(path: str) -> Iterator[dict[str, Any]]:
    with (CORPORA / path).open(encoding="utf-8") as file:
        yield from map(json.loads, file)


def _share(results: Iterable[bool]) -> dict[str, float]:
    found = list(results)
    share = round(sum(found) / len(found), 4) if found else 0.0
    return {"share": share, "numerator": sum(found), "denominator": len(found)}
