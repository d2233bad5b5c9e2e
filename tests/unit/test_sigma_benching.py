"""What rules cost, and the command that measures it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
from typer.testing import CliRunner

from detector.cli.rules import app
from detector.events import LogSource
from detector.sigma.benching import RuleCost, rule_costs
from tests.sigma import LOGSOURCE, event, load, rule_text

LINE = '192.0.2.7 - - [10/Oct/2024:13:55:36 +0000] "GET {} HTTP/1.1" 200 12 "-" "curl/8"'


def costs(*detections: dict[str, Any], events: list[Any]) -> list[RuleCost]:
    """The costs of rules, in their order; each is titled by its number."""
    rules = load(*(rule_text({"s": each}, title=str(number)) for number, each in enumerate(detections)))
    return sorted(rule_costs(rules, events).costs, key=lambda each: each.rule.title)


class TestRuleCosts:
    """Which rules run, and why."""

    def test_counts(self) -> None:
        """A rule runs where its texts are; one without any runs on each event; matches are those of the evaluator."""
        events = [event({"f": f"value {number}", "g": number}) for number in range(3000)]

        rare, never, always = costs({"f|endswith": " 77", "g": 77}, {"f": "other"}, {"g|gte": 2990}, events=events)

        assert [(each.events, each.runs, each.matches) for each in (rare, never, always)] == [
            (3000, 1, 1),
            (3000, 0, 0),
            (3000, 3000, 10),
        ]
        assert never.seconds == 0
        assert always.nanoseconds > rare.nanoseconds > 0

    def test_reasons(self) -> None:
        """No text, only regular expressions, texts that are in many events: which."""
        events = [event({"f": f"value {number} common", "g": 1}) for number in range(50)]

        without, regex, common = costs(
            {"g|gte": 5}, {"f|re": "[0-9]+"}, {"f|contains": ["common", "rare"], "f|re": "x[0-9]"}, events=events
        )

        assert without.reasons == (
            "no text is in every event that it matches: it runs on each event",
            "1 of its comparisons are of numbers, networks, other fields or presence",
        )
        assert regex.reasons[1] == "nothing but 1 regular expression"
        assert common.reasons == ("its texts are in 100% of the events, most often 'common'", "1 regular expression")

    def test_log_sources(self) -> None:
        """A rule counts only the events that it is bound to, once for each of their log sources."""
        rules = load(rule_text({"s": {"f": "a"}}), rule_text({"s": {"f": "a"}}, logsource={"product": "none"}))
        both = [event({"f": "a"}, logsources=(LOGSOURCE, LogSource("test", "x"))), event({"f": "a"}, logsources=())]

        (cost,) = rule_costs(rules, both).costs

        assert (cost.events, cost.runs, cost.matches) == (2, 2, 2)


class TestCommand:
    """`detector rules bench`."""

    def test_bench(self, tmp_path: Path) -> None:
        """The dearest rules with their reasons; with `--json` all of them."""
        web = {"category": "webserver"}
        (tmp_path / "a.yml").write_bytes(rule_text({"s": {"cs-uri-query|re": "[^ ]"}}, title="All", logsource=web))
        (tmp_path / "b.yml").write_bytes(rule_text({"s": {"cs-uri-query|contains": "x7"}}, title="One", logsource=web))
        (tmp_path / "c.yml").write_bytes(rule_text({"s": {"cs-uri-query": "none"}}, title="None", logsource=web))
        (tmp_path / "d.yml").write_bytes(rule_text({"s": {"f": "a"}}, title="Other"))
        (tmp_path / "log").write_text("\n".join(LINE.format(f"/?q=x{number}") for number in range(10)))
        arguments = ["bench", str(tmp_path), str(tmp_path / "log")]

        text = CliRunner().invoke(app, arguments)
        first = CliRunner().invoke(app, [*arguments, "--top", "1"])
        result = CliRunner().invoke(app, [*arguments, "--json"])
        missing = CliRunner().invoke(app, ["bench", str(tmp_path), str(tmp_path / "none")])

        found = orjson.loads(result.stdout)
        assert (found["records"], found["events"], found["rules"], found["bound"]) == (10, 10, 4, 3)
        assert {each["title"]: each["runs"] for each in found["costs"]} == {"All": 10, "One": 1, "None": 0}
        assert [each["witness"] for each in found["costs"] if each["title"] == "One"] == [["x7"]]
        assert "10 records, 10 events; 3 of 4 rules are for them" in text.output
        assert "100.00%       10  All" in text.output
        assert "it runs on each event" in text.output
        assert "the next 1 together" in first.output
        assert "1 rules ran on no event" in text.output
        assert "cannot be read" in str(missing.exception)
