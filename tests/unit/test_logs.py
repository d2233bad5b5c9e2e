"""The service's own log, as the process's standard error shows it."""

import io
import logging
import sys
import unicodedata
import warnings
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from detector import logs
from detector.config import Log


class Written:
    """What went to standard error since it was last asked."""

    def __init__(self, capture: pytest.CaptureFixture[bytes]) -> None:
        self._capture = capture

    def lines(self) -> list[str]:
        return self._capture.readouterr().err.decode().splitlines()

    def events(self) -> list[dict[str, Any]]:
        return [orjson.loads(line) for line in self.lines()]


@pytest.fixture(autouse=True)
def _restore() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    config = structlog.get_config()
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)
    structlog.configure(**config)


@pytest.fixture
def stderr(capsysbinary: pytest.CaptureFixture[bytes]) -> Written:
    return Written(capsysbinary)


def _configured(form: str = "json", level: str = "info", **settings: Any) -> Any:
    logs.configure(Log(format=form, level=level), **settings)  # type: ignore[arg-type]
    return structlog.get_logger()


def _fail(message: str) -> None:
    raise ValueError(message)


class TestJson:
    def test_one_object_a_line(self, stderr: Written) -> None:
        """An event is one line, an object with event, level, UTC timestamp and the values."""
        _configured().warning("epoch ended", reason="age", windows=3)

        (event,) = stderr.events()
        assert tuple(event[k] for k in ("event", "level", "reason", "windows")) == ("epoch ended", "warning", "age", 3)
        assert list(event)[:3] == ["timestamp", "level", "event"]
        assert event["timestamp"].endswith("Z")

    def test_level(self, stderr: Written) -> None:
        """Events below the level are not written."""
        log = _configured(level="warning")

        log.info("quiet")
        log.error("loud")

        assert [event["event"] for event in stderr.events()] == ["loud"]

    def test_exception_in_the_line(self, stderr: Written) -> None:
        """A traceback is a value of the event, not lines after it."""
        log = _configured()

        try:
            _fail("bad\nvalue")
        except ValueError:
            log.exception("failed")

        (event,) = stderr.events()
        assert "ValueError: bad\nvalue" in event["exception"]

    @given(text=st.text())
    def test_any_text(self, text: str) -> None:
        """Whatever text is logged: one line, no control character, and the same text when it is decoded."""
        stream = io.TextIOWrapper(raw := io.BytesIO(), encoding="utf-8")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "stderr", stream)

            _configured().info("seen", text=text)

            line = raw.getvalue().decode().removesuffix("\n")
            assert not [c for c in line if unicodedata.category(c) in {"Cc", "Zl", "Zp"}]
            assert orjson.loads(line)["text"] == text.encode("utf-8", "replace").decode()

    @pytest.mark.parametrize(
        ("value", "written"),
        [
            (b"\xff\x00", "\ufffd\x00"),
            (2**70, str(2**70)),
            ({1: {2}}, {"1": [2]}),
            (float("nan"), None),
            ([[[[[[[["deep"]]]]]]]], [[[[[["[['deep']]"]]]]]]),
        ],
    )
    def test_any_value(self, stderr: Written, value: Any, written: Any) -> None:
        """Values that JSON cannot hold are written as something that it can."""
        _configured().info("seen", value=value)

        (event,) = stderr.events()
        assert event["value"] == written

    def test_value_that_cannot_be_shown(self, stderr: Written) -> None:
        """An object whose `str` raises does not take the line with it."""

        class Odd:
            def __str__(self) -> str:
                raise RuntimeError("no")

        _configured().info("seen", value=Odd())

        assert stderr.events()[0]["value"] == "<Odd: RuntimeError>"

    def test_long_text_is_cut(self, stderr: Written) -> None:
        """Text beyond the limit is cut in the middle, and the line says how much is gone."""
        _configured().info("seen", text="a" * 1_000_000 + "end")

        text = stderr.events()[0]["text"]
        assert len(text) < logs.MAX_TEXT + 100
        assert text.endswith("end")
        assert "995907 characters cut" in text


class TestConsole:
    def test_readable(self, stderr: Written) -> None:
        """People see level, event and values in a line without colours when it is no terminal."""
        _configured("console").info("epoch started", readers=2)

        (line,) = stderr.lines()
        assert "[info" in line
        assert "epoch started" in line
        assert "readers=2" in line
        assert "\x1b" not in line

    @pytest.mark.parametrize("text", ["\x1b[2J", "a\nb", "\x9b31m", "\u202egpj.exe", "a\rb", "\u2028", "\x7f"])
    def test_controls_are_escaped(self, stderr: Written, text: str) -> None:
        """Text cannot steer the terminal or forge a line, as a value, in a nested value or as a key."""
        _configured("console").info("seen", text=text, nested=[{text: text}])

        (line,) = stderr.lines()
        assert not [c for c in line if c in text and (not c.isprintable())]

    def test_traceback_is_marked(self, stderr: Written) -> None:
        """Each line of a traceback carries a mark, so that the text of an error cannot pass for an event."""
        log = _configured("console")

        try:
            _fail("x\n2026-01-01 [info] all is well \x1b[2J")
        except ValueError:
            log.exception("failed")

        first, *rest = stderr.lines()
        assert "failed" in first
        assert rest
        assert all(line.startswith("    | ") and "\x1b" not in line for line in rest)


class TestSecrets:
    @pytest.mark.parametrize("form", ["json", "console"])
    @pytest.mark.parametrize("key", ["sasl_password", "SSL_Password", "auth_token", "Authorization", "client_secret"])
    def test_by_key(self, stderr: Written, form: str, key: str) -> None:
        """A value whose key names a secret is masked, also in nested settings."""
        _configured(form).info("settings", **{key: "canary"}, kafka={"security": [{key: "canary"}]})

        (line,) = stderr.lines()
        assert "canary" not in line
        assert line.count(logs.MASK) == 2

    @pytest.mark.parametrize("form", ["json", "console"])
    def test_by_value(self, stderr: Written, form: str) -> None:
        """A known secret is masked wherever it stands: text, traceback, message of a library."""
        log = _configured(form, secrets=["s3cr3t-canary", ""])

        log.info("seen", text="user:s3cr3t-canary@host")
        logging.getLogger("kafka.conn").error("login with %s failed", "s3cr3t-canary")
        try:
            _fail("s3cr3t-canary")
        except ValueError:
            log.exception("failed")

        lines = stderr.lines()
        assert len(lines) >= 3
        assert "canary" not in "".join(lines)


class TestLibraries:
    def test_warnings_arrive_with_the_text_as_value(self, stderr: Written) -> None:
        """What a library warns of is an event with a constant name; what it merely tells is dropped."""
        _configured()

        logging.getLogger("kafka.client").warning("node %s is gone", 7)
        logging.getLogger("kafka.client").info("connecting")

        (event,) = stderr.events()
        assert (
            event["event"],
            event["logger"],
            event["message"],
        ) == ("library message", "kafka.client", "node 7 is gone")

    def test_broken_format(self, stderr: Written) -> None:
        """A library that formats wrongly is heard all the same."""
        _configured()

        logging.getLogger("kafka").error("%d nodes", "no number")

        assert stderr.events()[0]["message"] == "%d nodes"

    def test_odd_level(self, stderr: Written) -> None:
        """A level between the usual ones counts as the lower of them."""
        _configured()

        logging.getLogger("kafka").log(35, "between")

        assert stderr.events()[0]["level"] == "warning"

    def test_adopt(self, stderr: Written) -> None:
        """A library with handlers of its own loses them."""
        logger = logging.getLogger("somelibrary")
        logger.addHandler(logging.StreamHandler(io.StringIO()))
        logger.propagate = False
        _configured()

        logs.adopt("somelibrary")
        logger.warning("heard")

        assert logger.handlers == []
        assert stderr.events()[0]["message"] == "heard"

    def test_python_warnings(self, stderr: Written) -> None:
        """A Python warning is an event, not two lines of its own."""
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            _configured()

            warnings.warn("old", UserWarning, stacklevel=1)

        (event,) = stderr.events()
        assert (event["logger"], "UserWarning: old" in event["message"]) == ("py.warnings", True)


class TestStandardError:
    def test_gone(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """When standard error is closed, logging goes on without an error."""
        stream = io.TextIOWrapper(raw := io.BytesIO(), encoding="utf-8")
        monkeypatch.setattr(sys, "stderr", stream)
        log = _configured()
        log.info("before")
        written = len(raw.getvalue())

        stream.close()
        log.info("after")

        assert written > 0

    def test_configured_again(self, stderr: Written) -> None:
        """Loggers that were used before a second configuration follow it."""
        log = _configured()
        log.info("first")

        logs.configure(Log(format="console"))
        log.info("second")

        first, second = stderr.lines()
        assert first.startswith("{")
        assert not second.startswith("{")


class TestRepetition:
    def test_said_once(self, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
        """A library that says the same again and again is heard once in a while, with the number of repetitions."""
        logs.configure(Log())
        handler = logs._Forward(logging.WARNING)
        record = logging.LogRecord("kafka.net", logging.WARNING, "f.py", 1, "no answer from %s", ("node 1",), None)
        record.created = 1_000.0
        for second in (0, 1, 2, 10):
            record.created = 1_000.0 + second
            handler.emit(record)

        lines = [orjson.loads(line) for line in capsysbinary.readouterr().err.splitlines()]
        assert [line.get("repeated") for line in lines] == [None, 2]
