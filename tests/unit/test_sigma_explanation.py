"""Explanations of what a rule says of an event, and the command that shows them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from detector.cli.rules import app
from detector.events import LogSource
from detector.sigma.explanation import Explanation, Kind, Step, explain_rule
from detector.sigma.fields import EventView
from tests.sigma import LOGSOURCE, event, rule

LINE = '192.0.2.7 - - [10/Oct/2024:13:55:36 +0000] "GET /admin/x HTTP/1.1" 200 12 "-" "curl/8"'
RULE = """\
title: Admin page
name: admin_page
level: informational
logsource:
  category: webserver
detection:
  page:
    cs-uri-stem|startswith: [/admin, /root]
    sc-status: [200, 302]
  office:
    c-ip|cidr: 10.0.0.0/8
  condition: page and not office
"""


def explained(detection: dict[str, Any], raw: dict[str, Any], **keys: Any) -> Explanation:
    return explain_rule(rule(detection, **keys), event(raw))


def steps(step: Step) -> Iterator[Step]:
    yield step
    for part in step.parts:
        yield from steps(part)


values = st.one_of(st.sampled_from(["a", "ab", "b", "", 1, None, True]), st.lists(st.sampled_from(["a", "b"])))
items = st.dictionaries(
    st.sampled_from(["f", "g", "f|contains", "g|startswith", "f|re", "f|neq", "g|exists", "f|contains|all", "h"]),
    st.sampled_from(["a", "b", "ab"]),
    min_size=1,
    max_size=3,
).map(lambda item: {key: key == "g|exists" or value for key, value in item.items()})


class TestExplainRule:
    """The verdicts of every part."""

    @given(
        st.lists(items, min_size=1, max_size=2),
        items,
        st.sampled_from(["s and not t", "s or t", "not (s and t)", "all of them"]),
        st.dictionaries(st.sampled_from(["f", "g"]), values),
    )
    def test_agrees(self, first: list[Any], second: Any, condition: str, raw: dict[str, Any]) -> None:
        """It says what the rule says, and each step follows from its parts."""
        tested, subject = rule({"s": first, "t": second, "condition": condition}), event(raw)

        explanation = explain_rule(tested, subject)

        assert explanation.matches == tested.matches((EventView(subject, subject.bindings[0]),))
        for step in steps(explanation.through[0].tree):
            parts = [part.true for part in step.parts]
            from_parts = {Kind.ALL: all(parts), Kind.ANY: any(parts), Kind.NOT: parts != [True]}
            assert step.true == from_parts.get(step.kind, step.true)
            if step.item is not None:
                assert step.true or not step.item.matched

    def test_values(self) -> None:
        """An item has all values of its field, and those that matched; the selection stands at its top."""
        tree = explained({"s": {"f|contains": "b", "g": "x"}}, {"f": ["abc", 5, None]}).through[0].tree

        found, absent = (part.item for part in tree.parts)
        assert (tree.kind, tree.true, tree.selection) == (Kind.ALL, False, "s")
        assert [part.selection for part in tree.parts] == [None, None]
        assert found
        assert absent
        assert (found.field, found.modifiers, found.pattern) == ("f", "contains", "*b*")
        assert (found.present, found.null, found.values, found.matched) == (True, True, ("abc", 5), ("abc",))
        assert (absent.present, absent.values, absent.nearest) == (False, (), None)

    @pytest.mark.parametrize(
        ("field", "near"),
        [("UserNam", "UserName"), ("user.nam", "user.name"), ("deep.listt.x", "deep.list.x"), ("zzz", None)],
    )
    def test_nearest(self, field: str, near: str | None) -> None:
        """An absent field comes with the one that may be meant: an alias, a path in the record, or an ECS name."""
        subject = event(
            {"deep": {"list": [{"x": 1}]}}, ecs={"user.name": "a"}, aliases={"UserName": ("user.name",), "No": ("no",)}
        )

        explanation = explain_rule(rule({"s": {field: "a"}}), subject)

        assert explanation.missing == ((field, near),)

    def test_does_not_run(self) -> None:
        """An event of another log source: which parts the nearest of them lacks."""
        tested = rule({"s": {"f": "a"}}, logsource={"category": "process_creation", "product": "windows"})
        others = (LogSource("test"), LogSource("process_creation", "linux"))

        explanation = explain_rule(tested, event({"f": "a"}, logsources=others))

        assert (explanation.through, explanation.undeclared) == ((), ("product: windows",))
        assert explain_rule(tested, event(logsources=())).undeclared == (
            "category: process_creation",
            "product: windows",
        )

    def test_each_log_source(self) -> None:
        """One verdict for each log source that the rule runs on."""
        tested = rule({"s": {"f": "a"}})
        several = (LOGSOURCE, LogSource("other"), LogSource("test", "product"))

        through = explain_rule(tested, event({"f": "a"}, logsources=several)).through

        assert [each.logsource for each in through] == [several[0], several[2]]


def run(folder: Path, record: str, *arguments: str, rule: str = RULE) -> Result:
    (folder / "a.yml").write_text(rule)
    return CliRunner().invoke(app, ["explain", str(folder / "a.yml"), *arguments], input=record)


class TestCommand:
    """`detector rules explain`."""

    def test_matches(self, tmp_path: Path) -> None:
        """The tree with the values, and that it is no alert."""
        result = run(tmp_path, LINE)

        assert result.exit_code == 0
        assert result.output.splitlines()[1:] == [
            "record 1 (apache_combined): matches",
            "  it is no alert: informational is below output.min_level (low)",
            "  through webserver/-/-",
            "  yes  all of",
            "    yes  page: all of",
            "      yes  cs-uri-stem|startswith: /admin* (1 of 2)",
            "             is '/admin/x'",
            "      yes  sc-status: 200 (1 of 2)",
            "             is 200",
            "    yes  not",
            "      no   office, c-ip|cidr: 10.0.0.0/8",
            "             is '192.0.2.7'",
        ]

    def test_does_not_match(self, tmp_path: Path) -> None:
        """The exit code is 1; what decided is shown; records come from a file, one a line."""
        (tmp_path / "log").write_text(LINE.replace("/admin/x", "/\x1b[31m") + "\n\n" + LINE.replace(" 200 ", " 403 "))

        result = run(tmp_path, "", str(tmp_path / "log"))

        assert result.exit_code == 1
        assert "no   cs-uri-stem|startswith: /admin* or /root*" in result.output
        assert "record 2 (apache_combined): does not match" in result.output
        assert "no   sc-status: 200 or 302\n             is 403" in result.output
        assert "\x1b" not in result.output

    def test_does_not_run(self, tmp_path: Path) -> None:
        """Which log source is missing, what the configured formats have, and which fields are nearly there."""
        text = RULE.replace("webserver", "webservr").replace("sc-status", "sc_status")

        result = run(tmp_path, LINE, rule=text)

        assert result.exit_code == 1
        assert "record 1 (apache_combined): does not run" in result.output
        assert "not declared: category: webservr" in result.output
        assert "Did you mean `category: webserver`?" in result.output
        assert "the event has no field sc_status; the nearest is sc-status" in result.output

    def test_log_source_of_the_topic(self, tmp_path: Path) -> None:
        """A JSON record over several lines is one; `--logsource` is what its topic declares."""
        text = RULE.replace("category: webserver", "product: shop")
        record = '{\n  "cs-uri-stem": "/root/",\n  "sc-status": "302"\n}'

        without = run(tmp_path, record, rule=text)
        result = run(tmp_path, record, "--logsource", "-/shop/-", rule=text)

        assert (without.exit_code, result.exit_code) == (1, 0)
        assert "or the topic's log source by --logsource" in without.output
        assert "through -/shop/-" in result.output

    def test_by_name(self) -> None:
        """A configured rule by its title, id or name; what is none is an error that says so."""
        named = CliRunner().invoke(app, ["explain", "path traversal", "--json"], input=LINE)
        unknown = CliRunner().invoke(app, ["explain", "no such rule"], input=LINE)

        (found,) = orjson.loads(named.stdout)["rules"]
        assert (found["title"], found["matches"], found["events"][0]["runs"]) == ("Path Traversal", False, True)
        assert found["events"][0]["through"][0]["tree"]["true"] is False
        assert "neither a rule file, nor" in str(unknown.exception)

    def test_refused(self, tmp_path: Path) -> None:
        """A rule that cannot be loaded: why, and where."""
        result = run(tmp_path, LINE, rule=RULE.replace("cidr", "cider"))

        assert "a.yml:11: `cider` is no modifier: did you mean `cidr`?" in str(result.exception)

    def test_one_of_several(self, tmp_path: Path) -> None:
        """The other rules of its file are explained all the same."""
        result = run(tmp_path, LINE, rule=f"title: broken\n---\n{RULE}")

        assert result.exit_code == 0
        assert "a.yml:1: the rule must name a log source" in result.stderr
        assert "record 1 (apache_combined): matches" in result.stdout

    def test_with_filters(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The configured filters are part of the rule, under their titles."""
        (tmp_path / "filter.yml").write_text(
            "title: Known\nlogsource: {category: webserver}\n"
            "filter: {rules: any, selection: {c-ip: 192.0.2.7}, condition: not selection}\n"
        )
        monkeypatch.setenv("DETECTOR_RULES__PATHS", f'["{tmp_path / "filter.yml"}"]')

        result = run(tmp_path, LINE)

        assert result.exit_code == 1
        assert "yes  Known: selection, c-ip: 192.0.2.7" in result.output
