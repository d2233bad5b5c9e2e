"""The service's own log: one event a line on standard error, as JSON for machines or as text for people.

Names of events are constants in the code. Whatever comes from outside (log text, rule text, messages of libraries)
is only ever a value: escaped, cut, and without secrets. Writing to the log never raises: a service must not fail
because nobody reads its standard error any more.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import orjson
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from detector.config import Log

MAX_TEXT = 4_096
"""Longest text value in characters; the rest is cut and its length is told."""

MASK = "***"

_SECRET_KEYS = ("password", "passwd", "passphrase", "secret", "token", "credential", "authorization", "api_key")
_MAX_DEPTH = 6

# C0 (orjson escapes those itself), DEL, C1 (0x9b starts a terminal sequence), line separators, direction overrides.
_CONTROLS = (*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
_ESCAPES = {code: f"\\u{code:04x}" for code in _CONTROLS}
_JSON_ESCAPES = {code: escape for code, escape in _ESCAPES.items() if code >= 0x20}

REPEAT_S = 10.0
_MAX_REMEMBERED = 256

# One list for good: loggers that were cached keep it, so that a later configuration reaches them too.
_processors: list[Processor] = []


def configure(log: Log, *, secrets: Iterable[str] = ()) -> None:
    """Set up structlog and the standard library's logging for this process.

    Args:
        log: level and format.
        secrets: values that must not appear, whatever the key or the message that carries them.
    """
    render = _json if log.format == "json" else _console()
    _processors[:] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _Redact(secrets),
        render,
    ]
    structlog.configure(
        processors=_processors,
        wrapper_class=structlog.make_filtering_bound_logger(log.level),
        logger_factory=_StandardError,
        cache_logger_on_first_use=True,
    )
    root = logging.getLogger()
    root.handlers[:] = [_Forward(logging.WARNING)]
    root.setLevel(logging.WARNING)
    logging.captureWarnings(True)
    adopt("kafka")


def adopt(*names: str) -> None:
    """Send what the named libraries log to this log, from warnings upwards.

    Ray gives its loggers handlers of their own when it is imported, and Ray Data one that writes debug lines to a
    file for ever: call `adopt("ray", "ray.data")` after `ray.init`.
    """
    for name in names:
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
        logger.setLevel(logging.WARNING)


class _StandardError:
    """Writes a line at once, to whatever standard error is at that time."""

    def __init__(self, *_: Any) -> None:
        pass

    def msg(self, line: bytes) -> None:
        with contextlib.suppress(OSError, ValueError):  # closed, full, or its reader is gone
            stream = sys.stderr.buffer
            stream.write(line + b"\n")  # one call, which is atomic: lines of several threads never mix
            stream.flush()

    debug = info = warning = warn = error = critical = fatal = failure = err = exception = log = msg


class _Forward(logging.Handler):
    """Makes an event of what a library logs; its text is a value, since nobody here chose its words.

    The same message (by its format string) comes once in `REPEAT_S`, with the number of those left out: while a
    broker is away, Kafka's clients say so several times a second.
    """

    def __init__(self, level: int) -> None:
        super().__init__(level)
        self._left_out: dict[tuple[str, str], tuple[float, int]] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Forward a record, unless its like was forwarded just now."""
        key = (record.name, str(record.msg)[:200])
        until, repeated = self._left_out.get(key, (0.0, 0))
        if record.created < until:
            self._left_out[key] = (until, repeated + 1)
            return
        if len(self._left_out) >= _MAX_REMEMBERED:
            self._left_out.clear()
        self._left_out[key] = (record.created + REPEAT_S, 0)
        self._forward(record, repeated)

    def _forward(self, record: logging.LogRecord, repeated: int) -> None:
        try:
            message = record.getMessage()
        except Exception:  # noqa: BLE001 -- a library's broken format string is not our failure
            message = str(record.msg)
        level = min(record.levelno // 10 * 10, logging.CRITICAL)  # structlog knows the five usual ones only
        structlog.get_logger().log(
            level,
            "library message",
            logger=record.name,
            message=message,
            exc_info=record.exc_info,
            **({"repeated": repeated} if repeated else {}),
        )


class _Redact:
    """Masks secrets, by key and by value, and cuts long text."""

    __slots__ = ("_secrets",)

    def __init__(self, secrets: Iterable[str]) -> None:
        # A secret of one or two characters would mask half of the log and hide nothing.
        self._secrets = tuple(sorted((secret for secret in secrets if len(secret) > 2), key=len, reverse=True))

    def __call__(self, _logger: WrappedLogger, _name: str, event: EventDict) -> EventDict:
        return {key: self._of_key(key, value, 0) for key, value in event.items()}

    def _of_key(self, key: Any, value: Any, depth: int) -> Any:
        if isinstance(key, str) and value is not None and any(part in key.lower() for part in _SECRET_KEYS):
            return MASK
        return self._value(value, depth)

    def _value(self, value: Any, depth: int) -> Any:
        """Turn a value into what JSON holds: str, int, float, bool, None, list, dict."""
        if value is None or isinstance(value, (bool, int, float)):
            return value if not isinstance(value, int) or -(2**63) <= value < 2**64 else str(value)
        if depth < _MAX_DEPTH:
            if isinstance(value, Mapping):
                return {self._text(_str(key)): self._of_key(key, item, depth + 1) for key, item in value.items()}
            if isinstance(value, (list, tuple, set, frozenset)):
                return [self._value(item, depth + 1) for item in value]
        return self._text(_str(value))

    def _text(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, MASK)
        if len(text) > MAX_TEXT:  # both ends tell most: of a traceback the first line and the error
            half = MAX_TEXT // 2
            text = f"{text[:half]} [{len(text) - 2 * half} characters cut] {text[-half:]}"
        return text.encode("utf-8", "replace").decode()  # lone surrogates


def _str(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value).decode("utf-8", "replace")
    try:
        return str(value)
    except Exception as error:  # noqa: BLE001 -- whatever an object's own code does, the line is written
        return f"<{type(value).__name__}: {type(error).__name__}>"


def _json(_logger: WrappedLogger, _name: str, event: EventDict) -> bytes:
    first = {key: event.pop(key) for key in ("timestamp", "level", "event")}
    return orjson.dumps({**first, **event}).decode().translate(_JSON_ESCAPES).encode()


def _console() -> Callable[[WrappedLogger, str, EventDict], bytes]:
    colors = sys.stderr.isatty() and not os.environ.get("NO_COLOR")
    renderer = structlog.dev.ConsoleRenderer(colors=colors, pad_event_to=32)

    def render(logger: WrappedLogger, name: str, event: EventDict) -> bytes:
        # The lines of a traceback are the one thing that spans lines; a mark before each says whose they are.
        lines = str(event.pop("exception", "")).splitlines()
        safe = {key: _escaped(value) for key, value in event.items()}
        text = renderer(logger, name, safe)
        return "\n".join([text, *(f"    | {line.translate(_ESCAPES)}" for line in lines)]).encode()

    return render


def _escaped(value: Any) -> Any:
    if isinstance(value, str):
        return value.translate(_ESCAPES)
    if isinstance(value, dict):
        return {_escaped(key): _escaped(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_escaped(item) for item in value]
    return value
