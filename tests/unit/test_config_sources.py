from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from detector.config import Config, InputTopic, Level
from detector.config_sources import MAX_FILE_BYTES, leaves, load, load_config, value_of, variable
from detector.errors import ConfigError

Write = Callable[[str | bytes], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a file of settings."""

    def _write(content: str | bytes) -> Path:
        path = tmp_path / "detector.yaml"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return _write


def problems(path: Path | None = None, env: Mapping[str, str] | None = None) -> list[str]:
    """The lines of the error, without the folder of the file."""
    with pytest.raises(ConfigError) as raised:
        load(path, env or {})
    return [line.replace(f"{path}", "FILE") for line in str(raised.value).splitlines()]


class TestPrecedence:
    def test_without_sources_all_is_default(self) -> None:
        """Defaults need no file, and nothing of the environment leaks into them."""
        settings = load(None, {})

        assert settings.config == Config()
        assert settings.origins == {}

    def test_later_sources_win_per_leaf(self, write: Write) -> None:
        """File, environment and flags each set one leaf of the same section, and the last of them the common one."""
        path = write("kafka:\n  group_id: file\n  request_timeout_ms: 2000\n  session_timeout_ms: 7000\n")
        env = {"DETECTOR_KAFKA__GROUP_ID": "env", "DETECTOR_KAFKA__SESSION_TIMEOUT_MS": "8000"}
        settings = load(path, env, {"kafka.group_id": "flag"})

        assert settings.config.kafka.group_id == "flag"
        assert settings.config.kafka.session_timeout_ms == 8_000
        assert settings.config.kafka.request_timeout_ms == 2_000
        assert settings.origins == {
            ("kafka", "group_id"): "flag",
            ("kafka", "session_timeout_ms"): "env:DETECTOR_KAFKA__SESSION_TIMEOUT_MS",
            ("kafka", "request_timeout_ms"): f"file:{path}:3",
        }

    def test_a_list_replaces_the_earlier_one(self, write: Write) -> None:
        """Topics are not merged by position: who sets them, sets all of them."""
        path = write("input:\n  topics:\n    - {name: a, format: cloudtrail}\n    - name: b\n")
        config = load_config(path, {"DETECTOR_INPUT__TOPICS": '[{"name": "web"}]'})

        assert config.input.topics == (InputTopic(name="web"),)


class TestFile:
    def test_sets_lists_of_models(self, write: Write) -> None:
        """Topics with their format and log source come from YAML."""
        path = write("input:\n  topics:\n    - name: web\n      logsource: {product: apache}\n")

        (topic,) = load_config(path, {}).input.topics
        logsource = {"category": None, "product": "apache", "service": None}
        assert topic.model_dump() == {"name": "web", "format": "auto", "logsource": logsource, "time_zone": "UTC"}

    @pytest.mark.parametrize("content", ["", "# nothing yet\n", "kafka:\n", "kafka: {}\ninput:\n"])
    def test_may_be_empty_or_have_empty_sections(self, write: Write, content: str) -> None:
        """A commented-out file or section is no error."""
        assert load_config(write(content), {}) == Config()

    @pytest.mark.parametrize(
        ("content", "line"),
        [
            ("kafka:\n  gruop_id: x\n", "FILE:2: kafka.gruop_id: unknown setting; did you mean kafka.group_id?"),
            ("kakfa:\n  group_id: x\n", "FILE:2: kakfa: unknown setting; did you mean kafka?"),
            ("zzz: 1\n", "FILE:1: zzz: unknown setting; `detector config show` lists all"),
            ("http: 80\n", "FILE:1: http is a section; set its parts: host, port"),
            ("http:\n  port: 99999\n", "FILE:2: http.port: should be less than or equal to 65535, not 99999"),
            (
                "http:\n  port: x\n",
                "FILE:2: http.port: should be a valid integer, unable to parse string as an integer, not 'x'",
            ),
            ("kafka:\n  group_id: 7\n", "FILE:2: kafka.group_id: should be a text (quote it), not 7"),
            ("kafka:\n  bootstrap_servers: a:1\n", "FILE:2: kafka.bootstrap_servers: should be a list, not 'a:1'"),
            ("log:\n  level: loud\n", "FILE:2: log.level: should be 'debug', 'info', 'warning' or 'error', not 'loud'"),
            (
                "input:\n  topics:\n    - name: web\n      fromat: x\n",
                "FILE:4: input.topics[0].fromat: unknown setting; did you mean format?",
            ),
            ("input:\n  topics:\n    - format: x\n", "FILE:3: input.topics[0].name: missing"),
            ("input:\n  topics: []\n", "input: input.topics is empty: name at least one topic"),
            ("- a\n", "FILE:1: should be sections of settings (`kafka:` and so on)"),
            ("http: {}\n---\nlog: {}\n", "FILE:3: a second document; settings are one, remove the `---`"),
        ],
    )
    def test_says_what_is_wrong_where_and_how_to_mend_it(self, write: Write, content: str, line: str) -> None:
        """One readable line for each mistake."""
        assert problems(write(content)) == [line]

    def test_reports_all_problems_at_once(self, write: Write) -> None:
        """Nobody mends a file one error at a time."""
        path = write("kafka:\n  gruop_id: x\nhttp:\n  port: -1\n")

        assert problems(path, {"DETECTOR_LOG__FORMAT": "xml", "DETECTOR_LOG__LEVLE": "info"}) == [
            "FILE:2: kafka.gruop_id: unknown setting; did you mean kafka.group_id?",
            "DETECTOR_LOG__LEVLE: unknown setting; did you mean DETECTOR_LOG__LEVEL?",
            "FILE:4: http.port: should be greater than or equal to 0, not -1",
            "DETECTOR_LOG__FORMAT: log.format: should be 'json' or 'console', not 'xml'",
        ]

    @pytest.mark.parametrize(
        "content",
        [
            b"\xff\xfe",
            b"a: [1, 2",
            b"a: b: c",
            b"http:\n  port: 1\n  port: 2\n",
            b"[" * 100_000,
            b"a: !!python/object:os.system {}",
            b"a: &x [*x]",
            b"x" * (MAX_FILE_BYTES + 1),
            b"\x00",
        ],
        ids=["encoding", "syntax", "colon", "duplicate", "nesting", "tag", "cycle", "size", "control"],
    )
    def test_hostile_files_are_errors(self, write: Write, content: bytes) -> None:
        """Whatever the file holds, the error names it, and the process lives."""
        (line,) = problems(write(content))

        assert line.startswith("FILE:")

    def test_names_a_file_that_is_missing(self, tmp_path: Path) -> None:
        """A wrong path is an error, not the defaults."""
        assert problems(tmp_path / "nope.yaml") == ["FILE: cannot be read: No such file or directory"]

    @given(st.binary(max_size=80))
    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
    def test_random_bytes_are_settings_or_an_error(self, tmp_path: Path, content: bytes) -> None:
        """No input raises anything but ConfigError."""
        path = tmp_path / "random.yaml"
        path.write_bytes(content)
        try:
            config = load_config(path, {})
        except ConfigError:
            return

        assert config == Config()


class TestEnvironment:
    @pytest.mark.parametrize("text", ["a:1,b:2", " a:1 , b:2, ", '["a:1", "b:2"]'])
    def test_lists_are_separated_by_commas_or_json(self, text: str) -> None:
        """Both forms give the same list."""
        config = load_config(None, {"DETECTOR_KAFKA__BOOTSTRAP_SERVERS": text})

        assert config.kafka.bootstrap_servers == ("a:1", "b:2")

    def test_values_are_converted(self) -> None:
        """Numbers, booleans, names of levels and paths are text in the environment."""
        env = {
            "DETECTOR_HTTP__PORT": "0",
            "DETECTOR_RULES__WATCH": "false",
            "DETECTOR_OUTPUT__MIN_LEVEL": "high",
            "DETECTOR_RULES__PATHS": "/a,/b",
        }
        config = load_config(None, env)

        assert (config.http.port, config.rules.watch, config.output.min_level) == (0, False, Level.HIGH)
        assert config.rules.paths == (Path("/a"), Path("/b"))

    def test_an_empty_variable_is_not_set(self) -> None:
        """A chart that leaves a value empty gets the default."""
        assert load_config(None, {"DETECTOR_KAFKA__GROUP_ID": ""}) == Config()

    @pytest.mark.parametrize(
        ("name", "text", "line"),
        [
            ("DETECTOR_KAFKA", "{}", "DETECTOR_KAFKA is a section; set its parts: "),
            (
                "DETECTOR_KAFKA_GROUP_ID",
                "x",
                "DETECTOR_KAFKA_GROUP_ID: unknown setting; did you mean DETECTOR_KAFKA__GROUP_ID?",
            ),
            ("DETECTOR_INPUT__TOPICS", "web", "DETECTOR_INPUT__TOPICS: input.topics: should be a list, not 'web'"),
            ("DETECTOR_INPUT__TOPICS", "[{", "DETECTOR_INPUT__TOPICS: input.topics: should be a list, not '[{'"),
            (
                "DETECTOR_INPUT__TOPICS",
                '[{"nmae": "x", "name": "y"}]',
                "DETECTOR_INPUT__TOPICS: input.topics[0].nmae: unknown setting; did you mean name?",
            ),
        ],
    )
    def test_says_which_variable_is_wrong(self, name: str, text: str, line: str) -> None:
        """The error names the variable, not only the setting."""
        assert problems(None, {name: text})[0].startswith(line)

    def test_leaves_what_kubernetes_sets_alone(self) -> None:
        """A service named detector puts variables into every pod of its namespace; they are none of ours."""
        env = {
            "DETECTOR_SERVICE_HOST": "10.0.0.1",
            "DETECTOR_SERVICE_PORT": "8080",
            "DETECTOR_SERVICE_PORT_METRICS": "8080",
            "DETECTOR_PORT": "tcp://10.0.0.1:8080",
            "DETECTOR_PORT_8080_TCP": "tcp://10.0.0.1:8080",
            "DETECTOR_PORT_8080_TCP_ADDR": "10.0.0.1",
            "DETECTOR_HTTP_PORT": "tcp://10.0.0.1:8080",
            "DETECTOR_METRICS_SERVICE_HOST": "10.0.0.1",
            "DETECTOR_CONFIG": "/etc/detector.yaml",
            "PATH": "/bin",
        }

        assert load_config(None, env) == Config()

    def test_every_setting_has_a_variable_that_sets_it(self) -> None:
        """No variable of a setting is taken for one of Kubernetes."""
        env = {variable(leaf): "\0" for leaf, _ in leaves()}
        named = {line.split(":")[0] for line in problems(None, env)}
        texts = {leaf for leaf, info in leaves() if {info.annotation} & {str, str | None}}

        assert named >= {variable(leaf) for leaf, info in leaves() if info.annotation in (int, float, bool)}
        assert len(texts) > 5


class TestSecrets:
    def test_are_masked(self) -> None:
        """The value of a secret is not what is shown."""
        env = {
            "DETECTOR_KAFKA__SECURITY__PROTOCOL": "SASL_SSL",
            "DETECTOR_KAFKA__SECURITY__SASL_MECHANISM": "PLAIN",
            "DETECTOR_KAFKA__SECURITY__SASL_USERNAME": "me",
            "DETECTOR_KAFKA__SECURITY__SASL_PASSWORD": "hunter2",
        }
        config = load_config(None, env)

        assert value_of(config, ("kafka", "security", "sasl_password")) == "***"
        assert value_of(config, ("kafka", "security", "sasl_username")) == "me"
        assert "hunter2" not in repr(config)

    @pytest.mark.parametrize(
        "content",
        [
            "kafka: {security: {sasl_password: [hunter2]}}",
            "kafka: {security: {protocol: SASL_SSL, sasl_password: hunter2}}",
            "kafka: {security: {ssl_password: {a: hunter2}}}",
            "kafka: {security: {protocol: X, sasl_password: hunter2}}",
        ],
    )
    def test_stay_out_of_errors(self, write: Write, content: str) -> None:
        """An error about a secret, or beside one, does not quote it."""
        assert "hunter2" not in "\n".join(problems(write(content)))


class TestValueOf:
    def test_gives_what_json_has(self) -> None:
        """Paths, levels and topics are shown as they would be written."""
        config = load_config(None, {"DETECTOR_RULES__PATHS": "/a"})

        assert value_of(config, ("rules", "paths")) == ["/a"]
        assert value_of(config, ("output", "min_level")) == "low"
        assert value_of(config, ("input", "topics")) == [
            {"name": "logs", "format": "auto", "logsource": None, "time_zone": "UTC"}
        ]

    def test_refuses_a_zone_that_is_none(self, write: Write) -> None:
        """A time zone is one of the IANA database."""
        path = write("input:\n  topics:\n    - {name: web, time_zone: Mars/Olympus}\n")

        with pytest.raises(ConfigError, match="no time zone of the IANA database"):
            load_config(path, {})
