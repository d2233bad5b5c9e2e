"""What enrichment costs the pipeline on access-log lines, and how fast each source answers.

The same windows run without enrichment; with it where no rule reads it (alerts only); where a rule reads it, in the
direct lane and by way of events; and with nothing but risk. Addresses: as many distinct ones as the demo's traffic has;
for the rates of the sources each value is a new one. Databases and lists are generated.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa

from detector.config import Config, Enrichment, Rules
from detector.demo.generator import access_lines
from detector.enrichment.loading import load as load_enrichment
from detector.pipeline import Pipeline
from detector.reload import load
from detector.window import RECORDS, Span, Window
from tests import mmdb

START_US = 1_795_507_200_000_000
WINDOW = 20_000
RULE = """\
title: A Country
id: 11111111-1111-4111-8111-111111111111
level: high
logsource: {category: webserver}
detection:
  selection: {source.geo.country_iso_code: KP, source.is_internal: false}
  condition: selection
"""


def run(*, short: bool) -> dict[str, Any]:
    """Measure.

    Keys: lines_per_second_* and ratio_* to those without enrichment; *_per_second: distinct values of a source.
    """
    windows = [_window(list(access_lines(WINDOW, seed, START_US))) for seed in range(3 if short else 10)]
    with tempfile.TemporaryDirectory() as folder:
        settings, rule = _settings(Path(folder)), Path(folder) / "rule.yml"
        rule.write_text(RULE)
        rates = {
            "off": _rate(Config(), windows),
            "alerts_only": _rate(Config(enrichment=settings), windows),
            "in_rules": _rate(Config(enrichment=settings, rules=Rules(paths=(rule,))), windows),
            "risk": _rate(Config(enrichment=Enrichment(risk=True)), windows),
            "in_rules_as_events": _rate(
                Config(enrichment=settings, rules=Rules(paths=(rule,))), windows[:1], direct=False
            ),
        }
        figures: dict[str, Any] = {f"lines_per_second_{name}": round(rate) for name, rate in rates.items()}
        figures |= {f"ratio_{name}": round(rate / rates["off"], 3) for name, rate in rates.items() if name != "off"}
        return figures | _sources(settings, 10_000 if short else 100_000)


def _rate(config: Config, windows: list[Window], *, direct: bool = True) -> float:
    """Lines a second of the best window, after one to learn from."""
    pipeline = Pipeline(load(config)[0])
    pipeline.direct = direct
    pipeline.run(windows[0])
    seconds = []
    for window in windows:
        started = time.perf_counter()
        pipeline.run(window)
        seconds.append(time.perf_counter() - started)
    return WINDOW / min(seconds)


def _sources(settings: Enrichment, count: int) -> dict[str, int]:
    """How many distinct values a second each source answers."""
    random = Random(1)
    addresses = list(
        {
            f"{random.randrange(1, 224)}.{random.randrange(256)}.{number >> 8 & 255}.{number & 255}"
            for number in range(count)
        }
    )
    agents = [
        f"Mozilla/5.0 (X11; Linux x86_64; rv:{number}.0) Gecko/20100101 Firefox/{number}.0"
        for number in range(count // 10)
    ]
    found: dict[str, int] = {}
    for name, one, field, values in (
        ("is_internal", Enrichment(is_internal=True), "source.ip", addresses),
        ("geo", Enrichment(geo_databases=settings.geo_databases), "source.ip", addresses),
        ("threats", Enrichment(threat_lists=settings.threat_lists), "source.ip", addresses),
        ("user_agents", Enrichment(user_agents=True), "user_agent.original", agents),
    ):
        spec, _ = load(Config(enrichment=one, rules=Rules(builtin=False)))
        assert spec.enrichment is not None
        enricher = load_enrichment(spec.enrichment).enricher
        question = next(each for each in enricher.all if each.field == field)
        started = time.perf_counter()
        enricher.look_up(question, values)
        found[f"{name}_per_second"] = round(len(values) / (time.perf_counter() - started))
    return found


def _settings(folder: Path) -> Enrichment:
    city = mmdb.write(
        folder / "city.mmdb", {f"{number}.0.0.0/8": mmdb.place("NZ", f"City {number}") for number in range(1, 224)}
    )
    bad = folder / "bad.txt"
    bad.write_text(
        "".join(f"198.18.{number >> 8 & 255}.{number & 255}\n" for number in range(65_536)) + "198.51.100.0/24\n"
    )
    return Enrichment.model_validate(
        {"is_internal": True, "geo_databases": (city,), "threat_lists": ({"path": bad},), "user_agents": True}
    )


def _window(lines: list[bytes]) -> Window:
    count = len(lines)
    records = pa.RecordBatch.from_arrays(
        [
            pa.array([0] * count, pa.int32()),
            pa.array(range(count), pa.int64()),
            pa.array([START_US // 1_000] * count, pa.int64()),
            pa.nulls(count, pa.binary()),
            pa.array(lines, pa.binary()),
            pa.nulls(count, pa.binary()),
        ],
        schema=RECORDS,
    )
    return Window((Span("logs", 0, 0, count, count, count),), records)
