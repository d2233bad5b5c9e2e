"""The types that a definition can give a field: from what stood in the log to typed ECS values."""

from __future__ import annotations

import math
from collections.abc import Callable

from detector.events import JsonValue
from detector.parsing.addresses import address, canonical_ip
from detector.parsing.severities import SYSLOG_LEVELS, level_of
from detector.parsing.urls import authority_fields, decode_once, split_request, url_fields

Convert = Callable[[JsonValue, dict[str, JsonValue]], bool]
"""Adds what a value (never None) stands for to the ECS fields; False if it is none of that type, and adds nothing."""

_INT64 = 1 << 63
_SHORT = 19  # so many digits may be too large
_STRUCTURED_DATA_MAX = 64
_NO_NAME = ("", "-")


def _string(name: str) -> Convert:
    def convert(value: JsonValue, ecs: dict[str, JsonValue]) -> bool:
        ecs[name] = value
        return True

    return convert


def _text(name: str) -> Convert:
    def convert(value: JsonValue, ecs: dict[str, JsonValue]) -> bool:
        if not isinstance(value, str) or not value:
            return False
        ecs[name] = value
        return True

    return convert


def _plus_spaces(name: str) -> Convert:
    """A text in which `+` stands for a space, as in W3C logs."""

    def convert(value: JsonValue, ecs: dict[str, JsonValue]) -> bool:
        if not isinstance(value, str) or not value:
            return False
        ecs[name] = value.replace("+", " ")
        return True

    return convert


def _percent_decoded(name: str) -> Convert:
    """A text, percent-decoded once."""

    def convert(value: JsonValue, ecs: dict[str, JsonValue]) -> bool:
        if not isinstance(value, str) or not value:
            return False
        ecs[name] = decode_once(value) if "%" in value else value
        return True

    return convert


def _last_segment(name: str) -> Convert:
    def convert(value: JsonValue, ecs: dict[str, JsonValue]) -> bool:
        if not isinstance(value, str) or "/" not in value:
            return False
        ecs[name] = value.rpartition("/")[2]
        return True

    return convert


def _serial(name: str) -> Convert:
    """The number behind the last colon, as in the ids of Linux's audit system."""

    def convert(value: JsonValue, ecs: dict[str, JsonValue]) -> bool:
        return isinstance(value, str) and ":" in value and _int(name)(value.rpartition(":")[2], ecs)

    return convert


def _extension(name: str) -> Convert:
    def convert(value: JsonValue, ecs: dict[str, JsonValue]) -> bool:
        path = value.partition("?")[0].partition("#")[0] if isinstance(value, str) else ""
        stem, dot, extension = path.rpartition("/")[2].rpartition(".")
        if not (stem and dot and extension.isalnum()):
            return False
        ecs[name] = extension
        return True

    return convert


def _joined(name: str) -> Convert:
    """A list of texts, as the arguments of a command."""

    def convert(value: JsonValue, ecs: dict[str, JsonValue]) -> bool:
        if isinstance(value, list):
            value = " ".join(part for part in value if isinstance(part, str))
        if not isinstance(value, str) or not value:
            return False
        ecs[name] = value
        return True

    return convert


def _file_name(name: str) -> Convert:
    def convert(value: JsonValue, ecs: dict[str, JsonValue]) -> bool:
        last = value.rpartition("\\" if "\\" in value else "/")[2] if isinstance(value, str) else ""
        if last in _NO_NAME:
            return False
        ecs[name] = last
        return True

    return convert


def _account(name: str) -> Convert:
    r"""A Windows account: `DOMAIN\name`, or `name`; `-` is none."""
    domain_name = f"{name.rpartition('.')[0]}.domain".removeprefix(".")

    def convert(value: JsonValue, ecs: dict[str, JsonValue]) -> bool:
        if not isinstance(value, str):
            return False
        domain, _, account = value.rpartition("\\")
        if account in _NO_NAME:
            return False
        ecs[name] = account
        if domain:
            ecs[domain_name] = domain
        return True

    return convert


def _hashes(name: str) -> Convert:
    """Sysmon's hashes: `MD5=…,SHA256=…,IMPHASH=…`; the names of algorithms in lower case."""
    names = {algorithm.upper(): f"{name}.{algorithm}" for algorithm in ("md5", "sha1", "sha256", "imphash")}

    def convert(value: JsonValue, ecs: dict[str, JsonValue]) -> bool:
        pairs = [part.partition("=") for part in value.split(",")] if isinstance(value, str) else []
        known = {names[algorithm]: digest for algorithm, _, digest in pairs if algorithm in names and digest}
        ecs.update(known)
        return bool(known)

    return convert


def _integer(value: JsonValue) -> int | None:
    if isinstance(value, str):
        digits = value.removeprefix("-")
        if not (digits.isascii() and digits.isdigit() and len(digits) <= 19):
            return None
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not -_INT64 <= value < _INT64:
        return None
    return value


def _int(name: str) -> Convert:
    def convert(value: JsonValue, ecs: dict[str, JsonValue]) -> bool:
        plain = isinstance(value, str) and len(value) < _SHORT and value.isascii() and value.isdigit()
        number = int(value) if plain else _integer(value)
        if number is None:
            return False
        ecs[name] = number
        return True

    return convert


def _float(name: str) -> Convert:
    def convert(value: JsonValue, ecs: dict[str, JsonValue]) -> bool:
        if (
            isinstance(value, bool)
            or not isinstance(value, str | int | float)
            or (isinstance(value, str) and "_" in value)
        ):
            return False
        try:
            number = float(value)
        except (ValueError, OverflowError):
            return False
        if not math.isfinite(number):
            return False
        ecs[name] = number
        return True

    return convert


def _share(name: str) -> Convert:
    """A share of 1; a number above 1, or one in per cent (`31%`), is a hundredth."""

    def convert(value: JsonValue, ecs: dict[str, JsonValue]) -> bool:
        text = value.strip() if isinstance(value, str) else value
        percent = isinstance(text, str) and text.endswith("%")
        found: dict[str, JsonValue] = {}
        if not _float(name)(text.rstrip("% ") if isinstance(text, str) else text, found) or found[name] < 0:
            return False
        ecs[name] = round(found[name] / 100, 6) if percent or found[name] > 1 else found[name]
        return True

    return convert


def _bool(name: str) -> Convert:
    words = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}

    def convert(value: JsonValue, ecs: dict[str, JsonValue]) -> bool:
        truth = value if isinstance(value, bool) else words.get(str(value).lower())
        if truth is None:
            return False
        ecs[name] = truth
        return True

    return convert


def _ip(name: str) -> Convert:
    def convert(value: JsonValue, ecs: dict[str, JsonValue]) -> bool:
        ip = canonical_ip(value) if isinstance(value, str) and len(value) < 64 else None
        if ip is None:
            return False
        ecs[name] = ip
        return True

    return convert


def _address(name: str) -> Convert:
    names = f"{name}.address", f"{name}.ip", f"{name}.port", f"{name}.domain"

    def convert(value: JsonValue, ecs: dict[str, JsonValue]) -> bool:
        if not isinstance(value, str) or not value:
            return False
        ecs[names[0]] = value
        ip, port, domain = address(value)
        if ip is not None:
            ecs[names[1]] = ip
        if port is not None:
            ecs[names[2]] = port
        if domain is not None:
            ecs[names[3]] = domain
        return True

    return convert


def _domain(name: str) -> Convert:
    def convert(value: JsonValue, ecs: dict[str, JsonValue]) -> bool:
        if not isinstance(value, str) or not value:
            return False
        ip, _, domain = address(value)
        if not (ip or domain):
            return False
        ecs[name] = ip or domain
        return True

    return convert


def _url(_name: str) -> Convert:
    def convert(value: JsonValue, ecs: dict[str, JsonValue]) -> bool:
        if not isinstance(value, str) or not value:
            return False
        url_fields(value, ecs)
        return True

    return convert


def _http_request(_name: str) -> Convert:
    def convert(value: JsonValue, ecs: dict[str, JsonValue]) -> bool:
        if not isinstance(value, str) or not value:
            return False
        method, url, version = split_request(value)
        if method:
            ecs["http.request.method"] = method
        if version:
            ecs["http.version"] = version
            ecs["http.request.protocol"] = f"HTTP/{version}"
        if url:
            (authority_fields if method == "CONNECT" else url_fields)(url, ecs)
        return True

    return convert


def _syslog_priority(_name: str) -> Convert:
    def convert(value: JsonValue, ecs: dict[str, JsonValue]) -> bool:
        priority = _integer(value)
        if priority is None or not 0 <= priority <= 191:
            return False
        ecs["log.syslog.priority"] = priority
        ecs["log.syslog.facility.code"], severity = divmod(priority, 8)
        ecs["log.syslog.severity.code"] = severity
        ecs.setdefault("log.level", SYSLOG_LEVELS[severity])
        return True

    return convert


def _structured_data(name: str) -> Convert:
    """Structured data of RFC 5424, 6.3: `name.ID.PARAM`, escapes resolved, the first 64 parameters."""

    def convert(value: JsonValue, ecs: dict[str, JsonValue]) -> bool:
        if not isinstance(value, str):
            return False
        at = added = 0
        while at < len(value) and added < _STRUCTURED_DATA_MAX:
            element, at = _until(value, at + 1, " ]")
            while at < len(value) and value[at] == " " and added < _STRUCTURED_DATA_MAX:
                key, at = _until(value, at + 1, '="]')
                text, at = _quoted(value, at + 2)
                ecs[f"{name}.{element}.{key}"] = text
                added += 1
            at += 1
        return added > 0

    return convert


def _level(name: str) -> Convert:
    def convert(value: JsonValue, ecs: dict[str, JsonValue]) -> bool:
        level = level_of(value if isinstance(value, str) and _integer(value) is None else _integer(value))
        if level is None:
            return False
        ecs[name] = level
        return True

    return convert


def _until(text: str, start: int, stops: str) -> tuple[str, int]:
    end = start
    while end < len(text) and text[end] not in stops:
        end += 1
    return text[start:end], end


def _quoted(text: str, start: int) -> tuple[str, int]:
    parts: list[str] = []
    at = start
    while at < len(text) and text[at] != '"':
        if text[at] == "\\" and text[at + 1 : at + 2] in ('"', "\\", "]"):
            at += 1
        parts.append(text[at])
        at += 1
    return "".join(parts), at + 1


TYPES: dict[str, Callable[[str], Convert]] = {
    "value": _string,  # as it stands: text of a pattern, any JSON value
    "text": _text,  # a string that is not empty
    "plus_spaces": _plus_spaces,  # a text in which + stands for a space
    "percent_decoded": _percent_decoded,  # once
    "last_segment": _last_segment,  # of a string with slashes: what follows the last
    "serial": _serial,  # the number behind the last colon
    "extension": _extension,  # of the file that a URL names
    "joined": _joined,  # a text, or a list of them with spaces between
    "file_name": _file_name,  # of a path, with slashes or backslashes
    "account": _account,  # DOMAIN\name: the name; the domain beside it
    "hashes": _hashes,  # NAME.md5, .sha1, .sha256, .imphash of ALGORITHM=digest,…
    "int": _int,
    "float": _float,
    "share": _share,  # of 1, also from per cent
    "bool": _bool,
    "level": _level,  # a severity by the names of syslog, and trace
    "ip": _ip,
    "address": _address,  # NAME.address, and .ip or .domain, .port
    "domain": _domain,  # the host name or address of a host with or without a port
    "url": _url,  # url.*
    "http_request": _http_request,  # http.request.method, http.version, url.*
    "syslog_priority": _syslog_priority,  # log.syslog.priority, .facility.code, .severity.code
    "structured_data": _structured_data,  # NAME.ID.PARAM
}
"""Name of a type in a definition -> what makes the converter for an ECS name."""

SPREADING = frozenset({"address", "account", "hashes", "url", "http_request", "syslog_priority", "structured_data"})
"""Types that fill in several names; a null leaves no trace in these."""
