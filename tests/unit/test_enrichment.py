"""Enrichment in the pipeline: rules read it, alerts tell it, whatever way a record takes."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
import time
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import orjson
import pyarrow as pa
import pytest

from detector import metrics
from detector.backfill import lake
from detector.config import Config, Correlation, Enrichment, Limits, Rules
from detector.enrichment.geo import Places
from detector.enrichment.model import Answer
from detector.metrics import ReloadResult
from detector.pipeline import Pipeline
from detector.reload import Reloader, load
from detector.window import WindowResult
from tests import mmdb
from tests.unit.test_pipeline import HARMLESS, window

SCHEMA = json.loads(files("detector.alerts").joinpath("schema.json").read_text())
COUNTRY = """\
title: A Country
id: 11111111-1111-4111-8111-111111111111
level: high
logsource: {category: webserver}
detection:
  selection: {source.geo.country_iso_code: NZ, source.is_internal: false}
  condition: selection
"""
PLAIN = """\
title: A Path
id: 22222222-2222-4222-8222-222222222222
level: high
logsource: {category: webserver}
detection:
  selection: {cs-uri-stem: /item/2}
  condition: selection
"""
ABROAD = HARMLESS.replace(b"192.0.2.7", b"203.0.113.9")
JSON = b'{"ip": "203.0.113.9", "method": "GET", "url": "/item/1", "status": 200, "time": "2026-11-24T08:00:00Z"}'


@pytest.fixture
def city(tmp_path: Path) -> Path:
    return mmdb.write(tmp_path / "city.mmdb", {"203.0.113.0/24": mmdb.place("NZ", "Wellington")})


def config(folder: Path, *rules: str, **enrichment: Any) -> Config:
    paths = []
    for number, text in enumerate(rules):
        path = folder / f"{number}.yml"
        path.write_text(text)
        paths.append(path)
    return Config(rules=Rules(paths=tuple(paths), builtin=False), enrichment=Enrichment(**enrichment))


def alerts(result: WindowResult) -> list[dict[str, Any]]:
    return [orjson.loads(message.value or b"") for message in result.messages if message.topic == "alerts"]


class TestRules:
    @pytest.mark.parametrize("direct", [True, False])
    def test_country(self, tmp_path: Path, city: Path, direct: bool) -> None:
        """A rule matches by what is known of an address, and its alert says it, in the direct lane and out of it."""
        pipeline = Pipeline(load(config(tmp_path, COUNTRY, PLAIN, is_internal=True, geo_databases=(city,)))[0])
        pipeline.direct = direct

        (alert,) = alerts(pipeline.run(window(HARMLESS, ABROAD, HARMLESS)))

        assert alert["rule"]["title"] == "A Country"
        assert alert["source"]["offset"] == 101
        assert {match["field"]: match["value"] for match in alert["matches"]} == {
            "source.geo.country_iso_code": "NZ",
            "source.is_internal": False,
        }
        assert alert["event"]["source.geo.city_name"] == "Wellington"
        assert alert["event"]["source.geo.location.lat"] == 1.5

    def test_not_configured(self, tmp_path: Path) -> None:
        """Without enrichment the fields are absent, and nothing stops."""
        assert alerts(Pipeline(load(config(tmp_path, COUNTRY))[0]).run(window(ABROAD))) == []

    def test_alerts_only(self, tmp_path: Path, city: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where no rule reads it, only events that matched are looked up."""
        pipeline = Pipeline(load(config(tmp_path, PLAIN, geo_databases=(city,)))[0])
        found: list[str] = []
        look_up = Places.look_up

        def noted(self: Places, field: str, values: Sequence[str]) -> list[Answer]:
            found.extend(values)
            return look_up(self, field, values)

        monkeypatch.setattr(Places, "look_up", noted)

        (alert,) = alerts(pipeline.run(window(HARMLESS, ABROAD, ABROAD.replace(b"item/1", b"item/2"))))

        assert found == ["203.0.113.9"]
        assert alert["event"]["geo_city"] == "Wellington"


COUNTED = """\
title: Many From One Country
id: 33333333-3333-4333-8333-333333333333
level: high
correlation:
  type: event_count
  rules: [22222222-2222-4222-8222-222222222222]
  group-by: [source.geo.country_iso_code]
  timespan: 1h
  condition: {gte: 2}
"""


class TestCorrelations:
    @pytest.mark.parametrize("direct", [True, False])
    def test_groups(self, tmp_path: Path, city: Path, direct: bool) -> None:
        """A correlation groups by what is known of an address, though no rule's condition reads it."""
        settings = config(tmp_path, PLAIN, COUNTED, geo_databases=(city,))
        pipeline = Pipeline(load(settings.model_copy(update={"correlation": Correlation(enabled=True)}))[0])
        pipeline.direct = direct
        lines = [each.replace(b"item/1", b"item/2") for each in (ABROAD, HARMLESS, ABROAD)]

        (span,) = pipeline.run(window(*lines, HARMLESS)).spans

        assert [(entry.offset, entry.group) for entry in span.entries] == [(100, '["NZ"]'), (102, '["NZ"]')]


class TestEntity:
    def test_enrichment(self, tmp_path: Path, city: Path) -> None:
        """An alert's entity has what is known about it, and nothing about others; the alert meets its schema."""
        threats, users = tmp_path / "bad.txt", tmp_path / "users.csv"
        threats.write_text("203.0.113.9\nevil.example\n")
        users.write_text("user,team\nann,red\n")
        settings = config(
            tmp_path, PLAIN, is_internal=True, geo_databases=(city,), threat_lists=({"path": threats},),
            tables=(users,), risk=True,
        )  # fmt: skip
        hit = ABROAD.replace(b"item/1", b"item/2").replace(b"- - [", b"- ann [")

        listed, plain = alerts(Pipeline(load(settings)[0]).run(window(hit, hit.replace(b"203.0.113.9", b"10.0.0.1"))))

        assert listed["entity"] | {"enrichment": None} == {
            "field": "source.ip", "type": "ip", "value": "203.0.113.9", "enrichment": None,
        }  # fmt: skip
        assert listed["entity"]["enrichment"] == {
            "source.is_internal": False,
            "source.geo.country_iso_code": "NZ",
            "source.geo.country_name": "NZland",
            "source.geo.city_name": "Wellington",
            "source.geo.location.lat": 1.5,
            "source.geo.location.lon": -2.5,
            "threat.indicator.type": "ipv4-addr",
            "threat.indicator.name": "203.0.113.9",
            "threat.indicator.confidence": "Medium",
            "threat.feed.name": "bad",
            "threat.enrichments.matched.field": "source.ip",
            "threat.enrichments.matched.atomic": "203.0.113.9",
            "source.risk.calculated_score_norm": 67,
            "source.risk.calculated_level": "high",
        }
        assert plain["entity"]["enrichment"]["source.is_internal"] is True
        assert listed["event"]["user.asset.team"] == "red"
        for alert in (listed, plain):
            jsonschema.validate(alert, SCHEMA)

    def test_nothing_known(self, tmp_path: Path) -> None:
        """Without enrichment there is none."""
        (alert,) = alerts(
            Pipeline(load(config(tmp_path, PLAIN))[0]).run(window(HARMLESS.replace(b"item/1", b"item/2")))
        )

        assert set(alert["entity"]) == {"field", "type", "value"}


class TestSources:
    def test_all(self, tmp_path: Path, city: Path) -> None:
        """All sources together tell an alert what they know, and metrics how much that is."""
        threats, assets = tmp_path / "bad.txt", tmp_path / "assets.csv"
        threats.write_text("203.0.113.0/24 botnet\n")
        assets.write_text("address,owner\n203.0.113.9,ann\n")
        settings = config(
            tmp_path, PLAIN, is_internal=True, geo_databases=(city,), threat_lists=({"path": threats},),
            tables=(assets,), user_agents=True,
        )  # fmt: skip
        spec, _ = load(settings)

        (alert,) = alerts(Pipeline(spec).run(window(ABROAD.replace(b"item/1", b"item/2").replace(b"Mozilla", b"curl"))))

        found = alert["event"]
        assert found["threat.indicator.description"] == "botnet"
        assert found["source.asset.owner"] == "ann"
        assert found["user_agent.name"] == "curl"
        assert spec.enrichment is not None
        assert {path.name: entries for path, entries in spec.enrichment.entries.items()} == {
            "city.mmdb": 120, "bad.txt": 1, "assets.csv": 1,
        }  # fmt: skip

    def test_worker_imports(self, tmp_path: Path) -> None:
        """What is not configured is not imported."""
        code = (
            "import sys; from detector.pipeline import Pipeline; from detector.reload import Reloader, load;"
            "from detector.config import Config, Rules; Pipeline(load(Config(rules=Rules(builtin=False)))[0]);"
            "print({'maxminddb', 'ua_parser', 'detector.enrichment.feeds'} & sys.modules.keys())"
        )

        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

        assert done.stdout.strip() == "set()"


class TestReload:
    def test_changed(self, tmp_path: Path, city: Path) -> None:
        """A changed file makes another spec, whose answers are the new ones; the old one still answers as before."""
        settings = config(tmp_path, COUNTRY, is_internal=True, geo_databases=(city,))
        before, _ = load(settings)
        mmdb.write(city, {"203.0.113.0/24": mmdb.place("FJ", "Suva")})
        after, _ = load(settings, running=before.enrichment)

        assert after.sha != before.sha
        assert len(alerts(Pipeline(before).run(window(ABROAD)))) == 1
        assert len(alerts(Pipeline(after).run(window(ABROAD)))) == 0

    def test_again(self, tmp_path: Path, city: Path) -> None:
        """What runs can be loaded anew, by a process that starts, however often the file has changed since."""
        settings = config(tmp_path, COUNTRY, is_internal=True, geo_databases=(city,))
        running, _ = load(settings)
        for country in ("FJ", "TO", "WS"):
            mmdb.write(city, {"203.0.113.0/24": mmdb.place(country, "?")})
            load(settings, running=running.enrichment)

        assert len(alerts(Pipeline(running).run(window(ABROAD)))) == 1

    def test_watched(self, tmp_path: Path, city: Path) -> None:
        """The service notices a changed file, and lets the next epoch have it; what is broken changes nothing."""
        settings = config(tmp_path, COUNTRY, is_internal=True, geo_databases=(city,))
        with Reloader(settings) as reloader:
            before = reloader.spec
            time.sleep(0.2)  # until it watches
            mmdb.write(tmp_path / "new", {"203.0.113.0/24": mmdb.place("FJ", "Suva")}).replace(city)
            deadline = time.monotonic() + 60
            while reloader.following is None and time.monotonic() < deadline:
                time.sleep(0.05)
            after = pickle.loads(pickle.dumps(reloader.take()))

        assert after.sha != before.sha
        assert metrics.enrichment_entries.labels(str(city))._value.get() == 120
        assert len(alerts(Pipeline(after).run(window(ABROAD)))) == 0

    def test_broken(self, tmp_path: Path, city: Path) -> None:
        """A file that breaks leaves the old one in use, counted."""
        settings = config(tmp_path, COUNTRY, is_internal=True, geo_databases=(city,))
        before, _ = load(settings)
        failures = metrics.enrichment_reloads.labels(ReloadResult.FAILURE)
        counted = failures._value.get()
        city.write_bytes(city.read_bytes()[:50])

        after, _ = load(settings, running=before.enrichment)

        assert after.sha == before.sha
        assert failures._value.get() == counted + 1
        assert len(alerts(Pipeline(after).run(window(ABROAD)))) == 1


class TestLake:
    def test_columns(self, tmp_path: Path, city: Path) -> None:
        """Rows of the lake have the fields, of lines that kernels read and of others."""
        pipeline = Pipeline(load(config(tmp_path, is_internal=True, geo_databases=(city,)))[0])
        reader = lake.Reader(pipeline.parsers, "auto", Limits(), pipeline.enricher)
        leap = ABROAD.replace(b"08:00:00", b"08:00:60")

        rows = reader.table(window(ABROAD, leap, HARMLESS).records, "a.log")

        columns = ["source.geo.country_iso_code", "source.geo.location.lon", "is_internal"]
        assert sorted(zip(*(rows[name].to_pylist() for name in columns), strict=True), key=repr) == [
            ("NZ", -2.5, False),
            ("NZ", -2.5, False),
            (None, None, False),
        ]
        assert rows.schema.field("source.geo.location.lon").type == pa.float64()
