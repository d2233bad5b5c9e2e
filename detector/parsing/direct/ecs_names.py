"""Which ECS names the types of a definition fill in."""

from __future__ import annotations

from functools import lru_cache

from detector.parsing.direct.request_kernels import NAMES, URL_NAMES


@lru_cache(maxsize=4_096)
def names_of(name: str, type_: str) -> tuple[str, ...]:
    """Those that a field of that name and type may fill in, for kernels in their order; not of `structured_data`."""
    if type_ == "http_request":
        return NAMES
    if type_ == "url":
        return NAMES[:URL_NAMES]
    if type_ == "address":
        return tuple(f"{name}.{part}" for part in ("address", "ip", "port", "domain"))
    if type_ == "account":
        return name, f"{name.rpartition('.')[0]}.domain".removeprefix(".")
    if type_ == "hashes":
        return tuple(f"{name}.{algorithm}" for algorithm in ("md5", "sha1", "sha256", "imphash"))
    if type_ == "syslog_priority":
        return "log.syslog.priority", "log.syslog.facility.code", "log.syslog.severity.code", "log.level"
    return (name,)
