"""The checks of `detector rules check`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from detector.cli.rules import app
from detector.config import InputTopic, LogSourceSetting
from detector.events import LogSource
from detector.resources import builtin
from detector.sigma.lint import CHECKS, Finding, Severity, Surroundings, check_rules
from detector.sigma.source import RuleSource, read_sources
from tests.parsing import BUILTIN
from tests.sigma import LIMITS
from tests.sigmahq import sources as sigmahq

AUTO = Surroundings(BUILTIN, [InputTopic(name="logs")], LIMITS)
COMPLETE = """\
title: {title}
id: 2f0c4f0e-0d7e-4d0b-9a55-0f5f6d3a7b1{n}
description: Somebody does something.
date: 2024-05-17
level: high
tags: [attack.initial-access, attack.t1190]
logsource: {{category: webserver}}
"""


def check(*texts: str, around: Surroundings = AUTO) -> list[Finding]:
    """What is found in some files, `0.yml`, `1.yml` …"""
    sources = [RuleSource(f"{n}.yml", text.encode()) for n, text in enumerate(texts)]
    return list(check_rules(sources, limits=LIMITS, surroundings=around).findings)


def detection(body: str, *, title: str = "Test", n: int = 1) -> str:
    """A rule whose first line of the detection is the eighth, and that is right but for it."""
    return COMPLETE.format(title=title, n=n) + f"detection:\n{body}"


def codes(*texts: str) -> list[str]:
    """The places and codes of what is found, "line code"."""
    return [f"{found.line} {found.code}" for found in check(*texts)]


def selection(item: str) -> list[str]:
    """The codes for a rule with one item in its selection."""
    return [found.code for found in check(detection(f"  s: {{cs-host: example, {item}}}\n  condition: s\n"))]


class TestRules:
    """Whole rules."""

    def test_nothing(self) -> None:
        """A complete rule is right."""
        assert codes(detection("  s:\n    cs-uri-stem: /x.php\n  condition: s\n")) == []

    @pytest.mark.parametrize(
        ("text", "finding"),
        [
            ("title: [", "2 S001"),
            ("- x", "1 S001"),
            ("title: x\nlogsource: {category: 5}\ndetection: {s: x, condition: s}", "2 S002"),
            ("title: x\nlogsource: {definition: x}\ndetection: {s: x, condition: s}", "2 S002"),
            ("title: x\nlevel: hi\nlogsource: {category: x}\ndetection: {s: xy, condition: s}", "2 S003"),
            ("title: x\nlogsource: {category: x}\ndetections: {s: xy, condition: s}", "3 S003"),
            ("title: x\nlogsource: {category: x}\ndetection:\n  s: xy\n  condition: s | count() > 5", "5 S004"),
            ("title: x\nlogsource: {category: x}\ndetection:\n  s: xy\n", "4 S004"),
            ("title: x\nlogsource: {category: x}\ndetection:\n  s: {a|not: xy}\n  condition: s", "4 S005"),
            ("title: x\nlogsource: {category: x}\ndetection:\n  s: {a|expand: '%b%'}\n  condition: s", "4 S006"),
            ("title: x\ncorrelation: {}", "2 S010"),
        ],
    )
    def test_refusals(self, text: str, finding: str) -> None:
        """What the loader refuses is an error, at its line."""
        assert finding in codes(text)
        assert CHECKS[finding[2:]].severity is Severity.ERROR

    def test_ids(self) -> None:
        """An id that another rule has is an error in the second one."""
        first, second = (detection("  s: {cs-host: x1}\n  condition: s\n", title=title) for title in ("A", "B"))

        assert [(each.path, each.line, each.code) for each in check(first, second)] == [("1.yml", 2, "S007")]

    def test_metadata(self) -> None:
        """What alerts lack if the rule lacks it, and keys that are nearly right."""
        found = check(
            "title: x\ndescripton: y\nlogsource: {category: webserver}\ndetection: {s: {cs-host: x1}, condition: s}"
        )

        assert [(each.line, each.code) for each in found] == [
            *((1, code) for code in ("S101", "S102", "S103", "S104")),
            (2, "S107"),
        ]
        assert found[-1].advice == "Rename it to `description`."

    @pytest.mark.parametrize(
        ("tag", "advice"),
        [
            ("attack.initial-access", None),
            ("attack.stealth", None),
            ("attack.t1059.001", None),
            ("attack.g0016", None),
            ("attack.ds0009", None),
            ("cve.2021-44228", None),
            ("detection.threat-hunting", None),
            ("stp.3k", None),
            ("tlp.amber-strict", None),
            ("car.2016-04-005", None),
            ("d3fend.d3-am", None),
            ("our.own", None),
            ("attack.initial_access", "Write `attack.initial-access`."),
            ("attack.T1059", "Write `attack.t1059`."),
            ("attack.lateral-movment", "Write `attack.lateral-movement`."),
            ("attck.t1059", "Write `attack.t1059`."),
            ("cve.2021.44228", CHECKS["S105"].advice),
            ("attack.t59", CHECKS["S105"].advice),
        ],
    )
    def test_tags(self, tag: str, advice: str | None) -> None:
        """Tags in the forms of the specification, or in one of our own, are right."""
        text = detection("  s: {cs-host: x1}\n  condition: s\n").replace("attack.t1190", tag)

        assert [each.advice for each in check(text)] == ([advice] if advice else [])

    def test_titles(self) -> None:
        """The second of two rules with one title, whatever its case."""
        found = check(*(detection("  s: {cs-host: x1}\n  condition: s\n", title=t, n=n) for n, t in enumerate("xX")))

        assert [(each.path, each.line, each.code) for each in found] == [("1.yml", 1, "S106")]
        assert found[0].message == "the rule in 0.yml:1 has the same title"

    def test_tests(self, tmp_path: Path) -> None:
        """A rule without a test is found where other rules have one, and only there."""
        for n, name in enumerate("ab"):
            (tmp_path / f"{name}.yml").write_text(detection("  s: {cs-host: x1}\n  condition: s\n", title=name, n=n))
        sources = read_sources([tmp_path], LIMITS)

        before = check_rules(sources, limits=LIMITS, surroundings=AUTO).findings
        (tmp_path / "b.test.yml").write_text("x")
        after = check_rules(sources, limits=LIMITS, surroundings=AUTO).findings

        assert before == ()
        assert [(each.path, each.line, each.code) for each in after] == [(str(tmp_path / "a.yml"), 0, "S108")]


class TestSelections:
    """Fields, modifiers and values."""

    @pytest.mark.parametrize(
        ("item", "found"),
        [
            ("c-ip: ['192.0.2.1', null]", ["S202"]),
            ("c-ip: null", []),
            ("c-ip|contains|all: '192.'", ["S203"]),
            ("c-ip|contains|all: ['192.', '.1']", []),
            ("c-uri|re: 'cmd*exe'", ["S204"]),
            (r"c-uri|re: 'cmd.*\.exe'", []),
            ("c-uri|re: '(ab)*cd'", []),
            ("c-uri|contains: '/a.php?id=5'", ["S205"]),
            ("c-uri|contains: '/search?'", ["S205"]),
            (r"c-uri|contains: '/a.php\?id=5'", []),
            ("c-uri|contains: 'wh?ami'", []),
            ("c-uri|contains: ';'", ["S206"]),
            ("c-uri|contains|all: [';', 'ab']", []),
            ("cs-method: 'X'", []),
            ("c-uri|re: '.{100}'", ["S207"]),
            ("c-uri|re: 'ab.{100}'", []),
            ("c-uri|re|i: '[a-z]+x?'", ["S207"]),
        ],
    )
    def test_values(self, item: str, found: list[str]) -> None:
        """What is odd about an item's values, and what is not."""
        assert selection(item) == found

    def test_place(self) -> None:
        """A value in a list has its own line."""
        text = detection("  s:\n    cs-host|contains:\n      - abc\n      - ';'\n  condition: s\n")

        assert codes(text) == ["12 S206"]

    def test_unused(self) -> None:
        """A selection that the condition does not ask for; `them` asks for all."""
        text = "  s: {cs-host: x1}\n  t: {cs-host: y1}\n  condition: "

        assert codes(detection(text + "s\n")) == ["10 S303"]
        assert codes(detection(text + "1 of them\n")) == []

    def test_contradictions(self) -> None:
        """A selection that no event, or only one with several values, can match; a condition likewise."""
        never = "  s: {cs-host: x1}\n  t: {cs-host|exists: false, cs-host|startswith: y}\n  condition: s or t\n"
        single = "  s: {cs-host: x1, cs-host|endswith: y}\n  condition: s\n"
        filtered = "  s: {cs-host: x1}\n  t: {cs-host|startswith: x}\n  condition: s and not t\n"

        assert "10 S301" in codes(detection(never))
        assert "9 S302" in codes(detection(single))
        assert "11 S301" in codes(detection(filtered))

    def test_no_witness(self) -> None:
        """A rule of which no text is certain."""
        assert codes(detection("  s: {cs-host: x1}\n  condition: not s\n")) == ["10 S306"]


class TestFields:
    """What the events of a log source have."""

    @pytest.mark.parametrize(
        "name", ["source.geo.country_iso_code", "source.is_internal", "threat.indicator.type", "user.asset.team"]
    )
    def test_enriched(self, name: str) -> None:
        """What the enrichment may give is no unknown field; what is only like it is."""
        around = LogSource(product="linux", service="clamav")

        assert AUTO.unknown(around, name) is None
        assert AUTO.unknown(around, "my." + name) is not None

    @pytest.mark.parametrize(
        ("logsource", "field", "near"),
        [
            ("category: webserver", "cs-uri-stm", "cs-uri-stem"),
            ("category: webserver", "CS-Host", "cs-host"),
            ("category: webserver", "url.path", None),
            ("category: webserver", "anything.in.json", None),
            ("product: linux, service: sshd", "source.ip", None),
            ("product: linux, service: sshd", "sorce.ip", "source.ip"),
            ("product: linux, service: clamav", "GrantedAccess", ""),
            ("product: windows, category: process_creation", "Commandline", "CommandLine"),
            ("product: windows, category: process_creation", "command_line", "CommandLine"),
            ("product: windows, category: process_creation", "GrandParentImage", None),
            ("product: aws, service: cloudtrail", "eventname", "eventName"),
            ("product: aws, service: cloudtrail", "requestParameters.bucketName", None),
            ("product: unheard-of", "whatever", None),
        ],
    )
    def test_unknown(self, logsource: str, field: str, near: str | None) -> None:
        """A field that is not there, with the nearest that is; JSON may bring any that is not nearly a known one."""
        text = detection(f"  s: {{{field}: x1}}\n  condition: s\n").replace("category: webserver", logsource)

        found = [each for each in check(text) if each.code == "S201"]

        assert [(each.line, each.advice) for each in found] == (
            [] if near is None else [(9, f"Did you mean `{near}`?" if near else CHECKS["S201"].advice)]
        )

    @pytest.mark.parametrize(
        ("logsource", "advice"),
        [
            ("category: webserver", None),
            ("category: web_server", "Did you mean `category: webserver`?"),
            ("product: webserver", "`webserver` is a category: write `category: webserver`."),
            ("product: windws, category: process_creation", "Did you mean `product: windows`?"),
            ("product: nothing-like-it", CHECKS["S401"].advice),
            ("product: windows, service: cloudtrail", CHECKS["S401"].advice),
        ],
    )
    def test_logsources(self, logsource: str, advice: str | None) -> None:
        """A log source that no format has, with what was meant."""
        text = detection("  s: {x: x1}\n  condition: s\n").replace("category: webserver", logsource)

        assert [each.advice for each in check(text) if each.code == "S401"] == ([advice] if advice else [])

    def test_topics(self) -> None:
        """Formats are those of the configured topics, log sources also those that these declare."""
        setting = LogSourceSetting(product="apache", service="access")
        around = Surroundings(BUILTIN, [InputTopic(name="a", format="apache_combined", logsource=setting)], LIMITS)

        assert around.is_bound(LogSource("webserver", "apache", "access"))
        assert around.is_bound(LogSource("webserver"))
        assert not around.is_bound(LogSource(None, "linux", "sshd"))


class TestFilters:
    """Filters."""

    RULE = detection("  s: {cs-host: x1}\n  condition: s\n")

    def check(self, condition: str, rules: str = "any", category: str = "webserver") -> list[str]:
        """The codes for a filter beside a rule."""
        selections = "s: {c-ip: '192.0.2.1'}"
        return codes(
            f"title: f\nlogsource: {{category: {category}}}\n"
            f"filter:\n  rules: {rules}\n  {selections}\n  condition: {condition}\n",
            self.RULE,
        )

    def test_positive(self) -> None:
        """A condition without `not` keeps what was to be excluded."""
        assert self.check("not s") == self.check("not (s)") == []
        assert self.check("s") == ["6 S304"]

    def test_for_nothing(self) -> None:
        """A filter that is for no rule that there is."""
        assert self.check("not s", "[2f0c4f0e-0d7e-4d0b-9a55-0f5f6d3a7b11]") == []
        assert self.check("not s", "[unknown]") == ["4 S305"]
        assert self.check("not s", category="proxy") == ["4 S305"]


class TestAnything:
    """Whatever the files hold."""

    parts = st.recursive(
        st.one_of(
            st.none(), st.booleans(), st.integers(), st.text(max_size=8), st.sampled_from(["s", "1 of them", "?"])
        ),
        lambda inner: st.one_of(
            st.lists(inner, max_size=3),
            st.dictionaries(st.sampled_from(["s", "t", "f|re", "f|contains", "f|all", "condition", "tags"]), inner),
        ),
        max_leaves=6,
    )

    @settings(max_examples=150)
    @given(
        st.dictionaries(
            st.sampled_from(["title", "id", "logsource", "detection", "filter", "tags", "level", "fields"]), parts
        ),
        parts,
    )
    def test_raises_nothing(self, document: dict[str, Any], selections: Any) -> None:
        """A check ends with findings."""
        usual = {"title": "x", "logsource": {"category": "webserver"}, "detection": {"condition": "s", "s": selections}}

        for text in (json.dumps(document), json.dumps(document | usual), json.dumps(usual | document)):
            assert check(text)


class TestCorpora:
    """Rules that others have made with care."""

    def test_sigmahq(self) -> None:
        """Of SigmaHQ's rules, few are found wrong, and none for a reason that is not so."""
        report = check_rules(sigmahq(), limits=LIMITS, surroundings=AUTO)
        found = [each.code for each in report.findings]

        assert [code for code in found if CHECKS[code].severity is Severity.ERROR] == ["S006", "S006"]
        assert found.count("S201") <= 1  # `USER` of sudo's lines, which no parser takes apart
        assert not {"S105", "S107", "S202", "S203", "S204", "S302", "S303"}.intersection(found)

    def test_built_in(self) -> None:
        """The rules that come with the program have nothing that is an error."""
        report = check_rules(read_sources([builtin("sigma")], LIMITS), limits=LIMITS, surroundings=AUTO)

        assert {each.code for each in report.findings} <= {"S206", "S207", "S306"}


class TestCommand:
    """`detector rules check`."""

    def test_text(self, tmp_path: Path) -> None:
        """A finding is a line; an error makes the exit code 1, a warning does not; nothing reaches the terminal raw."""
        (tmp_path / "a.yml").write_text(detection("  s: {cs-uri-stm: x1}\n  condition: s\n"))
        warned = CliRunner().invoke(app, ["check", str(tmp_path)])
        (tmp_path / "a.yml").write_text(detection('  s: {cs-host|nt: "\\e[31m"}\n  condition: s\n', title="\u202ex"))
        failed = CliRunner().invoke(app, ["check", str(tmp_path)])

        assert warned.exit_code == 0
        line = "9: warning S201: events of this log source have no field `cs-uri-stm`. Did you mean `cs-uri-stem`?"
        assert warned.output.splitlines() == [
            f"{tmp_path}/a.yml:{line}",
            "1 files, 1 rules: 0 error, 1 warning, 0 info",
        ]
        assert failed.exit_code == 1
        assert f"{tmp_path}/a.yml:9: error S005: `nt` is no modifier" in failed.output
        assert failed.output.isascii()

    def test_json(self, tmp_path: Path) -> None:
        """One object with the counts and all findings, also with text that UTF-8 has no form for."""
        text = detection('  s: {cs-host|contains: x1}\n  t: {"\\ud800": y}\n  condition: s\n')
        (tmp_path / "a.yml").write_text(text)

        found = json.loads(CliRunner().invoke(app, ["check", "--json", str(tmp_path)]).output)

        assert (found["files"], found["rules"], found["error"]) == (1, 0, 1)
        assert found["findings"][0] | {"message": "", "fix": ""} == {
            "path": f"{tmp_path}/a.yml",
            "line": 10,
            "code": "S001",
            "severity": "error",
            "message": "",
            "fix": "",
            "rule": "",
        }
