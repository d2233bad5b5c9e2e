"""Enriched fields in the direct lanes: whatever the records are, the answers of the way over events."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.pipeline import Pipeline
from detector.reload import load
from tests import mmdb
from tests.unit.test_direct import both
from tests.unit.test_enrichment import config
from tests.unit.test_pipeline import window

RULE = """\
title: {title}
id: 11111111-1111-4111-8111-{number:012}
level: high
logsource: {logsource}
detection:
  selection: {selection}
  other: {{http.response.status_code: 200}}
  condition: {condition}
"""
SELECTIONS = (
    "{source.geo.country_iso_code: NZ}",
    "{source.geo.city_name|startswith: well}",
    "{source.is_internal: true}",
    "{source.is_internal: null}",
    "{source.as.number|gte: 64500}",
    "{source.geo.location.lat|lt: 0}",
    "{geo_city: Internal}",
    "{threat.indicator.description|contains: é}",
    "{threat.feed.name|exists: true}",
    "{user_agent.name|fieldref: user_agent.original}",
    "{user_agent.os.name: [Windows, Linux]}",
    "{source.asset.owner: ann}",
    "{url.domain|exists: true, threat.enrichments.matched.field: url.domain}",
)
ADDRESSES = (
    "203.0.113.9",
    "203.0.113.200",
    "10.0.0.7",
    "192.0.2.1",
    "2001:db8::1",
    "::ffff:203.0.113.9",
    "example.org",
    "-",
)
AGENTS = (
    "curl/8.5.0",
    "curl",
    "-",
    "Mozilla/5.0 (Windows NT 10.0) Firefox/120.0",
    "Mozilla/5.0 (X11; Linux x86_64)",
    'a \\"b\\"',
    "é",
)
TIMES = ("24/Nov/2026:08:00:00 +0000", "24/Nov/2019:08:00:00 +0000")
LINE = st.builds(
    lambda address, time, path, status, agent: (
        f'{address} - - [{time}] "GET {path} HTTP/1.1" {status} 12 "-" "{agent}"'.encode()
    ),
    st.sampled_from(ADDRESSES),
    st.sampled_from(TIMES),
    st.sampled_from(("/", "/x", "http://evil.example/x", "http://EVIL.example:80/")),
    st.sampled_from((200, 404)),
    st.sampled_from(AGENTS),
)
OBJECT = st.fixed_dictionaries(
    {
        "sourceIPAddress": st.sampled_from(ADDRESSES) | st.none() | st.just(7),
        "userAgent": st.sampled_from((*AGENTS, '\u00e9"\n')),
    }
).map(
    lambda more: orjson.dumps(
        {
            "eventVersion": "1.08",
            "eventTime": "2026-11-24T08:00:00Z",
            "eventSource": "s3.amazonaws.com",
            "eventName": "GetObject",
            "awsRegion": "eu-west-1",
            **more,
        }
    )
)


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    """With rules that read all kinds of fields."""
    folder = tmp_path_factory.mktemp("enrichment")
    city = mmdb.write(folder / "city.mmdb", {"203.0.113.0/24": mmdb.place("NZ", "Wellington", -41.3, 174.8)})
    asn = mmdb.write(folder / "asn.mmdb", {"203.0.113.0/25": {"autonomous_system_number": 64500}}, "ASN")
    threats, timed, assets = folder / "bad.csv", folder / "timed.csv", folder / "assets.csv"
    threats.write_text("ioc,description\n192.0.2.0/24,é\nevil.example,shop\n")
    timed.write_text("ioc,valid_from\n2001:db8::1,2020-01-01\n")
    assets.write_text("address,owner\n10.0.0.0/8,ann\n")
    asked = (
        ("{category: webserver}", "selection"),
        ("{category: webserver}", "other and not selection"),
        ("{product: aws, service: cloudtrail}", "selection"),
    )
    rules = [
        RULE.format(title=condition, number=n * 10 + m, logsource=source, selection=selection, condition=condition)
        for n, selection in enumerate(SELECTIONS)
        for m, (source, condition) in enumerate(asked)
    ]
    made = Pipeline(
        load(
            config(
                folder, *rules, is_internal=True, geo_databases=(city, asn), user_agents=True, tables=(assets,),
                threat_lists=({"path": threats}, {"path": timed}),
            )
        )[0]
    )  # fmt: skip
    assert not made.rules.refused
    return made


class TestSameAnswers:
    @settings(max_examples=40, deadline=None)
    @given(st.lists(LINE, min_size=1, max_size=12))
    def test_lines(self, pipeline: Pipeline, values: list[bytes]) -> None:
        """All that a window of lines causes is the same, alerts with all that they say, too."""
        direct, plain = both(pipeline, values)

        assert direct == plain

    @settings(max_examples=40, deadline=None)
    @given(st.lists(OBJECT, min_size=1, max_size=6))
    def test_objects(self, pipeline: Pipeline, values: list[bytes]) -> None:
        """The same of objects, each kind of which is known after the first."""
        direct, plain = both(pipeline, [each for value in values for each in (value, value)])

        assert direct == plain

    def test_direct(self, pipeline: Pipeline) -> None:
        """Such lines do take the direct lane, but for those whose indicators come and go."""
        line = b'%s - - [24/Nov/2026:08:00:00 +0000] "GET / HTTP/1.1" 404 12 "-" "-"'
        records = window(line % b"203.0.113.9", line % b"8.8.8.8", line % b"2001:db8::1").records

        found = pipeline.lane("logs").run(records)

        assert (found.rest.tolist(), found.rows.tolist()) == ([2], [1])
