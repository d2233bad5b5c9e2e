from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from detector.cli import app
from detector.errors import ConfigError, ParserError

WORDS = """\
name: words
title: Two words
pattern: '(?P<a>\\w+) (?P<b>\\w+)'
recognize: {starts: '\\w+ \\w+$'}
samples:
  - title: two
    record: ab cd
    expect: {raw: {a: EXPECTED}}
"""

run = CliRunner().invoke


class TestParsersTest:
    def test_passes(self, tmp_path: Path) -> None:
        """The samples of built-in definitions and of given ones run."""
        (tmp_path / "words.yml").write_text(WORDS.replace("EXPECTED", "ab"), encoding="utf-8")

        result = run(app, ["parsers", "test", str(tmp_path)])

        assert result.exit_code == 0
        passed, _, total = result.output.split()[:3]
        assert passed == total

    def test_differs(self, tmp_path: Path) -> None:
        """A sample that becomes something else is shown, and the exit code is 3."""
        (tmp_path / "words.yml").write_text(WORDS.replace("EXPECTED", "x"), encoding="utf-8")

        result = run(app, ["parsers", "test", str(tmp_path)])

        assert result.exit_code == 3
        assert "words: two (as words)\n    raw a: expected 'x', found 'ab'\n" in result.output

    def test_broken(self, tmp_path: Path) -> None:
        """A definition that cannot be loaded is an error with file and line."""
        (tmp_path / "words.yml").write_text("name: words\n", encoding="utf-8")

        result = run(app, ["parsers", "test", str(tmp_path)])

        assert isinstance(result.exception, ParserError)
        assert result.exception.where == f"{tmp_path / 'words.yml'}:1"


class TestParsersList:
    def test_formats(self) -> None:
        """Every format is listed with its title and log sources."""
        result = run(app, ["parsers", "list"])

        assert "aws_cloudtrail   " in result.output
        assert "    */aws/cloudtrail\n" in result.output


class TestParse:
    @pytest.fixture
    def file(self, tmp_path: Path) -> Path:
        lines = b'192.0.2.7 - - [17/May/2024:10:05:03 +0000] "GET /\xc2\x9b HTTP/1.1" 200 5\nnoise\n' * 600
        (tmp_path / "access.log").write_bytes(lines)
        return tmp_path / "access.log"

    def test_events(self, file: Path) -> None:
        """Each line's event is a JSON object on a line; what is wrong with a line is said on standard error."""
        result = run(app, ["parse", str(file), "--reference-time", "2024-06-01T00:00:00Z"])

        events = [json.loads(line) for line in result.stdout.splitlines()]
        assert result.exit_code == 0
        assert [event["line"] for event in events] == list(range(1, 1_201))
        assert (events[0]["format"], events[0]["fields"]["url.path"]) == ("apache_common", "/\x9b")
        assert result.stderr.splitlines()[-1] == "line 1200: unparsed at byte 0: no format recognized"

    def test_nothing_reaches_the_terminal(self, file: Path) -> None:
        """Control characters of a log are escaped."""
        assert "\x9b" not in run(app, ["parse", str(file)]).stdout

    def test_wrong_time(self, file: Path) -> None:
        """A reference time that is none is an error."""
        result = run(app, ["parse", str(file), "--reference-time", "yesterday"])

        assert isinstance(result.exception, ConfigError)

    def test_explain(self, tmp_path: Path) -> None:
        """Every format that could take a record is named, the one that does first, with what speaks for it."""
        file = tmp_path / "x.log"
        file.write_bytes(
            b'203.0.113.7 - - [17/May/2024:10:05:03 +0000] "GET / HTTP/1.1" 200 5 "-" "curl" 0.1 -\n'
            b'{"eventSource":"x.amazonaws.com","eventName":"y","eventTime":"2024-05-17T10:05:03Z"}\n'
            b"noise\n[1]\n"
        )

        result = run(app, ["parse", str(file), "--explain", "--reference-time", "2024-06-01T00:00:00Z"])
        why = [json.loads(line)["why"] for line in result.stdout.splitlines()]

        assert [reason.split(" ")[0] for reason in why[0]] == ["nginx_timed", "access_extended", "apache_combined"]
        assert why[1][0].startswith("aws_cloudtrail (priority 0): it has `eventSource` and `eventName` and one of")
        assert why[2:] == [
            ["no format begins like this line"],
            ["no format begins like this line"],
        ]

    def test_time_zone(self, tmp_path: Path) -> None:
        """Times that name no zone are of the one that is asked for; one that there is not is an error."""
        file = tmp_path / "x.log"
        file.write_bytes(b"2024-07-15 12:00:00 ERROR x\n")
        arguments = ["parse", str(file), "--reference-time", "2024-07-15T12:00:00Z", "--time-zone"]

        assert '"@timestamp":"2024-07-15T10:00:00Z"' in run(app, [*arguments, "Europe/Berlin"]).stdout
        assert "IANA" in str(run(app, [*arguments, "Mars"]).exception)
