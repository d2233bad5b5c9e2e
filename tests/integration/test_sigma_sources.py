"""SigmaHQ's rules on logs of every kind that the parsers know, and the log sources that these declare."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import orjson
import pytest

from detector.events import LogSource
from detector.sigma.rule import runs_on
from tests.corpora import corpus
from tests.parsing import BUILTIN, event, sources
from tests.sigmahq import alerts, pipeline, run

CASES = [json.loads(line) for line in (Path(__file__).parent / "sigma_sources.jsonl").read_text().splitlines()]
"""A record each, in the words of its format, and a rule that must fire on it."""

TAXONOMY = "05_sigma/specification/specification/sigma-appendix-taxonomy.md"

# Formats of text that no parser reads yet, and logs of applications, which only their topic's setting can tell.
UNBOUND = {"apache", "cisco", "fortigate", "fortios", "huawei", "juniper", "nginx", "paloalto"} | {
    *("database", "django", "jvm", "nodejs", "python", "ruby_on_rails", "spring", "sql", "velocity"),
}


class TestSources:
    @pytest.mark.parametrize("case", CASES, ids=lambda case: case["title"])
    def test_fires(self, case: dict[str, Any]) -> None:
        """The rule fires on the record, through `auto`, and the record is taken whole."""
        result = run(case["record"])

        assert alerts(result)[case["rule"]] == 1
        assert result.counts.unparsed == {}
        assert not result.counts.events.keys() & {"raw", "json"}

    def test_bound(self) -> None:
        """Every rule has a format that it can run on, but for those of formats that are not read."""
        declared = {
            LogSource(row.logsource.category, row.logsource.product, row.logsource.service)
            for definition in BUILTIN.definitions.values()
            for row in definition.logsources
        }
        loaded = {rule.logsource for rule in pipeline().rules.rules}
        unbound = {source for source in loaded if not any(runs_on(source, each) for each in declared)}

        assert {source.product or source.service or source.category for source in unbound} <= UNBOUND


class TestTaxonomy:
    @pytest.mark.parametrize("channel_at", ["windows_event", "windows_flat", "winlogbeat"])
    def test_windows(self, channel_at: str) -> None:
        """Every row of the specification's table for Windows is declared for its channels and event ids."""
        missing = []
        rows = 0
        for line in corpus(TAXONOMY).read_text().splitlines():
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            if not (line.startswith("| windows") and "Channel:" in line):
                continue
            rows += 1
            parts = dict(part.split(": ") for part in cells[1].split("<br>"))
            where = cells[2].replace("<br>", "\n")
            channels = where.partition("Channel:")[2].replace("WinEventLog:", "").split("\n")
            numbers = re.findall(r"\d+", where.partition("Channel:")[0]) or ["1"]
            for channel in (channel.strip(" -") for channel in channels):
                for number in numbers if channel else ():
                    found = sources(event(orjson.dumps(_event(channel_at, channel, number, parts.get("category")))))
                    wanted = (parts.get("category"), "windows", parts.get("service"))
                    if not any(_declares(source, wanted) for source in found):
                        missing.append((wanted, channel, number))

        assert missing == []
        assert rows > 70


def _event(shape: str, channel: str, number: str, category: str | None) -> dict[str, Any]:
    # The taxonomy has one event id for keys that are added and deleted.
    data = {"EventType": "DeleteKey" if category == "registry_delete" else "CreateKey"}
    if shape == "windows_flat":
        return {"Channel": channel, "EventID": int(number), **data}
    if shape == "winlogbeat":
        return {"winlog": {"channel": channel, "event_id": number, "event_data": data}}
    return {"Event": {"System": {"Channel": channel, "EventID": int(number)}, "EventData": data}}


def _declares(source: tuple[str | None, ...], wanted: tuple[str | None, ...]) -> bool:
    return all(asked in (None, declared) for declared, asked in zip(source, wanted, strict=True))
