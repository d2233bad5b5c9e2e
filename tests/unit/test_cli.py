from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import jsonschema
import pytest
import yaml

from detector import __version__, cli, errors
from detector.cli.alerts import LevelName
from detector.config import Config, Level
from detector.config_sources import leaves

Run = Callable[..., subprocess.CompletedProcess[str]]

HEAVY = ("ray", "numba", "numpy", "pyarrow", "kafka", "sigma", "prometheus_client", "re2", "structlog", "rich")


@pytest.fixture
def detector(tmp_path: Path) -> Run:
    """Runs the command line as a user would, in a folder and an environment without settings."""

    def _run(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("DETECTOR_")}
        command = [sys.executable, "-m", "detector", *arguments]
        return subprocess.run(
            command, env=clean | env, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
        )

    return _run


def main_fails_with(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> int:
    """The exit code of a command that raises."""

    def _raise() -> None:
        raise error

    monkeypatch.setattr(cli, "app", _raise)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert isinstance(ended.value.code, int)
    return ended.value.code


class TestHelp:
    def test_lists_the_commands(self, detector: Run) -> None:
        """Help names every command, and ends well."""
        done = detector("--help")

        assert done.returncode == 0
        assert all(name in done.stdout for name in ("alerts", "config", "version"))

    def test_imports_nothing_heavy(self) -> None:
        """Help and settings need neither Ray nor Kafka nor the engine, so they are there at once."""
        code = (
            "import sys; import detector.cli, detector.config_sources; "
            f"print([name for name in {HEAVY} if name in sys.modules])"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)

        assert done.stdout.strip() == "[]"

    def test_is_there_within_half_a_second(self, detector: Run) -> None:
        """Counted in time of the processor, since others may hold it."""
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        detector("--help")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)

        assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 0.5


class TestLevelName:
    def test_names_the_levels(self) -> None:
        """The command line's copy of the levels is theirs."""
        assert get_args(LevelName) == tuple(Level)


class TestMain:
    @pytest.mark.parametrize(
        ("error", "code"),
        [
            (errors.ConfigError("http.port: no"), 2),
            (errors.RuleError("no condition", where="a.yml:3"), 3),
            (errors.KafkaSetupError("no topic"), 4),
            (errors.DeliveryError("refused"), 5),
            (errors.FencedError("fenced"), 6),
            (errors.NoProgressError("stuck"), 7),
            (errors.UnavailableError("no broker"), 8),
        ],
    )
    def test_an_expected_error_is_a_line_and_a_code(
        self,
        error: errors.DetectorError,
        code: int,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        """What a user can mend is said in one line, without a traceback, and told by the exit code."""
        assert main_fails_with(error, monkeypatch) == code
        assert capsys.readouterr().err == f"detector: {error}\n"

    def test_each_problem_has_its_line(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """An error of several problems stays readable, and what it quotes cannot act on the terminal."""
        main_fails_with(errors.ConfigError("one\ntwo \x1b[31m"), monkeypatch)

        assert capsys.readouterr().err == "detector: one\ndetector: two \\x1b[31m\n"

    def test_a_bug_shows_its_traceback(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """An error that nobody foresaw is not dressed up as one of the user's."""
        assert main_fails_with(ZeroDivisionError("oops"), monkeypatch) == 70
        assert "ZeroDivisionError: oops" in capsys.readouterr().err

    def test_ctrl_c_is_no_error_message(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """An interrupted command says nothing, and ends with 128 + SIGINT."""
        assert main_fails_with(KeyboardInterrupt(), monkeypatch) == 130
        assert capsys.readouterr().err == ""

    def test_a_wrong_command_line_is_a_usage_error(self, detector: Run) -> None:
        """A typing error is met with the nearest command."""
        done = detector("alrets")

        assert done.returncode == 2
        assert "alerts" in done.stderr


class TestVersion:
    def test_is_the_package_s(self, detector: Run) -> None:
        """One line, for reports of bugs."""
        assert detector("version").stdout == f"detector {__version__}\n"


class TestConfigShow:
    def test_prints_every_setting_with_its_origin(self, detector: Run, tmp_path: Path) -> None:
        """Each leaf is one line: name, value as JSON, origin."""
        (tmp_path / "d.yaml").write_text("kafka:\n  group_id: mine\n")
        done = detector("config", "show", "--config", "d.yaml", DETECTOR_HTTP__PORT="9")
        rows = {line.split()[0]: line.split(maxsplit=1)[1] for line in done.stdout.splitlines()}

        assert list(rows) == [".".join(leaf) for leaf, _ in leaves()]
        assert rows["kafka.group_id"].split() == ['"mine"', "file:d.yaml:2"]
        assert rows["http.port"].split() == ["9", "env:DETECTOR_HTTP__PORT"]
        assert rows["log.level"].split() == ['"info"', "default"]

    def test_takes_the_file_from_the_environment(self, detector: Run, tmp_path: Path) -> None:
        """A container names its file once, for all commands."""
        (tmp_path / "d.yaml").write_text("http: {port: 1}\n")

        assert "file:d.yaml:1" in detector("config", "show", DETECTOR_CONFIG="d.yaml").stdout

    def test_masks_secrets(self, detector: Run) -> None:
        """Neither output nor error holds a password."""
        env = {
            "DETECTOR_KAFKA__SECURITY__SASL_PASSWORD": "hunter2",
            "DETECTOR_KAFKA__SECURITY__SSL_PASSWORD": "hunter2",
        }
        done = detector("config", "show", **env)

        assert done.returncode == 0
        assert done.stdout.count('"***"') == 2
        assert "hunter2" not in done.stdout + done.stderr

    def test_a_wrong_setting_is_a_line_and_a_code(self, detector: Run) -> None:
        """The error goes to standard error, nothing to standard output."""
        done = detector("config", "show", DETECTOR_HTTP__PROT="9")

        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr == ("detector: DETECTOR_HTTP__PROT: unknown setting; did you mean DETECTOR_HTTP__PORT?\n")


class TestConfigSchema:
    def test_accepts_what_the_program_accepts(self, detector: Run) -> None:
        """An editor that uses the schema knows the settings and marks unknown ones."""
        schema = json.loads(detector("config", "schema").stdout)
        validator = jsonschema.Draft202012Validator(schema)

        assert validator.is_valid(yaml.safe_load("input: {topics: [{name: web}]}"))
        assert validator.is_valid(json.loads(Config().model_dump_json()))
        assert not validator.is_valid(yaml.safe_load("input: {topcis: []}"))
