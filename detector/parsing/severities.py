"""Severities on one scale: syslog's eight, and trace."""

from __future__ import annotations

_LEVELS = {
    "emergency": "emerg emergency panic",
    "alert": "alert",
    "critical": "crit critical fatal f ftl dpanic",
    "error": "err error e eror errors severe",
    "warning": "warn warning w wrn",
    "notice": "notice note n",
    "informational": "info information informational inform i inf log system config",
    "debug": "debug d dbg dbug fine debug1 debug2 debug3 debug4 debug5",
    "trace": "trace t trc vrb verbose v finer finest silly",
}
_LEVEL_OF = {word: level for level, words in _LEVELS.items() for word in words.split()}
SYSLOG_LEVELS = tuple(_LEVELS)[:8]
_LOGGER_LEVELS = {10: "trace", 20: "debug", 30: "informational", 40: "warning", 50: "error", 60: "critical"}


def level_of(value: str | int | None) -> str | None:
    """The severity that a word, or a number, stands for, else None. Numbers are syslog's (0-7), or pino's (10-60)."""
    if isinstance(value, int):
        return SYSLOG_LEVELS[value] if 0 <= value < 8 else _LOGGER_LEVELS.get(value)
    return _LEVEL_OF.get(value.strip(" []<>:").lower()) if value else None
