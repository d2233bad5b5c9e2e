"""Rule tests, and the commands that run them."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree as ET

import orjson
import pytest
from typer.testing import CliRunner

from detector.cli.rules import app
from detector.config import Limits
from detector.resources import builtin
from detector.sigma.loading import compile_rules
from detector.sigma.source import read_sources
from detector.sigma.testing import run_tests
from tests.parsing import BUILTIN

RULE = """\
title: Admin page
logsource:
  category: webserver
detection:
  s:
    cs-uri-stem|startswith: /admin
  condition: s
"""
GOOD = '192.0.2.7 - - [10/Oct/2024:13:55:36 +0000] "GET /admin/x HTTP/1.1" 200 12 "-" "curl/8"'
HARMLESS = GOOD.replace("/admin/x", "/index.html")


def run(folder: Path, test: str | None, rule: str = RULE) -> tuple[int, list[str]]:
    """Samples, and failures as `where message`, with paths within the folder."""
    (folder / "a.yml").write_text(rule)
    if test is not None:
        (folder / "a.test.yml").write_text(test)
    rules = compile_rules(read_sources([folder], Limits()), limits=Limits())
    samples, failures = run_tests(rules, BUILTIN, Limits())
    return samples, [f"{Path(each.where).name} {each.message}" for each in failures]


class TestRunTests:
    """Samples through parsers and rules."""

    def test_passes(self, tmp_path: Path) -> None:
        """A rule that matches its records and no others passes."""
        assert run(tmp_path, f"match:\n  - '{GOOD}'\nno_match:\n  - '{HARMLESS}'\n") == (2, [])

    def test_says_what_was_there(self, tmp_path: Path) -> None:
        """A record that should match but does not: the fields as they are; the other way round: the evidence."""
        _, failures = run(tmp_path, f"match:\n  - '{HARMLESS}'\nno_match:\n  - '{GOOD}'\n")

        assert failures[0].startswith("a.test.yml:2 must match, but does not: cs-uri-stem is ")
        assert "/index.html" in failures[0]
        assert failures[1].startswith("a.test.yml:4 must not match, but does: cs-uri-stem '/admin/x' for ")

    def test_says_why_it_did_not_run(self, tmp_path: Path) -> None:
        """A record of another log source: which it has."""
        _, failures = run(tmp_path, f"match:\n  - 'nothing known'\n  - {{a: 1}}\nno_match:\n  - '{HARMLESS}'\n")

        assert "runs on none" in failures[0]
        assert "no format" in failures[0]
        assert "log sources none" in failures[1]

    def test_format_and_logsource(self, tmp_path: Path) -> None:
        """The test may name the parser, and the log source that the topic declares."""
        rule = RULE.replace("category: webserver", "product: shop").replace("cs-uri-stem", "path")
        test = "format: json\nlogsource: {product: shop}\nmatch:\n  - {path: /admin}\nno_match:\n  - {path: /}\n"

        assert run(tmp_path, test, rule) == (2, [])

    @pytest.mark.parametrize(
        ("test", "failure"),
        [
            (None, "a.yml has no test: write a.test.yml with `match` and `no_match`"),
            ("match: [x]", "a.test.yml:1 `no_match` must list at least one record"),
            ("match: []\nno_match: [x]", "a.test.yml:1 `match` must list at least one record"),
            ("match: [5]\nno_match: [x]", "a.test.yml:1 a record is a text, a mapping or a list"),
            ("match: [x]\nno_match: [x]\nmatches: [x]", "a.test.yml:3 `matches` is not known here"),
            ("match: [x]\nno_match: [x]\nformat: 5", "a.test.yml:3 `format` must be"),
            ("match: [x]\nno_match: [x]\nlogsource: {a: b}", "a.test.yml:3 `logsource` is"),
            ("- x", "a.test.yml a rule test is a mapping"),
            ("match: [", "a.test.yml:2 not YAML"),
        ],
    )
    def test_mistakes(self, tmp_path: Path, test: str | None, failure: str) -> None:
        """A test that is none, or is not there, is a failure."""
        (message,) = run(tmp_path, test)[1]

        assert message.startswith(failure)

    def test_rules_that_do_not_load(self, tmp_path: Path) -> None:
        """They fail too."""
        assert run(tmp_path, None, "title: x")[1][0].startswith("a.yml:1 the rule must name a log source")


class TestBuiltIn:
    """The rules that come with the program."""

    def test_all_load_and_pass(self) -> None:
        """Each loads, has samples of both kinds, and passes them."""
        rules = compile_rules(read_sources([builtin("sigma")], Limits()), limits=Limits())

        samples, failures = run_tests(rules, BUILTIN, Limits())

        assert [f"{failure.where}: {failure.message}" for failure in failures] == []
        assert samples >= 2 * len(rules.rules) > 0


class TestCommands:
    """`detector rules`."""

    def test_test(self, tmp_path: Path) -> None:
        """Failures are listed, and the exit code is 1; without any it is 0."""
        (tmp_path / "a.yml").write_text(RULE)
        failed = CliRunner().invoke(app, ["test", str(tmp_path)])
        (tmp_path / "a.test.yml").write_text(f"match: ['{GOOD}']\nno_match: ['{HARMLESS}']")
        passed = CliRunner().invoke(app, ["test", str(tmp_path)])

        assert (failed.exit_code, passed.exit_code) == (1, 0)
        assert f"FAILED {tmp_path}/a.yml: Admin page: has no test" in failed.output
        assert passed.output == "1 rules, 2 samples, 0 failures\n"

    def test_list(self, tmp_path: Path) -> None:
        """Each rule is a line; what cannot be loaded is said, with the exit code of such errors."""
        (tmp_path / "a.yml").write_text(RULE)
        (tmp_path / "b.yml").write_text("title: \x1b[31mx")

        result = CliRunner().invoke(app, ["list", str(tmp_path)])

        assert result.exit_code == 3
        assert "medium        webserver/-/-" in result.output
        assert "cannot be loaded" in result.output
        assert "\x1b" not in result.output

    def test_junit(self, tmp_path: Path) -> None:
        """Each sample is a case, what failed says why; hostile titles make no invalid XML."""
        (tmp_path / "a.yml").write_text(RULE.replace("Admin page", '"Admin \\x1b<\\uFFFF\\" page"'))
        (tmp_path / "a.test.yml").write_text(f"match: ['{GOOD}']\nno_match: ['{GOOD}']")
        (tmp_path / "b.yml").write_text(RULE)
        target = tmp_path / "junit.xml"

        result = CliRunner().invoke(app, ["test", str(tmp_path), "--junit", str(target)])
        nowhere = CliRunner().invoke(app, ["test", str(tmp_path), "--junit", str(tmp_path / "no" / "junit.xml")])

        root = ET.parse(target).getroot()
        assert result.exit_code == 1
        assert (root.get("tests"), root.get("failures")) == ("3", "2")
        first, second = root
        assert [(case.get("name"), [each.tag for each in case]) for case in first] == [
            ("match 1", []),
            ("no_match 1", ["failure"]),
        ]
        assert first.get("name") == str(tmp_path / "a.yml")
        assert "a.test.yml:2: must not match, but does" in (first[1][0].text or "")
        assert "has no test" in (second[0][0].get("message") or "")
        assert "cannot be written" in str(nowhere.exception)

    @pytest.mark.parametrize(
        ("options", "found"),
        [
            ([], "abc"),
            (["--logsource", "webserver"], "ab"),
            (["--logsource", "-/windows"], "c"),
            (["--logsource", "webserver/-/apache"], "b"),
            (["--logsource", "a/b/c/d"], ""),
            (["--level", "high", "--level", "low"], "bc"),
            (["--technique", "t1059"], "bc"),
            (["--technique", "T1059.001"], "b"),
            (["--bound"], "a"),
            (["--unbound"], "bc"),
            (["--unbound", "--level", "low"], "c"),
        ],
    )
    def test_list_some(self, tmp_path: Path, options: list[str], found: str) -> None:
        """By log source, level, technique, and whether any configured format has the log source."""
        other = RULE.replace("category: webserver", "category: webserver\n  service: apache")
        third = RULE.replace("category: webserver", "product: windows\n  category: unheard")
        (tmp_path / "a.yml").write_text(RULE)
        (tmp_path / "b.yml").write_text(other + "level: high\ntags: [attack.t1059.001]\n")
        (tmp_path / "c.yml").write_text(third + "level: low\ntags: [attack.t1059]\n")

        result = CliRunner().invoke(app, ["list", str(tmp_path), "--json", *options])

        rules = orjson.loads(result.stdout)["rules"]
        assert "".join(sorted(Path(rule["path"]).stem for rule in rules)) == found
        assert result.exit_code == 0

    def test_list_json(self, tmp_path: Path) -> None:
        """What cannot be loaded is in it, with place and code."""
        (tmp_path / "a.yml").write_text(RULE + "level: low\ntags: [attack.initial-access]\n")
        (tmp_path / "b.yml").write_text("title: x")

        result = CliRunner().invoke(app, ["list", str(tmp_path), "--json"])
        wrong = CliRunner().invoke(app, ["list", str(tmp_path), "--level", "severe"])

        assert "there are informational, low" in str(wrong.exception)
        listed = orjson.loads(result.stdout)
        assert result.exit_code == 3
        assert listed["refused"][0]["where"] == f"{tmp_path}/b.yml:1"
        assert listed["refused"][0]["code"] == "S002"
        assert listed["rules"][0] | {"path": ""} == {
            "key": listed["rules"][0]["key"],
            "title": "Admin page",
            "level": "low",
            "status": None,
            "category": "webserver",
            "product": None,
            "service": None,
            "bound": True,
            "techniques": [],
            "tactics": ["initial-access"],
            "path": "",
            "document": 1,
        }
